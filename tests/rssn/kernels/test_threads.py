"""Threads of one picture: all of them work, or none does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from rssn.errors import InputError
from rssn.kernels.bm3d.native import bm3d
from rssn.kernels.closed_form.native import solve
from rssn.kernels.threads import sharing
from rssn.route.foreground_tiles import Tiling, foreground_colours


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_items_keep_their_order(threads: int) -> None:
    with sharing(threads) as each:
        assert each(lambda item: -item, range(7)) == [0, -1, -2, -3, -4, -5, -6]


def test_as_many_items_as_threads_are_worked_on_at_once() -> None:
    meeting = threading.Barrier(3, timeout=60)
    with sharing(3) as each:
        assert sorted(each(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


IMAGE = np.random.default_rng(1).random((400, 700, 3), dtype=np.float32)
WORK = {
    "closed form": lambda threads: solve(IMAGE, IMAGE[..., 0].copy(), 1e-5, threads),
    "BM3D": lambda threads: bm3d(IMAGE, 0.04, threads),
    "tiles": lambda threads: foreground_colours(
        (255 * IMAGE).astype(np.uint8), (255 * IMAGE[..., 0]).astype(np.uint8), Tiling(10_000, 128, 16), threads=threads
    ),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_threads_that_the_system_does_not_grant_are_said_and_not_waited_for(
    work: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, left = threading.Thread.start, [1]

    def grant_one(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", grant_one)
    with pytest.raises(InputError, match=r"^2 threads cannot be started; give a smaller number \(can't start new"):
        work(2)
    work(1)  # takes none but the caller's
