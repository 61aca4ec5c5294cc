from __future__ import annotations

import numpy as np

from tests.benchmarks.bench_review import Simulated, line, needed
from tests.benchmarks.test_bench_salient import photo


def test_needed_is_the_count_from_which_on_it_is_right_enough() -> None:
    assert needed([3, 2, 2, 1, 0]) == 4  # of 4 photographs: none may be wrong
    assert needed([0, 0]) == 0
    assert needed([1] * 101) == 0


def test_both_orders_end_with_nothing_wrong() -> None:
    scores = np.r_[np.full(20, 0.9), np.full(20, 0.04), np.full(60, 0.01)]
    crawl = Simulated.of([photo(n, n < 30, 0.5) for n in range(100)], scores)
    fixed, learning = crawl.fixed(), list(crawl.learning())
    assert fixed[0] == learning[0][0] == 10
    assert len(fixed) == len(learning) == 101
    assert fixed[-1] == learning[-1][0] == 0
    assert not any(enough for _, enough in learning[:50])
    assert learning[-1][1]
    assert "100 photographs, 10 wrong; 99 % right after " in line("x", crawl)
