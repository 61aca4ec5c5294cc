"""How large a difference a study finds, by the spread of a finished one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy
from click.testing import CliRunner

from pipelines.study.command import study as command
from pipelines.study.pilot import read_pilot
from pipelines.study.power import POWER, STUDIES, Component, Size, Spread, power
from pipelines.study.report import write_figures
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError
from rssn.storage.files import write_parquet
from tests.pipelines.study.test_load import TEXT
from tests.pipelines.study.test_results import figures

TRAININGS, ROWS, BOTH, PHOTOGRAPHS = 0.08, 0.12, 0.06, 0.4


def kind(rows: int, photographs: int, seeds: int, seed: int = 0) -> np.ndarray:
    """Logarithms of SAD of rows with one kind of network; R x P x S."""
    dice = np.random.default_rng(seed)
    return (
        4.0
        + PHOTOGRAPHS * dice.standard_normal((1, photographs, 1))
        + ROWS / np.sqrt(2) * dice.standard_normal((rows, photographs, 1))
        + TRAININGS * dice.standard_normal((rows, 1, seeds))
        + BOTH * dice.standard_normal((rows, photographs, seeds))
    )


def exactly(value: float) -> Component:
    return Component(value**2, value**2, value**2, 1)


def spread(trainings: float, rows: float = 0.0, both: float = 0.0, photographs: int = 9) -> Spread:
    return Spread(
        exactly(trainings), exactly(rows), exactly(both), 0.0, np.ones((1, photographs)), np.ones(photographs)
    )


def finished(folder: Path, seeds: int = 3, photographs: int = 9) -> Path:
    """A finished study's figures, as it writes them, and what its steps left of themselves."""
    values = np.exp(kind(3, photographs, seeds))
    rows = {
        name: {seed: each[:, seed].tolist() for seed in range(seeds)}
        for name, each in zip(("plain", "blur", "rssn"), values, strict=True)
    }
    write_figures(folder, figures(rows))
    times = {f"train-plain-tt-{number}": 540 + 120 * (number % 2) for number in range(3 * seeds - 1)}
    for name, seconds in (times | {"train-plain-tt-last": 600, "eval-plain-tt-0-3": 30}).items():
        (folder / "steps" / name).mkdir(parents=True)
        (folder / "steps" / name / "step.json").write_text(json.dumps({"seconds": seconds}))
    return folder


def test_components_are_found_again() -> None:
    found = Spread.of([kind(4, 150, 100), kind(2, 150, 100, seed=1)])
    roots = [np.sqrt(each.value) for each in (found.trainings, found.rows, found.both)]
    assert roots == pytest.approx([TRAININGS, ROWS, BOTH], rel=0.1)
    assert np.sqrt(found.photographs) == pytest.approx(np.hypot(PHOTOGRAPHS, ROWS / np.sqrt(2)), rel=0.1)
    assert (found.trainings.freedom, found.rows.freedom, found.both.freedom) == (6 * 99, 4 * 149, 6 * 149 * 99)
    assert np.mean(found.shapes**2) == pytest.approx(1)
    assert found.shapes.mean(1) == pytest.approx(np.zeros(7), abs=1e-12)
    assert found.weights.mean() == pytest.approx(1)


def test_intervals_hold_in_four_of_five_pilots() -> None:
    held = [
        each.low <= TRAININGS**2 <= each.high for each in (Spread.of([kind(2, 9, 3, n)]).trainings for n in range(300))
    ]
    assert np.mean(held) == pytest.approx(0.8, abs=0.07)


def test_without_photographs_it_is_the_power_of_students_t() -> None:
    seeds, change = 10, np.array([0.04, 0.1, 0.15])
    found = power(spread(trainings=0.08), (9, seeds), change, comparisons=1)
    freedom, centre = 2 * (seeds - 1), -np.log(1 - change) / (0.08 * np.sqrt(2 / seeds))
    expected = scipy.stats.nct.sf(scipy.stats.t.isf(0.025, freedom), freedom, centre)
    assert found.found == pytest.approx(expected, abs=0.03)
    assert found.mistaken == pytest.approx(0.05, abs=0.012)


def test_the_least_difference_is_found_in_four_of_five() -> None:
    here = Spread.of([kind(3, 9, 3)])
    least = power(here, (18, 6), np.array([0.1]), 4).least
    again = power(here, (18, 6), np.array([least]), 4)
    assert again.found.tolist() == [pytest.approx(POWER, abs=2 / STUDIES)]
    assert again.least == least


