from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image
from rssn.route.placement import CutOff, Placement, place_cut_out
from rssn.route.step import CutOut


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> Alpha:
    """An antialiased disc; size and centre are x, y."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.clip(radius + 0.5 - np.hypot(x - centre[0], y - centre[1]), 0, 1).astype(np.float32)


def cut_out(alpha: Alpha, seed: int = 0) -> CutOut:
    smooth = cv2.resize(np.random.default_rng(seed).random((4, 5, 3), dtype=np.float32), alpha.shape[::-1])
    return CutOut(np.clip(smooth, 0, 1).astype(np.float32), alpha)


def box(alpha: Alpha, above: float = 0.0) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(alpha.max(axis=1) > above), np.flatnonzero(alpha.max(axis=0) > above)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.25)])
def test_at_its_own_scale_it_is_moved_to_the_pixel(x: float, y: float) -> None:
    own = cut_out(disc((60, 50), (28, 26), 10))
    left, top, right, bottom = box(own.alpha)
    side = right - left
    placed = place_cut_out(own, (100, 80), Placement(side / 80, x, y, flipped=False))
    at = (round(x * (100 - side)), round(y * (80 - side)))
    assert box(placed.alpha) == (*at, at[0] + side, at[1] + side)
    inside = (slice(at[1], at[1] + side), slice(at[0], at[0] + side))
    assert np.array_equal(placed.alpha[inside], own.alpha[top:bottom, left:right])
    assert np.array_equal(placed.foreground[inside], own.foreground[top:bottom, left:right])


def test_it_fills_as_much_of_the_frame_as_it_is_told() -> None:
    own = cut_out(disc((200, 200), (100, 100), 80))
    for size in (0.2, 0.5, 0.9):
        left, top, right, bottom = box(place_cut_out(own, (150, 120), Placement(size, 0.3, 0.7, flipped=True)).alpha)
        assert abs((bottom - top) - 120 * size) <= 2
        assert abs((right - left) - 120 * size) <= 2


def test_it_is_enlarged_only_as_far_as_allowed() -> None:
    own = cut_out(disc((60, 60), (30, 30), 10))
    sides = [
        box(place_cut_out(own, (400, 400), Placement(1.0, 0.5, 0.5, flipped=False, max_upscale=most)).alpha, 0.25)
        for most in (1.0, 2.0)
    ]
    assert [right - left for left, _, right, _ in sides] == [21, pytest.approx(42, abs=2)]


def test_flipping_twice_is_nothing() -> None:
    own = cut_out(disc((60, 50), (28, 26), 10))
    side = box(own.alpha)[2] - box(own.alpha)[0]
    plain = place_cut_out(own, (90, 90), Placement(side / 90, 0.5, 0.5, flipped=False))
    mirror = place_cut_out(
        CutOut(own.foreground[:, ::-1], own.alpha[:, ::-1]), (90, 90), Placement(side / 90, 0.5, 0.5, flipped=True)
    )
    assert np.array_equal(plain.alpha, mirror.alpha)
    assert np.array_equal(plain.foreground, mirror.foreground)


def test_alpha_times_f_is_the_area_mean_of_alpha_times_f() -> None:
    """What lies hidden where alpha is 0 does not bleed into the shrunk edge."""
    own = cut_out(disc((240, 240), (120, 120), 60))
    hidden: Image = np.where(own.alpha[..., None] > 0, own.foreground, np.float32(1))
    placed = place_cut_out(CutOut(hidden, own.alpha), (60, 60), Placement(0.51, 0.5, 0.5, flipped=False))
    left, _, right, _ = box(own.alpha)
    assert (right - left, box(placed.alpha)[2] - box(placed.alpha)[0]) == (121, pytest.approx(31, abs=2))
    mean = (own.alpha[..., None] * own.foreground).sum(axis=(0, 1)) / own.alpha.sum()
    shrunk = (placed.alpha[..., None] * placed.foreground).sum(axis=(0, 1)) / placed.alpha.sum()
    assert np.abs(mean - shrunk).max() < 1e-3
    edge = (placed.alpha > 0.02) & (placed.alpha < 0.98)
    assert placed.foreground[edge].max() <= own.foreground.max() + 1e-3


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_a_subject_that_is_cut_off_stays_at_that_edge(edge: str) -> None:
    centre = {"left": (0, 40), "top": (40, 0), "right": (79, 40), "bottom": (40, 79)}[edge]
    own = cut_out(disc((80, 80), centre, 20))
    assert {name for name in ("left", "top", "right", "bottom") if getattr(CutOff.of(own.alpha), name)} == {edge}
    placed = box(place_cut_out(own, (160, 140), Placement(0.4, 0.5, 0.5, flipped=False)).alpha)
    at = {"left": placed[0] == 0, "top": placed[1] == 0, "right": placed[2] == 160, "bottom": placed[3] == 140}
    assert [name for name, there in at.items() if there] == [edge]


def test_a_flipped_one_stays_at_the_other_edge() -> None:
    own = cut_out(disc((80, 80), (0, 40), 20))
    placed = box(place_cut_out(own, (160, 140), Placement(0.4, 0.5, 0.5, flipped=True)).alpha)
    assert (placed[0] > 0, placed[2]) == (True, 160)


def test_a_round_subject_in_a_tight_frame_is_not_cut_off() -> None:
    tight = disc((401, 401), (200, 200), 200)
    assert not any((CutOff.of(tight).left, CutOff.of(tight).top, CutOff.of(tight).right, CutOff.of(tight).bottom))


def test_a_subject_from_edge_to_edge_is_placed_if_it_reaches_both_or_refused() -> None:
    own = cut_out(np.tile(disc((1, 80), (0, 40), 20), (1, 100)))
    placed = place_cut_out(own, (100, 120), Placement(0.3, 0.5, 0.5, flipped=False))
    assert box(placed.alpha)[::2] == (0, 100)
    with pytest.raises(Rejected, match=r"cut off at two opposite edges, and enlarged 1.5 times") as refused:
        place_cut_out(own, (150, 120), Placement(0.3, 0.5, 0.5, flipped=False))
    assert (refused.value.stage, refused.value.reason) == ("placement", "cut_off")


EDGES = ("left", "top", "right", "bottom")


@pytest.mark.parametrize("cut", [cut for count in range(5) for cut in combinations(EDGES, count)])
@pytest.mark.parametrize("frame", [(200, 200), (90, 240), (240, 90), (100, 80)])
def test_nothing_more_is_cut_off_whatever_edges_it_is_cut_off_at(cut: tuple[str, ...], frame: tuple[int, int]) -> None:
    """Either all that is seen of it is seen in the frame, too, or it is refused."""
    alpha = np.zeros((100, 80), np.float32)
    left, top, right, bottom = (0 if name in cut else 12 for name in EDGES)
    alpha[top : 100 - bottom, left : 80 - right] = 1
    own = cut_out(alpha)
    assert {name for name in EDGES if getattr(CutOff.of(alpha), name)} == set(cut)
    width, height = 80 - left - right, 100 - top - bottom
    spans = [{"left", "right"} <= set(cut), {"top", "bottom"} <= set(cut)]
    scale = max((frame[0] / width) * spans[0], (frame[1] / height) * spans[1])
    for place in (0.0, 0.4, 1.0):
        placement = Placement(0.7, place, place, flipped=False, max_upscale=4)
        if scale * width > frame[0] + 1 or scale * height > frame[1] + 1:
            with pytest.raises(Rejected, match=r"px long in .* px, where more of it would be cut off; leave it out"):
                place_cut_out(own, frame, placement)
            continue
        x0, y0, x1, y1 = box(place_cut_out(own, frame, placement).alpha, 0.5)
        assert (y1 - y0) / (x1 - x0) == pytest.approx(height / width, rel=0.06), "what is cut has another shape"
        touched = {"left": x0 == 0, "top": y0 == 0, "right": x1 == frame[0], "bottom": y1 == frame[1]}
        assert all(touched[name] for name in cut)


def test_more_of_it_may_be_cut_off_if_that_is_asked_for() -> None:
    own = cut_out(np.ones((100, 40), np.float32) * (np.arange(100) >= 10).astype(np.float32)[:, None])
    where = Placement(0.7, 0.5, 0.5, flipped=False)
    with pytest.raises(Rejected, match=r"to reach both it is 90 px long in 60 px, where more of it would be cut off"):
        place_cut_out(own, (40, 60), where)
    placed = place_cut_out(own, (40, 60), replace(where, outside=0.4))
    assert placed.alpha.sum() == 40 * 60


@given(
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.tuples(st.integers(20, 120), st.integers(20, 120)),
    st.tuples(st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 1), st.booleans()),
    st.integers(3, 9),
)
def test_nothing_is_cut_and_all_stays_in_range(
    own: tuple[int, int], frame: tuple[int, int], drawn: tuple[float, float, float, bool], radius: int
) -> None:
    alpha = disc(own, (own[0] / 2, own[1] / 2), radius)
    placed = place_cut_out(cut_out(alpha), frame, Placement(*drawn, max_upscale=3.0))
    assert placed.alpha.shape == frame[::-1]
    assert placed.foreground.shape == (*frame[::-1], 3)
    assert 0 <= placed.alpha.min() <= placed.alpha.max() <= 1
    assert 0 <= placed.foreground.min() <= placed.foreground.max() <= 1
    left, top, right, bottom = box(alpha)
    scale = min(drawn[0] * min(frame[0] / (right - left), frame[1] / (bottom - top)), 3.0)
    if scale * radius > 3:  # a disc of fewer px is hardly one
        assert placed.alpha.sum() == pytest.approx(alpha.sum() * scale**2, rel=0.15)


def test_part_of_it_may_lie_outside_if_that_is_asked_for() -> None:
    own = cut_out(disc((60, 60), (30, 30), 10))
    side = box(own.alpha)[2] - box(own.alpha)[0]
    placed = place_cut_out(own, (100, 100), Placement(side / 100, 0.0, 1.0, flipped=False, outside=0.5))
    left, top, right, bottom = box(placed.alpha)
    assert (left, right, top, bottom) == (0, side - side // 2, 100 - side // 2, 100)
