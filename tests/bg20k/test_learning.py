from __future__ import annotations

import numpy as np
import pytest

from bg20k.learning import LEAST_DECISIONS, Examples, learn
from bg20k.review import Choice
from bg20k.rules import CurationRules
from bg20k.verdict import Verdict

RULES = CurationRules(salient_cost=1.0)


def screened(score: float) -> Verdict:
    if score >= RULES.salient_limit:
        return Verdict(False, "salience", "salient_object", "cat", score)
    return Verdict(True, "split", "kept", "kept", score, split="train")


def examples(scores: np.ndarray, sides: np.ndarray, refused: list[bool] | None = None) -> Examples:
    box = {"label": "cat", "confidence": 0.5, "x": 0.0, "y": 0.0, "height": 1.0}
    rows = [{"boxes": [box | {"width": side}], "saliency": None} for side in sides.tolist()]
    verdicts = [screened(score) for score in scores.tolist()]
    return Examples.of(rows, verdicts, refused or [False] * len(rows), RULES)


def by_area(sides: np.ndarray, rows: np.ndarray) -> dict[int, Choice]:
    """A person who rejects what is large."""
    return {row: "reject" if sides[row] > 0.5 else "keep" for row in rows.tolist()}


@pytest.fixture
def sides() -> np.ndarray:
    return np.random.default_rng(0).permutation(np.linspace(0.0, 1.0, 400))


def test_there_is_no_model_before_enough_decisions(sides: np.ndarray) -> None:
    given = examples(np.full(400, 0.4), sides)
    assert learn(given, by_area(sides, np.arange(LEAST_DECISIONS - 1))) is None
    assert learn(given, by_area(sides, np.arange(LEAST_DECISIONS))) is not None


def test_what_a_person_goes_by_is_learnt_though_the_scores_do_not_know_it(sides: np.ndarray) -> None:
    found = learn(examples(np.full(400, 0.4), sides), by_area(sides, np.arange(80)))
    assert found is not None
    right = (found.keep >= 0.5) == (sides <= 0.5)
    assert right[80:].mean() > 0.95
    assert set(found.choices()) == set(range(80, 400))
    first = found.order[:20]
    assert np.abs(sides[first] - 0.5).max() < 0.2  # at the border of what the person goes by
    assert found.order.size == 320


def test_decisions_that_agree_leave_the_beliefs() -> None:
    scores = np.random.default_rng(1).permutation(np.repeat([0.0, 1.0], 200))
    given = examples(scores, np.zeros(400))
    decided: dict[int, Choice] = {row: "keep" if scores[row] < 0.5 else "reject" for row in range(300)}
    found = learn(given, decided)
    assert found is not None
    assert ((found.keep >= 0.5) == (scores < 0.5)).all()
    assert found.left == 0


def test_left_is_what_brings_the_expected_error_under_one_per_cent(sides: np.ndarray) -> None:
    found = learn(examples(np.full(400, 0.4), sides), by_area(sides, np.arange(60)))
    assert found is not None
    errors = found.error[found.order]
    assert found.left > 0
    assert 2 * errors[found.left :].sum() < 4.0 <= 2 * errors[found.left - 1 :].sum()
    assert found.wrong == pytest.approx(2 * errors.sum() / 400)


def test_what_cannot_be_kept_or_is_closed_is_not_open(sides: np.ndarray) -> None:
    given = examples(np.full(400, 0.4), sides, [row >= 390 for row in range(400)])
    found = learn(given, by_area(sides, np.arange(60)), closed=[60, 61])
    assert found is not None
    assert np.flatnonzero(found.open).tolist() == list(range(62, 390))
    assert found.error[[0, 60, 395]].tolist() == [0.0, 0.0, 0.0]


def test_the_order_of_the_decisions_does_not_matter(sides: np.ndarray) -> None:
    given, rows = examples(np.full(400, 0.4), sides), np.arange(70)
    one, other = learn(given, by_area(sides, rows)), learn(given, by_area(sides, rows[::-1]))
    assert one is not None and other is not None  # noqa: PT018
    np.testing.assert_allclose(one.keep, other.keep, atol=1e-9)
