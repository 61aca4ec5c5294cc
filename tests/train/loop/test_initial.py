"""A run that starts from a trained network, of ours or of the authors'."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rssn.errors import InputError
from tests.train.network.released import calibrate, random_state, released, shapes
from tests.train.seeded import seeded_gfm
from train.checkpoint import load_checkpoint, load_network
from train.config import Origin, TrainConfig
from train.loop.distributed import Group
from train.loop.initial import initialise
from train.loop.learner import Learner
from train.loop.loop import train
from train.network.gfm import GFM
from train.published import import_published
from train.targets.rosta import Rosta


def ignore(_: object) -> None:
    pass


@pytest.fixture
def taught(config: TrainConfig) -> Path:
    """A checkpoint with an average that differs from the raw weights."""
    return train(replace(config, out=config.out / "taught", max_steps=3, ema=0.9), ignore).checkpoint


def test_a_new_run_starts_from_the_average_with_everything_else_anew(config: TrainConfig, taught: Path) -> None:
    stored = load_checkpoint(taught)
    said: list[str] = []
    config = replace(config, init=Origin.of(taught), seed=3, max_steps=1, learning_rate=1e-12)
    fresh = Learner(config, Group())
    assert (fresh.place, fresh.optimiser.state_dict()["state"]) == ((0, 0, 4), {})
    for name, value in stored.ema.items():
        torch.testing.assert_close(fresh.network.state_dict()[name], value, rtol=0, atol=0)
        assert value.ndim == 0 or name in ("mean", "std") or not torch.equal(value, stored.model[name])
    result = train(config, ignore, say=said.append)
    after = load_checkpoint(result.checkpoint)
    torch.testing.assert_close(after.model["focus.bridge.0.weight"], stored.ema["focus.bridge.0.weight"])
    assert said == [f"--init {taught}: 291 of 291 tensors taken"]
    assert after.config["init"] == {"path": str(taught), "digest": Origin.of(taught).digest}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["r34", "d121", "r34_2b"])
def test_a_released_network_gives_its_own_mattes_before_the_first_step(
    shared: Path, tmp_path: Path, backbone: str
) -> None:
    """The encoder goes on seeing 0 to 255: rewritten for normalised pictures, its border would see another colour."""
    state = random_state(shapes(shared, backbone, "TT"), 1)
    noise = torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(3))
    image = F.interpolate(noise, (64, 96), mode="bilinear")
    with torch.no_grad():
        calibrate(state, backbone, 255 * image)
        *_, expected = released(state, backbone, "TT", 255 * image)
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "net.pth")
        import_published(tmp_path / "net.pth", backbone, Rosta.TT, tmp_path / "ours.pt")
        for path in (tmp_path / "net.pth", tmp_path / "ours.pt"):
            network = GFM(backbone, Rosta.TT)
            found = initialise(network, path)
            assert found.loaded == set(network.state_dict())
            assert "left at random" not in found.words
            torch.testing.assert_close(network.eval()(image).alpha, expected, rtol=0, atol=1e-4)
    assert 0.1 < float(expected.mean()) < 0.9


def test_what_a_released_network_sees_goes_into_the_checkpoints_after_it(config: TrainConfig, taught: Path) -> None:
    """And into a run that starts from these."""
    state = dict(load_checkpoint(taught).ema)
    del state["mean"], state["std"]
    places = {name: f"gfm.{name}" for name in state}
    torch.save({places[name]: value for name, value in state.items()}, config.out / "imported.pth")
    out = taught
    for number, source in enumerate((config.out / "imported.pth", config.out / "0" / "last.pt")):
        out = config.out / str(number)
        train(replace(config, out=out, init=Origin.of(source), max_steps=1, ema=0.5), ignore)
    network = load_network(out / "last.pt", torch.device("cpu"))
    assert network.state_dict()["mean"].tolist() == [[[[0.0]], [[0.0]], [[0.0]]]]
    torch.testing.assert_close(255 * network.state_dict()["std"], torch.ones(1, 3, 1, 1))


def test_a_checkpoint_of_an_earlier_version_sees_as_ever(config: TrainConfig, taught: Path) -> None:
    state = {name: value for name, value in load_checkpoint(taught).model.items() if name not in ("mean", "std")}
    network = GFM("tiny", Rosta.TT)
    before = network.mean.clone()
    network.load_state_dict(state)
    assert torch.equal(network.mean, before)


@pytest.mark.parametrize(
    ("made", "left", "unused"),
    [
        (("tiny", Rosta.FT), ["glance.blocks.0.6.bias", "glance.blocks.0.6.weight"], "glance.blocks.0.6."),
        (
            ("tiny", Rosta.TT, None, ("no-bb",)),
            ["focus.blocks.4.0.bias", "focus.blocks.4.0.weight"],
            ("focus.bridge.", "focus.blocks.4.0."),
        ),
        (("tiny", Rosta.TT, None, ("single",)), [], "glance."),
    ],
    ids=["another RoSTa", "without bridge block", "one decoder"],
)
def test_what_does_not_fit_is_named_and_the_rest_is_taken(
    taught: Path, made: Any, left: list[str], unused: str | tuple[str, ...]
) -> None:
    network = GFM(*made)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = initialise(network, taught)
    own, stored = network.state_dict(), load_checkpoint(taught).ema
    assert sorted(own.keys() - found.loaded) == left
    assert all(torch.equal(own[name], before[name]) for name in left)
    assert all(torch.equal(own[name], stored[name]) for name in found.loaded)
    assert f"{len(found.loaded)} of {len(own)} tensors taken" in found.words
    if left:
        assert f"missing or of another shape, left at random values: {', '.join(left)};" in found.words
    listed = re.search(r"unused: (.*)", found.words)
    assert listed is not None
    expected = sorted(name for name in stored if name.startswith(unused))
    more = f", and {len(expected) - 4} more" if len(expected) > 4 else ""
    assert listed[1] == f"{', '.join(expected[:4])}{more}"


@pytest.mark.slow
def test_a_stage_of_another_encoder_is_not_taken_in_part(tmp_path: Path) -> None:
    """Stages 2 to 4 of r34_2b are r34's; of its first two no tensor is, though some have the shape."""
    torch.save(seeded_gfm("r34", Rosta.TT, 1).state_dict(), tmp_path / "r34.pth")
    network = GFM("r34_2b", Rosta.TT)
    loaded = initialise(network, tmp_path / "r34.pth").loaded
    assert {name.split(".")[2] for name in loaded if name.startswith("encoder.")} == {"2", "3", "4"}
    assert "mean" not in loaded  # it goes with the first stage


