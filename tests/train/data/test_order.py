from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.order import Mixture, grouped_order, lanes, step_keys

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=3)


@given(LENGTHS, st.integers(0, 99), st.data())
def test_rows_of_a_set_come_equally_often(lengths: list[int], seed: int, data: st.DataObject) -> None:
    shares = data.draw(st.lists(st.floats(0.1, 5), min_size=len(lengths), max_size=len(lengths)))
    mixture = Mixture(tuple(lengths), tuple(shares), seed)
    assert sum(mixture.counts) == mixture.length
    exact = np.asarray(shares) * mixture.length / sum(shares)
    assert np.abs(np.asarray(mixture.counts) - exact).max() < 1
    keys = [tuple(key) for epoch in range(5) for key in mixture.epoch(epoch).tolist()]
    assert len(set(keys)) == len(keys)  # no crop twice
    seen = Counter(index for _, index in keys)
    first = 0
    for length in lengths:
        times = [seen[index] for index in range(first, first + length)]
        assert max(times) - min(times) <= 1
        first += length


@given(LENGTHS, st.integers(0, 99))
def test_without_shares_each_row_comes_once_an_epoch(lengths: list[int], seed: int) -> None:
    mixture = Mixture(tuple(lengths), (), seed)
    for epoch in (0, 3):
        keys = mixture.epoch(epoch)
        assert sorted(keys[:, 1].tolist()) == list(range(sum(lengths)))
        assert set(keys[:, 0].tolist()) == {epoch}


@given(st.integers(1, 11), st.integers(1, 4), st.integers(1, 3), st.integers(0, 12))
def test_ranks_and_later_starts_agree_with_one_process(rows: int, batch: int, ranks: int, start: int) -> None:
    mixture = Mixture((rows,), (), 5)
    size = batch * ranks
    whole = list(step_keys(mixture, range(0, 13 * size, size), slice(0, size)))
    parts = [
        list(step_keys(mixture, range(start * size, 13 * size, size), slice(rank * batch, (rank + 1) * batch)))
        for rank in range(ranks)
    ]
    assert [[key for part in step for key in part] for step in zip(*parts, strict=True)] == whole[start:]


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=40)


@given(SIZES, st.integers(1, 9), st.integers(0, 99))
def test_a_near_order_has_every_row_once(sizes: list[int], step_size: int, seed: int) -> None:
    order = grouped_order(np.array(sizes), step_size, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(sum(sizes)))


@pytest.mark.parametrize(("step_size", "apart"), [(1, 64), (2, 64), (4, 64), (8, 64), (3, 48), (32, 256), (128, 1024)])
def test_rows_of_a_group_are_eight_steps_apart_or_a_multiple(step_size: int, apart: int) -> None:
    groups = 3000
    assert lanes(step_size, groups) == apart
    order = grouped_order(np.full(groups, 4), step_size, np.random.default_rng(0))
    places = np.sort(np.argsort(order).reshape(groups, 4), axis=1)
    assert (np.diff(places, axis=1) == apart).all(axis=1).mean() > 1 - 3 * apart / groups  # all but the last ones
    part, step = places % step_size, places // step_size
    assert (np.ptp(part[: groups // 2], axis=1) == 0).mean() > 1 - 3 * apart / groups
    assert (np.ptp(step % 8, axis=1) == 0).mean() > 1 - 3 * apart / groups
    assert (np.diff(step, axis=1) > 0).all()  # no two in one step
    first = places[:, 0]
    assert abs(np.corrcoef(first, np.arange(groups))[0, 1]) < 0.1  # opened at random


def test_few_groups_are_as_near_as_they_can_be() -> None:
    assert [lanes(4, groups) for groups in (1, 3, 5, 31, 33, 63, 64, 70)] == [1, 3, 4, 28, 32, 32, 64, 64]


@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(0, 9), st.data())
def test_groups_change_when_a_row_comes_not_how_often(groups: list[list[int]], seed: int, data: st.DataObject) -> None:
    shares = tuple(data.draw(st.sampled_from([(), [1.0, 2.0, 0.5][: len(groups)]])))
    lengths = tuple(map(sum, groups))
    together = Mixture(lengths, shares, seed, tuple(map(tuple, groups)), 4)
    alone = Mixture(lengths, shares, seed)
    found, expected = (
        Counter(index for epoch in range(4) for index in mixture.epoch(epoch)[:, 1].tolist())
        for mixture in (together, alone)
    )
    assert found.total() == expected.total()
    first = 0
    for length in lengths:
        times = [found[index] for index in range(first, first + length)]
        assert max(times) - min(times) <= 1
        first += length
