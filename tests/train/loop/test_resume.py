"""Going on with other settings: refused, unless it is asked for, and then with all that it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rssn.errors import InputError
from train.checkpoint import Checkpoint, load_checkpoint
from train.config import TrainConfig
from train.data.loader import ShardDataset, StepSampler
from train.data.order import Mixture, Place
from train.loop.distributed import Group
from train.loop.learner import Learner
from train.loop.loop import train
from train.loop.resume import resume
from train.targets.rosta import Rosta


def ignore(_: object) -> None:
    pass


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The keys of all samples that are made, in their order."""
    keys: list[tuple[int, int]] = []
    make = ShardDataset.__getitem__

    def note(self: ShardDataset, key: tuple[int, int]) -> Any:
        keys.append(key)
        return make(self, key)

    monkeypatch.setattr(ShardDataset, "__getitem__", note)
    return keys


@pytest.mark.slow
def test_another_batch_size_goes_on_with_the_next_sample(config: TrainConfig, drawn: list[tuple[int, int]]) -> None:
    """The order is made for the steps of the start, also where it would be another for those of now."""
    train(replace(config, out=config.out / "whole", batch_size=3, max_steps=5), ignore)
    whole = list(drawn)[:14]
    drawn.clear()
    said: list[str] = []
    train(replace(config, batch_size=3, max_steps=2), ignore)
    train(replace(config, batch_size=2, max_steps=3, override=True), ignore, say=said.append)
    train(replace(config, batch_size=2, max_steps=4, override=True), ignore, say=said.append)
    train(replace(config, batch_size=2, accumulate=2, max_steps=5, override=True), ignore, say=said.append)
    assert drawn == whole
    step_size = "--override: --batch-size times --accumulate times the number of processes was"
    assert said == [
        f"{step_size} 6, now 2".replace("6", "3"),
        "--override: --accumulate was 1, now 2",
        f"{step_size} 2, now 4",
    ]
    stored = load_checkpoint(config.out / "last.pt")
    assert (stored.step, stored.position) == (5, 14)


@pytest.mark.slow
def test_other_data_another_seed_and_another_mixture_begin_the_order_anew(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path, drawn: list[tuple[int, int]]
) -> None:
    other = (str(store(tmp_path / "other", scenes[:3])),)
    for number, change in enumerate(
        ({"data": other}, {"seed": 7}, {"data": (*config.data, *other), "mixture": (1, 3)})
    ):
        now = replace(config, out=tmp_path / str(number), max_steps=3, **change)
        train(replace(config, out=now.out, max_steps=2), ignore)
        with pytest.raises(InputError, match=r"was started with other settings: .*or --override to resume anyway"):
            train(now, ignore)
        said: list[str] = []
        drawn.clear()
        train(replace(now, override=True), ignore, say=said.append)
        found = list(drawn)
        drawn.clear()
        train(replace(now, out=now.out / "fresh", max_steps=1), ignore)
        assert found == drawn
        assert said[-1] == "--override: the order of the samples starts again"
        train(replace(now, max_steps=4), ignore)  # without it again: the run is the new one now
        assert load_checkpoint(now.out / "last.pt").position == 8


@pytest.mark.slow
def test_an_overridden_rate_decay_and_clip_count_from_the_next_step_on(config: TrainConfig) -> None:
    """Torch's own `load_state_dict` would bring the rate and the decay of before back."""
    config = replace(config, optimiser="adamw", weight_decay=0.1)
    train(replace(config, max_steps=2), ignore)
    stored = load_checkpoint(config.out / "last.pt")
    name = "focus.bridge.0.weight"
    moved = {}
    for rate, decay in ((1e-2, 0.1), (1e-4, 0.1), (1e-2, 0.9)):
        changed = replace(config, max_steps=3, learning_rate=rate, weight_decay=decay, override=True)
        out = config.out / f"{rate}{decay}"
        train(replace(config, out=out, max_steps=2), ignore)
        train(replace(changed, out=out), ignore)
        moved[rate, decay] = load_checkpoint(out / "last.pt").model[name] - stored.model[name]
    torch.testing.assert_close(moved[1e-4, 0.1], 1e-2 * moved[1e-2, 0.1], rtol=1e-2, atol=1e-7)
    expected = moved[1e-2, 0.1] - 1e-2 * 0.8 * stored.model[name]
    torch.testing.assert_close(moved[1e-2, 0.9], expected, rtol=1e-4, atol=1e-7)


