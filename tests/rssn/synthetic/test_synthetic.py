from __future__ import annotations

import hashlib
from itertools import combinations
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pymatting
import pytest
from PIL import Image as PillowImage

from rssn.errors import Rejected
from rssn.image.arrays import to_uint8
from rssn.image.decoding import decode_image, decode_pixels, picture_size
from rssn.sources.mattes import read_matte
from rssn.sources.tree import list_tree
from rssn.synthetic import SyntheticPlan, SyntheticShot, render_background, render_shot, write_synthetic
from tests.pictures import read_table

SHOTS = {seed: ((240, 180) if seed % 4 < 2 else (180, 240)) for seed in range(10)}
PLAN = SyntheticPlan(foregrounds=4, evaluation=1, backgrounds=4, copies=2, shot_size=(160, 120), photo_side=200, seed=3)
SEED = PLAN.seed * 1000
GOOD_SIZES = {"photo_00.jpg": (300, 200), "photo_01.jpg": (267, 200), "photo_02.jpg": (200, 300)}


@pytest.fixture(scope="module")
def shots() -> dict[int, SyntheticShot]:
    return {seed: render_shot(seed, *size) for seed, size in SHOTS.items()}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write_synthetic(folder, PLAN)
    return folder


@pytest.fixture(scope="module")
def labels(synthetic: Path) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in read_table(synthetic / "photos" / "labels.tsv")}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def phash(pixels: np.ndarray) -> imagehash.ImageHash:
    return imagehash.phash(PillowImage.fromarray(pixels))


def components(mask: np.ndarray) -> np.ndarray:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]


