from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rssn.errors import InputError
from train.config import TrainConfig, parse_loss_weights
from train.targets.rosta import Rosta

CONFIG = TrainConfig(data=("shards",), out=Path("run"), schedule="constant")


def test_crops_and_network_are_the_papers_by_default() -> None:
    assert (CONFIG.crop_sizes, CONFIG.input_size) == ((640, 960, 1280), 320)
    assert (CONFIG.backbone, CONFIG.rosta) == ("r34", Rosta.TT)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"backbone": "vgg"}, "--backbone vgg"),
        ({"max_steps": 0}, "--max-steps is 0; expected 1 or more"),
        ({"batch_size": 0}, "--batch-size is 0; expected 1 or more"),
        ({"seed": -1}, "--seed is -1; expected 0 or more"),
        ({"warm_up": -1}, "--warm-up is -1; expected 0 or more"),
        ({"warm_up": 5, "max_steps": 5}, "--warm-up 5: must be less than the 5 steps"),
        ({"workers": -1}, "--workers is -1; expected 0 or more"),
        ({"checkpoint_every": 0}, "--checkpoint-every is 0; expected 1 or more"),
        ({"learning_rate": 0.0}, "--learning-rate is 0.0; expected more than 0"),
        ({"learning_rate": float("nan")}, "--learning-rate is nan; expected a finite number"),
        ({"input_size": 100}, "--input-size is 100; expected a multiple of 32"),
        ({"input_size": 32}, "--input-size is 32; expected 64 or more"),
        ({"crop_sizes": ()}, r"--crop-size is \(\); expected at least 1 of them"),
        ({"crop_sizes": (640, 0)}, "--crop-size is 0; expected 1 or more"),
        ({"optimiser": "lion"}, "--optimiser is 'lion'; expected one of 'adam', 'adamw' or 'sgd'"),
        ({"precision": "fp8"}, "--precision is 'fp8'; expected one of"),
        ({"freeze": ("focus",)}, "--freeze is 'focus'; expected one of 'encoder' or 'norms'"),
        ({"encoder_rate": 0.0}, "--encoder-rate is 0.0; expected 1e-06 or more"),
        ({"accumulate": 0}, "--accumulate is 0; expected 1 or more"),
        ({"clip": -1.0}, "--clip is -1.0; expected 0 or more"),
        ({"clip": float("nan")}, "--clip is nan; expected a finite number"),
        ({"weight_decay": -1.0}, "--weight-decay is -1.0; expected 0 or more"),
        ({"ema": 1.0}, "--ema is 1.0; expected less than 1"),
        ({"keep": -1}, "--keep is -1; expected 0 or more"),
        ({"validate_every": 0}, "--validate-every is 0; expected 1 or more"),
        ({"validation_side": 16}, "--validation-side 16"),
        ({"ablations": ("no-focus",)}, "--ablation is 'no-focus'; expected one of 'single', 'no-ppm' or 'no-bb'"),
        ({"workers": True}, "--workers is True; expected a whole number"),
        ({"data": "shards"}, "--data is 'shards'; expected a list"),
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
        ("batch_size", 10**14, "--batch-size is 100000000000000; expected 65536 or less"),
        ("seed", 1 << 63, "--seed is 9223372036854775808; expected less than 9223372036854775808"),
        ("workers", 2000, "--workers is 2000; expected 1024 or less"),
        ("crop_sizes", (640, 1 << 20), "--crop-size is 1048576; expected 65536 or less"),
        ("input_size", 1 << 20, "--input-size is 1048576; expected 8192 or less"),
        ("clip", math.inf, "--clip is inf; expected a finite number"),
    ],
)
def test_what_no_computer_has_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **{name: value})


def test_loss_weights_are_named_as_the_terms() -> None:
    weights = parse_loss_weights(("composition=0", "alpha=2.5"))
    assert replace(CONFIG, losses=weights).losses == {"composition": 0.0, "alpha": 2.5}
    assert replace(CONFIG, losses=weights).to_plain()["losses"]["laplacian"] == 1.0
    for word, message in (
        ("beta=1", "--loss-weight beta=1: the network gfm has no such term; it has cross_entropy, focus_alpha"),
        ("alpha", "NAME=NUMBER"),
        ("alpha=-1", "--loss-weight alpha=-1: expected 0 or more"),
    ):
        with pytest.raises(InputError, match=message):
            replace(CONFIG, losses=parse_loss_weights((word,)))
    with pytest.raises(InputError, match="all are 0"):
        replace(CONFIG, losses=dict.fromkeys(CONFIG.to_plain()["losses"], 0.0))