def test_moments_follow_their_parameters_into_another_optimiser_and_out_of_older_files(config: TrainConfig) -> None:
    train(replace(config, max_steps=2), ignore)
    stored = load_checkpoint(config.out / "last.pt")
    groups = stored.optimiser["param_groups"]
    order = [name for group in groups for name in group["param_names"]]
    by_name = dict(zip(order, stored.optimiser["state"].values(), strict=True))
    names = [name for name, _ in Learner(config, Group()).network.named_parameters()]
    older = {**groups[0], "params": list(range(len(names)))}
    del older["param_names"]
    former = {"param_groups": [older], "state": {at: by_name[name] for at, name in enumerate(names)}}
    for changed, optimiser in ((replace(config, optimiser="adamw"), stored.optimiser), (config, former)):
        learner = Learner(changed, Group(), replace(stored, optimiser=optimiser))
        for name, parameter in learner.network.named_parameters():
            torch.testing.assert_close(learner.optimiser.state[parameter]["exp_avg"], by_name[name]["exp_avg"])


def test_an_average_can_be_begun_and_left_on_the_way(config: TrainConfig) -> None:
    train(replace(config, max_steps=1), ignore)
    train(replace(config, max_steps=1, ema=0.9, override=True), ignore)
    stored = load_checkpoint(config.out / "last.pt")
    assert all(torch.equal(stored.ema[name], value) for name, value in stored.model.items())
    train(replace(config, max_steps=1, override=True), ignore)
    assert load_checkpoint(config.out / "last.pt").ema == {}


@pytest.mark.parametrize(
    "change",
    [{"backbone": "r34"}, {"rosta": Rosta.FT}, {"ablations": ("no-bb",)}],
    ids=["backbone", "rosta", "ablation"],
)
def test_another_network_is_never_overridden(config: TrainConfig, change: dict[str, Any]) -> None:
    stored = Checkpoint(0, config.to_plain(), {}, "digest")
    with pytest.raises(
        InputError, match=r"--override cannot change what a run has for good: --\w+ was .*another --out"
    ):
        resume(Path("last.pt"), stored, replace(config, override=True, **change), "digest")


def test_an_override_of_nothing_goes_on_and_one_without_a_run_is_idle(config: TrainConfig) -> None:
    with pytest.raises(InputError, match=r"--override has no effect here: .*run holds no run to resume"):
        train(replace(config, override=True), ignore)
    train(replace(config, max_steps=1), ignore)
    said: list[str] = []
    train(replace(config, max_steps=2, override=True), ignore, say=said.append)
    assert said == []


def test_settings_that_earlier_versions_did_not_store_are_no_difference(config: TrainConfig) -> None:
    plain = config.to_plain()
    for name in ("accumulate", "schedule", "warm_up", "override"):
        del plain[name]
    assert config.difference(plain) == {}
    assert list(replace(config, accumulate=2, batch_size=2).difference(plain)) == ["accumulate"]


def test_an_order_of_large_groups_is_not_made_anew_for_another_batch_size(config: TrainConfig) -> None:
    """Rows come so that a group's are as many steps apart as loaders like: that depends on a step's size."""
    groups = ((2,) * 10,)
    config = replace(config, batch_size=3, max_steps=14)
    whole = [key for step in StepSampler(Mixture((20,), (), 0, groups, 3), config) for key in step]
    now = replace(config, batch_size=4, max_steps=6)
    assert [key for step in StepSampler(Mixture((20,), (), 0, groups, 4), now) for key in step] != whole[:24]
    dataset = ShardDataset(now)
    dataset.mixture = Mixture((20,), (), 0, groups, 4)
    dataset.keep_order(3)
    found = [key for step in StepSampler(dataset.mixture, now, Place(2, 6, 3)) for key in step]
    assert found == whole[6 : 6 + 16]
