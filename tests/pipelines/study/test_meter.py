"""A study's step that measures a row: several sets of composites as one."""

from __future__ import annotations

from itertools import chain, groupby
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

from pipelines.gap.job import run_gap
from pipelines.gap.result import GapJob
from pipelines.gap.sources import Joined, open_set
from pipelines.study.correlation import read_measured
from pipelines.study.jobs import KINDS
from pipelines.study.steps import Plan, Step
from rssn.errors import InputError
from tests.pipelines.gap.test_gap import GROUPS, rows, write_set
from tests.rssn.gap.fewer import fit_fewer


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_fewer(monkeypatch, DEALS=5)


def halves(root: Path, noise: float, k: int) -> tuple[Path, Path]:
    """Two sets of three foregrounds each."""
    groups = [list(each) for _, each in groupby(rows(noise, k), lambda row: row["foreground_id"])]
    first, second = (list(chain.from_iterable(groups[start : start + 3])) for start in (0, 3))
    return write_set(root / "first", first), write_set(root / "second", second)


def test_several_sets_are_measured_as_one(tmp_path: Path) -> None:
    composed, real = halves(tmp_path / "composed", 6, 2), halves(tmp_path / "real", 0, 1)
    step = Step("gap", "plain", {"composed": tuple(map(str, composed)), "real": tuple(map(str, real))})
    with KINDS["gap"].reading(step.given(tmp_path)) as given:
        KINDS["gap"].run(given)
    [found] = read_measured(Plan([step], [], {"plain": step}), tmp_path).values()
    whole = open_set(write_set(tmp_path / "whole", rows(6, 2)), 500)
    photographs = open_set(write_set(tmp_path / "photographs", rows(0, 1)), 500)
    expected = run_gap(GapJob({"whole": whole}, photographs, tmp_path / "gap")).gap
    assert found.strength.value == pytest.approx(expected.sets[0].strength.value)
    assert found.distance.value == pytest.approx(expected.sets[0].distance.area.value)
    assert found.target.value == pytest.approx(expected.strength.value)
    assert found.distance.value > 0.8
    assert (step.out(tmp_path) / "gap.html").is_file()


def test_joined_sets_are_the_sum_of_their_parts(tmp_path: Path) -> None:
    places = halves(tmp_path, 6, 2)
    joined = Joined(tuple(open_set(place, 500) for place in places))
    whole = open_set(write_set(tmp_path / "whole", rows(6, 2)), 500)
    assert joined.chosen == whole.chosen
    assert (joined.recipe, joined.compressed, joined.place) == (whole.recipe, whole.compressed, places[0])
    names = [name for name, _ in joined.pictures()]
    assert names == [name for name, _ in whole.pictures()]
    assert joined.caption(names[-1]) == whole.caption(names[-1])
    assert (joined.load(names[-1])[1] == whole.load(names[-1])[1]).all()


def test_too_few_foregrounds_are_refused(tmp_path: Path) -> None:
    places = halves(tmp_path, 6, 2)
    given = {"composed": [str(places[0])], "real": list(map(str, places)), "out": str(tmp_path / "out")}
    assert GROUPS == 6
    with (
        KINDS["gap"].reading(given) as job,
        pytest.raises(InputError, match="3 foregrounds can be measured, the meter"),
    ):
        KINDS["gap"].run(job)
