"""`rssn prune`: what is not at its source any more goes, whenever it is killed, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.compose.job import Output, run_compose
from pipelines.compose.pack import PackJob, run_pack
from pipelines.compose.plan import load_plan
from pipelines.compose.prune import PruneJob, find_gone, run_prune
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.output.writer import remove_dataset
from rssn.dataset.dataset import open_dataset
from rssn.dataset.manifest import read_manifest
from rssn.dataset.shards import DatasetFolder
from rssn.errors import DamagedError, InputError
from rssn.image.arrays import encode_png
from rssn.route.recipe import load_recipe
from rssn.route.steps.merge import Merge
from rssn.storage.lease import hold_lease
from rssn.storage.location import BucketPath
from tests.bucket import Store
from tests.pipelines.composing import QUICK, digests, files, job_of, rejects, rows

K = 3
RECIPE = replace(QUICK, k=K)
LOOK = ReportOptions(2, 0)


@pytest.fixture
def matting(synthetic: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(synthetic / "matting", tmp_path / "matting"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (200, 260, 3), np.uint8)
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
    return folder


def remove(matting: Path, number: int = 0) -> str:
    """Remove a pair; returns its source."""
    path = sorted((matting / "original").iterdir())[number]
    for folder in ("original", "mask"):
        next((matting / folder).glob(f"{path.stem}.*")).unlink()
    return f"original/{path.name}"


def named(out: Path) -> dict[str, dict[str, Any]]:
    return {row["sample_id"]: row for row in rows(out)}


def test_a_foreground_that_is_gone_takes_its_composites_along(matting: Path, photos: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", []
    job = job_of(matting, photos, out, RECIPE)
    run_compose(job, LocalRunner())
    before, marks = named(out), digests(out)
    gone = remove(matting)
    with pytest.raises(
        InputError, match=r"1 is gone .*--extend adds .*; rssn prune removes those of what is not there"
    ):
        run_compose(job, LocalRunner())
    prune = PruneJob(out, matting)
    assert find_gone(prune).lines("would remove") == [
        f"gone: 1 foreground ({gone})",
        "would remove 3 composites of 1 shard",
    ]
    assert digests(out) == marks
    assert run_prune(prune, lambda found: said.extend(found.lines("removing"))) == []
    assert said[-1] == "removing 3 composites of 1 shard"
    assert named(out) == {name: row for name, row in before.items() if row["foreground_source"] != gone}
    assert len(digests(out).items() & marks.items()) == 2, "other shards are not touched"
    assert run_inspect(out, LOOK).problems == []
    assert (read_manifest(out).totals["rows"], read_manifest(out).totals["pruned"]) == (6, 1)
    assert "6 composites of 2 foregrounds" in (out / "README.md").read_text()
    with pytest.raises(InputError, match="all foregrounds are there; nothing to prune"):
        run_prune(prune)
    again = run_compose(job, LocalRunner())
    assert (again.written, again.reused, again.rejected) == (0, 6, 0)
    assert read_manifest(out).totals["pruned"] == 1


@pytest.mark.slow
def test_a_set_and_its_sources_in_a_bucket(matting: Path, photos: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    def put(root: Path) -> BucketPath:
        for name, data in files(root).items():
            s3.put(f"{bucket}/{root.name}/{name}", data)
        return BucketPath(f"{bucket}/{root.name}")

    job = job_of(matting, photos, tmp_path / "out", RECIPE)
    run_compose(job, LocalRunner())
    there = replace(job, matting=put(matting), backgrounds=put(photos), out=BucketPath(f"{bucket}/set"))
    run_compose(there, LocalRunner())
    gone = remove(matting)
    for name in (gone, f"mask/{Path(gone).stem}.png"):
        s3.remove(f"{bucket}/matting/{name}")
    lines = find_gone(PruneJob(there.out, there.matting)).lines("would remove")
    assert lines == find_gone(PruneJob(job.out, matting)).lines("would remove")
    assert run_prune(PruneJob(job.out, matting)) == run_prune(PruneJob(there.out, there.matting)) == []
    data = open_dataset(there.out)
    assert list(data.rows()) == list(open_dataset(job.out).rows())
    assert data.verify() == []
    again = run_compose(there, LocalRunner())
    assert (again.written, again.reused) == (0, 6)


def test_a_background_that_is_gone_takes_its_composites_along(matting: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = job_of(matting, photos, out, RECIPE)
    run_compose(job, LocalRunner())
    before = named(out)
    lost = sorted({row["background_source"] for row in before.values()})[0]
    (photos / lost).unlink()
    with pytest.raises(InputError, match=r"the backgrounds differ from those .* 1 gone"):
        run_compose(job, LocalRunner())
    with pytest.raises(InputError, match="all foregrounds are there; nothing to prune"):
        run_prune(PruneJob(out, matting))
    run_prune(PruneJob(out, matting, photos))
    stays = {name: row for name, row in before.items() if row["background_source"] != lost}
    assert named(out) == stays
    assert len(stays) < len(before)
    assert run_compose(job, LocalRunner()).reused == len(stays)
    assert named(out) == stays


def test_what_is_made_again_or_later_has_nothing_of_what_was_pruned(
    matting: Path, synthetic: Path, photos: Path, tmp_path: Path
) -> None:
    """A damaged shard is the same again; a new foreground has K composites on what is left."""
    out = tmp_path / "out"
    job = job_of(matting, photos, out, RECIPE)
    run_compose(job, LocalRunner())
    lost = sorted({row["background_source"] for row in rows(out)})[0]
    (photos / lost).unlink()
    gone = remove(matting, 1)
    run_prune(PruneJob(out, matting, photos))
    stays, marks = named(out), digests(out)
    for mark in DatasetFolder(out).marks():
        if mark.rows:
            DatasetFolder(out).data(mark.name).write_bytes(b"damaged")
    assert run_compose(job, LocalRunner()).written == len(stays)
    assert digests(out) == marks
    for folder, suffix in (("original", "jpg"), ("mask", "png")):
        shutil.copy(next((synthetic / "evaluation" / folder).iterdir()), matting / folder / f"zz.{suffix}")
    assert run_compose(replace(job, extend=True), LocalRunner()).written == K
    assert stays.items() <= named(out).items()
    assert not {lost, gone} & {row[side] for row in rows(out) for side in ("background_source", "foreground_source")}


def test_what_is_found_again_stays_out(matting: Path, photos: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", []
    job = job_of(matting, photos, out, RECIPE)
    run_compose(job, LocalRunner())
    shutil.copytree(matting, tmp_path / "kept")
    gone = remove(matting)
    run_prune(PruneJob(out, matting))
    stays = named(out)
    shutil.copytree(tmp_path / "kept", matting, dirs_exist_ok=True)
    run_compose(replace(job, extend=True), LocalRunner(), lambda prepared: said.append(prepared.describe()))
    assert f"1 foreground found again after rssn prune, left out: {gone}" in said[0]
    assert named(out) == stays


def test_a_merged_foreground_counts_as_one_of_the_row(matting: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = job_of(matting, photos, out, replace(RECIPE, steps=(Merge(1.0),)))
    run_compose(job, LocalRunner())
    before = named(out)
    gone = remove(matting)
    run_prune(PruneJob(out, matting))
    stays = {
        name: row
        for name, row in before.items()
        if gone not in (row["foreground_source"], row["steps"]["merge"]["other_source"])
    }
    assert 0 < len(stays) < len(before) - K
    assert named(out) == stays
    for mark in DatasetFolder(out).marks():
        DatasetFolder(out).mark(mark.name).unlink()
    run_compose(job, LocalRunner())
    assert named(out) == stays


def test_rejects_of_what_is_pruned_go_too(matting: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = sorted((matting / "original").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:3000])
    assert run_compose(job_of(matting, photos, out, RECIPE), LocalRunner()).rejected == K
    remove(matting)
    run_prune(PruneJob(out, matting))
    assert rejects(out) == []
    assert read_manifest(out).totals["rejected"] == 0
    assert run_inspect(out, LOOK).problems == []


def test_a_packed_set_is_pruned(matting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = PackJob(matting, out, replace(load_recipe("ori"), foreground="multiply"), ErrorBudget(), Output())
    run_pack(job, LocalRunner())
    gone = remove(matting)
    run_prune(PruneJob(out, matting))
    assert len(named(out)) == 2
    assert gone not in {row["foreground_source"] for row in rows(out)}
    assert run_pack(job, LocalRunner()).reused == 2
    with pytest.raises(InputError, match="made without backgrounds; leave out --backgrounds"):
        run_prune(PruneJob(out, matting, matting))


def test_nothing_is_removed_where_nothing_is_found(matting: Path, photos: Path, tmp_path: Path) -> None:
    """A disk that is not mounted, a wrong folder."""
    out, other = tmp_path / "out", tmp_path / "other"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    before = files(out)
    shutil.copytree(matting, other)
    for path in (other / "original").iterdir():
        path.write_bytes(encode_png(np.full((96, 144, 3), hash(path.name) % 251, np.uint8)))
    words = "nothing of the 3 that the data set was made from is there; is it the right place, and its disk mounted"
    with pytest.raises(InputError, match=words):
        run_prune(PruneJob(out, other))
    with pytest.raises(InputError, match="nothing of the 6 that"):
        run_prune(PruneJob(out, matting, other / "original"))
    with pytest.raises(InputError, match=str(tmp_path)):
        run_prune(PruneJob(out, tmp_path))
    assert files(out) == before


def test_what_cannot_be_read_is_not_gone(
    matting: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    path = sorted((matting / "original").iterdir())[0]
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")  # as on a disk that is not mounted
    before = files(out)
    with pytest.raises(InputError, match=r"1 cannot be used \(original/.*\), so nobody knows what is gone"):
        run_prune(PruneJob(out, matting))
    assert files(out) == before


def test_what_is_there_but_cannot_be_used_is_not_gone_unless_it_never_was_planned(
    matting: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, second, third = sorted((matting / "original").iterdir())
    for folder, data in (("original", b"none"), ("mask", b"")):
        (matting / folder / "broken.png").write_bytes(data)
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    kept, before = first.read_bytes(), files(out)
    first.write_bytes(b"half a transfer")
    with pytest.raises(InputError, match=rf"1 cannot be used \(original/{first.name}\), so nobody knows what is gone"):
        run_prune(PruneJob(out, matting))
    first.write_bytes(kept)
    (matting / "mask" / f"{second.stem}.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="3 cannot be used"):
        run_prune(PruneJob(out, matting))
    assert files(out) == before
    (matting / "mask" / f"{second.stem}.jpg").unlink()
    gone = remove(matting, 3)
    assert gone == f"original/{third.name}"
    run_prune(PruneJob(out, matting))
    assert len(list(rows(out))) == 2 * K


def test_the_layout_is_that_of_the_composition(matting: Path, photos: Path, tmp_path: Path) -> None:
    """Detection finds two."""
    out = tmp_path / "out"
    for folder, name in (("original", "fg"), ("mask", "alpha")):
        shutil.copytree(matting / folder, matting / name)
    run_compose(job_of(matting, photos, out, RECIPE, layout="am2k"), LocalRunner())
    assert read_manifest(out).sources["matting_format"] == "am2k"
    gone = remove(matting)
    assert find_gone(PruneJob(out, matting)).lines("x")[0] == f"gone: 1 foreground ({gone})"
    with pytest.raises(InputError, match="all foregrounds are there"):
        find_gone(PruneJob(out, matting, layout="dim"))


def test_another_run_at_work_is_waited_for(matting: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    remove(matting)
    with hold_lease(out), pytest.raises(InputError, match="another run is at work here"):
        run_prune(PruneJob(out, matting))


def test_a_folder_without_composites_is_refused(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds backgrounds, not composites"):
        run_prune(PruneJob(bg20k, matting))
    with pytest.raises(InputError, match="no data set here"):
        run_prune(PruneJob(tmp_path / "nothing", matting))
    assert not (tmp_path / "nothing").exists()


def test_a_reader_is_told_of_a_prune_that_is_half_done(
    matting: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    remove(matting)
    from pipelines.compose import prune as module  # noqa: PLC0415

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "close_dataset", stop)
        with pytest.raises(KeyboardInterrupt):
            run_prune(PruneJob(out, matting))
    with pytest.raises(DamagedError, match="its marks vouch for 6 rows, its manifest counts 9; run the command"):
        list(open_dataset(out).rows(["k"]))
    assert run_prune(PruneJob(out, matting)) == []
    assert len(list(open_dataset(out).rows(["k"]))) == 6


def test_overwriting_forgets_what_was_pruned(matting: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    remove(matting)
    run_prune(PruneJob(out, matting))
    assert len(load_plan(out).pruned) == 1
    remove_dataset(out)
    assert not (out / "plan").exists()


@pytest.mark.slow
def test_the_command(
    matting: Path, photos: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, photos, out, RECIPE), LocalRunner())
    gone = remove(matting)
    before = files(out)
    tried = rssn("prune", out, "--matting", matting, "--backgrounds", photos, "--dry-run")
    assert (tried.returncode, tried.stdout) == (
        0,
        f"gone: 1 foreground ({gone})\nwould remove 3 composites of 1 shard\n",
    )
    assert files(out) == before
    done = rssn("prune", out, "--matting", matting, "--backgrounds", photos)
    assert (done.returncode, done.stdout) == (0, f"gone: 1 foreground ({gone})\nremoving 3 composites of 1 shard\n")
    again = rssn("prune", out, "--matting", matting, "--backgrounds", photos)
    assert again.returncode == 1
    assert "all foregrounds and backgrounds are there; nothing to prune" in again.stderr
