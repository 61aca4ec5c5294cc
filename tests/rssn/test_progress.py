from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator

import pytest

from rssn.progress import EVERY_SECONDS, Progress, progressing


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("rssn.progress.time", clock)
    return clock


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was said since the last call."""
    return lambda: capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_half_minute_the_first_at_once_and_a_last_one(
    clock: Clock, log: Callable[[], str]
) -> None:
    with Progress(700, "rows") as progress:
        for number in range(1, 701):
            clock.now += 0.125
            progress.reach(number, f"{number % 2} rejected")
    assert log().splitlines() == [
        "1 of 700 rows (0 %), 1 rejected",  # too early for a rate
        "241 of 700 rows (34 %), 8 rows/s, 1 rejected, 00:57 left",
        "481 of 700 rows (68 %), 8 rows/s, 1 rejected, 00:27 left",
        "700 of 700 rows (100 %), 8 rows/s, 0 rejected, 01:27 in all",
    ]


def test_ten_thousand_steps_are_a_hundred_lines(clock: Clock, log: Callable[[], str]) -> None:
    """Of 0.3 s each; a bar that is drawn for each would fill megabytes."""
    with Progress(10_000, "steps") as progress:
        for step in range(1, 10_001):
            clock.now += 0.3
            progress.reach(step, f"loss {1 / step:.4f}, 13.3 samples/s, 2 % waiting for data")
    text = log()
    assert text.count("\n") == 10_000 * 0.3 / EVERY_SECONDS + 1
    assert len(text) < 12_000
    assert "\r" not in text


def test_what_was_done_before_and_a_slow_start_count_for_no_rate(clock: Clock, log: Callable[[], str]) -> None:
    with Progress(100, "steps") as progress:
        clock.now += 500
        progress.begin(60, spent=4.0)
        progress.reach(61)
        for _ in range(2):
            clock.now += 40
            progress.advance(10)
    assert log().splitlines() == [
        "61 of 100 steps (61 %), 4 s each, 02:36 left",
        "71 of 100 steps (71 %), 4 s each, 01:56 left",
        "81 of 100 steps (81 %), 4 s each, 01:16 left",
    ]


def test_the_rate_is_that_of_the_last_minutes(clock: Clock, log: Callable[[], str]) -> None:
    with Progress(1000, "photos") as progress:
        for each in [1.0] * 100 + [10.0] * 100:
            clock.now += each
            progress.advance()
    assert log().splitlines()[-1] == "200 of 1000 photos (20 %), 10 s each, 2:13:20 left"


def test_a_total_may_come_later_or_never(clock: Clock, log: Callable[[], str]) -> None:
    with Progress(None, "photos", "judging") as progress:
        progress.expect(4)
        for _ in range(4):
            progress.advance()
    with Progress(None, "photos") as progress:
        progress.advance(3)
    assert log().splitlines() == [
        "judging: 1 of 4 photos (25 %)",
        "judging: 4 of 4 photos (100 %), 00:00 in all",
        "3 photos",
    ]


def test_what_does_not_stay_says_something_only_where_it_takes_long(clock: Clock, log: Callable[[], str]) -> None:
    assert list(progressing("abc", 3, "files", "inputs: bg")) == ["a", "b", "c"]
    assert log() == ""

    def slow() -> Iterator[str]:
        for each in "abc":
            clock.now += 20
            yield each

    assert list(progressing(slow(), 3, "files", "inputs: bg")) == ["a", "b", "c"]
    assert log() == "inputs: bg: 2 of 3 files (66 %), 20 s each, 00:20 left\n"


def test_nothing_done_is_nothing_said(clock: Clock, log: Callable[[], str]) -> None:
    with Progress(5, "rows"):
        pass
    with Progress(5, "rows", silent=True) as progress:
        progress.reach(5)
    assert log() == ""


def test_work_that_fails_leaves_its_last_state(clock: Clock, log: Callable[[], str]) -> None:
    def fail() -> None:
        with Progress(5, "rows") as progress:
            for _ in range(3):
                progress.advance()
            raise ValueError("the fourth")

    with pytest.raises(ValueError, match="the fourth"):
        fail()
    assert log().splitlines()[-1] == "3 of 5 rows (60 %)"


def test_a_terminal_has_a_bar_and_lines_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress(40, "steps") as progress:
        progress.begin(20, 1.0)
        progress.reach(21, "loss 0.5000")
        progress.say("validation: three failed")
        progress.say("a.png", sys.stdout)
        progress.reach(40, "loss 0.2500")
    drawn = terminal.getvalue()
    assert "\r" in drawn
    assert drawn.split("\r")[-1].startswith("100%|")
    assert "| 40/40 [" in drawn
    assert "loss 0.2500" in drawn
    assert "validation: three failed\n" in drawn
    assert capsys.readouterr().out == "a.png\n"
    assert " (100 %)" not in drawn
