from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg20k.hamming import Hashes, choose_bands, near_owners, near_pairs, spread_bits


def _random(count: int, seed: int = 0) -> Hashes:
    return np.frombuffer(np.random.default_rng(seed).bytes(8 * count), dtype=np.uint64).copy()


def _with_neighbours(count: int, distance: int) -> Hashes:
    """Random hashes, every third of which is up to two bits more than the distance away from another one."""
    hashes, rng = _random(count), np.random.default_rng(1)
    for place in range(0, count, 3):
        bits = rng.choice(64, rng.integers(0, distance + 3), replace=False)
        hashes[place] = hashes[rng.integers(count)] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    return hashes


def _slowly(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    return [
        (i, i + 1 + int(j))
        for i in range(len(hashes))
        for j in np.flatnonzero(np.bitwise_count(hashes[i] ^ hashes[i + 1 :]) <= distance)
    ]


@pytest.mark.parametrize(("count", "distance"), [(1500, 0), (1500, 3), (1500, 8), (700, 15)])
def test_every_pair_and_no_other(count: int, distance: int) -> None:
    hashes = _with_neighbours(count, distance)
    expected = _slowly(hashes, distance)
    assert len(expected) > count / 10
    assert [tuple(pair) for pair in near_pairs(hashes, distance).tolist()] == expected


hashes_near_and_far = st.lists(st.integers(0, 2**64 - 1), max_size=30)
flips = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 2**64 - 1)), max_size=30)


@pytest.mark.slow
@given(hashes_near_and_far, flips, st.integers(0, 15))
def test_any_hashes(base: list[int], masks: list[tuple[int, int]], distance: int) -> None:
    near = [base[i] ^ (mask & (mask >> 7) & (mask >> 19)) for i, mask in masks if i < len(base)]
    hashes = np.array(base + near, dtype=np.uint64)
    found = near_pairs(hashes, distance)
    assert found.shape[1] == 2
    assert [tuple(pair) for pair in found.tolist()] == _slowly(hashes, distance)


@pytest.mark.parametrize(("count", "bands", "radius"), [(2_000, 9, 0), (100_000, 5, 1), (1_000_000, 3, 2)])
def test_more_hashes_are_cut_into_fewer_bands(count: int, bands: int, radius: int) -> None:
    chosen = choose_bands(_random(count), 8)
    assert (len(chosen.edges) - 1, chosen.radius) == (bands, radius)
    assert max(np.diff(chosen.edges)) <= 22


def test_hashes_that_share_a_band_are_all_compared() -> None:
    hashes = (_random(400) >> np.uint64(16)) | np.uint64(0xABCD << 48)  # a plain sky above: the same high bits
    assert [tuple(pair) for pair in near_pairs(hashes, 15).tolist()] == _slowly(hashes, 15)


@pytest.mark.parametrize("distance", [2, 6])
def test_bits_that_are_always_the_same_lose_nothing_and_cost_little(distance: int) -> None:
    rng = np.random.default_rng(4)
    values = (rng.integers(0, 2**40, 800, dtype=np.uint64) & ~np.uint64(0xF0)) | np.uint64(0xABCDEF << 40)
    values[400:] = values[:400] ^ (np.uint64(1) << rng.integers(8, 40, 400).astype(np.uint64))
    assert [tuple(pair) for pair in near_pairs(values, distance).tolist()] == _slowly(values, distance)
    dealt = spread_bits(values)
    assert np.array_equal(np.bitwise_count(dealt[:-1] ^ dealt[1:]), np.bitwise_count(values[:-1] ^ values[1:]))
    for start in range(0, 64, 16):  # 36 of 64 bits tell hashes apart
        assert np.unique((dealt >> np.uint64(start)) & np.uint64(0xFFFF)).size > 100


def test_even_bits_are_left_alone() -> None:
    values = np.random.default_rng(5).integers(0, 2**64, 5000, dtype=np.uint64)
    assert spread_bits(values) is values


def test_near_owners_are_those_of_all_pairs_where_nothing_is_common() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 600, dtype=np.uint64)
    hashes[300:] = hashes[:300] ^ np.uint64(0b1011) << np.uint64(20)
    owners, asking = np.arange(600) % 290, np.arange(600) % 3 == 0
    expected = [
        (min(owners[i], owners[j]) << 32) + max(owners[i], owners[j])
        for i in range(600)
        for j in range(i)
        if owners[i] != owners[j] and (asking[i] or asking[j]) and (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 4
    ]
    assert len(expected) > 50
    assert near_owners(hashes, owners, asking, 4, 8).tolist() == sorted(expected)


def test_a_hash_that_many_share_links_nobody() -> None:
    hashes = np.array([5] * 10 + [2**40 - 1] * 3, np.uint64)
    found = near_owners(hashes, np.arange(13), np.ones(13, np.bool_), 4, 3)
    assert [(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in found] == [(10, 11), (10, 12), (11, 12)]


@pytest.mark.parametrize("most", [1, 3, 8])
def test_what_is_common_is_counted_out_however_many_share_it(most: int) -> None:
    rng = np.random.default_rng(most)
    hashes = np.concatenate([np.full(60, 5, np.uint64), _with_neighbours(60, 4), np.repeat(_random(9, 3), 5)])
    hashes[70:75] = 5 ^ (np.uint64(1) << np.arange(5, dtype=np.uint64))  # near what is common
    rng.shuffle(hashes)
    owners, asking = rng.integers(0, 120, hashes.size), rng.random(hashes.size) < 0.7
    near = (np.bitwise_count(hashes[:, None] ^ hashes) <= 4) & (owners[:, None] != owners)
    opened = asking & (near.sum(axis=1) <= most)
    one, other = np.nonzero(np.triu(near & (opened[:, None] | opened)))
    pairs = np.sort(np.stack([owners[one], owners[other]]), axis=0)
    assert len(one) > 5
    assert near_owners(hashes, owners, asking, 4, most).tolist() == sorted(((pairs[0] << 32) + pairs[1]).tolist())
