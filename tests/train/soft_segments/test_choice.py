from __future__ import annotations

import numpy as np
import pytest

from train.soft_segments.choice import CentreRule, choose_by_truth, unite


def layers() -> np.ndarray:
    """A head and a body in the middle, the sky above, the ground below; they add up to 1."""
    head, body, sky, ground = (np.zeros((40, 60), np.float32) for _ in range(4))
    sky[:20] = 1
    ground[20:] = 1
    head[12:20, 25:35] = 1
    body[20:30, 20:40] = 1
    sky -= head
    ground -= body
    return np.stack([sky, head, body, ground])


def test_layers_in_the_middle_are_the_foreground() -> None:
    assert CentreRule().choose(layers()) == (1, 2)


def test_a_layer_that_covers_the_frame_is_not_although_it_fills_the_middle() -> None:
    whole = np.stack([np.full((40, 60), 0.9), np.full((40, 60), 0.1)]).astype(np.float32)
    assert len(CentreRule().choose(whole)) == 1, "the best one where none is good"
    ring = np.ones((40, 60), np.float32)
    ring[10:30, 15:45] = 0
    assert CentreRule().choose(np.stack([ring, 1 - ring])) == (1,)


def test_the_lower_border_is_where_subjects_stand() -> None:
    person = np.zeros((40, 60), np.float32)
    person[10:, 10:50] = 1
    given = np.stack([person, 1 - person])
    assert CentreRule().choose(given) == (0,)
    assert CentreRule(weight=3.0).choose(np.stack([person, given[1]])) == (0,)
    fifth = np.stack([person, *(given[1] / 4 for _ in range(4))])
    assert CentreRule(reach=0.5, weight=1.0, lower=True)._contact(person) == pytest.approx(40 / 196)
    assert CentreRule()._contact(person) == 0
    assert CentreRule().choose(fifth)[0] == 0


def test_the_oracle_takes_the_union_with_the_smallest_error() -> None:
    given = layers()
    assert choose_by_truth(given, given[1] + given[2]) == (1, 2)
    assert choose_by_truth(given, given[0]) == (0,)
    assert choose_by_truth(given, np.ones((40, 60), np.float32)) == (0, 1, 2, 3)
    noisy = np.clip(given[1] + given[2] + np.random.default_rng(0).normal(0, 0.1, (40, 60)), 0, 1)
    assert choose_by_truth(given, noisy.astype(np.float32)) == (1, 2)


def test_a_union_is_a_sum_in_0_to_1() -> None:
    given = np.array([[[0.6, -0.1]], [[0.6, 0.05]]], np.float32)
    np.testing.assert_allclose(unite(given, (0, 1)), [[1.0, 0.0]])
