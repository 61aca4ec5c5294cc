from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch._dynamo
from torch._dynamo.utils import counters

from rssn.errors import InputError
from train.batch import Batch
from train.checkpoint import load_checkpoint, load_network
from train.config import TrainConfig
from train.data.loader import ShardDataset, batches
from train.loop.distributed import Group
from train.loop.learner import Learner, NonFiniteLoss
from train.loop.loop import train


@pytest.fixture
def batch(config: TrainConfig) -> Batch:
    return next(batches(ShardDataset(config), config))


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


def test_only_weights_decay(config: TrainConfig, batch: Batch) -> None:
    """A step of rate 0.1 and decay 1 takes a tenth of a weight beside its gradient, nothing of norms and biases."""
    plain = taught(replace(config, optimiser="adamw", learning_rate=0.1, weight_decay=0.0), batch, 1)
    decayed = taught(replace(config, optimiser="adamw", learning_rate=0.1, weight_decay=1.0), batch, 1)
    start = dict(Learner(config, Group()).network.named_parameters())
    kept = dict(plain.network.named_parameters())
    for name, value in decayed.network.named_parameters():
        lost = 0.1 * start[name] if value.ndim == 4 else torch.zeros_like(value)
        torch.testing.assert_close(kept[name] - value, lost, msg=name)


def test_the_rate_of_each_step_is_the_schedules(config: TrainConfig, batch: Batch) -> None:
    """The first step of Adam is as long as the rate."""
    steps = []
    for warm_up in (0, 9):
        learner = taught(replace(config, optimiser="adam", max_steps=20, warm_up=warm_up), batch, 1)
        start = Learner(config, Group()).network.state_dict()["focus.bridge.0.weight"]
        steps.append((learner.network.state_dict()["focus.bridge.0.weight"] - start).abs().max())
    assert float(steps[1] / steps[0]) == pytest.approx(0.1, rel=1e-3)


