from __future__ import annotations

import numpy as np
import pytest

from train.soft_segments.clusters import cluster, split_clusters

DICE = np.random.default_rng(1)
CENTRES = np.array([[0.1, 0.1, 0.1], [0.9, 0.1, 0.5], [0.5, 0.9, 0.1], [0.1, 0.5, 0.9]])
TRUTH = np.repeat(np.arange(4), 50)
POINTS = (CENTRES[TRUTH] + DICE.normal(0, 0.02, (200, 3))).astype(np.float32)


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    return len({*zip(first.tolist(), second.tolist(), strict=True)}) == len(set(first)) == len(set(second))


def test_clusters_are_those_of_the_points() -> None:
    assert same_partition(cluster(POINTS, 4, seed=0), TRUTH)


@pytest.mark.parametrize("count", [3, 8, 25])
def test_splitting_gives_as_many_as_are_asked_for_all_in_use(count: int) -> None:
    labels = split_clusters(POINTS, count, seed=0)
    assert set(labels) == set(range(count))
    np.testing.assert_array_equal(labels, split_clusters(POINTS, count, seed=0))
    if count >= 8:
        assert all(len(set(TRUTH[labels == k])) == 1 for k in range(count)), "no cluster crosses the gaps"


def test_there_are_no_more_clusters_than_different_points() -> None:
    points = np.repeat(np.eye(3), 5, axis=0)
    assert same_partition(split_clusters(points, 40, seed=0), np.repeat(np.arange(3), 5))
    assert split_clusters(np.ones((9, 3)), 40, seed=0).tolist() == [0] * 9
