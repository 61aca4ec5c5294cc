"""The main job on real photographs, reduced so that BM3D takes seconds: every command, in a process of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import encode_jpeg, encode_png, resize_area, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.route import compose as route
from rssn.route.draw import draw
from rssn.route.recipe import load_recipe
from rssn.sources.mattes import read_matte

pytestmark = pytest.mark.slow

SIDE = 160  # px, the shorter side of everything


@pytest.fixture(scope="module")
def matting(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seven AM-2k photographs and their mattes, small."""
    root = tmp_path_factory.mktemp("am2k")
    for folder in ("original", "mask"):
        (root / folder).mkdir()
        for path in sorted((shared / "data" / "am2k" / folder).iterdir()):
            data = path.read_bytes()
            pixels = decode_pixels(data) if folder == "original" else to_uint8(read_matte(data).alpha)
            height, width = pixels.shape[:2]
            scale = SIDE / min(height, width)
            small = resize_area(pixels, round(width * scale), round(height * scale))
            encoded = encode_jpeg(small) if folder == "original" else encode_png(small)
            (root / folder / path.name).write_bytes(encoded)
    return root


@pytest.fixture(scope="module")
def shards(
    matting: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory, rssn: Callable[..., Any]
) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("real")
    photos = shared / "data" / "photos"
    curated = rssn("build-bg20k", photos, "--out", root / "bg20k", "--min-side", SIDE, "--workers", 2)
    assert curated.returncode == 0, curated.stderr
    out = root / "shards"
    run = rssn("compose", "--matting", matting, "--backgrounds", root / "bg20k", "--k", 5, "--out", out, "--workers", 2)
    assert run.returncode == 0, run.stderr
    return out, run.stdout


def rows(out: Path) -> list[dict[str, Any]]:
    folder = DatasetFolder(out)
    return [row for mark in folder.marks() for row in iter_rows(folder.data(mark.name))]


def test_seven_foregrounds_give_35_composites(shards: tuple[Path, str]) -> None:
    out, said = shards
    assert "35 composites written, 0 reused, 0 rejected" in said
    assert len({row["sample_id"] for row in rows(out)}) == 35
    assert len({row["foreground_source"] for row in rows(out)}) == 7


def test_the_draws_are_those_of_section_4_4(shards: tuple[Path, str]) -> None:
    recipe = load_recipe("comp-rssn")
    found = rows(shards[0])
    for row in found:
        rolled = draw(recipe, 0, row["foreground_id"], row["k"])
        sigmas = {"foreground_sigma": 10.0, "background_sigma": 10.0}
        denoised = rolled.steps["denoise"]
        assert row["steps"] == {**rolled.steps, "denoise": denoised and {"backend": "native", **sigmas}}
    assert 8 <= sum(row["steps"]["denoise"] is not None for row in found) <= 27


def test_every_row_without_noise_obeys_equation_1(shards: tuple[Path, str]) -> None:
    for row in rows(shards[0]):
        if row["steps"]["noise"] is None:
            foreground, background = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
            blended = to_uint8(route.blend(foreground, background, read_matte(row["alpha"]["bytes"]).alpha))
            error = np.abs(blended.astype(int) - decode_pixels(row["image"]["bytes"]))
            assert error.mean() < 2.5


def test_it_opens_with_hugging_face_datasets(shards: tuple[Path, str], tmp_path: Path) -> None:
    files = str(shards[0] / "data" / "*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == 35
    stored = {row["sample_id"]: row for row in rows(shards[0])}
    for row in loaded.select([0, 17, 34]):
        for name in ("image", "alpha", "foreground", "background"):
            assert isinstance(row[name], PillowImage.Image)
            expected = PillowImage.open(io.BytesIO(stored[row["sample_id"]][name]["bytes"]))
            assert np.array_equal(np.asarray(row[name]), np.asarray(expected))


def test_inspect_then_train_then_evaluate_then_predict(
    shards: tuple[Path, str], matting: Path, tmp_path: Path, rssn: Callable[..., Any]
) -> None:
    found = rssn("inspect", shards[0])
    assert found.returncode == 0, found.stderr
    assert (shards[0] / "report" / "contact-sheet-samples-03.png").is_file()
    checkpoint = tmp_path / "run" / "last.pt"
    photo = sorted((matting / "original").iterdir())[0]
    commands: list[list[object]] = [
        ["run", "--data", shards[0], "--backbone", "tiny", "--rosta", "TT", "--max-steps", 2, "--batch-size", 2,
         "--out", tmp_path / "run"],
        ["eval", "--checkpoint", checkpoint, "--data", matting, "--out", tmp_path / "eval"],
        ["predict", "--checkpoint", checkpoint, photo, "--out", tmp_path / "predicted"],
    ]  # fmt: skip
    for command in commands:
        train = [sys.executable, "-m", "train.cli", *map(str, command)]
        run = subprocess.run(train, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    assert len(list(iter_rows(tmp_path / "eval" / "per_image.parquet"))) == 7
    cutout = PillowImage.open(tmp_path / "predicted" / f"{photo.stem}-cutout.png")
    assert (cutout.mode, cutout.size) == ("RGBA", PillowImage.open(photo).size)
