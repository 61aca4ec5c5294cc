from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.study.leaks import Clean, check_backgrounds, check_foregrounds
from pipelines.study.reading import parse_study
from pipelines.study.steps import listing
from rssn.errors import InputError
from rssn.images import Pixels, encode_jpeg, encode_png
from tests.pipelines.study.test_reading import TEXT


def scene(seed: int) -> Pixels:
    coarse = np.random.default_rng(seed).uniform(0, 255, (7, 9, 3))
    return np.clip(cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def write(root: Path, name: str, data: bytes) -> None:
    """A photograph and its matte, as AM-2k lays them."""
    for folder in ("original", "mask"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "original" / name).write_bytes(data)
    mask = np.zeros((120, 160), np.uint8)
    cv2.circle(mask, (80, 60), 30, 255, -1)
    (root / "mask" / f"{Path(name).stem}.png").write_bytes(encode_png(mask))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(3):
        write(tmp_path / "matting", f"train{seed}.png", encode_png(scene(seed)))
        write(tmp_path / "eval", f"judged{seed}.png", encode_png(scene(10 + seed)))
    return tmp_path


def test_strangers_may_stand_beside_each_other(data: Path) -> None:
    study = parse_study(TEXT, "mine", [f"data={data}"])
    check_foregrounds(study, Clean(None))
    check_backgrounds(study, [data / "matting" / "original"], Clean(None))


def test_the_same_photograph_is_refused_and_both_are_named(data: Path) -> None:
    write(data / "matting", "copy.png", encode_png(scene(11)))
    words = "foreground of .*matting stands in the evaluation set.*: .*matting/original/copy.png is .*judged1.png$"
    with pytest.raises(InputError, match=words):
        check_foregrounds(parse_study(TEXT, "mine", [f"data={data}"]), Clean(None))


def test_a_photograph_that_was_encoded_again_is_refused(data: Path) -> None:
    smaller = np.asarray(cv2.resize(scene(12), (120, 90), interpolation=cv2.INTER_AREA))
    (data / "photos").mkdir()
    (data / "photos" / "again.jpg").write_bytes(encode_jpeg(smaller, 80))
    (data / "photos" / "other.jpg").write_bytes(encode_jpeg(scene(20), 80))
    study = parse_study(TEXT, "mine", [f"data={data}"])
    with pytest.raises(InputError, match=r"background of .*photos stands in .*: again.jpg is .*judged2.png$"):
        check_backgrounds(study, [data / "photos"], Clean(None))


def test_flat_pictures_leak_by_their_bytes_alone(data: Path) -> None:
    write(data / "matting", "grey.png", encode_png(np.full((120, 160, 3), 90, np.uint8)))
    write(data / "eval", "flat.png", encode_png(np.full((120, 160, 3), 91, np.uint8)))
    study = parse_study(TEXT, "mine", [f"data={data}"])
    check_foregrounds(study, Clean(None))
    listing.cache_clear()
    write(data / "eval", "flat.png", (data / "matting" / "original" / "grey.png").read_bytes())
    with pytest.raises(InputError, match=r"grey.png is .*flat.png"):
        check_foregrounds(study, Clean(None))


def test_shards_to_be_judged_on_are_not_looked_into(data: Path) -> None:
    write(data / "matting", "copy.png", encode_png(scene(11)))
    (data / "eval" / "manifest.json").write_text("{}")
    study = parse_study(TEXT, "mine", [f"data={data}"])
    check_foregrounds(replace(study, evaluation=replace(study.evaluation, data=str(data / "eval"))), Clean(None))


def test_what_was_clean_is_read_again_only_when_it_changed(data: Path, tmp_path: Path) -> None:
    study = parse_study(TEXT, "mine", [f"data={data}"])
    remembered = tmp_path / "leaks.json"
    check_foregrounds(study, Clean(remembered))
    place = data / "matting" / "original" / "train0.png"
    status, size = place.stat(), place.stat().st_size
    place.write_bytes(b"x" * size)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that nobody sees it
    check_foregrounds(study, Clean(remembered))
    listing.cache_clear()
    write(data / "matting", "copy.png", encode_png(scene(11)))
    with pytest.raises(InputError, match=r"copy.png is .*judged1.png"):
        check_foregrounds(study, Clean(remembered))