def by_index(synthetic: Path, part: str) -> list[Path]:
    return sorted((synthetic / "matting" / part).iterdir(), key=lambda path: path.stem.rsplit("_", 1)[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SHOTS)
def test_a_shot_is_its_layers_blended(shots: dict[int, SyntheticShot], seed: int) -> None:
    shot, (width, height) = shots[seed], SHOTS[seed]
    assert shot.alpha.shape == (height, width)
    for picture in (shot.image, shot.foreground, shot.background):
        assert picture.shape == (height, width, 3)
    for array in (shot.image, shot.foreground, shot.background, shot.alpha):
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1
    share = shot.alpha.astype(np.float64)[..., None]
    blend = share * shot.foreground + (1 - share) * shot.background
    np.testing.assert_allclose(shot.image, blend, atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", SHOTS)
def test_alpha_has_solid_parts_holes_and_a_soft_band(shots: dict[int, SyntheticShot], seed: int) -> None:
    alpha = shots[seed].alpha
    empty, solid = np.mean(alpha == 0), np.mean(alpha == 1)
    band = 1 - empty - solid
    assert empty > 0.25
    assert solid > (0.01 if seed % 2 else 0.1)
    assert 0.05 < band < 0.45
    inside = alpha[(alpha > 0) & (alpha < 1)]
    counts, _ = np.histogram(inside, bins=4, range=(0, 1))
    assert counts.min() > 0.08 * inside.size
    assert set(np.unique(to_uint8(inside))) >= set(range(5, 250, 10))


def test_thin_structures_have_holes_and_creatures_do_not() -> None:
    def holes(seed: int) -> int:
        alpha = render_shot(seed, 360, 270).alpha
        _, areas = np.unique(components(alpha < 0.2), return_counts=True)
        return int(np.sum(areas[1:] > 12)) - 1

    assert holes(1) >= 20
    assert holes(7) >= 20
    assert holes(2) <= 8


def test_closed_form_estimation_comes_near_the_exact_foreground(shots: dict[int, SyntheticShot]) -> None:
    for seed in (0, 1, 4, 5):
        shot = shots[seed]
        alpha = shot.alpha.astype(np.float64)
        estimate = pymatting.estimate_foreground_cf(shot.image.astype(np.float64), alpha)
        weight = np.where((alpha > 0) & (alpha < 1), alpha, 0)

        def error(colours: np.ndarray, exact: np.ndarray = shot.foreground, weight: np.ndarray = weight) -> float:
            return float((np.abs(colours - exact).mean(2) * weight).sum() / weight.sum())

        assert error(estimate) < 14 / 255
        assert error(estimate) < 0.75 * error(shot.image)


def test_foreground_is_continued_smoothly_outside_the_alpha(shots: dict[int, SyntheticShot]) -> None:
    for shot in shots.values():
        far = components(shot.alpha == 0) > 0
        steps = np.abs(np.diff(shot.foreground.mean(2), axis=1))[far[:, 1:] & far[:, :-1]]
        assert np.median(steps) < 4 / 255
        assert np.quantile(steps, 0.99) < 0.1


def test_a_seed_decides_everything() -> None:
    for seed in (2, 3):
        first, second = render_shot(seed, 96, 64), render_shot(seed, 96, 64)
        for name in ("image", "alpha", "foreground", "background"):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(render_background(5, 90, 60), render_background(5, 90, 60))


def test_shots_of_different_seeds_differ(shots: dict[int, SyntheticShot]) -> None:
    same_size = [s for s in SHOTS if SHOTS[s] == (240, 180)]
    for one, other in combinations(same_size, 2):
        assert np.abs(shots[one].alpha - shots[other].alpha).mean() > 0.05
        assert np.abs(shots[one].background - shots[other].background).mean() > 0.05


def test_perceptual_hashes_of_forty_backgrounds_are_far_apart() -> None:
    hashes = [phash(to_uint8(render_background(seed, 300, 200))) for seed in range(40)]
    assert min(one - other for one, other in combinations(hashes, 2)) > 12


def test_backgrounds_have_texture_and_noise_in_every_part() -> None:
    noise = []
    for seed in range(16):
        image = render_background(seed, 300, 200)
        assert image.shape == (200, 300, 3)
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.mean(2).std() > 0.03
        grey = image.mean(2)
        detail = np.abs(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:])
        blocks = detail[:192, :288].reshape(6, 32, 9, 32).mean((1, 3))
        noise.append(np.quantile(blocks, 0.1))
        assert np.median(blocks) > 2 / 255
    assert max(noise) > 2 * min(noise)


def test_matting_folders_hold_pairs_and_nothing_else(synthetic: Path) -> None:
    for room, count in (("matting", PLAN.foregrounds), ("evaluation", PLAN.evaluation)):
        originals, masks = (sorted((synthetic / room / part).iterdir()) for part in ("original", "mask"))
        assert [p.stem for p in originals] == [p.stem for p in masks]
        assert len(originals) == count
        assert {p.suffix for p in originals} == {".jpg"}
        assert {p.suffix for p in masks} == {".png"}
        assert {p.name for p in (synthetic / room).iterdir()} == {"original", "mask"}


def test_written_shots_are_the_rendered_ones(synthetic: Path) -> None:
    sizes = [(160, 120), (160, 120), (120, 160), (120, 160)]
    for index, (mask, size) in enumerate(zip(by_index(synthetic, "mask"), sizes, strict=True)):
        shot = render_shot(SEED + index, *size)
        np.testing.assert_array_equal(to_uint8(read_matte(mask.read_bytes()).alpha), to_uint8(shot.alpha))
        original = synthetic / "matting" / "original" / f"{mask.stem}.jpg"
        data = original.read_bytes()
        assert np.abs(decode_image(data) - shot.image).mean() < 3 / 255
        with PillowImage.open(original) as picture:
            assert picture.layer[0][1:3] == picture.layer[1][1:3] == (1, 1)


def test_labels_name_every_photograph_once(synthetic: Path, labels: dict[str, dict[str, str]]) -> None:
    assert sorted(labels) == list(list_tree(synthetic / "photos").pictures)
    verdicts = [row["verdict"] for row in labels.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in set(verdicts)}
    expected = {"good": 4 + 5, "duplicate": 3 * 2, "too_small": 2, "truncated": 1, "empty": 1, "not_an_image": 1}
    assert counts == expected


def test_photographs_are_what_their_labels_say(synthetic: Path, labels: dict[str, dict[str, str]]) -> None:
    for name, row in labels.items():
        data = (synthetic / "photos" / name).read_bytes()
        if row["verdict"] in ("truncated", "empty", "not_an_image"):
            with pytest.raises(Rejected) as refused:
                decode_pixels(data)
            assert refused.value.reason == row["verdict"]
            continue
        pixels = decode_pixels(data)
        assert pixels.shape[:2] == picture_size(data)[::-1]
        if row["verdict"] == "too_small":
            assert min(pixels.shape[:2]) <= 100
        else:
            assert min(pixels.shape[:2]) >= 190
        if row["verdict"] == "duplicate":
            source = (synthetic / "photos" / row["same_as"]).read_bytes()
            assert labels[row["same_as"]]["verdict"] == "good"
            assert phash(pixels) - phash(decode_pixels(source)) <= 4
            assert (data == source) == name.endswith("_copy.jpg")
    for name, size in GOOD_SIZES.items():
        assert picture_size((synthetic / "photos" / name).read_bytes()) == size


def test_good_photographs_are_no_duplicates(synthetic: Path, labels: dict[str, dict[str, str]]) -> None:
    good = [name for name, row in labels.items() if row["verdict"] == "good"]
    hashes = [phash(decode_pixels((synthetic / "photos" / name).read_bytes())) for name in good]
    assert min(one - other for one, other in combinations(hashes, 2)) > 12


def test_unusual_encodings_decode_to_the_rendered_picture(synthetic: Path) -> None:
    first = PLAN.backgrounds + PLAN.small + 1
    tolerance = {"grey.jpg": 3, "cmyk.jpg": 3, "rotated.jpg": 6, "16bit.png": 0.6, "palette.png": 12}
    modes = {"grey.jpg": "L", "cmyk.jpg": "CMYK", "rotated.jpg": "RGB", "16bit.png": "RGB", "palette.png": "P"}
    for index, (name, levels) in enumerate(tolerance.items()):
        path = synthetic / "photos" / f"good_{name}"
        pixels = decode_pixels(path.read_bytes())
        height, width = pixels.shape[:2]
        exact = to_uint8(render_background(SEED + first + index, width, height)).astype(np.float32)
        if name == "grey.jpg":
            exact = np.repeat((exact @ np.float32([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
        assert np.abs(pixels - exact).mean() < levels, name
        with PillowImage.open(path) as picture:
            assert picture.mode == modes[name]
            assert picture.getexif().get(0x0112, 1) == (6 if name == "rotated.jpg" else 1)
    header = (synthetic / "photos" / "good_16bit.png").read_bytes()[:26]
    assert header[24] == 16


@pytest.mark.slow
def test_writing_again_gives_the_same_bytes(synthetic: Path, tmp_path: Path) -> None:
    write_synthetic(tmp_path, PLAN)
    assert digests(tmp_path) == digests(synthetic)
