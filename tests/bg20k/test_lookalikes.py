from __future__ import annotations

import numpy as np
import pytest

from bg20k.hamming import Hashes
from bg20k.lookalikes import lookalikes, reach, unpacked, view_distances
from bg20k.sketch import CODES
from bg20k.views import VIEWS

NOBODY = np.zeros(6, np.bool_)


@pytest.fixture
def prints() -> Hashes:
    return np.random.default_rng(1).integers(0, 2**64, (6, VIEWS + CODES), dtype=np.uint64)


def test_strangers_are_no_pairs(prints: Hashes) -> None:
    assert lookalikes(prints, NOBODY).shape == (0, 2)


def test_a_whole_is_compared_with_all_views_and_views_not_with_each_other(prints: Hashes) -> None:
    prints[4, 0] = prints[2, 7] ^ np.uint64(0xFF)
    prints[1, 1] = prints[3, 5]
    prints[0, 6] = prints[5, 6]
    assert lookalikes(prints, NOBODY).tolist() == [[1, 3], [2, 4]]
    apart = view_distances(prints[4, :VIEWS], prints[2, :VIEWS])
    assert apart.shape == (2, 2, VIEWS - 1)
    assert apart[0, 0, 7] == 8
    assert apart.min() == 8


def test_wholes_and_edges_may_differ_more(prints: Hashes) -> None:
    prints[1, 0] = prints[0, 0] ^ np.uint64(0xFFF)
    prints[3, VIEWS - 1] = prints[2, VIEWS - 1] ^ np.uint64(0xFFF)
    assert lookalikes(prints, NOBODY).tolist() == [[0, 1], [2, 3]]


def test_the_more_photographs_the_nearer_their_wholes_have_to_be() -> None:
    assert [reach(count) for count in (2, 20_000, 100_000, 1_000_000, 10**9)] == [15, 15, 14, 12, 8]


def test_two_codes_make_a_pair_and_one_does_not(prints: Hashes) -> None:
    prints[1, VIEWS] = prints[0, VIEWS + 9] ^ np.uint64(0b1111)
    assert lookalikes(prints, NOBODY).shape == (0, 2)
    prints[1, VIEWS + 1] = prints[0, VIEWS + 30]
    assert lookalikes(prints, NOBODY).tolist() == [[0, 1]]
    assert lookalikes(prints, np.array([True, True, False, False, False, False])).shape == (0, 2)


def test_what_is_missing_is_near_nothing(prints: Hashes) -> None:
    prints[:2] = 0
    assert lookalikes(prints, NOBODY).shape == (0, 2)
    assert view_distances(prints[0, :VIEWS], prints[1, :VIEWS]).min() == 65


def test_codes_that_many_photographs_share_make_no_pairs() -> None:
    prints = np.random.default_rng(1).integers(0, 2**64, (30, VIEWS + CODES), dtype=np.uint64)
    prints[:, VIEWS : VIEWS + 5] = prints[0, VIEWS : VIEWS + 5]  # a logo
    assert lookalikes(prints, np.zeros(30, np.bool_)).shape == (0, 2)


def test_prints_are_read_as_they_are_stored(prints: Hashes) -> None:
    np.testing.assert_array_equal(unpacked(prints.astype("<u8").tobytes()), prints)
