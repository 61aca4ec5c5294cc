from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from rssn.errors import InputError
from tests.train.seeded import seeded_gfm
from train.checkpoint import Checkpoint, load_checkpoint, load_network, save_checkpoint
from train.cli import main
from train.config import TrainConfig
from train.network.gfm import GFM
from train.targets.rosta import Rosta


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


@pytest.mark.slow
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
    with pytest.raises(InputError, match="no file"):
        load_checkpoint(tmp_path)
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a file that torch can load safely: damaged"):
        load_checkpoint(path)
    torch.save({"run": pytest.fail}, path)
    with pytest.raises(InputError, match="or it holds more than tensors, which might run code"):
        load_checkpoint(path)
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="not a checkpoint of `train run`"):
        load_checkpoint(path)


def test_weights_of_another_network_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    model = seeded_gfm("tiny", Rosta.TT, 0).state_dict()
    del model["focus.bridge.0.bias"]
    save_checkpoint(path, Checkpoint(1, config.to_plain(), model))
    with pytest.raises(InputError, match=r"its weights are not those of GFM-TT\(tiny\): .*Missing key") as caught:
        load_network(path, torch.device("cpu"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("focus.bridge.0.bias", torch.nan, "focus.bridge.0.bias holds values that are not finite"),
        ("encoder.stages.0.1.running_mean", torch.inf, "running_mean holds values that are not finite"),
        ("encoder.stages.0.1.running_var", torch.nan, "running_var holds values that are not finite"),
        ("encoder.stages.0.1.running_var", -1e-3, "running_var holds negative variances"),
        ("encoder.stages.0.0.weight", 3e38, r"GFM-TT\(tiny\) gives values that are not finite; take an earlier"),
    ],
)
@pytest.mark.parametrize("averaged", [False, True])
def test_values_of_which_no_matte_comes_are_refused(
    config: TrainConfig, tmp_path: Path, name: str, value: float, words: str, averaged: bool
) -> None:
    path = tmp_path / "last.pt"
    model = seeded_gfm("tiny", Rosta.TT, 0).state_dict()
    spoilt = {**model, name: torch.full_like(model[name], value)}
    parts = {"model": model, "ema": spoilt} if averaged else {"model": spoilt}
    save_checkpoint(path, Checkpoint(1, config.to_plain(), **parts))
    with pytest.raises(InputError, match=f"last.pt: .*{words}"):
        load_network(path, torch.device("cpu"))


