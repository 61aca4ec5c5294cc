"""Real file systems that fill up, or turn read-only, or lose a source under a run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from tests.pipelines.composing import PLAIN, digests, job_of, rejects, rows

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def mounted(*arguments: object) -> bool:
    return subprocess.run(["/bin/mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; `mount -o remount` changes its size and its mode."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", place):
        pytest.skip("a file system of one's own needs the right to mount one")
    yield place
    subprocess.run(["/bin/umount", "-l", str(place)], check=True)


@pytest.fixture
def command(synthetic: Path, bg20k: Path, disk: Path) -> list[object]:
    arguments = ["compose", "--matting", synthetic / "matting", "--backgrounds", bg20k, "--out", disk / "out"]
    return [*arguments, "--recipe", "comp-bg20k", "--k", 2, "--workers", 0, "--cache-size", 0]


@pytest.fixture
def whole(synthetic: Path, bg20k: Path, tmp_path: Path) -> Path:
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "whole", PLAIN), LocalRunner())
    return tmp_path / "whole"


def same(out: Path, whole: Path) -> bool:
    leftovers = [path.name for path in out.rglob("*") if path.suffix in (".tmp", ".item")]
    return digests(out) == digests(whole) and leftovers == []


def test_a_disk_that_fills_up(rssn: Run, command: list[object], disk: Path, whole: Path) -> None:
    largest = max(path.stat().st_size for path in (whole / "data").iterdir())
    assert mounted("-o", f"remount,size={(largest + 65_536) // 1024}k", disk)
    full = rssn(*command)
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    assert len(DatasetFolder(disk / "out").marks()) < 3
    assert mounted("-o", "remount,size=64m", disk)
    assert rssn(*command).returncode == 0
    assert same(disk / "out", whole)


def test_an_output_that_becomes_read_only(rssn: Run, command: list[object], disk: Path, whole: Path) -> None:
    shutil.copytree(whole, disk / "out")
    DatasetFolder(disk / "out").mark("composites-00001-of-00003").unlink()
    assert mounted("-o", "remount,ro", disk)
    refused = rssn(*command)
    assert refused.returncode == 1
    assert "Read-only file system" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert mounted("-o", "remount,rw", disk)
    again = rssn(*command)
    assert again.returncode == 0, again.stderr
    assert "2 composites written, 4 reused, 0 rejected" in again.stdout
    assert same(disk / "out", whole)


def test_an_output_that_is_removed_halfway(synthetic: Path, bg20k: Path, tmp_path: Path, whole: Path) -> None:
    """The run ends, says so, and leaves nothing that the same command would refuse."""
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", PLAIN)

    class Disturbed(LocalRunner):
        def run(self, function, tasks, on_wait):  # type: ignore[no-untyped-def]
            for number, outcome in enumerate(super().run(function, tasks, on_wait)):
                if number == 0:
                    shutil.rmtree(tmp_path / "out")
                yield outcome

    with pytest.raises(InputError, match="out: removed while this run was at work; run the same command again"):
        run_compose(job, Disturbed())
    assert not (tmp_path / "out").exists()
    assert run_compose(job, LocalRunner()).written == 6
    assert same(tmp_path / "out", whole)


def test_a_source_that_disappears_halfway(synthetic: Path, bg20k: Path, tmp_path: Path, whole: Path) -> None:
    """The plan was made; then a foreground and every background are gone, and come back."""
    matting, backgrounds = tmp_path / "matting", tmp_path / "bg20k"
    shutil.copytree(synthetic / "matting", matting)
    shutil.copytree(bg20k, backgrounds)
    job = job_of(matting, backgrounds, tmp_path / "out", PLAIN)
    gone = sorted((matting / "original").iterdir())[1]

    class Disturbed(LocalRunner):
        def run(self, function, tasks, on_wait):  # type: ignore[no-untyped-def]
            gone.rename(tmp_path / gone.name)
            (backgrounds / "data").rename(tmp_path / "elsewhere")
            yield from super().run(function, tasks, on_wait)

    summary = run_compose(job, Disturbed())
    assert (summary.written, summary.rejected, summary.failed) == (0, 6, [])
    assert {row["reason"] for row in rejects(tmp_path / "out")} == {"unreadable"}
    (tmp_path / gone.name).rename(gone)
    (tmp_path / "elsewhere").rename(backgrounds / "data")
    retried = run_compose(job_of(matting, backgrounds, tmp_path / "out", PLAIN, retry_rejects=True), LocalRunner())
    assert (retried.written, retried.rejected) == (6, 0)
    assert {row["sample_id"]: row for row in rows(tmp_path / "out")} == {row["sample_id"]: row for row in rows(whole)}
