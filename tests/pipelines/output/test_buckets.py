"""Data sets in a bucket: the same bytes as in a folder, whatever the store does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import RunSummary
from pipelines.inspect.inspect import run_inspect
from pipelines.inspect.status import status
from rssn.errors import InputError, RemoteError
from rssn.storage.location import BucketPath, scratch_of
from rssn.storage.remote import list_files
from tests.bucket import Fault, Store
from tests.pipelines.composing import QUICK, files, job_of

pytestmark = pytest.mark.slow

SHARD = "data/composites-00001-of-00003.parquet"
MARK = "marks/composites-00001-of-00003.json"


@pytest.fixture(scope="session")
def whole(synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed run in a folder."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_compose(job_of(synthetic / "matting", bg20k, out, QUICK), LocalRunner())
    return files(out)


@pytest.fixture
def compose(synthetic: Path, bg20k: Path) -> Callable[..., RunSummary]:
    """Composes into a bucket."""

    def run(out: str, matting: Path = synthetic / "matting", **more: Any) -> RunSummary:
        return run_compose(job_of(matting, bg20k, BucketPath(out), QUICK, **more), LocalRunner())

    return run


def stored(s3: Store, url: str) -> dict[str, bytes]:
    return {name: s3.get(f"{url}/{name}") for name in sorted(s3.names(url))}


def leftovers(out: str) -> list[str]:
    return list(list_files(scratch_of(BucketPath(out))))


def test_the_same_files_as_in_a_folder(
    compose: Callable[..., RunSummary], s3: Store, bucket: str, whole: dict[str, bytes]
) -> None:
    out = str(f"{bucket}/sets/first")
    assert compose(out).written == 6
    found = stored(s3, out)
    assert found.keys() == whole.keys()
    assert [name for name in whole if found[name] != whole[name]] == []
    assert leftovers(out) == []
    again = compose(out)
    assert (again.written, again.reused) == (0, 6)
    assert stored(s3, out) == whole


def test_shards_list_nothing(
    compose: Callable[..., RunSummary], synthetic: Path, s3: Store, bucket: str, tmp_path: Path
) -> None:
    """A listing is a GET of the bucket; three shards need no more of them than one."""
    one = tmp_path / "one"
    for path in (synthetic / "matting").glob("*/creature_00.*"):
        (one / path.parent.name).mkdir(parents=True)
        (one / path.parent.name / path.name).write_bytes(path.read_bytes())
    listings = []
    for name, matting, written in (("one", one, 2), ("three", synthetic / "matting", 6)):
        s3.asked.clear()
        assert compose(f"{bucket}/{name}", matting=matting).written == written
        listings.append(s3.asked[f"GET {bucket.rpartition('/')[2]}"])
    assert listings[0] == listings[1]


@pytest.mark.parametrize(
    ("kind", "path"), [("throttle", SHARD), ("fail", SHARD), ("cut", SHARD), ("cut", MARK), ("fail", "manifest")]
)
def test_a_fault_that_passes_changes_nothing(
    kind: Any, path: str, compose: Callable[..., RunSummary], s3: Store, bucket: str, whole: dict[str, bytes]
) -> None:
    s3.faults = [Fault(kind, "PUT", path)]
    summary = compose(bucket)
    assert s3.faults[0].seen == 1
    assert (summary.written, summary.failed) == (6, [])
    assert stored(s3, bucket) == whole
    assert s3.unfinished(bucket) == 0


@pytest.mark.parametrize("kind", ["throttle", "cut"])
def test_a_fault_that_stays_fails_one_shard_until_the_next_run(
    kind: Any,
    compose: Callable[..., RunSummary],
    s3: Store,
    bucket: str,
    whole: dict[str, bytes],
) -> None:
    s3.faults = [Fault(kind, "PUT", SHARD, times=99)]
    summary = compose(bucket)
    assert 1 < s3.faults[0].seen <= 20
    assert (summary.written, summary.lost) == (4, 2)
    assert f"{bucket}/{SHARD}" in summary.failed[0]
    assert "check the URL" in summary.failed[0]
    found = s3.names(bucket)
    assert (SHARD in found, MARK in found) == (False, False)
    assert "rejects/composites-00001-of-00003-failed.parquet" in found
    assert leftovers(bucket) == []
    lines = status(BucketPath(bucket))
    assert lines[0] == f"{bucket}: composites, stopped; run the same command again to resume"
    assert lines[-1].startswith("failed: composites-00001-of-00003: error: ")
    s3.faults = []
    assert (compose(bucket).written, stored(s3, bucket)) == (2, whole)


def test_what_a_mark_does_not_prove_is_made_again(
    compose: Callable[..., RunSummary], s3: Store, bucket: str, whole: dict[str, bytes]
) -> None:
    compose(bucket)
    s3.remove(f"{bucket}/{SHARD}")
    s3.put(f"{bucket}/data/composites-00000-of-00003.parquet", b"of another size")
    s3.remove(f"{bucket}/marks/composites-00002-of-00003.json")
    summary = compose(bucket)
    assert (summary.written, summary.reused) == (6, 0)
    assert summary.damaged == ["composites-00000-of-00003", "composites-00001-of-00003"]
    assert stored(s3, bucket) == whole


def test_a_prefix_of_somebody_else_is_refused(compose: Callable[..., RunSummary], s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/mine/letter.txt", b"dear")
    with pytest.raises(InputError, match=f"{bucket}/mine: not empty, and not a data set of rssn"):
        compose(str(f"{bucket}/mine"))
    assert s3.names(f"{bucket}/mine") == {"letter.txt"}
    with pytest.raises(RemoteError, match=r"nobody-made-it/\.lease\.json: no such bucket"):
        compose("s3://nobody-made-it")


def test_removed_and_made_anew(
    compose: Callable[..., RunSummary], s3: Store, bucket: str, whole: dict[str, bytes]
) -> None:
    compose(bucket, seed=1)
    assert stored(s3, bucket) != whole
    with pytest.raises(InputError, match="holds another data set: seed was 1, is now 0"):
        compose(bucket)
    assert compose(bucket, overwrite=True).written == 6
    assert stored(s3, bucket) == whole


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments), "--cache-dir", "cache"])


@pytest.fixture
def sources(
    synthetic: Path, bg20k: Path, s3: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A bucket that holds a matting set and backgrounds."""
    monkeypatch.chdir(tmp_path)
    for root, name in ((synthetic / "matting", "am2k"), (bg20k, "bg20k")):
        for file, data in files(root).items():
            s3.put(f"{bucket}/{name}/{file}", data)
    return bucket


