from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.commands.curate import build_bg20k
from pipelines.study.arguments import Words, absolute, words_of
from rssn.errors import InputError
from train.commands.evaluate import evaluate
from train.commands.run import run


def test_options_that_change_no_result_are_said_and_do_not_count() -> None:
    options = {"workers": 0, "max-steps": 4, "tensorboard": True, "keep": 2, "validate-every": 9, "checkpoint-every": 1}
    free = ("--workers", "0", "--tensorboard", "--keep", "2", "--validate-every", "9", "--checkpoint-every", "1")
    assert words_of(options, "train", run) == Words(("--max-steps", "4"), free)


def test_paths_become_absolute_and_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert words_of({"trimaps": "trimap", "max-side": 0}, "eval", evaluate) == Words(
        ("--trimaps", f"{tmp_path}/trimap", "--max-side", "0"), (), (f"{tmp_path}/trimap",)
    )
    given = words_of({"detector": "yolo.onnx", "against": "old", "cache-dir": "cache"}, "curate", build_bg20k)
    assert given.counted == ("--detector", f"{tmp_path}/yolo.onnx", "--against", f"{tmp_path}/old")
    assert given.uncounted == ("--cache-dir", f"{tmp_path}/cache")
    assert given.reads == (f"{tmp_path}/yolo.onnx", f"{tmp_path}/old")


@pytest.mark.parametrize(
    ("value", "word", "read"),
    [("resnet50=r.pth", "resnet50=/there/r.pth", "/there/r.pth"), ("a=b.onnx", "/there/a=b.onnx", "/there/a=b.onnx")],
)
def test_a_file_may_stand_behind_a_backbones_name(
    value: str, word: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.study.arguments.absolute", lambda path: f"/there/{path}")
    given = words_of({"deep-duplicates": value, "rule": "sharpness=0"}, "curate", build_bg20k)
    assert given == Words(("--deep-duplicates", word, "--rule", "sharpness=0"), (), (read,))


def test_a_set_to_validate_on_may_have_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = words_of({"validation": ("am2k=AM-2k", "./a=b", "photos")}, "train", run)
    reads = tuple(f"{tmp_path}/{name}" for name in ("AM-2k", "a=b", "photos"))
    words = (f"am2k={reads[0]}", *reads[1:])
    assert given == Words(tuple(each for word in words for each in ("--validation", word)), (), reads)


def test_how_often_a_training_validates_counts_where_that_decides_its_end() -> None:
    assert words_of({"validate-every": 5}, "train", run) == Words((), ("--validate-every", "5"))
    options = {"validate-every": 5, "patience": 2}
    assert words_of(options, "train", run) == Words(("--validate-every", "5", "--patience", "2"))


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to(tmp_path / "0a1b2c")
    assert absolute(str(tmp_path / "model.onnx")) == f"{tmp_path}/model.onnx"


def test_a_bucket_is_refused() -> None:
    with pytest.raises(InputError, match="--against s3://old: a study reads no buckets; copy it to a folder that all"):
        words_of({"against": "s3://old"}, "curate", build_bg20k)
