from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rssn.errors import InputError
from train.config import TrainConfig
from train.validation_sets import ValidationSet, split_name, validation_sets

CONFIG = TrainConfig(data=("shards",), out=Path("run"))


def test_sets_have_the_names_that_they_are_given_or_that_of_their_folder() -> None:
    assert validation_sets(["am2k=AM-2k/validation", "photos/mine/", "a=b=c", "./x=y", "/my photos"]) == (
        ValidationSet("am2k", Path("AM-2k/validation")),
        ValidationSet("mine", Path("photos/mine")),
        ValidationSet("a", Path("b=c")),
        ValidationSet("x_y", Path("x=y")),
        ValidationSet("my_photos", Path("/my photos")),
    )


def test_the_folder_one_stands_in_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert [each.name for each in validation_sets(["."])] == ["here"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a/validation", "b/validation"), "b/validation: a second set by the name validation; give NAME=FOLDER"),
        (("real=a", "Real=b"), "Real=b: a second set by the name Real"),
        (("my set=a",), "'my set' is no name"),
        (("=a",), "'' is no name"),
        (("..=a",), "'..' is no name"),
        (("real=",), "real=: names no folder"),
        (("/",), "/: the folder has no name; give NAME=/"),
    ],
)
def test_a_word_that_names_no_set_of_its_own_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        validation_sets(words)
    assert str(caught.value).startswith("--validation ")
    assert said in str(caught.value)


def test_a_word_that_may_mean_two_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    with pytest.raises(InputError, match=r"--validation a=b: b by the name a, or the folder ./a=b\? Write a=./b or"):
        validation_sets(["a=b"])
    assert (split_name("a=./b"), split_name("./a=b")) == (("a", "./b"), ("", "./a=b"))


def test_a_scale_is_for_all_sets_or_for_one() -> None:
    words = ["one=a", "two=b"]
    assert [each.alpha_scale for each in validation_sets(words)] == [None, None]
    assert [each.alpha_scale for each in validation_sets(words, ["255"])] == [255, 255]
    assert [each.alpha_scale for each in validation_sets(words, ["two=1"])] == [None, 1]


@pytest.mark.parametrize(
    ("scales", "said"),
    [
        (("three=1",), "three=1: no set has this name; there are one, two"),
        (("one=white",), "one=white: give a number, or NAME=NUMBER"),
        (("255", "two=1"), "two=1: two has a scale already"),
    ],
)
def test_a_scale_for_no_set_is_refused(scales: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"--alpha-scale {said}"):
        validation_sets(["one=a", "two=b"], scales)


def test_the_best_is_found_by_the_first_set_unless_another_is_named() -> None:
    two = replace(CONFIG, validation=validation_sets(["one=a", "two=b"]))
    assert two.best_metric == ("one", "sad")
    assert replace(two, best_by="mse").best_metric == ("one", "mse")
    assert replace(two, best_by="two/grad").best_metric == ("two", "grad")
    for wrong in ("psnr", "three/sad", "one/two/sad", "one/"):
        with pytest.raises(InputError, match=f"--best-by {wrong}: give one of sad, mse, .*, or one or two/METRIC"):
            replace(two, best_by=wrong)


@pytest.mark.slow
def test_sets_survive_as_plain_values() -> None:
    plain = replace(CONFIG, validation=validation_sets(["one=a"], ["1"])).to_plain()
    assert plain["validation"] == [{"name": "one", "path": "a", "alpha_scale": 1.0}]
