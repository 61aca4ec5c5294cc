from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bg20k.evidence import BOTH, DETECTOR
from bg20k.objects import VIEWS, Detection
from bg20k.saliency import Saliency
from tests.benchmarks.bench_salient import EVIDENCE, Labelled, Problem, lines, table


def photo(number: int, salient: bool, confidence: float, group: str | None = None) -> Labelled:
    label = "boat" if number % 3 == 0 else "cat"
    boxes = [Detection(label, confidence, (0.2, 0.2, 0.7, 0.7), view) for view in VIEWS]
    part = Saliency(0.5 + 0.1 * salient + 0.05 * (number % 5), 0.2, 0.9)
    return Labelled(f"set{number % 2}", f"{number}.jpg", group or f"g{number}", salient, boxes, part)


@pytest.fixture
def photos() -> Sequence[Labelled]:
    """10 salient and 14 clean photographs; some of each kind overlap, and two clean ones are copies."""
    rng = np.random.default_rng(0)
    cats = [photo(n, True, float(c)) for n, c in enumerate(np.r_[rng.uniform(0.5, 0.9, 7), 0.1, 0.15, 0.2])]
    seas = [photo(20 + n, False, float(c)) for n, c in enumerate(np.r_[rng.uniform(0, 0.1, 9), 0.2, 0.3, 0.4])]
    return [*cats, *seas, photo(60, False, 0.05, "copies"), photo(62, False, 0.05, "copies")]


def test_copies_weigh_as_much_as_one(photos: Sequence[Labelled]) -> None:
    problem = Problem.of(photos, EVIDENCE[DETECTOR])
    assert problem.x.shape == (24, 2)
    assert problem.weights[-2:].tolist() == [0.5, 0.5]
    assert problem.weights.sum() == 23.0


def test_a_group_is_judged_by_a_fit_without_it(photos: Sequence[Labelled]) -> None:
    problem = Problem.of(photos, EVIDENCE[DETECTOR])
    p = problem.held_out(problem.groups)
    rest = problem.take(problem.groups != "copies")
    expected = rest.fit(rest.choose()).predict_proba(problem.x[-2:])[:, 1]
    np.testing.assert_allclose(p[-2:], expected)


def test_rates_and_curve_count_what_reaches_the_limit() -> None:
    problem = Problem.of([photo(n, n < 2, 0.5) for n in range(6)], EVIDENCE[DETECTOR])
    p = np.array([0.9, 0.3, 0.5, 0.2, 0.1, 0.0])
    rates = problem.rates(p, 0.3)
    assert (rates["recall"], rates["lost"]) == (1.0, 0.25)
    assert rates["lost_range"] == pytest.approx((0.0456, 0.6994), abs=1e-3)
    assert problem.curve(p) == [(0.0, 0.0), (0.0, 0.5), (0.25, 1.0)]


@pytest.mark.slow
def test_the_table_and_its_report_name_what_was_found(photos: Sequence[Labelled]) -> None:
    made = table(photos, ["a.onnx"])
    assert made["photographs"] == {"set0, clean": 8, "set0, salient": 5, "set1, clean": 6, "set1, salient": 5}
    assert list(made["fits"][BOTH]["weights"]) == ["creature", "thing", "region"]
    said = list(lines(photos))
    assert said[0] == "rejected from a probability of 0.091 on (one salient for 10 clean)"
    assert "  all, one group held out: recall " in said[2]
    assert any(line.startswith("lost with a detector alone: ") for line in said)
