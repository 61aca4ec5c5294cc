from __future__ import annotations

import io
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image as PillowImage

from bg20k.rules import CurationRules
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.decoding import decode_pixels
from rssn.sources.backgrounds import background_bytes, find_backgrounds
from tests.pictures import group_of, read_table
from tests.pipelines.conftest import MIN_SIDE

RULES = CurationRules(min_side=MIN_SIDE)


def labels(folder: Path) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in read_table(folder / "labels.tsv")}


def verdicts(out: Path) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in iter_rows(out / "verdicts.parquet")}


def published(out: Path) -> list[dict[str, Any]]:
    folder = DatasetFolder(out)
    return [row for mark in folder.marks() if mark.rows for row in iter_rows(folder.data(mark.name))]


def areas(source: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Area averaging along one axis as a matrix: how much of each source pixel lies in each target pixel."""
    scale = source.shape[axis] / size
    left = np.maximum(np.arange(size)[:, None] * scale, np.arange(source.shape[axis])[None])
    right = np.minimum(np.arange(1, size + 1)[:, None] * scale, np.arange(1, source.shape[axis] + 1)[None])
    return np.maximum(right - left, 0.0) / scale


def test_every_photograph_has_the_verdict_that_it_deserves(synthetic: Path, bg20k: Path) -> None:
    truth, found = labels(synthetic / "photos"), verdicts(bg20k)
    assert found.keys() == truth.keys()
    groups: dict[str, list[str]] = defaultdict(list)
    for name, label in truth.items():
        if label["verdict"] in ("good", "duplicate"):
            groups[label["same_as"] or name].append(name)
        else:
            assert (found[name]["keep"], found[name]["reason"]) == (False, label["verdict"])
    for members in groups.values():
        (keeper,) = [name for name in members if found[name]["keep"]]
        assert found[keeper]["reason"] == "kept_unscreened"
        for other in set(members) - {keeper}:
            assert found[other]["reason"] == "duplicate"
            assert found[other]["duplicate_of"] == found[keeper]["background_id"]


def test_kept_and_rejected_together_are_everything(synthetic: Path, bg20k: Path) -> None:
    kept = [row["source"] for row in published(bg20k)]
    refused = [row["source"] for path in (bg20k / "rejects").iterdir() for row in iter_rows(path)]
    assert sorted(kept + refused) == sorted(labels(synthetic / "photos"))
    assert len(set(kept)) == len(kept)


def test_backgrounds_have_the_asked_size_and_their_own_aspect(synthetic: Path, bg20k: Path) -> None:
    for row in published(bg20k):
        pixels = decode_pixels(row["image"]["bytes"])
        assert pixels.shape[:2] == (row["height"], row["width"])
        assert min(pixels.shape[:2]) == MIN_SIDE
        source = decode_pixels((synthetic / "photos" / row["source"]).read_bytes())
        assert source.shape[:2] == (row["source_height"], row["source_width"])
        scale = MIN_SIDE / min(source.shape[:2])
        assert abs(max(pixels.shape[:2]) - max(source.shape[:2]) * scale) <= 0.5
        rows, columns = areas(source, 0, row["height"]), areas(source, 1, row["width"])
        small = np.einsum("yh,hwc,xw->yxc", rows, source, columns, optimize=True)
        assert np.abs(small - pixels).mean() < 2.0  # what JPEG at quality 95 costs on these textures


def test_the_split_lies_in_the_file_names_and_in_the_rows(bg20k: Path) -> None:
    folder = DatasetFolder(bg20k)
    for mark in folder.marks():
        splits = {row["split"] for row in iter_rows(folder.data(mark.name))} if mark.rows else set()
        assert splits <= {mark.name.split("-")[0]}
    counts = Counter(row["split"] for row in published(bg20k))
    assert {b.background_id for b in find_backgrounds(bg20k)[0]} == {
        row["background_id"] for row in published(bg20k) if row["split"] == "train"
    }
    assert len(find_backgrounds(bg20k, "validation")[0]) == counts["validation"] > 0


def test_a_background_is_found_again_by_its_place(bg20k: Path) -> None:
    for background in find_backgrounds(bg20k)[0]:
        assert decode_pixels(background_bytes(background)).shape == (background.height, background.width, 3)


def test_workers_change_no_byte(synthetic: Path, bg20k: Path, tmp_path: Path, ray_runner: RayRunner) -> None:
    run_curation(CurationJob(synthetic / "photos", tmp_path / "out", RULES, None, ErrorBudget()), ray_runner)
    digests = [
        {m.name: (m.sha256, m.rejects_sha256) for m in DatasetFolder(o).marks()} for o in (bg20k, tmp_path / "out")
    ]
    assert digests[0] == digests[1]


def test_a_second_run_reuses_everything(synthetic: Path, bg20k: Path) -> None:
    again = run_curation(CurationJob(synthetic / "photos", bg20k, RULES, None, ErrorBudget()), LocalRunner())
    assert again.summary.written == 0
    assert again.summary.reused == len(published(bg20k))


def test_too_many_unusable_photographs_stop_the_run(synthetic: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than --max-errors allows"):
        run_curation(
            CurationJob(synthetic / "photos", tmp_path / "out", RULES, None, ErrorBudget(count=1)), LocalRunner()
        )


@pytest.mark.slow
def test_without_a_detector_the_command_says_that_it_did_not_screen(
    synthetic: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = Path(shutil.copytree(bg20k, tmp_path / "bg20k"))  # the manifest records the last command
    run = rssn("build-bg20k", synthetic / "photos", "--out", out, "--min-side", MIN_SIDE, "--workers", 0)
    assert run.returncode == 0, run.stderr
    assert "NOT SCREENED for salient objects" in run.stderr
    assert "--detector MODEL" in run.stderr
    assert all(row["screened_by"] is None and row["object_score"] is None for row in published(out))
    assert "Screened for salient objects by: nobody" in (out / "README.md").read_text()


def test_it_opens_with_hugging_face_datasets(bg20k: Path, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(
        "parquet", data_files=str(bg20k / "data" / "train-*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert isinstance(loaded[0]["image"], PillowImage.Image)
    expected = {row["background_id"]: row for row in published(bg20k)}[loaded[0]["background_id"]]
    assert np.array_equal(np.asarray(loaded[0]["image"]), decode_pixels(expected["image"]["bytes"]))


@pytest.mark.slow
def test_real_photographs_meet_their_labels(
    shared: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The whole command on 47 real photographs, with YOLO: salient ones go, few clean ones, and no copy stays."""
    detector = shared / "weights" / "yolov8n_int8_coco.onnx"
    run = rssn(
        "build-bg20k", shared / "data" / "photos", "--out", tmp_path / "out", "--detector", detector, "--workers", 2
    )
    assert run.returncode == 0, run.stderr
    found = verdicts(tmp_path / "out")
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_table(shared / "data" / "photos" / "labels.tsv"):
        groups[group_of(row)].append(row)
    kept = {name: [row["file"] for row in rows if found[row["file"]]["keep"]] for name, rows in groups.items()}
    clean = [name for name, rows in groups.items() if rows[0]["label"] == "clean"]
    assert {name: files for name, files in kept.items() if len(files) > (name in clean)} == {}
    lost = [row for name in clean if not kept[name] for row in groups[name]]
    assert {found[row["file"]]["reason"] for row in lost} <= {"salient_object", "duplicate"}
    assert sum(not kept[name] for name in clean) <= 0.15 * len(clean)
    assert all(min(row["width"], row["height"]) == 1080 for row in published(tmp_path / "out"))
    assert PillowImage.open(io.BytesIO(published(tmp_path / "out")[0]["image"]["bytes"])).format == "JPEG"
