from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rssn.errors import InputError
from train.config import LossWeights, TrainConfig
from train.targets.rosta import Rosta

CONFIG = TrainConfig(data=("shards",), out=Path("run"), schedule="constant")


def test_crops_and_network_are_the_papers_by_default() -> None:
    assert (CONFIG.crop_sizes, CONFIG.input_size) == ((640, 960, 1280), 320)
    assert (CONFIG.backbone, CONFIG.rosta) == ("r34", Rosta.TT)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"backbone": "vgg"}, "--backbone vgg"),
        ({"max_steps": 0}, "--max-steps 0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"seed": -1}, "--seed -1"),
        ({"warm_up": -1}, "--warm-up -1"),
        ({"warm_up": 5, "max_steps": 5}, "--warm-up 5: must be 0 or more, and less than the 5 steps"),
        ({"workers": -1}, "--workers -1"),
        ({"checkpoint_every": 0}, "--checkpoint-every 0"),
        ({"learning_rate": 0.0}, "--learning-rate 0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"input_size": 100}, "--input-size 100"),
        ({"input_size": 32}, "--input-size 32"),
        ({"crop_sizes": ()}, "--crop-size"),
        ({"crop_sizes": (640, 0)}, "--crop-size"),
        ({"optimiser": "sgd"}, "--optimiser sgd"),
        ({"precision": "fp8"}, "--precision fp8"),
        ({"freeze": ("focus",)}, "--freeze focus"),
        ({"encoder_rate": 0.0}, "--encoder-rate 0"),
        ({"accumulate": 0}, "--accumulate 0"),
        ({"clip": -1.0}, "--clip -1"),
        ({"clip": float("nan")}, "--clip nan"),
        ({"weight_decay": -1.0}, "--weight-decay -1"),
        ({"ema": 1.0}, "--ema 1"),
        ({"keep": -1}, "--keep -1"),
        ({"validate_every": 0}, "--validate-every 0"),
        ({"validation_side": 16}, "--validation-side 16"),
        ({"mixture": (1.0, 2.0)}, "--mix: 2 shares for 1 sets"),
        ({"mixture": (0.0,)}, "--mix"),
        ({"ablations": ("single",), "rosta": Rosta.FT}, "--ablation single"),
        ({"ablations": ("single", "no-ppm")}, "--ablation single"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_flag(change: dict[str, object], flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        replace(CONFIG, **change)


def test_plain_values_survive_json_and_compare_equal() -> None:
    config = replace(CONFIG, weights=Path("r34.pth"), rosta=Rosta.BT)
    plain = config.to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert config.difference(plain) == {}
    assert type(plain["rosta"]) is str


def test_only_what_shapes_the_result_must_agree() -> None:
    stored = CONFIG.to_plain()
    grown = replace(CONFIG, max_steps=99_999, workers=7, checkpoint_every=3, data=("moved",), out=Path("there"))
    assert grown.difference(stored) == {}
    other = replace(CONFIG, learning_rate=1e-4, crop_sizes=(640,))
    assert list(other.difference(stored).values()) == [
        "--learning-rate was 0.0005, now 0.0001",
        "--crop-size was [640, 960, 1280], now [640]",
    ]


def test_the_end_may_move_where_the_rate_does_not_depend_on_it() -> None:
    for schedule, expected in (("constant", {}), ("cosine", {"max_steps": "--max-steps was 100, now 200"})):
        stored = replace(CONFIG, schedule=schedule, max_steps=100).to_plain()
        assert replace(CONFIG, schedule=schedule, max_steps=200).difference(stored) == expected


def test_two_processes_go_on_where_one_with_twice_the_batch_was() -> None:
    alone = replace(CONFIG, batch_size=8).to_plain()
    assert replace(CONFIG, batch_size=4, world_size=2).difference(alone) == {}
    assert replace(CONFIG, batch_size=4).difference(alone) == {
        "step_size": "--batch-size times --accumulate times the number of processes was 8, now 4"
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 10**14, "--batch-size 100000000000000: must be 65536 or less"),
        ("seed", 1 << 63, "--seed 9223372036854775808: must be 9223372036854775807 or less"),
        ("workers", 2000, "--workers 2000: must be 1024 or less"),
        ("crop_sizes", (640, 1 << 20), r"--crop-size \(640, 1048576\): give one side or more, from 1 to 65536 px"),
        ("input_size", 1 << 20, "--input-size 1048576: must be a multiple of 32 from 64 to 8192"),
        ("clip", math.nan, "--clip nan: must be 0 or more"),
    ],
)
def test_what_no_computer_has_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **{name: value})


def test_loss_weights_are_named_as_the_terms() -> None:
    assert LossWeights.parse(("composition=0", "alpha=2.5")) == LossWeights(composition=0.0, alpha=2.5)
    for word, message in (("beta=1", "no such term"), ("alpha", "NAME=NUMBER"), ("alpha=-1", "must be 0 or more")):
        with pytest.raises(InputError, match=message):
            LossWeights.parse((word,))
    with pytest.raises(InputError, match="all are 0"):
        LossWeights(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
