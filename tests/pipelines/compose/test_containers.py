"""Composites are the same bytes, whatever the pictures lie in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.compose.job import run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.executor.runner import LocalRunner
from rssn.sources.layouts import find_pairs
from rssn.storage.location import Location
from tests.bucket import Store
from tests.pipelines.composing import QUICK, digests, job_of, rejects
from tests.rssn.sources.packing import PACKERS, files, parquet, uploaded


def compose(matting: Location, backgrounds: Location, out: Path) -> dict[str, str]:
    job = job_of(matting, backgrounds, out, QUICK, cache=LayerCache(out.parent / "cache", 1 << 30))  # type: ignore[arg-type]
    run_compose(job, LocalRunner())
    return digests(out)


def everywhere(root: Path, tmp_path: Path, s3: Store, url: str) -> list[Location]:
    """A matting set in archives, in a bucket, in an archive there, and in a Parquet table."""
    tmp_path.mkdir()
    packed: list[Location] = [pack(root, tmp_path / name) for name, pack in PACKERS.items()]
    pairs = find_pairs(root).pairs
    sides = {"image": [root / pair.files[0] for pair in pairs], "alpha": [root / pair.files[1] for pair in pairs]}
    table = parquet(sides, root, tmp_path / "hub" / "data" / "train-0.parquet")
    archive = uploaded(s3, f"{url}/packed", tmp_path, [tmp_path / "set.zip"]) / "set.zip"
    return [*packed, table, table.parents[1], uploaded(s3, f"{url}/plain", root), archive]


def check(root: Path, backgrounds: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    here = compose(root, backgrounds, tmp_path / "here" / "out")
    assert here
    for number, place in enumerate(everywhere(root, tmp_path / "packed", s3, f"{bucket}/set")):
        assert compose(place, backgrounds, tmp_path / str(number) / "out") == here, place
    for number, place in enumerate(
        [
            *(pack(backgrounds, tmp_path / name) for name, pack in PACKERS.items()),
            uploaded(s3, f"{bucket}/backgrounds", backgrounds),
        ]
    ):
        assert compose(root, place, tmp_path / f"b{number}" / "out") == here, place


@pytest.mark.slow
def test_composites_of_rendered_pictures(synthetic: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    check(synthetic / "matting", synthetic / "photos", tmp_path, s3, bucket)


@pytest.mark.slow
def test_composites_of_real_photographs(shared: Path, tmp_path: Path, s3: Store, bucket: str) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for path in files(shared / "data" / "photos")[:3]:
        (photographs / path.name).symlink_to(path)
    check(shared / "data" / "portraits", photographs, tmp_path, s3, bucket)


def test_a_refused_member_has_its_picture(synthetic: Path, tmp_path: Path) -> None:
    """A photograph without a matte, in an archive: its row of the rejects shows it."""
    names = files(synthetic / "matting")
    out, archive = tmp_path / "out", tmp_path / "set.tar"
    kept = tmp_path / "kept"
    for path in [path for path in names if path != names[0]]:
        (kept / path.relative_to(synthetic / "matting")).parent.mkdir(parents=True, exist_ok=True)
        (kept / path.relative_to(synthetic / "matting")).symlink_to(path)
    PACKERS["set.tar"](kept, archive)
    compose(archive, synthetic / "photos", out)
    [row] = [row for row in rejects(out) if row["reason"] == "missing_partner"]
    assert Path(row["source"]).stem == names[0].stem
    assert row["thumbnail"]["bytes"].startswith(b"\xff\xd8")
