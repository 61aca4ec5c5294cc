from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.order import Mixture, step_keys

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