def test_more_seeds_photographs_and_care_change_the_power() -> None:
    change = np.array([0.1])
    here = Spread.of([kind(3, 9, 4)])
    base = power(here, (9, 4), change, 1).found
    more = power(here, (9, 12), change, 1).found
    assert more > base + 0.05
    assert power(here, (36, 12), change, 1).found > more + 0.05
    assert power(here, (9, 4), change, 5).found < base
    assert power(here.cautious, (9, 4), change, 1).found < base


def test_photographs_keep_their_tails() -> None:
    """One of nine carries the difference: a difference of others is often found where there is none."""
    shapes = np.array([[8.0, *[-1.0] * 8]]) / np.sqrt(8)
    one = Spread(exactly(0.002), exactly(0.1), exactly(0.0), 0.0, shapes, np.ones(9))
    assert power(one, (9, 5), np.array([0.1]), 1).mistaken > 0.2


def test_a_pilot_is_read_as_a_study_writes_it(tmp_path: Path) -> None:
    pilot = read_pilot(finished(tmp_path))
    assert (pilot.shape, pilot.trainings, pilot.comparisons, pilot.minutes) == ((9, 3), 3, 3, 10.5)
    assert pilot.kinds[0] == pytest.approx(kind(3, 9, 3))
    assert Size(9, 5, 2).hours(5, 10.5) == pytest.approx(23 * 10.5 / 60)


def test_of_a_pilot_with_sets_the_first_counts(tmp_path: Path) -> None:
    one = finished(tmp_path / "one")
    rows = list(iter_rows(one / "per_image.parquet"))
    shutil.copytree(one, tmp_path / "two")
    write_figures(tmp_path / "two", [*rows, *({**each, "set": "old", "sad": 0.0} for each in rows)])
    assert read_pilot(tmp_path / "two").lines == read_pilot(one).lines


def test_the_command_prints_the_table(tmp_path: Path) -> None:
    finished(tmp_path / "pilot")
    said = CliRunner().invoke(command, ["--power", str(tmp_path / "pilot"), "--workers", "0"])
    assert said.exit_code == 0, said.output
    assert "9 photographs, 3 seeds, 3 rows" in said.output
    assert (
        "p < 0.017: 3 comparisons, the first step of Holm's correction\n3 trainings a seed, 1 at a time" in said.output
    )
    assert sum(line.split()[:1] in (["9"], ["18"], ["36"]) for line in said.output.splitlines()) == 3 * 8
    assert "NOTE: 3 seeds a row are few: trainings may spread " in said.output
    (tmp_path / "mine.yaml").write_text(TEXT.replace("seeds:", "compare: [[plain, real]]\nseeds:"))
    planned = CliRunner().invoke(
        command, [str(tmp_path / "mine.yaml"), "--power", str(tmp_path / "pilot"), "--workers", "0"]
    )
    assert "p < 0.05: 1 comparisons" in planned.output, planned.output
    one_row = "".join(line for line in TEXT.splitlines(keepends=True) if not line.startswith(("  coco", "  real")))
    (tmp_path / "one.yaml").write_text(one_row)
    alone = CliRunner().invoke(command, [str(tmp_path / "one.yaml"), "--power", str(tmp_path / "pilot")])
    assert str(alone.exception).endswith(
        "one.yaml: one row, which is compared with nothing; give a study of two or more"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--power", "pilot", "--out", "o"], "--out has no effect here: --power makes nothing"),
        (["--power", "pilot", "--input", "a=b"], "--input has no effect here"),
        (["--power", "pilot", "--dry-run"], "--dry-run has no effect here"),
        (["--out", "o"], "give STUDY, too; or --power PILOT"),
        (["demo"], "give --out, too; or --power PILOT"),
    ],
)
def test_options_without_effect_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    finished(tmp_path / "pilot")
    said = CliRunner().invoke(command, words)
    assert isinstance(said.exception, InputError)
    assert message in str(said.exception)


def test_what_is_no_pilot_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no figures in it; give the --out of a finished rssn study"):
        read_pilot(tmp_path)
    file = finished(tmp_path / "file") / "per_image.parquet"
    with pytest.raises(InputError, match=r"per_image.parquet: .*; give the --out of a finished rssn study, whole"):
        read_pilot(file)
    write_parquet(tmp_path / "eval" / "per_image.parquet", pa.schema([("name", pa.string())]), [{"name": "a"}])
    with pytest.raises(InputError, match=r"eval: .*give the --out of a finished rssn study, whole"):
        read_pilot(tmp_path / "eval")
    shutil.rmtree(file.parent / "steps")
    with pytest.raises(InputError, match="no times of trainings and evaluations in it"):
        read_pilot(file.parent)
    with pytest.raises(InputError, match="9 photographs, 1 seeds and 1 kinds of network with two rows; a spread takes"):
        read_pilot(finished(tmp_path / "one", seeds=1))
