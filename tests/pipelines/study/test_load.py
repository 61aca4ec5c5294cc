from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.study.load import load_study, parse_study, shipped
from pipelines.study.parts import BackgroundSet
from rssn.errors import InputError

TEXT = """
name: mine
inputs: {data: some/where}
foregrounds: $data/matting
backgrounds:
  bg: {curate: $data/photos, options: {min-side: 384}}
  crops: {crops: bg}
rows:
  plain: {recipe: comp-bg20k, backgrounds: bg}
  coco: {recipe: comp-coco, backgrounds: crops, options: {k: 2}}
  real: {}
network: {backbone: tiny, options: {max-steps: 4}}
seeds: [0, 1]
evaluation: {data: $data/eval}
"""


def refused(old: str, new: str) -> str:
    """What is said of the study with some words replaced."""
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        parse_study(TEXT.replace(old, new), "mine.yaml")
    return str(caught.value)


def test_a_study_is_what_its_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = parse_study(TEXT, "mine.yaml")
    assert study.foregrounds == (f"{tmp_path}/some/where/matting",)
    assert study.backgrounds["bg"] == BackgroundSet(curate=f"{tmp_path}/some/where/photos", options={"min-side": 384})
    assert study.rows["coco"].options == {"k": 2}
    assert study.rows["real"].recipe is None
    assert (study.network.trained, study.seeds) == (("TT",), (0, 1))
    named = parse_study(TEXT.replace("backbone: tiny", "backbone: tiny, rosta: [tt, Bt]"), "mine.yaml")
    assert named.network.trained == ("TT", "BT")
    assert list(study.pairs) == [("plain", "coco"), ("plain", "real"), ("coco", "real")]


def test_an_input_may_lie_elsewhere() -> None:
    assert parse_study(TEXT, "mine.yaml", ["data=/other"]).evaluation.data == "/other/eval"
    with pytest.raises(InputError, match=r"mine.yaml: --input date=/x: give NAME=PATH; the study's inputs are data"):
        parse_study(TEXT, "mine.yaml", ["date=/x"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max-steps: 4", "max-step: 4", "'network.options.max-step': there is no such option; there are .*max-steps"),
        ("min-side: 384", "side: 384", "'backgrounds.bg.options.side': there is no such option; there are .*min-side"),
        ("seeds: [0, 1]", "seed: 1", "unknown key 'seed'; known here: about, backgrounds, compare"),
        ("seeds: [0, 1]", "", "the key 'seeds' is missing"),
        ("seeds: [0, 1]", "seeds: [a]", r"seeds\[0\] is 'a'; expected a whole number"),
        ("backbone: tiny, ", "", "the key 'network.backbone' is missing"),
        ("crops: bg}", "crops: other}", "'backgrounds.crops.crops' is 'other'; give the name of a set with curate"),
        ("crops: bg}", "crops: bg, take: x}", "'backgrounds.crops': give one of take, curate and crops"),
        ("backgrounds: bg}", "backgrounds: none}", "'rows.plain.backgrounds' is 'none'; the sets are bg, crops"),
        ("  real: {}", "  Real: {}", "'rows.Real': use lower-case letters, digits and dashes"),
        ("  real: {}", "  real: 3", "rows.real is 3; expected a mapping"),
        ("$data/eval", "$date/eval", r"'\$date/eval': names no input; the study's inputs are data"),
        ("seeds:", "compare: [[plain, fancy]]\nseeds:", r"'compare' holds \['plain', 'fancy'\]; give pairs of rows"),
        (
            "seeds:",
            "paper: {plain: {TT: {SAD: 1}}}\nseeds:",
            "'paper.plain': give .*; rows are plain, coco, real, networks TT, columns sad, mse",
        ),
        ("name: mine", "name: mine\nname: yours", "the key 'name' occurs twice"),
    ],
)
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    said = refused(old, new)
    assert re.search(message, said)
    assert said.startswith("mine.yaml: ")


def test_paths_are_absolute_for_a_worker_stands_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = parse_study(
        """
name: mine
synthetic: synthetic
foregrounds: [one, /two]
backgrounds: {a: {take: coco}, b: {curate: photos}}
rows:
  shipped: {recipe: comp-coco, backgrounds: a}
  own: {recipe: own.yaml, backgrounds: b, training: {weights: row.pth, keep: 1}}
  bare: {training: {weights: }}
network: {backbone: r34, weights: r34.pth}
seeds: 3
evaluation: {data: judged}
""",
        "mine.yaml",
    )
    assert study.foregrounds == (f"{tmp_path}/one", "/two")
    assert [study.backgrounds["a"].take, study.backgrounds["b"].curate] == [f"{tmp_path}/coco", f"{tmp_path}/photos"]
    assert [row.recipe for row in study.rows.values()] == ["comp-coco", f"{tmp_path}/own.yaml", None]
    assert study.rows["own"].training == {"weights": "row.pth", "keep": 1}
    assert study.rows["bare"].training == {"weights": None}
    assert (study.network.weights, study.evaluation.data) == (f"{tmp_path}/r34.pth", f"{tmp_path}/judged")
    assert (study.synthetic, study.seeds) == (f"{tmp_path}/synthetic", (3,))
    packaged = TEXT.replace("backbone: tiny", "backbone: tiny, weights: package:a/b.pth")
    assert parse_study(packaged, "mine").network.weights == "package:a/b.pth"


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such study file; studies that ship: .*demo"):
        load_study(str(tmp_path / "none.yaml"))
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8 text"):
        load_study(str(tmp_path / "binary.yaml"))


@pytest.mark.parametrize("name", shipped())
def test_what_ships_can_be_read(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert len(study.seeds) >= 1