@pytest.mark.slow
def test_a_digest_covers_every_part(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    stored = replace(checkpoint_of(seeded_gfm("tiny", Rosta.TT, 0), config), rng=torch.get_rng_state(), position=28)
    save_checkpoint(path, stored)
    content = torch.load(path, weights_only=True)
    moments = copy.deepcopy(content["optimiser"])
    moments["state"][3]["exp_avg"].view(-1)[0] += 1e-6
    weight = "encoder.stages.0.0.weight"
    kind = {**content["model"], weight: content["model"][weight].view(torch.int32)}
    shape = {**content["model"], weight: content["model"][weight].reshape(1, -1)}
    rng = content["rng"].clone()
    rng[-1] ^= 1
    for part in (
        {"step": 8}, {"position": 32}, {"rng": rng}, {"data_digest": "other"}, {"optimiser": moments}, {"model": kind},
        {"model": shape}, {"ema": {weight: content["model"][weight]}}, {"config": {**content["config"], "seed": 1}},
    ):  # fmt: skip
        torch.save(content | part, path)
        with pytest.raises(InputError, match=r"last\.pt: damaged: it differs from its digest; take an earlier"):
            load_checkpoint(path)
    torch.save({name: value for name, value in content.items() if name != "digest"}, path)
    assert load_checkpoint(path).step == 7  # as earlier versions wrote it


@pytest.mark.slow
def test_flipped_bits_are_refused_or_change_nothing(config: TrainConfig, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    stored = checkpoint_of(seeded_gfm("tiny", Rosta.TT, 0), config)
    save_checkpoint(path, stored)
    whole = path.read_bytes()
    rng = np.random.default_rng(15)
    refused = same = 0
    for at, bit in zip(rng.integers(len(whole), size=60), rng.integers(8, size=60), strict=True):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        try:
            loaded = load_checkpoint(path)
        except InputError as error:
            refused += len(re.findall(f"^{re.escape(str(path))}: .+$", str(error)))
        else:
            same += 1
            assert loaded.step == 7
            assert all(torch.equal(loaded.model[name], value) for name, value in stored.model.items())
            assert all(
                torch.equal(value, stored.optimiser["state"][at][name])
                for at, state in loaded.optimiser["state"].items()
                for name, value in state.items()
            )
    assert refused + same == 60
    assert refused > 20


CASES = {
    "bn_nan": "{name} holds values that are not finite; take another copy",
    "bn_neg": "{name} holds negative variances; take another copy",
    "cfg_abl": "its network cannot be built: --ablation boom: unknown; choose one of single, no-ppm, no-bb",
    "cfg_backbone": r"its network cannot be built: --backbone \.\./\.\./x: unknown; choose one of .*",
    "cfg_backbone_int": "its network cannot be built: its settings name the backbone 5",
    "cfg_empty": "its network cannot be built: its settings name the backbone None",
    "cfg_none": "no checkpoint of this version: its config is None",
    "cfg_rosta": "its network cannot be built: its settings name the RoSTa 'ZZ'; there are TT, FT, BT",
    "cfg_url": "its network cannot be built: --backbone timm:hf-hub:evil/model: timm has no hf-hub:evil/model",
    "empty": "empty; take another copy",
    "extra": "no checkpoint of this version: it holds an unknown foo",
    "flip": r"damaged: archive/data/\d+ differs from its checksum; take another copy",
    "model_list": r"no checkpoint of this version: its model is \[1, 2\]",
    "model_str": "no checkpoint of this version: its model is .*",
    "noconfig": "no checkpoint of this version: it lacks config",
    "one": "damaged: .*; take another copy",
    "shape": r"its weights are not those of GFM-TT\(tiny\): .*size mismatch.*",
    "silent-flip": r"damaged: archive/data/\d+ differs from its checksum; take another copy",
    "step_neg": "no checkpoint of this version: its step is -5",
    "step_str": "no checkpoint of this version: its step is 'x'",
    "timm": "its network cannot be built: --backbone timm:vit_giant.*: timm has no .*",
    "trunc": "damaged: .*; take another copy",
    "w_huge": r"GFM-TT\(tiny\) gives values that are not finite; .*",
    "w_nan": "{name} holds values that are not finite; take another copy",
}


def test_every_case_is_named(shared: Path) -> None:
    assert {path.stem for path in (shared / "cases" / "30-checkpoints").iterdir()} == set(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "eval", "export", "run"])
def test_odd_checkpoints_end_each_command_with_one_line(
    command: str, shared: Path, config: TrainConfig, photographs: Path, tmp_path: Path
) -> None:
    for name, words in CASES.items():
        if name in ("cfg_url", "timm") and find_spec("timm") is None:
            continue
        path = tmp_path / name / "last.pt"
        path.parent.mkdir()
        shutil.copy(shared / "cases" / "30-checkpoints" / f"{name}.pt", path)
        photo = str(photographs / "original" / "scene0.png")
        arguments = {
            "predict": ["--checkpoint", str(path), photo, "--out", str(tmp_path / "mattes")],
            "eval": ["--checkpoint", str(path), "--data", str(photographs)],
            "export": ["--checkpoint", str(path), "--format", "torchscript"],
            "run": ["--data", config.data[0], "--out", str(path.parent), "--backbone", "tiny", "--workers", "0"],
        }[command]
        before = path.read_bytes()
        done = CliRunner().invoke(main, [command, *arguments])
        assert done.exit_code == 1, (name, done.output)
        line = done.output.splitlines()[-1]
        other = "this run was started with other settings: .*"  # of whole ones, which no run of these settings left
        found = re.match(f"Error: {re.escape(str(path))}: ({words.format(name='[a-z_0-9.]+')}|{other})$", line)
        assert found, (name, done.output)
        assert command == "run" or not found[1].startswith("this run"), name
        assert path.read_bytes() == before
    assert not (tmp_path / "mattes").exists()
