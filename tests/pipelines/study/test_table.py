from __future__ import annotations

from dataclasses import replace
from math import nan

from pipelines.study.comparisons import compare
from pipelines.study.load import parse_study
from pipelines.study.results import summarise
from pipelines.study.table import differences, markdown, table
from tests.pipelines.study.test_comparisons import FOUND
from tests.pipelines.study.test_load import TEXT
from tests.pipelines.study.test_results import figures

LINES = summarise(figures({"plain": {0: [10.0, 20.0], 1: [12.0, 22.0]}, "coco": {0: [30.0, 40.0], 1: [30.0, 44.0]}}))


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
        ["from", "to", "network", "SAD", "95 %", "smaller on", "p", "p, Holm", "so"],
        ["a", "b", "TT", "-2.00", "[-3.50, -0.50]", "8 of 9 images", "0.01", "0.02", "b is better"],
    ]
    unknown = replace(FOUND, interval=(nan, nan), p=nan, corrected=1.0)
    assert differences([unknown])[1][4:8] == ["-", "8 of 9 images", "-", "1"]


def test_the_text_is_whole() -> None:
    study = parse_study(TEXT, "mine")
    text = markdown(study, LINES, compare(LINES, [("plain", "coco")]), ["compose-plain: 12 rows"])
    assert text.startswith("# mine\n\n| trained on | network |")
    assert "mean ± standard deviation over 2 seeds." in text
    assert (
        "| plain | coco | TT | +20.00 | [+14.49, +25.51] | 0 of 2 images | 0.0014 | 0.0014 | plain is better |" in text
    )
    assert text.endswith("\n* compose-plain: 12 rows\n")
