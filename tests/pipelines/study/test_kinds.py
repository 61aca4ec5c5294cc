from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.study.jobs import KINDS
from pipelines.study.kinds import absolute
from pipelines.study.steps import Step
from rssn.errors import InputError

CURATE, TRAIN, EVAL = (KINDS[kind] for kind in ("curate", "train", "eval"))


def test_paths_become_absolute_and_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trimaps = f"{tmp_path}/trimap"
    assert EVAL.locate({"trimaps": "trimap", "max-side": 0}) == (
        {"trimaps": (trimaps,), "max-side": 0},
        {"trimaps": [trimaps]},
    )
    options, found = CURATE.locate({"detector": "yolo.onnx", "against": "old"})
    assert options == {"detector": (f"{tmp_path}/yolo.onnx",), "against": (f"{tmp_path}/old",)}
    assert found == {name: list(paths) for name, paths in options.items()}


@pytest.mark.parametrize(
    ("value", "word", "read"),
    [("resnet50=r.pth", "resnet50=/there/r.pth", "/there/r.pth"), ("a=b.onnx", "/there/a=b.onnx", "/there/a=b.onnx")],
)
def test_a_file_may_stand_behind_a_backbones_name(
    value: str, word: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.study.kinds.absolute", lambda path: f"/there/{path}")
    options, found = CURATE.locate({"deep-duplicates": value, "rule": "sharpness=0"})
    assert options == {"deep-duplicates": (word,), "rule": "sharpness=0"}
    assert found == {"deep-duplicates": [read]}


def test_a_set_to_validate_on_may_have_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options, found = TRAIN.locate({"validation": ["am2k=AM-2k", "./a=b", "photos"]})
    reads = [f"{tmp_path}/{name}" for name in ("AM-2k", "a=b", "photos")]
    assert options == {"validation": (f"am2k={reads[0]}", *reads[1:])}
    assert found == {"validation": reads}


def test_how_often_a_training_validates_counts_where_that_decides_its_end() -> None:
    def key(**options: int) -> str:
        return Step("train", "a", {}, {name.replace("_", "-"): value for name, value in options.items()}).key

    assert key(validate_every=5) == key(validate_every=6) == key()
    assert key(validate_every=5, patience=2) != key(validate_every=6, patience=2)


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to(tmp_path / "0a1b2c")
    assert absolute(str(tmp_path / "model.onnx")) == f"{tmp_path}/model.onnx"


def test_a_url_stays_what_it_is_where_its_option_takes_one() -> None:
    options, found = CURATE.locate({"against": "s3://sets/old/", "min-side": 9})
    assert (options, found) == ({"against": ("s3://sets/old",), "min-side": 9}, {"against": ["s3://sets/old"]})
    with pytest.raises(InputError, match=r"s3://cache: a URL, but --cache-dir is a path on this disk"):
        KINDS["compose"].locate({"cache-dir": "s3://cache"})


@pytest.mark.parametrize("url", ["s3://key:secret@old", "http://host/old", "s3://old?X-Amz-Signature=abc", "s3://a//b"])
def test_a_url_that_names_nothing_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"--against is '.*'; expected a path, or s3://bucket/folder, gs://... or az:"):
        CURATE.locate({"against": url})


def test_options_are_read_into_the_commands_typed_object() -> None:
    given = {
        "data": ["a", "b"],
        "out": "run",
        "learning-rate": "5e-4",
        "crop-size": [320, 640],
        "validation-hybrid": [["1/3", 0.5]],
    }
    with TRAIN.reading(given | {"backbone": "tiny", "validation": "photos"}) as options:
        config = options.config
    assert (config.data, config.out, config.learning_rate) == (("a", "b"), Path("run"), 5e-4)
    assert (config.crop_sizes, config.validation_hybrid, config.max_steps) == ((320, 640), ("1/3", "0.5"), 10_000)


def test_a_command_knows_its_argument_and_its_options() -> None:
    assert (CURATE.argument, EVAL.argument) == ("photos", "")
    assert {"detector", "apply-review", "no-apply-review"} <= CURATE.options.keys()
    assert CURATE.words({"min-side": 9, "photos": "p", "apply-review": True}) == [
        "p",
        "--min-side",
        "9",
        "--apply-review",
    ]


def test_an_evaluation_takes_every_option_of_train_eval(tmp_path: Path) -> None:
    given = {"checkpoint": str(tmp_path / "last.pt"), "data": str(tmp_path), "weights": "raw", "max-side": 64}
    with EVAL.reading(given) as options:
        assert (options.networks.weights, options.networks.max_side, options.mattes) == ("raw", 64, False)
    with pytest.raises(InputError), EVAL.reading(given | {"hybrid": [["3/2", "1/2"]]}):
        pass
