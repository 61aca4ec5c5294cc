"""A photograph that was replaced by one of the same size between two runs of one curation."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bg20k.rules import CurationRules
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.dataset.manifest import read_manifest
from rssn.errors import InputError
from tests.pipelines.composing import digests
from tests.pipelines.conftest import MIN_SIDE


@pytest.fixture
def photos(synthetic: Path, tmp_path: Path) -> Path:
    """Six photographs, two of them of one size in bytes, and one that cannot be read."""
    (tmp_path / "photos").mkdir()
    for path in sorted((synthetic / "photos").glob("*.jpg"))[:6]:
        shutil.copy(path, tmp_path / "photos" / path.name)
    one, other = sorted((tmp_path / "photos").iterdir())[:2]
    length = max(one.stat().st_size, other.stat().st_size)
    for path in (one, other):
        path.write_bytes(path.read_bytes().ljust(length, b"\0"))
        os.utime(path, ns=(10**18, 10**18))
    (tmp_path / "photos" / "zz-broken.jpg").write_bytes(b"no picture")
    return tmp_path / "photos"


def curate(photos: Path, out: Path) -> tuple[int, list[str]]:
    """Photographs that were examined or published anew, and what was said."""
    said: list[str] = []
    job = CurationJob(photos, out, CurationRules(min_side=MIN_SIDE), None, ErrorBudget(), log=said.append)
    return run_curation(job, LocalRunner()).summary.written, said


def test_a_replaced_photograph_is_refused_by_name(photos: Path, tmp_path: Path) -> None:
    """Of the same name, size and time: only its number on the disk differs, as after `mv`."""
    out = tmp_path / "out"
    curate(photos, out)
    before = digests(out)
    one, other = sorted(photos.iterdir())[:2]
    data = other.read_bytes()
    (tmp_path / "new").write_bytes(data)
    os.utime(tmp_path / "new", ns=(10**18, 10**18))
    (tmp_path / "new").replace(one)
    assert one.stat().st_mtime_ns == 10**18
    with pytest.raises(InputError, match=rf"1 photograph was replaced since .*out was started \({one.name}\).*--out"):
        curate(photos, out)
    assert digests(out) == before
    assert read_manifest(out).finished, "what was finished stays so"


def test_a_photograph_that_is_replaced_by_another_time_is_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(photos, out)
    one, other = sorted(photos.iterdir())[:2]
    one.write_bytes(other.read_bytes())
    (photos / "zz-broken.jpg").write_bytes(b"NO PICTURE")
    with pytest.raises(InputError, match=rf"2 photographs were replaced since .* \({one.name}, zz-broken.jpg\)"):
        curate(photos, out)


def test_a_crawl_that_moved_to_another_disk_goes_on(photos: Path, tmp_path: Path) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"
    assert curate(photos, out)[1] == []
    before = digests(out)
    shutil.copytree(photos, moved, copy_function=shutil.copyfile)
    words = "7 photographs have another time or place on disk than before; their content was compared"
    written, said = curate(moved, out)
    assert written == 0
    assert [each.startswith(words) for each in said] == [True]
    assert digests(out) == before
    assert curate(moved, out)[1] == []


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_counts_for_its_members(kind: str, photos: Path, tmp_path: Path) -> None:
    names = sorted(photos.iterdir())

    def pack(order: list[Path]) -> None:
        """The content of `order` under the names of all, in their order."""
        if kind == "tar":
            with tarfile.open(tmp_path / "new", "w") as archive:
                for path, source in zip(names, order, strict=True):
                    archive.add(source, path.name)
        else:
            with zipfile.ZipFile(tmp_path / "new", "w") as archive:
                for path, source in zip(names, order, strict=True):
                    archive.write(source, path.name)
        (tmp_path / "new").replace(tmp_path / f"photos.{kind}")

    pack(names)
    out = tmp_path / "out"
    curate(tmp_path / f"photos.{kind}", out)
    before = digests(out)
    pack(names)
    assert curate(tmp_path / f"photos.{kind}", out)[1][0].startswith("7 photographs have another time")
    assert digests(out) == before
    pack([names[1], names[0], *names[2:]])
    with pytest.raises(InputError, match=rf"2 photographs were replaced .* \({names[0].name}, {names[1].name}\)"):
        curate(tmp_path / f"photos.{kind}", out)


@pytest.mark.parametrize("harm", ["lost", "damaged", "without stamps"])
def test_without_the_planned_times_every_photograph_is_compared(harm: str, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    curate(photos, out)
    plan = out / "plan" / "photos.parquet"
    whole = plan.read_bytes()
    if harm == "without stamps":  # as an earlier version wrote it
        pq.write_table(pq.read_table(plan).drop_columns(["picture"]), plan)
    elif harm == "damaged":
        plan.write_bytes(whole[: len(whole) // 2])
    else:
        plan.unlink()
    assert curate(photos, out)[1][0].startswith("7 photographs have another time")
    assert plan.read_bytes() == whole


def test_what_was_not_examined_yet_may_be_replaced(photos: Path, tmp_path: Path) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    curate(photos, out)
    for path in (out / "candidates" / "marks").iterdir():
        path.unlink()
    one, other = sorted(photos.iterdir())[:2]
    one.write_bytes(other.read_bytes())
    curate(photos, out)
    curate(photos, fresh)
    assert digests(out) == digests(fresh)
