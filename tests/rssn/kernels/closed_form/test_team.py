"""Threads of one picture: all of them work, or none does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.kernels.closed_form.native import solve
from rssn.kernels.closed_form.team import sharing


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_items_keep_their_order(threads: int) -> None:
    with sharing(threads) as each:
        assert each(lambda item: -item, range(7)) == [0, -1, -2, -3, -4, -5, -6]


def test_as_many_items_as_threads_are_worked_on_at_once() -> None:
    meeting = threading.Barrier(3, timeout=60)
    with sharing(3) as each:
        assert sorted(each(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


@pytest.mark.timeout(60)
def test_threads_that_the_system_does_not_grant_are_said_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, [2]

    def grant_two(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    rng = np.random.default_rng(1)
    image, alpha = rng.random((400, 200, 3), dtype=np.float32), rng.random((400, 200), dtype=np.float32)
    monkeypatch.setattr(threading.Thread, "start", grant_two)
    with pytest.raises(InputError, match=r"^4 threads cannot be started; give a smaller number \(can't start new"):
        solve(image, alpha, 1e-5, threads=4)
