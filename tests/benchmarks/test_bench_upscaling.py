from __future__ import annotations

import numpy as np

from tests.benchmarks.bench_upscaling import Sample, Way, fitted, judged, lines

FACTORS = (1.25, 1.5, 1.75, 2.0, 3.0, 4.0)


def samples() -> list[Sample]:
    """Enlarged ones have a first trace that is 3 higher."""
    rng = np.random.default_rng(0)
    ways = [Way("as is", base="photos"), Way("as is", base="crawl")]
    ways += [Way(kind) for kind in ("clean", "shrunk", "defocused", "sharpened")]
    ways += [Way("enlarged", factor, "opencv cubic", None, 75, "crop") for factor in FACTORS]
    return [
        Sample(way, f"{group}.jpg", False, rng.normal(3.0 * (way.kind == "enlarged"), (0.1, 1.0)))
        for group in range(12)
        for way in ways
    ]


def test_the_fitted_rule_is_a_logistic_regression_on_traces_as_they_are() -> None:
    found = samples()
    weights, bias = fitted(found)
    scores = np.array([one.traces @ np.array(weights) + bias for one in found])
    assert ((scores > 0) == [one.way.kind == "enlarged" for one in found]).all()
    assert abs(weights[0]) > abs(weights[1])


def test_photographs_are_judged_by_rules_that_have_not_seen_them() -> None:
    found = samples()
    scores = judged(found)
    printed = list(lines(found, scores))
    assert printed[0] == "144 pictures of 12 photographs, limit 0.76"
    assert "false, crawl as they are: 0.000 of 12" in printed
    assert "found, 1.5 times: 1.000 of 12" in printed
    assert "    quality 75: 1.000 of 12" in printed
