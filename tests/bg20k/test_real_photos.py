"""The stages before screening on the 47 labelled photographs."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from bg20k.candidates import examine
from bg20k.decide import decide
from bg20k.measures import measured
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from rssn.image.arrays import Pixels, resize_area
from rssn.image.photograph import decode_photograph
from tests.pictures import read_table

pytestmark = pytest.mark.slow

RULES = CurationRules()


@pytest.fixture(scope="module")
def labels(shared: Path) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in read_table(shared / "data/photos/labels.tsv")}


def spread(pixels: Pixels) -> int:
    return int(np.ptp(resize_area(pixels, 64, 64), axis=2).max())


@pytest.fixture(scope="module")
def records(examined: list[tuple[Record, int]]) -> list[Record]:
    return [record for record, _ in examined]


@pytest.fixture(scope="module")
def examined(shared: Path, labels: dict[str, dict[str, str]]) -> list[tuple[Record, int]]:
    """Of each photograph what is recorded, and the largest spread of a pixel's channels at 64 x 64 px."""
    found = []
    for name, label in labels.items():
        candidate = examine((shared / "data/photos" / name).read_bytes(), RULES)
        assert (candidate.source_width, candidate.source_height) == (int(label["width"]), int(label["height"]))
        assert min(candidate.pixels.shape[:2]) == 1080
        row = {"background_id": candidate.background_id, "source": name} | measured(candidate)
        found.append((Record.of(row, RULES), spread(candidate.pixels)))
    return found


def test_every_duplicate_group_keeps_exactly_one(records: list[Record], labels: dict[str, dict[str, str]]) -> None:
    verdicts = decide(Crawl.of(records), RULES)
    kept = defaultdict(list)
    for record, verdict in zip(records, verdicts, strict=True):
        kept[labels[record.source]["duplicate_group"] or record.source].append(verdict.keep)
    assert len(kept) == 34
    assert {name: sum(keeps) for name, keeps in kept.items()} == dict.fromkeys(kept, 1)


def test_the_hash_threshold_has_a_margin_on_both_sides(
    records: list[Record], labels: dict[str, dict[str, str]]
) -> None:
    copies, strangers = [], []
    for row, one in enumerate(records):
        for other in records[:row]:
            group = labels[one.source]["duplicate_group"]
            same = group and group == labels[other.source]["duplicate_group"]
            (copies if same else strangers).append((one.phash ^ other.phash).bit_count())
    assert max(copies) <= RULES.phash_distance - 2
    assert min(strangers) >= RULES.phash_distance + 8


def test_what_is_grey_has_no_colours_at_all(shared: Path, examined: list[tuple[Record, int]]) -> None:
    """The figures that `CurationRules.grey` states; its limit was chosen on the same photographs."""
    crawl = [path.read_bytes() for path in sorted((shared / "data").glob("crawl/*.jpg"))]
    photos = (decode_photograph(data, RULES.min_side, RULES.max_pixels) for data in crawl)
    spreads = [found for _, found in examined] + [spread(photo.pixels) for photo in photos]
    coloured = [each for each in spreads if each >= RULES.grey]
    assert (len(spreads), len(coloured), min(coloured)) == (126, 120, 9)
    assert sum(spreads) == sum(coloured)
