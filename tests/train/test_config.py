from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rssn.errors import InputError
from train.config import TrainConfig
from train.rosta import Rosta

CONFIG = TrainConfig(data=Path("shards"), out=Path("run"))


def test_defaults_are_the_papers_comp_track() -> None:
    assert (CONFIG.learning_rate, CONFIG.crop_sizes, CONFIG.input_size) == (1e-5, (640, 960, 1280), 320)
    assert (CONFIG.backbone, CONFIG.rosta) == ("r34", Rosta.TT)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"backbone": "vgg"}, "--backbone vgg"),
        ({"max_steps": 0}, "--max-steps 0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"seed": -1}, "--seed -1"),
        ({"workers": -1}, "--workers -1"),
        ({"checkpoint_every": 0}, "--checkpoint-every 0"),
        ({"learning_rate": 0.0}, "--learning-rate 0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"input_size": 100}, "--input-size 100"),
        ({"input_size": 32}, "--input-size 32"),
        ({"crop_sizes": ()}, "--crop-size"),
        ({"crop_sizes": (640, 0)}, "--crop-size"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_flag(change: dict[str, object], flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        replace(CONFIG, **change)


def test_plain_values_survive_json_and_compare_equal() -> None:
    config = replace(CONFIG, weights=Path("r34.pth"), rosta=Rosta.BT)
    plain = config.to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert config.difference(plain) == []
    assert type(plain["rosta"]) is str


def test_only_what_shapes_the_result_must_agree() -> None:
    stored = CONFIG.to_plain()
    grown = replace(CONFIG, max_steps=99_999, workers=7, checkpoint_every=3, data=Path("moved"), out=Path("there"))
    assert grown.difference(stored) == []
    other = replace(CONFIG, learning_rate=1e-4, crop_sizes=(640,))
    assert other.difference(stored) == [
        "--learning-rate was 1e-05, now 0.0001",
        "--crop-size was [640, 960, 1280], now [640]",
    ]