def compose_command(bucket: str, out: str) -> Result:
    inputs = ["--matting", f"{bucket}/am2k", "--backgrounds", f"{bucket}/bg20k", "--out", out]
    settings = ["--recipe", "comp-bg20k", "--foreground", "multiply", "--k", 2, "--workers", 0]
    return command("compose", *inputs, *settings)


def test_a_command_ends_with_a_line_that_has_no_secret(sources: str, s3: Store) -> None:
    s3.faults = [Fault("fail", "PUT", "out/marks/composites-00000", times=99)]
    done = compose_command(sources, f"{sources}/out")
    assert done.exit_code == 1
    assert (
        f"failed: composites-00000-of-00003: {sources}/out/marks/composites-00000-of-00003.json: the st" in done.output
    )
    s3.faults = [Fault("fail", "PUT", "manifest", times=99)]
    done = compose_command(sources, f"{sources}/other")
    assert (done.exit_code, type(done.exception)) == (1, SystemExit)
    assert done.output.splitlines()[-1].startswith(f"Error: {sources}/other/manifest.json: the store did not answer")
    done = compose_command(sources, "s3://me:the-password@bucket/out")
    assert done.output.startswith("Error: s3://***@bucket/out: no user, key or signature belongs in a URL; give s3://b")
    assert "the-password" not in done.output + "".join(map(str, Path("cache").rglob("*")))


def test_sources_and_output_by_url(whole: dict[str, bytes], sources: str, s3: Store) -> None:
    bucket = sources
    done = compose_command(bucket, f"{bucket}/out")
    assert done.exit_code == 0, done.output
    assert f"6 composites written, 0 reused, 0 rejected: {bucket}/out" in done.output
    found = stored(s3, f"{bucket}/out")
    assert [n for n in whole if n.startswith(("data/", "marks/")) and whole[n] != found[n]] == []
    manifest = json.loads(found["manifest.json"])
    assert manifest["sources"] == {
        "matting": f"{bucket}/am2k", "backgrounds": f"{bucket}/bg20k", "matting_format": "am2k",
    }  # fmt: skip
    assert b"the-secret-of-the-tests" not in b"".join(found.values())
    seen = command("inspect", f"{bucket}/out", "--strips", 1)
    assert seen.exit_code == 0, seen.output
    assert f"report  {bucket}/out/report/index.html" in seen.output
    assert "finished" in CliRunner().invoke(main, ["status", f"{bucket}/out"]).output
    assert {"report/index.html", "report/step-strip-01.png"} <= s3.names(f"{bucket}/out")
    s3.remove(f"{bucket}/out/{SHARD}")
    s3.put(f"{bucket}/out/data/composites-x1-00000-of-00001.parquet", b"without a mark")
    problems = run_inspect(BucketPath(f"{bucket}/out")).problems
    assert problems == [
        f"{Path(SHARD).name}: the file is missing",
        "composites-x1-00000-of-00001.parquet: has no mark; it does not count",
    ]
