"""Two processes by `torchrun` are one with twice the batch."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from rssn.errors import RssnError
from rssn.vision import torchvision_models
from tests.train.seeded import seeded_gfm
from train.checkpoint import load_checkpoint, save_checkpoint
from train.cli import main
from train.loop import distributed
from train.loop.distributed import Group, SharedBatchNorm, process_group
from train.targets.rosta import Rosta

TERMS = ("cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition", "total")


def command(shards: Path, out: Path, batch: int, steps: int) -> list[str]:
    options = {"data": shards, "out": out, "backbone": "tiny", "max-steps": steps, "batch-size": batch, "crop-size": 64}
    options |= {"input-size": 64, "workers": 0, "learning-rate": 0.001, "clip": 1.0}
    options |= {"optimiser": "adam", "schedule": "constant", "weight-decay": 0, "ema": 0}
    options |= {"seed": 3}  # with which no px of the glance lies between two classes, so that rounding stays rounding
    return ["-m", "train.cli", "run", *(str(word) for name, value in options.items() for word in (f"--{name}", value))]


def two(*words: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]


def two_forked(*words: str) -> list[str]:
    """As `two`, of a process that has imported all that both need."""
    return [sys.executable, "-m", "tests.train.loop.ranks", *words[2:]]


def run_alone(words: list[str]) -> None:
    """One process of a run, in this one."""
    done = CliRunner().invoke(main, words[2:])
    assert done.exit_code == 0, done.output


def losses(out: Path) -> list[list[float]]:
    return [[json.loads(line)[name] for name in TERMS] for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(
    shards: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    alone, pair = tmp_path / "alone", tmp_path / "pair"
    run_alone(command(shards, alone, 4, 4))
    words = two(*command(shards, pair, 2, 2))
    said = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert said.count("checkpoint:") == 1  # the first of them alone talks
    assert load_checkpoint(pair / "last.pt").position == 8
    subprocess.run(two_forked(*command(shards, pair, 2, 4)), check=True, env=environment)  # and goes on
    torch.testing.assert_close(torch.tensor(losses(pair)), torch.tensor(losses(alone)), atol=1e-4, rtol=1e-4)
    assert losses(pair)[0] != losses(pair)[1]


@pytest.mark.slow
def test_processes_that_accumulate_have_the_losses_of_one_large_batch(
    shards: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Where no norm learns from the samples that it sees; gradients go out once a step."""
    start, alone, pair = (tmp_path / name for name in ("start", "alone", "pair"))
    run_alone(command(shards, start, 4, 3))
    tuned = ["--init", str(start / "last.pt"), "--freeze", "norms"]
    run_alone([*command(shards, alone, 4, 3), *tuned])
    words = two_forked(*command(shards, pair, 1, 3), *tuned, "--accumulate", "2")
    said = subprocess.run(words, check=True, env=environment, stderr=subprocess.PIPE, text=True).stderr
    assert said.count("tensors taken") == 1
    torch.testing.assert_close(torch.tensor(losses(pair)), torch.tensor(losses(alone)), atol=1e-5, rtol=1e-5)
    assert load_checkpoint(pair / "last.pt").position == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shm", "lf", "hatt", "shmc"])
