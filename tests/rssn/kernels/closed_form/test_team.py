"""A team of which one fails: the others come to an end."""

from __future__ import annotations

import pytest

from rssn.kernels.closed_form.team import Team, make_team, meet, own_strips, released
from rssn.kernels.threads import sharing


def test_all_wait_for_all_and_strips_are_dealt_out() -> None:
    team, seen = make_team(3), list[int]()

    def work(me: Team) -> int:
        for _ in range(50):
            seen.append(me.me)
            meet(me)
            assert len(seen) % 3 == 0
            meet(me)
        return int(me.mine[0])

    with sharing(3) as each:
        assert each(work, team) == [100, 100, 100]
    assert [own_strips(me, 4) for me in team] == [(0, 1), (1, 2), (2, 4)]


@pytest.mark.parametrize("failing", [0, 1])
def test_nobody_waits_for_one_that_fails(failing: int) -> None:
    def work(me: Team) -> None:
        with released(me):
            if me.me == failing:
                raise OSError("no space left on device")
            for _ in range(3):
                meet(me)

    with sharing(2) as each, pytest.raises(OSError, match="no space left"):
        each(work, make_team(2))


def test_nobody_waits_for_one_that_never_began() -> None:
    team = make_team(2)
    with sharing(2) as each, pytest.raises(KeyboardInterrupt):
        each(lambda hand: _stop_the_rest(team) if hand else meet(team[0]), range(2))


def _stop_the_rest(team: list[Team]) -> None:
    with released(team[0]):
        raise KeyboardInterrupt
