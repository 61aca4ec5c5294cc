from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from bg20k.edges import COLUMNS, Edges, find_edges
from bg20k.marks import FEWEST, place_of, shared_marks
from bg20k.records import PLACES, Mark
from bg20k.verdict import SHARED_MARK, THRESHOLDS
from rssn.image.arrays import Pixels, to_uint8
from rssn.synthetic.backgrounds import render_background


def photograph(seed: int, width: int = 720, height: int = 540) -> Pixels:
    scene = to_uint8(render_background(seed, max(width, height), max(width, height)))[:height, :width]
    return np.ascontiguousarray(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), np.uint8)


def stamped(picture: Pixels, opacity: float = 1.0, words: str = "Sample 42") -> Pixels:
    """With words at the lower right."""
    height, width = picture.shape
    layer = np.zeros_like(picture)
    cv2.putText(layer, words, (width - 190, height - 20), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3, cv2.LINE_AA)
    share = opacity * layer / 255
    return np.asarray(picture * (1 - share) + 250 * share, np.uint8)


@pytest.fixture(scope="module")
def plain() -> list[Pixels]:
    return [photograph(seed) for seed in range(10)]


def marks(edges: Sequence[Edges], **facts: Sequence[int]) -> dict[int, Mark]:
    count = len(edges)
    sites, upright = np.array(facts.get("sites", [7] * count)), np.array(facts.get("upright", [0] * count), np.bool_)
    pictures, order = (np.array(facts.get(name, range(count))) for name in ("pictures", "order"))
    return shared_marks(sites, upright, pictures, order, edges)


def test_what_three_pictures_share_is_a_mark_of_those_three(plain: list[Pixels]) -> None:
    edges = [find_edges(stamped(one) if n < 4 else one) for n, one in enumerate(plain)]
    assert marks(edges) == dict.fromkeys(range(4), Mark(4, "lower right"))
    assert marks(edges[1:]) == dict.fromkeys(range(3), Mark(3, "lower right"))
    assert marks(edges[2:]) == {}
    assert marks([find_edges(one) for one in plain]) == {}


def test_a_faint_mark_is_found_where_many_have_it(plain: list[Pixels]) -> None:
    found = marks([find_edges(stamped(one, 0.3)) for one in plain])
    assert len(found) >= 7
    assert {mark.place for mark in found.values()} == {"lower right"}


def test_copies_count_once_and_have_the_mark_all_the_same(plain: list[Pixels]) -> None:
    edges = [find_edges(stamped(one)) for one in (plain[0], plain[1], plain[1], plain[2])]
    assert marks(edges, pictures=[0, 1, 1, 3]) == dict.fromkeys(range(4), Mark(3, "lower right"))
    assert marks(edges[:3], pictures=[0, 1, 1]) == {}
    assert marks(edges, pictures=[-1, 1, 1, 1]) == {}


def test_sources_and_shapes_are_looked_at_apart(plain: list[Pixels]) -> None:
    edges = [find_edges(stamped(one)) for one in plain[:6]]
    assert marks(edges, sites=[1, 1, 2, 2, 3, 3]) == {}
    assert sorted(marks(edges, sites=[1, 2, 1, 2, 1, 3])) == [0, 2, 4]
    assert sorted(marks(edges, upright=[0, 0, 1, 1, 1, 0])) == list(range(6))
    assert {m.place for m in marks(edges, upright=[1] * 6).values()} == {"lower right"}


def test_pictures_of_any_width_share_a_corner(plain: list[Pixels]) -> None:
    wide = [photograph(20 + n, width) for n, width in enumerate((720, 810, 960, 1100))]
    assert sorted(marks([find_edges(stamped(one)) for one in wide])) == [0, 1, 2, 3]


def test_different_marks_of_one_source_are_told_apart(plain: list[Pixels]) -> None:
    edges = [find_edges(stamped(one, words=("Sample 42", "+ 1 / xyz")[n % 2])) for n, one in enumerate(plain[:7])]
    assert {row: mark.pictures for row, mark in marks(edges).items()} == {n: 4 - n % 2 for n in range(7)}


def test_lines_alone_are_no_mark(plain: list[Pixels]) -> None:
    lined = [one.copy() for one in plain]
    for one in lined:
        one[300:] = one[300:] // 3  # a horizon
    assert marks([find_edges(one) for one in lined]) == {}


def test_a_source_larger_than_a_batch_is_one_source_in_any_order(plain: list[Pixels]) -> None:
    rng = np.random.default_rng(0)
    strangers = [np.unique(rng.integers(0, 135 * COLUMNS * 8, 3000)) for _ in range(197)]
    stamp = find_edges(stamped(np.full((540, 720), 60, np.uint8)))
    for place in (3, 5, 8, 190):
        strangers[place] = np.union1d(strangers[place], stamp)
    order = rng.permutation(197)
    expected = dict.fromkeys((3, 5, 8, 190), Mark(4, "lower right"))
    assert marks(strangers) == expected  # the last one is of another batch
    shuffled = [strangers[row] for row in order.tolist()]
    found = marks(shuffled, order=np.argsort(order).tolist())
    assert {int(order[row]): mark for row, mark in found.items()} == expected


def test_places_are_named_as_a_viewer_sees_them() -> None:
    columns = 58
    corners = [0, 28, 57, 15 * columns, 15 * columns + 28, 31 * columns, 31 * columns + 57]
    names = ["upper left", "top", "upper right", "left", "middle", "lower left", "lower right"]
    assert [place_of(window, False) for window in corners] == names
    assert place_of(57, True) == "lower left"
    assert len(set(PLACES)) == 9
    assert str(Mark(15, "lower right")) == "at the lower right, as in 14 other pictures of its source"


def test_the_threshold_is_what_a_mark_needs() -> None:
    assert THRESHOLDS[SHARED_MARK].limit == THRESHOLDS[SHARED_MARK].lowest == FEWEST