def test_networks_of_several_stages_learn_in_two_processes_as_in_one(
    name: str, shards: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """SHM's drop-out falls on each half of a batch alike, so only that it learns is asked of it."""
    network = ["--network", name, "--clip", "0", *([] if name == "shmc" else ["--width", "0.05"])]
    alone, pair = tmp_path / "alone", tmp_path / "pair"
    subprocess.run(two_forked(*command(shards, pair, 2, 4), *network), check=True, env=environment)
    found = [json.loads(line) for line in (pair / "metrics.jsonl").read_text().splitlines()]
    assert len(found) == 4
    if name != "shm":
        run_alone([*command(shards, alone, 4, 4), *network])
        for one, line in zip(found, (alone / "metrics.jsonl").read_text().splitlines(), strict=True):
            other = json.loads(line)
            assert one.keys() == other.keys()
            assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-3, abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the processes in Linux's /proc")
def test_a_signal_to_one_of_them_stops_both_after_the_same_step(
    shards: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "run"
    started = subprocess.Popen(two(*command(shards, out, 2, 100_000)), env=environment, stderr=subprocess.PIPE)
    record = out / "metrics.jsonl"
    while not (record.is_file() and record.stat().st_size > 500):
        assert started.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text()
    os.kill(int(children.split()[-1]), signal.SIGTERM)
    assert started.wait(300) != 0
    assert load_checkpoint(out / "last.pt").step == len(losses(out))


@pytest.mark.slow
def test_patience_ends_both_after_the_same_step(
    shards: Path, photographs: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "run"
    words = ["--validation", str(photographs), "--validation-side", "64", "--validate-every", "1", "--patience", "1"]
    started = two_forked(*command(shards, out, 2, 60), "--learning-rate", "0.5", *words)
    said = subprocess.run(started, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    step = load_checkpoint(out / "last.pt").step
    assert 1 < step < 60
    assert step == len(losses(out)) == 1 + load_checkpoint(out / "best.pt").step
    assert said.splitlines()[-1].startswith("stopped early: 1 validations since, none better")
    before = (out / "metrics.jsonl").read_bytes()
    subprocess.run(started, env=environment, check=True)  # trains no further
    assert (out / "metrics.jsonl").read_bytes() == before


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_shared_batch_norm_is_torchs(kind: torch.dtype) -> None:
    plain, shared = torch.nn.BatchNorm2d(3).train(), torch.nn.BatchNorm2d(3).train()
    shared.__class__ = SharedBatchNorm
    feature = 5 + 2 * torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(kind)
    found, expected = shared(feature), plain(feature)
    assert found.dtype == kind
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(list(shared.buffers()), list(plain.buffers()))


@pytest.mark.slow
@pytest.mark.usefixtures("group_of_one")
def test_batch_norms_of_timm_are_shared_too_and_keep_their_activation() -> None:
    torchvision_models()
    pytest.importorskip("timm")
    plain, wrapped = (seeded_gfm("timm:mobilenetv3_small_050", Rosta.TT, 0).train() for _ in range(2))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    together = Group(size=2).wrap(wrapped)
    torch.testing.assert_close(together(image).focus, plain(image).focus, atol=1e-4, rtol=1e-4)
    norms = [each for each in wrapped.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    assert norms
    assert all(type(each) is SharedBatchNorm for each in norms)
    for each, other in zip(wrapped.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(each, other, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_the_samples_of_all(
    shards: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / "pair"
    run_alone(command(shards, out, 4, 1))
    stored = load_checkpoint(out / "last.pt")
    model = {
        name: torch.full_like(value, 3e38) if name.endswith("weight") else value for name, value in stored.model.items()
    }
    save_checkpoint(out / "last.pt", replace(stored, model=model))
    words = two_forked(*command(shards, out, 2, 2))
    said = subprocess.run(words, env=environment, check=False, stderr=subprocess.PIPE, text=True)
    assert said.returncode != 0
    line = next(line for line in said.stderr.splitlines() if "the loss is not finite" in line)
    assert all(f"scene{number}/0" in line for number in range(4))


@pytest.mark.slow
@pytest.mark.parametrize("agent", [False, True], ids=["alone", "under torchrun"])
def test_a_process_that_never_starts_is_not_waited_for(agent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun another process holds the store, and every rank comes to it at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    held = torch.distributed.TCPStore("127.0.0.1", port, 2, True, wait_for_workers=False) if agent else None
    facts = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    facts |= {"TORCHELASTIC_USE_AGENT_STORE": str(bool(held))}
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "START_TIMEOUT", timedelta(seconds=2))
    words = "ranks 1 did not start within" if agent else f"did not meet at 127.0.0.1:{port}: .*1/2 clients"
    with pytest.raises(RssnError, match=rf"{words}.*; start all of them"), process_group():
        pass
