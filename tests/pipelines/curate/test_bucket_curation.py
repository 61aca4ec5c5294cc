"""`rssn build-bg20k` and `rssn pack` into a bucket, from a bucket: the same files as in a folder."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bg20k.rules import CurationRules
from pipelines.compose.job import Output
from pipelines.compose.pack import PackJob, run_pack
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget, RunSummary
from pipelines.inspect.inspect import run_inspect
from pipelines.review.bucket_log import open_log
from pipelines.review.log import NewDecision
from pipelines.review.queue import load_review
from rssn.dataset.rows import iter_rows
from rssn.route.recipe import load_recipe
from rssn.storage.location import BucketPath
from tests.bucket import Store
from tests.pipelines.composing import files
from tests.pipelines.conftest import MIN_SIDE
from tests.rssn.sources.test_archives import write_tgz

pytestmark = pytest.mark.slow

RULES = CurationRules(min_side=MIN_SIDE)


NAMING_SOURCES = ("manifest.json", "README.md", "plan/photos.parquet")


def without_sources(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in found.items() if name not in NAMING_SOURCES}


def stored(s3: Store, url: str) -> dict[str, bytes]:
    return {name: s3.get(f"{url}/{name}") for name in sorted(s3.names(url))}


def curate(out: BucketPath, photos: BucketPath) -> RunSummary:
    job = CurationJob(photos, out, RULES, None, ErrorBudget())
    return run_curation(job, LocalRunner()).summary


def test_a_curation(synthetic: Path, s3: Store, bucket: str, tmp_path: Path) -> None:
    here = tmp_path / "photos"
    here.mkdir()
    (here / "photo_broken.jpg").write_bytes(b"no picture")
    for path in sorted((synthetic / "photos").glob("photo_*"))[:5]:
        shutil.copy(path, here)
    for path in here.iterdir():
        s3.put(f"{bucket}/photos/{path.name}", path.read_bytes())
    run_curation(CurationJob(here, tmp_path / "bg20k", RULES, None, ErrorBudget()), LocalRunner())
    whole = files(tmp_path / "bg20k")
    out, photos = BucketPath(f"{bucket}/bg20k"), BucketPath(f"{bucket}/photos")
    curate(out, photos)
    found = stored(s3, str(out))
    assert found.keys() == whole.keys()
    assert without_sources(found) == without_sources(whole)
    assert f"photos: {bucket}/photos".encode() in found["README.md"]
    kinds = ("candidates/data/", "candidates/rejects/", "data/train-", "rejects/train-")
    lost = [next(name for name in found if name.startswith(kind)) for kind in kinds]
    for name in lost[::2]:
        s3.remove(f"{out}/{name}")
    summary = curate(out, photos)
    assert summary.damaged == [Path(lost[0]).stem]
    assert (summary.written > 0, summary.reused > 0) == (True, True)
    assert stored(s3, str(out)) == found
    assert run_inspect(out).problems == []
    assert "report/index.html" in s3.names(str(out))


def test_a_review_is_applied_where_it_was_made(synthetic: Path, s3: Store, bucket: str) -> None:
    for path in sorted((synthetic / "photos").glob("photo_*"))[:5]:
        s3.put(f"{bucket}/photos/{path.name}", path.read_bytes())
    job = CurationJob(BucketPath(f"{bucket}/photos"), BucketPath(f"{bucket}/bg20k"), RULES, None, ErrorBudget())
    run_curation(job, LocalRunner())
    before = {row["source"] for row in iter_rows(job.out / "verdicts.parquet") if row["keep"]}
    one = next(photo for photo in load_review(job.out).photos if photo.verdict.keep)
    with open_log(job.out) as log:
        log.decide([NewDecision(one.source, one.background_id, "reject")], "one-window")
        run_curation(job, LocalRunner())  # its lease is another one
    applied = run_curation(replace(job, apply_review=True), LocalRunner())
    assert applied.review is not None
    assert (applied.review["decisions"], applied.review["rejected"]) == (1, 1)
    after = {row["source"] for row in iter_rows(job.out / "verdicts.parquet") if row["keep"]}
    assert before - after == {one.source}


def test_packing(synthetic: Path, s3: Store, bucket: str, tmp_path: Path) -> None:
    settings = (load_recipe("ori"), ErrorBudget(), Output())
    run_pack(PackJob(synthetic / "matting", tmp_path / "out", *settings), LocalRunner())
    assert run_pack(PackJob(synthetic / "matting", BucketPath(bucket), *settings), LocalRunner()).written == 3
    assert stored(s3, bucket) == files(tmp_path / "out")


def test_what_counts_in_a_bucket_is_what_counts_in_a_folder(
    synthetic: Path, s3: Store, bucket: str, tmp_path: Path
) -> None:
    one, two, three = [path.read_bytes() for path in sorted((synthetic / "photos").glob("photo_*"))[:3]]
    packed = write_tgz(tmp_path / "a.tgz", {"two.jpg": two, "__MACOSX/._two.jpg": b"x"})
    objects = {"one.jpg": one, "._one.jpg": b"x", "bare": three, "more/a.tgz": packed.read_bytes(), "b.NEF": b"II*\0"}
    for name, data in objects.items():
        s3.put(f"{bucket}/photos/{name}", data)
    out, photos = BucketPath(f"{bucket}/photos/out"), BucketPath(f"{bucket}/photos")
    for _ in range(2):
        summary = curate(out, photos)
        run_inspect(out)
        assert {row["source"] for row in iter_rows(out / "verdicts.parquet", ["source"])} == {
            "bare",
            "one.jpg",
            "more/a.tgz/two.jpg",
        }
        assert summary.unread == {"photos": Counter({".NEF": 1})}
