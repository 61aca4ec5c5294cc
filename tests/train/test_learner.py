from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from train.batch import Batch
from train.checkpoint import load_checkpoint, load_network
from train.config import TrainConfig
from train.data import ShardDataset, batches
from train.distributed import Group
from train.learner import Learner, NonFiniteLoss
from train.loop import train


@pytest.fixture
def batch(config: TrainConfig) -> Batch:
    return next(batches(ShardDataset(config), config, 0))


def taught(config: TrainConfig, batch: Batch, steps: int = 3) -> Learner:
    learner = Learner(config, Group())
    for _ in range(steps):
        learner.update(batch)
    return learner


def test_weight_decay_of_adamw_shrinks_and_adam_is_torchs(config: TrainConfig, batch: Batch) -> None:
    plain = taught(config, batch, 1)
    adamw = taught(replace(config, optimiser="adamw"), batch, 1)
    decayed = taught(replace(config, optimiser="adamw", weight_decay=0.5), batch, 1)
    name = "focus.bridge.0.weight"
    start = Learner(config, Group()).network.state_dict()[name]
    torch.testing.assert_close(adamw.network.state_dict()[name], plain.network.state_dict()[name])
    expected = adamw.network.state_dict()[name] - config.learning_rate * 0.5 * start
    torch.testing.assert_close(decayed.network.state_dict()[name], expected)


def test_gradients_are_clipped_to_the_norm(config: TrainConfig, batch: Batch) -> None:
    learner = taught(replace(config, clip=1e-3), batch, 1)
    norm = torch.stack([each.grad.norm() for each in learner.network.parameters() if each.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_the_average_follows_the_weights_and_predicts(config: TrainConfig, batch: Batch, tmp_path: Path) -> None:
    config = replace(config, ema=0.75)
    learner = Learner(config, Group())
    name = "encoder.stages.0.0.weight"
    expected = learner.network.state_dict()[name].clone()
    for _ in range(3):
        learner.update(batch)
        expected = 0.75 * expected + 0.25 * learner.network.state_dict()[name]
    state = learner.state("")
    torch.testing.assert_close(state.ema[name], expected)
    assert not torch.equal(state.ema[name], state.model[name])
    assert int(state.ema["encoder.stages.0.1.num_batches_tracked"]) == 3
    result = train(replace(config, max_steps=2), lambda _: None)
    stored = load_checkpoint(result.checkpoint)
    network = load_network(result.checkpoint, torch.device("cpu"))
    assert torch.equal(network.state_dict()[name], stored.ema[name])


def test_precision_and_layout_change_speed_not_meaning(config: TrainConfig, batch: Batch) -> None:
    exact = taught(config, batch, 1).state("").model
    first = Learner(config, Group()).update(batch)
    for change, tolerance in (({"channels_last": True}, 1e-4), ({"precision": "bf16"}, 0.05)):
        learner = Learner(replace(config, **change), Group())
        found = learner.update(batch)
        assert found == pytest.approx(first, rel=tolerance, abs=tolerance)
        assert all(value.dtype == exact[name].dtype for name, value in learner.state("").model.items())
    layout = Learner(replace(config, channels_last=True), Group()).network.encoder.stages[1][0].weight
    assert layout.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_has_the_losses_of_the_plain_one(config: TrainConfig, batch: Batch) -> None:
    plain = taught(config, batch, 2)
    compiled = taught(replace(config, compile=True), batch, 2)
    assert compiled.update(batch) == pytest.approx(plain.update(batch), rel=1e-3, abs=1e-4)
    assert list(compiled.state("").model) == list(plain.state("").model)


def test_a_gradient_that_is_not_finite_stops_with_the_samples_and_changes_nothing(
    config: TrainConfig, batch: Batch
) -> None:
    learner = taught(config, batch, 1)
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    next(learner.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(
        NonFiniteLoss, match=r"step 2: the loss is finite \(.*\), its gradient is not; samples: .*scene"
    ):
        learner.update(batch)
    assert all(torch.equal(value, before[name]) for name, value in learner.network.named_parameters())


def test_a_restored_learner_draws_the_numbers_of_the_one_before(config: TrainConfig, batch: Batch) -> None:
    state = taught(config, batch, 1).state("")
    expected = torch.rand(4)
    Learner(config, Group(), state)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("ablation", ["single", "no-ppm", "no-bb"])
def test_ablated_networks_learn_go_on_and_come_back(config: TrainConfig, ablation: str) -> None:
    config = replace(config, ablations=(ablation,))
    train(replace(config, max_steps=1), lambda _: None)
    result = train(replace(config, max_steps=2), lambda _: None)
    network = load_network(result.checkpoint, torch.device("cpu"))
    assert list(network.state_dict()) == list(load_checkpoint(result.checkpoint).model)
