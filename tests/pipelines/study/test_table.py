from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

from pipelines.study.comparisons import SetResult, compare
from pipelines.study.correlation import Measured
from pipelines.study.load import parse_study
from pipelines.study.parts import EvaluationSet
from pipelines.study.results import summarise
from pipelines.study.table import differences, markdown, meter_words, table
from rssn.gap.pairs import Estimate
from tests.pipelines.study.test_comparisons import FOUND
from tests.pipelines.study.test_load import TEXT
from tests.pipelines.study.test_results import figures

LINES = summarise(figures({"plain": {0: [10.0, 20.0], 1: [12.0, 22.0]}, "coco": {0: [24.0, 46.0], 1: [26.0, 48.0]}}))


def test_the_columns_are_the_papers_and_its_figures_stand_beside() -> None:
    rows = table(LINES, {"coco": {"TT": {"sad": 46.16}}, "plain": {"FT": {"sad": 1.0}}})
    assert rows[0] == ["trained on", "network", "SAD", "MSE", "MAD", "Grad", "Conn", "SAD-TRAN", "SAD-FG", "SAD-BG"]
    assert rows[1][:4] == ["plain", "TT", "16.00 ± 1.41", "1.6000 ± 0.1414"]
    assert rows[2][2] == "36.00 ± 1.41 [46.16]"


def test_a_protocol_without_the_last_columns_has_none() -> None:
    few = [
        {k: v for k, v in each.items() if k != "sad_tran"} | {"sad_tran": None} for each in figures({"a": {0: [1.0]}})
    ]
    assert "SAD-TRAN" not in table(summarise(few), {})[0]


def test_differences_say_what_may_be_claimed() -> None:
    assert differences([FOUND]) == [
        ["from", "to", "network", "mean SAD", "change", "95 %", "smaller on", "p", "p, Holm", "so"],
        ["a", "b", "TT", "-2.00", "-30%", "[-50%, -10%]", "8 of 9 images", "0.01", "0.02", "b is better"],
    ]
    unknown = replace(FOUND, interval=(nan, nan), p=nan, corrected=1.0)
    assert differences([unknown])[1][5:9] == ["-", "8 of 9 images", "-", "1"]


MEASURED = {
    "plain": Measured(Estimate(0.87, 0.8, 0.9), Estimate(0.825, 0.7, 0.9), Estimate(0.853, 0.7, 1.0)),
    "coco": Measured(Estimate(0.99, 0.9, 1.0), Estimate(0.825, 0.7, 0.9), Estimate(0.992, 0.9, 1.0)),
}


def test_the_meters_figures_stand_last_where_a_row_has_them() -> None:
    rows = table(LINES, {}, {"coco": MEASURED["coco"]})
    assert [row[-2:] for row in rows] == [
        ["cue strength", "distance"], ["-", "-"], ["0.990 [0.900, 1.000]", "0.992 [0.900, 1.000]"]
    ]  # fmt: skip
    assert table(LINES, {}, {}) == table(LINES, {})


def test_what_the_meter_says_of_the_rows() -> None:
    assert meter_words(result()) == ""
    two = replace(result(), measured=MEASURED)
    assert "0.825 is the\nphotographs' cue strength" in meter_words(two)
    assert meter_words(two).endswith("Too few rows for a rank correlation.")
    third = summarise(figures({"blur": {0: [20.0, 30.0], 1: [20.0, 30.0]}}))
    middle = Measured(Estimate(0.9, 0.8, 1.0), Estimate(0.825, 0.7, 0.9), Estimate(0.9, 0.8, 1.0))
    three = replace(two, lines=[*LINES, *third], measured=MEASURED | {"blur": middle})
    assert "SAD and distance, 3 rows of TT: rho +1.00, p 0.33; of 3 rows no rho gives a p below 0.05." in meter_words(
        three
    )
    assert meter_words(replace(three, tested=False)).endswith(
        "SAD and distance of cue strength from its target, 3 rows of TT: rho +1.00."
    )
    assert meter_words(three) in markdown(parse_study(TEXT, "mine"), [three], [])


def result(**about: Any) -> SetResult:
    name = about.pop("name", "")
    tested = about.pop("tested", True)
    return SetResult(name, EvaluationSet(data="there", **about), tested, LINES, compare(LINES, [("plain", "coco")]), {})


def test_the_text_is_whole() -> None:
    text = markdown(parse_study(TEXT, "mine"), [result()], ["compose-plain: 12 rows"])
    assert text.startswith("# mine\n\n| trained on | network |")
    assert "mean ± standard deviation over 2 seeds." in text
    assert "| plain | coco | TT | +20.00 | +126% | [+37%, +273%] | 0 of 2 images | 0.025 | 0.025 | plain" in text
    assert text.endswith("\n* compose-plain: 12 rows\n")


def test_the_design_is_told_before_the_figures() -> None:
    design = "design: {date: '2026-11-30', pilot: small/, difference: 0.25, seeds: 2, photographs: 9, power: 0.81, "
    design += "cautious: 0.4}\n"
    text = markdown(parse_study(TEXT + design, "mine"), [result()], [])
    assert text.startswith(
        "# mine\n\n## Design\n\n* written before the data were seen: 2026-11-30\n* by the spread of: small/\n"
        "* looked for: a SAD that is smaller by 25%\n* by: 2 seeds and 9 photographs\n"
        "* power: 0.81; 0.40 with all spreads at the upper end of their intervals\n\n|"
    )


def test_sets_are_reported_apart_and_one_is_tested() -> None:
    results = [
        result(name="new", note="Kept apart."),
        result(name="old", tuned="crops and\n rates", tested=False),
        result(name="made", predicted=True, tested=False),
    ]
    study = parse_study(TEXT + "paper: {plain: {TT: {sad: 25.19}}}\n", "mine")
    new, old, made = markdown(study, results, []).split("\n## ")[1:]
    assert new.startswith("new: 2 photographs, tested\n\nKept apart.\n\n|")
    assert old.startswith("old: 2 photographs, described\n\nChosen on these photographs: crops and rates\n\n|")
    assert "The mattes are a network's, not true ones" in made
    assert ["plain is better" in each for each in (new, old, made)] == [True, False, False]
    assert ["[25.19]" in each for each in (new, old, made)] == [True, False, False]
    assert "| plain | coco | TT | +20.00 | +126% | [+37%, +273%] | 0 of 2 images |\n" in old
    assert "Nothing is tested here" in old
