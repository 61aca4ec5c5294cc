from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.edges import COLUMNS, DIRECTIONS, ROWS, Edges, _strength, find_edges, pack_edges, unpack_edges
from rssn.image.arrays import Pixels, resize_area

numbers = st.sets(st.integers(0, ROWS * COLUMNS * DIRECTIONS - 1), max_size=50)


def places(edges: Edges) -> set[tuple[int, int, int]]:
    """Rows and columns of cells, and directions."""
    cells, directions = np.divmod(edges, DIRECTIONS)
    return set(zip((cells // COLUMNS).tolist(), (cells % COLUMNS).tolist(), directions.tolist(), strict=True))


def square(height: int, width: int, top: int, left: int, side: int = 80) -> Pixels:
    picture = np.full((height, width), 90, np.uint8)
    picture[top : top + side, left : left + side] = 200
    return picture


@given(numbers)
def test_edges_come_back_as_they_were_stored(given_numbers: set[int]) -> None:
    edges = np.array(sorted(given_numbers), np.int64)
    assert unpack_edges(pack_edges(edges)).tolist() == edges.tolist()
    assert len(pack_edges(edges)) == sum(step // 255 + 1 for step in np.diff(edges, prepend=0).tolist())


def test_edges_point_to_where_it_gets_brighter() -> None:
    found = places(find_edges(square(540, 960, 100, 200)))
    down = {(row, direction) for row, column, direction in found if column == 60}
    assert down == {(24, 2), (25, 2), (44, 6), (45, 6)}
    across = {(column, direction) for row, column, direction in found if row == 35}
    assert across == {(49, 0), (50, 0), (69, 4), (70, 4)}


def test_a_mark_is_at_one_place_in_pictures_of_any_shape_and_size() -> None:
    corner = places(find_edges(square(540, 960, 440, 860)))
    assert len(corner) >= 60
    assert places(find_edges(square(540, 720, 440, 620))) >= corner
    assert places(find_edges(square(540, 1200, 440, 1100))) == corner
    twice = places(find_edges(square(1080, 1920, 880, 1720, 160)))
    assert len(twice & corner) >= 0.9 * len(corner)
    middle = places(find_edges(square(540, 960, 230, 440)))
    assert places(find_edges(square(540, 1300, 230, 610))) == middle


def test_an_upright_picture_is_laid_on_its_side() -> None:
    upright = square(960, 540, 860, 440)
    assert np.array_equal(find_edges(upright), find_edges(np.ascontiguousarray(upright.T)))


def test_the_clearest_edges_are_kept_and_faint_ones_are_none() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (270, 480), dtype=np.uint8)
    assert len(find_edges(resize_area(noise, 960, 540))) == 4000
    assert not len(find_edges(np.where(square(540, 960, 100, 100) > 90, 95, 90).astype(np.uint8)))
    assert not len(find_edges(np.full((120, 160), 7, np.uint8)))


@pytest.mark.parametrize("shape", [(48, 48), (60, 1200), (1200, 60)])
def test_any_shape_has_edges(shape: tuple[int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 3 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = 255
    edges = find_edges(picture)
    assert np.all(np.diff(edges) > 0)
    assert edges.max(initial=0) < ROWS * COLUMNS * DIRECTIONS


def test_how_strong_edges_are_is_the_same_to_the_bit_in_every_run() -> None:
    across, down = np.meshgrid(*2 * [np.arange(-1020, 1021, 5, dtype=np.float32) / 4])
    exact = np.sqrt(across.astype(np.float64) ** 2 + down.astype(np.float64) ** 2)  # sums are whole sixteenths
    assert np.array_equal(_strength(across, down), exact.astype(np.float32))
    assert _strength(across, np.zeros_like(across)).tolist() == np.abs(across).tolist()
