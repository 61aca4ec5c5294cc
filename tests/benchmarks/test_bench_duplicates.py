from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rssn.image.arrays import Pixels, encode_jpeg
from tests.benchmarks.bench_duplicates import Labelled, Made, group_lines, million_lines


def scene(seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(0, 255, (7, 9, 3)), (720, 480), interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.normal(0, 9, (90, 120, 3)), (720, 480), interpolation=cv2.INTER_LINEAR)
    return np.clip(coarse + grain, 0, 255).astype(np.uint8)


@pytest.fixture
def labelled(tmp_path: Path) -> Labelled:
    photos = {"a.jpg": scene(1), "b.jpg": scene(1)[:288, :432], "c.jpg": scene(2), "d.jpg": scene(3)}
    for name, pixels in photos.items():
        (tmp_path / name).write_bytes(encode_jpeg(np.ascontiguousarray(pixels)))
    (tmp_path / "labels.tsv").write_text("file\tgroup\na.jpg\tone\nb.jpg\tone\nc.jpg\ttwo\nd.jpg\ttwo\n")
    return Labelled.read(tmp_path)


def test_groups_that_keep_one_and_others_are_named(labelled: Labelled) -> None:
    first, second = group_lines(labelled)
    assert first == "groups: 1 of 2 keep exactly one; others: two"
    assert second.startswith("  merged with another group: none; ")
    assert labelled.originals() == ["a.jpg", "c.jpg"]


def test_copies_and_strangers_are_counted(labelled: Labelled) -> None:
    made = Made({name: labelled.pixels[name] for name in labelled.originals()})
    assert all("recall 1.00, of candidates 1.00; not found: none" in line for line in made.lines())
    lines = list(made.strangers())
    assert [line.split(" (")[0] for line in lines] == [
        f"strangers {kind}: 0 of 1 pairs merged" for kind in ("as they are", "logo of 5 %", "text")
    ]
    assert len(made.milliseconds) > 3


def test_random_prints_are_searched() -> None:
    random, shared = million_lines(200)
    assert random.startswith("200 random prints: ")
    assert shared.endswith(random[random.rindex(",") :]), "what all have is common"


@pytest.mark.slow
def test_every_labelled_group_keeps_one(shared: Path) -> None:
    """`minotaur` is one by its name alone: a drawing of the beast, and a pattern in three colours."""
    for folder, lines in {
        "photos": "groups: 34 of 34 keep exactly one; others: none",
        "crawl": "groups: 65 of 66 keep exactly one; others: minotaur",
    }.items():
        found = Labelled.read(shared / "data" / folder)
        first, second = group_lines(found)
        assert first == lines
        assert second.startswith("  merged with another group: none")
