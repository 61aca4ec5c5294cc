"""The other networks of the paper's tables through every command: train, resume, evaluate, predict, export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rssn.image.arrays import encode_png
from tests.train.test_cli import call, refused, run_options
from train.checkpoint import load_checkpoint
from train.export import export_network, output_names
from train.network.network import MattingNetwork, build_network
from train.network.networks import NETWORKS
from train.network.strategy import Strategy

BASELINES = ("shm", "lf", "hatt", "shmc")
OUTPUTS = {
    "shm": ["alpha", "raw", "classes"],
    "lf": ["alpha", "beta", "background", "foreground"],
    "hatt": ["alpha"],
    "shmc": ["alpha"],
}


def small(name: str) -> list[object]:
    """Options of a network of a few channels."""
    width = ["--width", 0.05] if "width" in NETWORKS[name].takes else []
    return ["--network", name, *width, "--max-steps", 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_network_goes_through_every_command(name: str, shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained = call(*run_options(shards, out), *small(name), "--validation", photographs)
    assert trained.exit_code == 0, trained.output
    assert "step 3 of 3" in trained.stdout
    config = json.loads((out / "config.json").read_text())
    assert (config["network"], config["optimiser"]) == (name, "adam")
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert last[f"validation/{photographs.name}/sad"] > 0
    judged = call("eval", "--checkpoint", out / "last.pt", "--data", photographs, "--out", tmp_path / "eval")
    assert judged.exit_code == 0, judged.output
    assert judged.stdout.splitlines()[1].startswith(f"{name.upper()}(tiny) ")
    both = call(
        *("eval", "--checkpoint", out / "last.pt", "--checkpoint", out / "best.pt"),
        *("--data", photographs, "--out", tmp_path / "both"),
    )
    assert both.stdout.splitlines()[1].startswith(f"{name.upper()}-ENS(")
    (tmp_path / "photo.png").write_bytes(encode_png(np.full((40, 70, 3), 90, np.uint8)))
    cut = call(
        "predict", "--checkpoint", out / "last.pt", tmp_path / "photo.png", "--alpha-only", "--out", tmp_path / "mattes"
    )
    assert cut.exit_code == 0, cut.output
    assert (tmp_path / "mattes" / "photo-alpha.png").is_file()
    hybrid = ("--hybrid", "1/3", "1/2")
    words = refused(call("eval", "--checkpoint", out / "last.pt", "--data", photographs, *hybrid))
    assert f"--hybrid: {out / 'last.pt'} is {name.upper()}(tiny), which has no glance and focus; leave it out" in words


def test_options_that_a_network_has_no_use_for_are_errors_by_name(shards: Path, tmp_path: Path) -> None:
    """Also where they say what holds anyway."""
    options = run_options(shards, tmp_path / "run")
    for name, given in (
        ("shm", ("--rosta", "TT")),
        ("lf", ("--ablation", "no-ppm")),
        ("hatt", ("--preset", "paper-ori")),
        ("shmc", ("--width", 1)),
        ("gfm", ("--width", 1)),
        ("shm", ("--validation", "a=b", "--validation-hybrid", "1/3", "1/2")),
    ):
        words = refused(call(*options, "--network", name, *given))
        option = [word for word in given if str(word).startswith("--")][-1]
        assert f"{option} has no effect here: this --network has no use for it; leave it out" in words


def test_a_network_has_its_own_defaults_and_options_override_them(shards: Path, tmp_path: Path) -> None:
    bare = ["run", "--data", shards, "--network", "shm", "--backbone", "tiny", "--width", 0.05, "--max-steps", 3]
    quick = ["--batch-size", 2, "--crop-size", 64, "--input-size", 64, "--workers", 0]
    for number, (given, rate) in enumerate((([], 1e-4), (["--learning-rate", 1e-3], 1e-3))):
        trained = call(*bare, *quick, *given, "--out", tmp_path / str(number))
        assert trained.exit_code == 0, trained.output
        config = load_checkpoint(tmp_path / str(number) / "last.pt").config
        assert (config["learning_rate"], config["optimiser"], config["weight_decay"]) == (rate, "adam", 5e-4)


def lively(name: str) -> MattingNetwork:
    """Whose norms have seen pictures, so that its values differ from place to place."""
    width = {"width": 0.1} if "width" in NETWORKS[name].takes else {}
    network = build_network({"network": name, "backbone": "tiny", **width}, seed=3).train()
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(30):
            network(torch.rand(2, 3, 128, 128))
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
@pytest.mark.parametrize("name", BASELINES)
def test_an_exported_file_computes_the_same_at_any_size(name: str, kind: str, tmp_path: Path) -> None:
    """`export_network` compares four shapes itself."""
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    network = lively(name)
    with torch.inference_mode():
        alpha = network.matte(network.evidence(torch.rand(1, 3, 64, 96)))
    assert float(alpha.std()) > 1e-3
    assert export_network(network, tmp_path / f"file.{kind}", kind, Strategy()) < 1e-4
    assert list(output_names(network)) == OUTPUTS[name]
    card = (tmp_path / f"file.{kind}.md").read_text()
    assert all(f"`{each}`" in card for each in OUTPUTS[name])


def test_describe_shows_all_of_table_4() -> None:
    shown = call("describe", "--network", "shm", "--network", "lf", "--no-time")
    assert shown.exit_code == 0, shown.output
    heading, shm, lf, *notes = shown.stdout.splitlines()
    assert heading.split()[0] == "network"
    assert shm.split() == ["SHM(r50_8)", "79.00", "79.27", "79.27", "868.18", "870.16"]
    assert lf.split() == ["LF(d201)", "37.90", "37.91", "1416.26", "2821.14", "/", "2"]
    assert len(notes) == 2
    words = refused(call("describe", "--network", "shm", "--backbone", "r34"))
    assert "--backbone has no effect here: it is of gfm" in words
