"""Networks that learn in stages: what each stage changes, and runs that stop anywhere in them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from train.checkpoint import load_checkpoint, load_network
from train.config import Origin, TrainConfig
from train.data.loader import ShardDataset, staged_batches
from train.loop.distributed import Group
from train.loop.learner import Learner
from train.loop.loop import StepReport, train
from train.network.networks import NETWORKS, span_at

BASELINES = ("shm", "lf", "hatt", "shmc")
ENDS = {"shm": [2, 4, 6], "lf": [4, 5, 6], "hatt": [1, 6], "shmc": [2, 3, 6]}


def settings(config: TrainConfig, name: str) -> TrainConfig:
    """Six steps of a network of a few channels."""
    width = {"width": 0.05} if "width" in NETWORKS[name].takes else {}
    return replace(config, network=name, batch_size=2, ema=0.9, learning_rate=1e-3, schedule="cosine", **width)


def ignore(_: StepReport) -> None:
    pass


def losses(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def dies_at(step: int) -> Callable[[StepReport], None]:
    def die(report: StepReport) -> None:
        if report.step == step:
            raise KeyError("power cut")

    return die


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_run_that_dies_in_every_step_of_every_stage_is_the_unbroken_one(config: TrainConfig, name: str) -> None:
    """To the last digit: losses, weights, their average, and the optimisers."""
    config = replace(settings(config, name), checkpoint_every=1)
    assert [span.end for span in config.spans] == ENDS[name]
    whole, broken = (replace(config, out=config.out / part) for part in ("whole", "broken"))
    train(whole, ignore)
    for step in range(2, 7):  # what it reports is not saved yet, so each attempt gains one step
        with pytest.raises(KeyError):
            train(broken, dies_at(step))
        assert load_checkpoint(broken.out / "last.pt").step == step - 1
    train(broken, ignore)
    assert losses(broken.out) == losses(whole.out)
    one, other = (load_checkpoint(each.out / "last.pt") for each in (whole, broken))
    for kind in ("model", "ema"):
        first, second = getattr(one, kind), getattr(other, kind)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert (one.stage, other.stage) == (NETWORKS[name].stages[-1].name,) * 2
    assert one.further.keys() == other.further.keys()
    pairs = [
        (one.optimiser, other.optimiser),
        *((one.further[method], other.further[method]) for method in one.further),
    ]
    for first, second in pairs:
        assert all(
            torch.equal(value, second["state"][at][key])
            for at, state in first["state"].items()
            for key, value in state.items()
        )


@pytest.mark.parametrize("name", BASELINES)
def test_each_stage_changes_what_it_trains_and_nothing_else(config: TrainConfig, name: str) -> None:
    config = settings(config, name)
    learner = Learner(config, Group())
    before = {key: value.clone() for key, value in learner.network.state_dict().items()}
    for number, batch in enumerate(staged_batches(ShardDataset(config), config)):
        span = span_at(config.spans, number)
        learner.update(batch)
        after = learner.network.state_dict()
        changed = {key for key in after if not torch.equal(after[key], before[key])}
        parts = [part for update in span.stage.updates for part in update.trains]
        outside = {key for key in changed if parts and not key.startswith(tuple(f"{part}." for part in parts))}
        assert not outside
        assert changed
        for part in parts:
            assert any(key.startswith(f"{part}.") for key in changed), part
        if not span.stage.norms:
            assert not [key for key in changed if key.endswith(("running_mean", "running_var"))]
        before = {key: value.clone() for key, value in after.items()}
    assert learner.step == 6


@pytest.mark.parametrize("name", BASELINES)
def test_its_checkpoint_predicts_and_names_its_network(config: TrainConfig, name: str) -> None:
    config = replace(settings(config, name), max_steps=3)
    path = train(config, ignore).checkpoint
    network = load_network(path, torch.device("cpu"))
    assert network.name == f"{name.upper()}(tiny)"
    with torch.inference_mode():
        alpha = network.matte(network.evidence(torch.rand(1, 3, 64, 96)))
    assert alpha.shape == (1, 1, 64, 96)
    assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1
    other = "shm" if name != "shm" else "lf"
    now = replace(settings(config, other), override=True)
    with pytest.raises(InputError, match=f"--override cannot change .*--network was {name}, now {other}"):
        train(now, ignore)
    start = replace(settings(config, other), out=config.out / "other", init=Origin.of(path))
    with pytest.raises(InputError, match=f"--init .*last.pt: it is of the network {name}, and this run's is"):
        train(start, ignore)


def test_samples_of_a_stage_that_wants_whole_pictures_see_all_of_them(config: TrainConfig) -> None:
    config = replace(settings(config, "shmc"), crop_sizes=(32,))
    seen = list(staged_batches(ShardDataset(config), config))
    covered = [float((batch.alpha > 0.5).float().mean()) for batch in seen]
    assert len(seen) == 6
    # a disc of a radius of 30 px in 96: a third of a whole picture; a crop of 32 px holds all, part or none of it
    assert all(0.2 < share < 0.4 for share in covered[:3])
    assert any(not 0.2 < share < 0.4 for share in covered[3:])


def test_a_resumed_staged_run_draws_the_samples_of_an_unbroken_one(config: TrainConfig) -> None:
    config = settings(config, "shmc")
    whole = [batch.sample_ids for batch in staged_batches(ShardDataset(config), config)]
    for step in range(1, 6):
        place = Learner(config, Group()).place._replace(step=step, position=2 * step)
        assert [batch.sample_ids for batch in staged_batches(ShardDataset(config), config, place)] == whole[step:]


@pytest.mark.parametrize(
    ("name", "steps"), [("shm", 3), ("shm", 100), ("hatt", 2), ("lf", 3), ("lf", 6), ("lf", 7), ("gfm", 1)]
)
def test_stages_follow_each_other_and_each_has_a_step(name: str, steps: int) -> None:
    spans = NETWORKS[name].spans(steps)
    assert spans[0].start == 0
    assert spans[-1].end == steps
    assert all(span.length >= 1 for span in spans)
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert [span_at(spans, step).stage for step in range(steps)] == [
        span.stage for span in spans for _ in range(span.length)
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "dim"}, "--network dim: unknown; choose one of gfm, shm"),
        ({"network": "shm", "rosta": "FT"}, "--rosta: the network shm has no use for it"),
        ({"network": "shmc", "width": 0.5}, "--width: the network shmc has no use for it"),
        ({"width": 0.5}, "--width: the network gfm has no use for it"),
        ({"network": "lf", "validation_hybrid": ("1/3", "1/2")}, "--validation-hybrid: the network lf has no use"),
        ({"network": "hatt", "losses": {"alpha": 1.0}}, "--loss-weight alpha=1: the network hatt has no such term"),
        ({"network": "shm", "losses": {"cross_entropy": 0.0}}, "all are 0; nothing would be learned"),
        ({"network": "shm", "max_steps": 2}, "--max-steps 2: shm learns in 3 stages; give 3 at least"),
        ({"network": "shm", "warm_up": 2}, "--warm-up 2: must be less than the 2 steps of the stage tnet"),
        ({"network": "shm", "patience": 2}, "--patience 2: shm learns in stages"),
        ({"network": "lf", "part_weights": ("mnet=a.pth",)}, "--part-weights mnet=a.pth: the network lf takes none"),
        ({"network": "shm", "part_weights": ("a.pth",)}, "--part-weights a.pth: the network shm takes mnet=FILE"),
    ],
)  # fmt: skip
def test_what_a_network_cannot_use_is_refused_by_name(
    config: TrainConfig, change: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        replace(config, **change)


def test_a_schedule_begins_anew_with_each_stage(config: TrainConfig) -> None:
    config = replace(settings(config, "shm"), max_steps=30, warm_up=0)
    learner = Learner(config, Group())
    rates = []
    for batch in staged_batches(ShardDataset(config), config):
        learner.update(batch)
        rates.append(learner.optimiser.param_groups[0]["lr"])
        if learner.step == 22:
            break
    assert rates[0] == rates[12] == pytest.approx(1e-3)
    assert rates[11] == pytest.approx(1e-3 * 0.5 * (1 + math.cos(math.pi * 11 / 12)), rel=1e-4)
    assert rates[21] == pytest.approx(1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_precision_and_layout_change_speed_not_meaning(config: TrainConfig, name: str) -> None:
    """A step of each stage, in bf16 and channels-last beside fp32, from the same weights."""
    config = replace(settings(config, name), max_steps=3 if name != "hatt" else 2)
    other = replace(config, precision="bf16", channels_last=True)
    one, rough = (Learner(each, Group()) for each in (config, other))
    for batch in staged_batches(ShardDataset(config), config):
        rough.network.load_state_dict(one.network.state_dict())
        assert rough.update(batch) == pytest.approx(one.update(batch), rel=0.1, abs=0.05)
