"""Parts of a network that do not learn, or slower than the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from rssn.vision import torchvision_models
from tests.train.seeded import seeded_gfm
from train.batch import Batch
from train.checkpoint import load_checkpoint
from train.config import Origin, TrainConfig
from train.data.loader import ShardDataset, batches
from train.loop.distributed import Group, SharedBatchNorm
from train.loop.learner import Learner
from train.loop.loop import train
from train.network.gfm import GFM
from train.network.network import build_network
from train.targets.rosta import Rosta
from train.validation_sets import ValidationSet

NORMS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def ignore(_: object) -> None:
    pass


def norms(network: GFM) -> set[str]:
    places = [place for place, module in network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    return {f"{place}.{name}" for place in places for name in NORMS}


@pytest.fixture
def tuned(config: TrainConfig) -> TrainConfig:
    """A run that starts from a taught network, validates, and decays what it may."""
    taught = train(replace(config, out=config.out / "taught", max_steps=2), ignore).checkpoint
    return replace(config, init=Origin.of(taught), optimiser="adamw", weight_decay=0.5, ema=0.9, max_steps=4)


@pytest.fixture
def batch(config: TrainConfig) -> Batch:
    return next(batches(ShardDataset(config), config))


@pytest.mark.slow
@pytest.mark.parametrize("parts", [("encoder",), ("norms",), ("encoder", "norms")], ids="-".join)
def test_what_is_frozen_stays_and_the_rest_learns(
    tuned: TrainConfig, photographs: Path, parts: tuple[str, ...]
) -> None:
    """Through validations, which put a network into use and back, and after going on."""
    judged = (ValidationSet("real", photographs),)
    config = replace(tuned, freeze=parts, validation=judged, validate_every=1, validation_side=64)
    train(replace(config, max_steps=2), ignore)
    stored = load_checkpoint(train(config, ignore).checkpoint)
    before = load_checkpoint(tuned.init.path).model
    network = GFM("tiny", Rosta.TT)
    frozen = {name for name in before if "encoder" in parts and name.startswith("encoder.")}
    frozen |= norms(network) if "norms" in parts else set()
    assert set(network.frozen(parts)) == frozen
    for name in frozen:
        assert torch.equal(stored.model[name], before[name]), name
        assert torch.equal(stored.ema[name], before[name]), name
    for name in [name for name, each in network.named_parameters() if each.ndim > 1 and name not in frozen]:
        assert not torch.equal(stored.model[name], before[name]), name
    head = "focus.blocks.0.6.weight"
    assert not torch.allclose(stored.model[head], 0.995**4 * before[head], atol=1e-3)  # more than its decay
    known = {name for group in stored.optimiser["param_groups"] for name in group["param_names"]}
    assert known == {name for name, _ in network.named_parameters()} - frozen


@pytest.mark.slow
def test_a_frozen_network_goes_on_to_the_last_digit(tuned: TrainConfig) -> None:
    config = replace(tuned, freeze=("encoder",), encoder_rate=1.0)
    whole, parts = (replace(config, out=config.out / name) for name in ("whole", "parts"))
    train(whole, ignore)
    train(replace(parts, max_steps=1), ignore)
    train(replace(parts, init=None), ignore)
    one, other = (load_checkpoint(each.out / "last.pt").model for each in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_first_stages_stay_to_the_bit_and_a_run_goes_on_to_the_last_digit(tuned: TrainConfig) -> None:
    config = replace(tuned, freeze_stages=2)
    whole, parts = (replace(config, out=config.out / name) for name in ("whole", "parts"))
    stored = load_checkpoint(train(whole, ignore).checkpoint)
    before = load_checkpoint(tuned.init.path).model
    first = {name for name in before if name.startswith(("encoder.stages.0.", "encoder.stages.1."))}
    assert len(first) == 2 * len(("weight", "bias", *NORMS))
    for name in first:
        assert torch.equal(stored.model[name], before[name]), name
        assert torch.equal(stored.ema[name], before[name]), name
    for name in before.keys() - first - {"mean", "std"}:
        assert not torch.equal(stored.model[name], before[name]), name
    known = {name for group in stored.optimiser["param_groups"] for name in group["param_names"]}
    assert known == {name for name, _ in GFM("tiny", Rosta.TT).named_parameters()} - first
    train(replace(parts, max_steps=1), ignore)
    with pytest.raises(InputError, match="--freeze-stages was 2, now 0"):
        train(replace(parts, init=None, freeze_stages=0), ignore)
    train(replace(parts, init=None), ignore)
    resumed = load_checkpoint(parts.out / "last.pt").model
    assert all(torch.equal(stored.model[name], resumed[name]) for name in resumed)


def test_first_stages_of_a_librarys_encoder_are_what_their_features_depend_on() -> None:
    torchvision_models()
    pytest.importorskip("timm")
    network = seeded_gfm("timm:mobilenetv3_small_050", Rosta.TT, 0).train()
    network.freeze((), stages=2)
    encoder = network.encoder
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features = encoder(image)
    assert [each.requires_grad for each in features] == [False, False, True, True, True]
    sum(each.sum() for each in features[2:]).backward()
    frozen = {name for name, each in encoder.named_parameters() if not each.requires_grad}
    assert frozen == {name for name, each in encoder.named_parameters() if each.grad is None}
    assert {name.split(".")[1] for name in frozen} == {"conv_stem", "bn1", "blocks"}
    moved = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.rpartition(".")[0] == place.rpartition(".")[0] for name in moved for place in frozen)
    assert set(network.frozen((), 2)) >= {f"encoder.{name}" for name in frozen}


def test_stages_that_are_not_there_or_random_are_not_frozen(config: TrainConfig) -> None:
    with pytest.raises(InputError, match="--freeze-stages 5: the encoder tiny has 5 stages; give fewer, or --freeze"):
        GFM("tiny", Rosta.TT).freeze((), stages=5)
    with pytest.raises(InputError, match=r"--freeze-stages 1: encoder.stages.0.0.weight, .* would stay at random"):
        Learner(replace(config, freeze_stages=1), Group())


def test_of_shm_the_stages_are_t_nets() -> None:
    network = build_network({"network": "shm", "backbone": "tiny", "width": 0.125})
    assert {name.split(".")[:4] == ["tnet", "encoder", "stages", "0"] for name in network.frozen((), 1)} == {True}


def test_what_was_frozen_can_learn_later(tuned: TrainConfig) -> None:
    train(replace(tuned, freeze=("encoder", "norms"), max_steps=2), ignore)
    said: list[str] = []
    result = train(replace(tuned, max_steps=3, encoder_rate=0.1, override=True), ignore, say=said.append)
    assert said == [
        "--override: --freeze was ['encoder', 'norms'], now []",
        "--override: --encoder-rate was 1.0, now 0.1",
    ]
    stored = load_checkpoint(result.checkpoint)
    steps = {
        name: int(stored.optimiser["state"][at]["step"])
        for group in stored.optimiser["param_groups"]
        for at, name in zip(group["params"], group["param_names"], strict=True)
    }
    assert steps["encoder.stages.0.0.weight"] == steps["focus.bridge.1.weight"] == 1
    assert steps["focus.bridge.0.weight"] == 3


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("backbone", ["tiny", "timm:mobilenetv3_small_050"])
def test_norms_that_processes_share_stay_too(backbone: str) -> None:
    torchvision_models()
    if ":" in backbone:
        pytest.importorskip("timm")
    network, plain = (seeded_gfm(backbone, Rosta.TT, 0) for _ in range(2))
    network.train().freeze(("norms",))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    wrapped = Group(size=2).wrap(network)
    wrapped.train()
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = wrapped(image).focus
    assert any(type(each) is SharedBatchNorm for each in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(found, plain.eval()(image).focus, rtol=1e-4, atol=1e-4)


def test_the_encoder_takes_its_share_of_the_rate_by_the_schedule(tuned: TrainConfig, batch: Batch) -> None:
    """Adam's first step is the rate, whatever the gradient; the second shows the schedule's."""
    config = replace(tuned, optimiser="adam", weight_decay=0.0, encoder_rate=0.1, schedule="cosine", max_steps=2)
    learner = Learner(config, Group())
    names = ("encoder.stages.0.1.weight", "focus.bridge.1.weight")
    before = [learner.network.state_dict()[name].clone() for name in names]
    learner.update(batch)
    moved = [(learner.network.state_dict()[name] - value).abs() for name, value in zip(names, before, strict=True)]
    assert [float(each.median()) for each in moved] == pytest.approx([1e-3, 1e-2], rel=1e-3)
    learner.update(batch)
    rates = {each["lr"] for each in learner.optimiser.param_groups}
    assert sorted(rates) == pytest.approx([0.5e-3, 0.5e-2])


def test_random_values_are_not_frozen(config: TrainConfig, tmp_path: Path) -> None:
    words = "would stay at random values; give --init with a network that has them"
    for parts in (("encoder",), ("norms",)):
        with pytest.raises(InputError, match=rf"--freeze {parts[0]}: .*and \d+ more {words}"):
            Learner(replace(config, freeze=parts), Group())
    bare = train(replace(config, out=tmp_path / "bare", ablations=("no-bb",), max_steps=1), ignore).checkpoint
    with pytest.raises(InputError, match=r"--freeze norms: focus.bridge.1.weight, .* would stay"):
        Learner(replace(config, freeze=("norms",), init=Origin.of(bare)), Group())


@pytest.mark.slow
def test_an_encoder_of_published_weights_alone_can_be_frozen(config: TrainConfig, tmp_path: Path) -> None:
    """That of r34 can; the 1024 channels of d121 are reduced by a convolution that no library has weights of."""
    files = {"r34": "resnet34", "d121": "densenet121"}
    for name in files.values():
        model = getattr(torchvision_models(), name)(weights=None)
        torch.save(model.state_dict(), tmp_path / f"{name}.pth")
    found = Learner(replace(config, backbone="r34", weights=tmp_path / "resnet34.pth", freeze=("encoder",)), Group())
    assert not any(each.requires_grad for each in found.network.encoder.parameters())
    with pytest.raises(InputError, match=r"--freeze encoder: encoder.stages.4.1.weight, .* would stay at random"):
        Learner(replace(config, backbone="d121", weights=tmp_path / "densenet121.pth", freeze=("encoder",)), Group())
    with pytest.raises(InputError, match=r"--freeze norms: encoder"):
        Learner(replace(config, backbone="d121", weights=tmp_path / "densenet121.pth", freeze=("norms",)), Group())