def test_gradients_are_clipped_to_the_norm(config: TrainConfig, batch: Batch) -> None:
    learner = taught(replace(config, clip=1e-3), batch, 1)
    norm = torch.stack([each.grad.norm() for each in learner.network.parameters() if each.grad is not None]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_the_average_follows_the_weights_and_predicts(config: TrainConfig, batch: Batch, tmp_path: Path) -> None:
    config = replace(config, ema=0.75)
    learner = Learner(config, Group())
    name = "encoder.stages.0.0.weight"
    expected = learner.network.state_dict()[name].clone()
    for decay in (2 / 11, 3 / 12, 4 / 13):
        learner.update(batch)
        expected = decay * expected + (1 - decay) * learner.network.state_dict()[name]
    state = learner.state("")
    torch.testing.assert_close(state.ema[name], expected)
    assert not torch.equal(state.ema[name], state.model[name])
    assert int(state.ema["encoder.stages.0.1.num_batches_tracked"]) == 3
    result = train(replace(config, max_steps=2), lambda _: None)
    stored = load_checkpoint(result.checkpoint)
    network = load_network(result.checkpoint, torch.device("cpu"))
    assert torch.equal(network.state_dict()[name], stored.ema[name])
    raw = load_network(result.checkpoint, torch.device("cpu"), "raw")
    assert torch.equal(raw.state_dict()[name], stored.model[name])


def test_the_decay_of_the_average_ends_at_what_was_asked_for(config: TrainConfig, batch: Batch) -> None:
    learner = Learner(replace(config, ema=0.3), Group())
    name = "encoder.stages.0.0.weight"
    for decay in (2 / 11, 3 / 12, 0.3, 0.3):
        before = learner.state("").ema[name].clone()
        learner.update(batch)
        expected = decay * before + (1 - decay) * learner.network.state_dict()[name]
        torch.testing.assert_close(learner.state("").ema[name], expected)


def test_an_average_that_there_is_not_is_refused(config: TrainConfig) -> None:
    result = train(replace(config, max_steps=1), lambda _: None)
    with pytest.raises(InputError, match=r"last.pt: holds no moving average; it was trained without --ema"):
        load_network(result.checkpoint, torch.device("cpu"), "ema")


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


@pytest.mark.slow
def test_a_compiled_network_is_the_plain_one(
    config: TrainConfig, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step from the same weights, in double precision: a graph that computes something else is off by far more.

    A forward and backward pass are some hundred sums of up to 16,384 terms. In another order they differ by about 1e-16
    each, and logits by the last digit of their float32, 6e-8, wherever they are computed; the losses of equations 4 to
    6 are flat within 1e-6 of their kink, so a gradient there amplifies this tenfold. So 1e-5 of the losses, which are
    means, and 1e-4 of the gradient's norm hold on any processor. Which instructions inductor makes of the graph is
    torch's to test, and takes minutes; that there is one graph, without breaks, is ours.
    """
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    counters.clear()
    plain, compiled = (Learner(replace(config, compile=each), Group()) for each in (False, True))
    losses, gradients = [], []
    for learner in (plain, compiled):
        learner.network.double()
        losses.append(learner.update(batch))
        gradients.append(torch.cat([each.grad.flatten() for each in learner.network.parameters()]))
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert float((gradients[1] - gradients[0]).norm()) <= 1e-4 * float(gradients[0].norm())
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


def test_a_state_that_does_not_fit_is_named(config: TrainConfig, batch: Batch) -> None:
    stored = taught(config, batch, 1).state("")
    moments = stored.optimiser["state"]
    spoilt = {**moments[0], "exp_avg": torch.full_like(moments[0]["exp_avg"], torch.nan)}
    shaped = {**moments[0], "exp_avg": moments[0]["exp_avg"].reshape(-1)}
    for change, words in (
        ({"model": {**stored.model, "more": torch.zeros(1)}}, "cannot be resumed with these settings: Error"),
        ({"optimiser": {}}, "cannot be resumed with these settings"),
        ({"rng": torch.zeros(3, dtype=torch.uint8)}, "cannot be resumed with these settings: .*RNG state"),
        ({"optimiser": {**stored.optimiser, "state": {**moments, 0: spoilt}}}, "exp_avg of parameter 0 holds values"),
        ({"optimiser": {**stored.optimiser, "state": {**moments, 0: shaped}}}, "its optimiser's state is another"),
    ):
        with pytest.raises(InputError, match=f"last.pt: {words}"):
            Learner(config, Group(), replace(stored, **change))


@pytest.mark.parametrize("ablation", ["single", "no-ppm", "no-bb"])
def test_ablated_networks_learn_go_on_and_come_back(config: TrainConfig, ablation: str) -> None:
    config = replace(config, ablations=(ablation,))
    train(replace(config, max_steps=1), lambda _: None)
    result = train(replace(config, max_steps=2), lambda _: None)
    network = load_network(result.checkpoint, torch.device("cpu"))
    assert list(network.state_dict()) == list(load_checkpoint(result.checkpoint).model)


@pytest.fixture
def exact(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, float], Learner]]:
    """`exact(batch, **changes)`: the losses of one step in double precision, without statistics of the batch."""

    def step(batch: Batch, **changes: object) -> tuple[dict[str, float], Learner]:
        learner = Learner(replace(config, **changes), Group())
        learner.network.double().eval()
        return learner.update(batch), learner

    return step


def test_the_parts_of_a_large_batch_have_its_losses_and_its_gradient(
    batch: Batch, exact: Callable[..., tuple[dict[str, float], Learner]]
) -> None:
    """Also where a part has no transition pixel, or all of them one: L_FD is a mean over those of the whole batch."""
    only = torch.zeros_like(batch.transition)
    only[1, :, 20, 20] = 1
    bare = torch.cat([torch.zeros_like(batch.transition[:1]), batch.transition[1:]])
    for transition in (batch.transition, bare, only):
        changed = batch._replace(transition=transition)
        whole, large = exact(changed, batch_size=4, clip=1e-3)
        for size, parts in ((2, 2), (1, 4)):
            found, small = exact(changed, batch_size=size, accumulate=parts, clip=1e-3)
            assert found == pytest.approx(whole, rel=1e-12)
            for one, other in zip(small.network.parameters(), large.network.parameters(), strict=True):
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-14)
            assert small.place == large.place == (1, 4, 4)


def test_batch_norms_that_learn_see_a_part_alone_and_the_average_moves_once(config: TrainConfig, batch: Batch) -> None:
    start = Learner(config, Group()).network.state_dict()["focus.bridge.0.weight"]
    learner = taught(replace(config, batch_size=2, accumulate=2, ema=0.9), batch, 1)
    state = learner.state("")
    moved = start.lerp(state.model["focus.bridge.0.weight"], 9 / 11)
    torch.testing.assert_close(state.ema["focus.bridge.0.weight"], moved)
    parts = Learner(config, Group())
    for part in batch.split(2):
        parts.network(part.image)
    for name, value in parts.network.named_buffers():
        torch.testing.assert_close(learner.network.get_buffer(name), value)


def test_fp16_scales_its_loss_and_goes_on_with_the_scale(config: TrainConfig, batch: Batch) -> None:
    plain = Learner(config, Group()).update(batch)
    learner = Learner(replace(config, precision="fp16", clip=1.0), Group())
    learner.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    assert learner.update(batch) == pytest.approx(plain, rel=0.01, abs=0.01)
    norm = torch.stack([each.grad.norm() for each in learner.network.parameters() if each.grad is not None]).norm()
    assert float(norm) <= 1.001  # of the gradient, not of the scaled one
    learner.update(batch)
    state = learner.state("")
    assert state.scaler["scale"] == 2048.0
    again = Learner(replace(config, precision="fp16", clip=1.0), Group(), state)
    assert again.scaler.get_scale() == 2048.0
    assert again.update(batch) == learner.update(batch)
    assert Learner(config, Group(), state).state("").scaler == {}


def test_an_overflow_of_fp16_skips_a_step_and_endless_ones_end(config: TrainConfig, batch: Batch) -> None:
    learner = Learner(replace(config, precision="fp16", ema=0.9), Group())
    before = {name: value.clone() for name, value in learner.network.named_parameters()}
    average = {name: value.clone() for name, value in learner.state("").ema.items()}
    spoilt = next(learner.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    assert learner.update(batch)["skipped"] == 1.0
    assert learner.place == (1, 4, 4)
    assert learner.scaler.get_scale() == 32768.0
    assert all(torch.equal(value, before[name]) for name, value in learner.network.named_parameters())
    assert all(torch.equal(value, average[name]) for name, value in learner.state("").ema.items())
    spoilt.remove()
    assert "skipped" not in learner.update(batch)
    assert not all(torch.equal(value, before[name]) for name, value in learner.network.named_parameters())
    next(learner.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    for _ in range(15):  # from a scale of 32768 to 1
        assert learner.update(batch)["skipped"] == 1.0
    with pytest.raises(NonFiniteLoss, match=r"step 18: the loss is finite .*, its gradient is not; samples: scene"):
        learner.update(batch)


def test_finite_gradients_of_an_infinite_norm_are_no_overflow_of_fp16(config: TrainConfig, batch: Batch) -> None:
    learner = Learner(replace(config, precision="fp16"), Group())
    next(learner.network.parameters()).register_hook(lambda gradient: torch.full_like(gradient, 3e38))
    with pytest.raises(NonFiniteLoss, match="its gradient is not"):
        learner.update(batch)
