from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rssn.errors import InputError
from train.checkpoint import Checkpoint, load_checkpoint, load_network, save_checkpoint
from train.config import TrainConfig
from train.network.gfm import GFM, seeded_gfm
from train.rosta import Rosta


def checkpoint_of(network: GFM, config: TrainConfig) -> Checkpoint:
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    torch.autograd.backward(network(torch.rand(2, 3, 64, 64)).glance.square().mean())
    optimiser.step()
    return Checkpoint(7, config.to_plain(), network.state_dict(), "digest", optimiser.state_dict())


def test_a_checkpoint_comes_back_whole(config: TrainConfig, tmp_path: Path) -> None:
    stored = checkpoint_of(seeded_gfm("tiny", Rosta.TT, 0), config)
    save_checkpoint(tmp_path / "a" / "last.pt", stored)
    loaded = load_checkpoint(tmp_path / "a" / "last.pt")
    assert (loaded.step, loaded.config, loaded.data_digest) == (7, config.to_plain(), "digest")
    assert all(torch.equal(loaded.model[name], tensor) for name, tensor in stored.model.items())
    moments = loaded.optimiser["state"][0]["exp_avg"]
    assert torch.equal(moments, stored.optimiser["state"][0]["exp_avg"])
    assert float(moments.abs().sum()) > 0
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["last.pt"]


def test_writers_that_were_killed_leave_nothing_once_another_has_written(tmp_path: Path) -> None:
    code = """
import os, sys, torch
from pathlib import Path
from train.checkpoint import Checkpoint, save_checkpoint
torch.save = lambda content, stream: (stream.write(b"half"), os.kill(os.getpid(), 9))
save_checkpoint(Path(sys.argv[1]), Checkpoint(1, {}, {}))
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "last.pt")], check=False)
    assert killed.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    save_checkpoint(tmp_path / "last.pt", Checkpoint(2, {}, {}))
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


def test_a_failed_write_leaves_the_old_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    good = checkpoint_of(seeded_gfm("tiny", Rosta.TT, 0), config)
    save_checkpoint(path, good)
    before = path.read_bytes()
    unwritable = Checkpoint(8, {"stream": path.open("rb")}, {})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        save_checkpoint(path, unwritable)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("rosta", list(Rosta))
def test_the_network_of_a_checkpoint_predicts_the_same(config: TrainConfig, tmp_path: Path, rosta: Rosta) -> None:
    network = seeded_gfm("tiny", rosta, 5)
    plain = {**config.to_plain(), "rosta": rosta.value}
    save_checkpoint(tmp_path / "last.pt", Checkpoint(1, plain, network.state_dict()))
    loaded = load_network(tmp_path / "last.pt", torch.device("cpu"))
    image = torch.rand(1, 3, 64, 64)
    assert not loaded.training
    assert torch.equal(loaded(image).focus, network.eval()(image).focus)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(InputError, match=r"last.pt: No such file"):
        load_checkpoint(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged, or not a checkpoint"):
        load_checkpoint(path)
    torch.save({"run": pytest.fail}, path)
    with pytest.raises(InputError, match="damaged, or not a checkpoint"):
        load_checkpoint(path)
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="not a checkpoint of `train run`"):
        load_checkpoint(path)


def test_weights_that_are_no_numbers_or_another_networks_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    model = seeded_gfm("tiny", Rosta.TT, 0).state_dict()
    save_checkpoint(
        path, Checkpoint(1, config.to_plain(), {**model, "focus.bridge.0.bias": torch.full((8,), torch.nan)})
    )
    with pytest.raises(InputError, match="some of its weights are no numbers"):
        load_network(path, torch.device("cpu"))
    del model["focus.bridge.0.bias"]
    save_checkpoint(path, Checkpoint(1, config.to_plain(), model))
    with pytest.raises(InputError, match=r"its weights are not those of GFM-TT\(tiny\): .*Missing key") as caught:
        load_network(path, torch.device("cpu"))
    assert "\n" not in str(caught.value)