def test_a_file_of_which_nothing_fits_is_refused_with_the_remedy(config: TrainConfig, taught: Path) -> None:
    with pytest.raises(InputError, match=r"nothing of it fits GFM-TT\(r34\); it is of --backbone tiny --rosta TT"):
        initialise(GFM("r34", Rosta.TT), taught)
    other = config.out / "encoder.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, other)
    with pytest.raises(InputError, match=r"nothing of it fits .*; an encoder's weights alone are given with --weights"):
        initialise(GFM("tiny", Rosta.TT), other)
    with pytest.raises(InputError, match=r"absent.pt: No such file"):
        train(replace(config, init=Origin.of(config.out / "absent.pt")), ignore)


@pytest.mark.slow
def test_the_same_command_goes_on_and_another_start_is_a_difference(config: TrainConfig, taught: Path) -> None:
    first = replace(config, init=Origin.of(taught), max_steps=1)
    train(first, ignore)
    moved = taught.rename(taught.with_name("moved.pt"))
    for number, init in enumerate((Origin.of(taught), Origin.of(moved), None), 2):  # gone; elsewhere; left out
        said: list[str] = []
        result = train(replace(config, init=init, max_steps=number), ignore, say=said.append)
        stored = load_checkpoint(result.checkpoint)
        assert (stored.step, said) == (number, [])
        assert stored.config["init"] == first.to_plain()["init"]
    other = train(replace(config, out=config.out / "other", max_steps=1), ignore).checkpoint
    for change in ({"init": Origin.of(other)}, {"init": Origin.of(other), "override": True}):
        with pytest.raises(InputError, match=r"--init was .*taught.last.pt \(sha256 .*, now .*; leave it out"):
            train(replace(config, max_steps=9, **change), ignore)
    with pytest.raises(InputError, match=r"--init was None, now "):
        train(replace(config, out=other.parent, init=Origin.of(moved), max_steps=9), ignore)
