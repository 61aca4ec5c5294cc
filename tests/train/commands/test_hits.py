"""SIGKILL of a training, or of a process that loads for it, while the checkpoint's temporary file is there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.hitting import KILLS, Command, content, differing, hit

pytestmark = pytest.mark.slow

STEPS = 8 * KILLS + 6  # after the death of a process that loads, what it has handed over is still learned from


def training(folder: Path, shards: Path) -> Command:
    folder.mkdir()
    words = ["run", "--data", shards, "--out", "out", "--backbone", "tiny", "--rosta", "TT", "--max-steps", STEPS]
    words += ["--checkpoint-every", 1, "--keep", 2, "--batch-size", 2, "--input-size", 64, "--crop-size", 64]
    return Command("train.cli", [*words, "--workers", 1], folder)


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training makes that nobody disturbs."""
    command = training(tmp_path_factory.mktemp("whole") / "run", shards)
    command.run()
    return command.folder / "out"


def steps(out: Path) -> list[dict[str, Any]]:
    """The record of each step without its seconds."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def temporary_of(command: Command) -> Callable[[], Path | None]:
    path = command.folder / "out" / ".last.pt.tmp"
    return lambda: path if path.exists() else None


def kill(command: Command, process: subprocess.Popen[str], victim: Callable[[], int | None], passing: int) -> None:
    """Kill at a checkpoint's temporary file, after letting some pass, so that each attempt comes further."""
    begun: list[int] = []  # how many steps stood in the record at the first one

    def choose(_: Path) -> int | None:
        done = len((command.folder / "out" / "metrics.jsonl").read_text().splitlines())
        begun.append(done)
        return victim() if done >= begun[0] + passing else None

    path = hit(process, temporary_of(command), lambda _: process.pid, choose)
    assert path is not None, command.said()


def values(value: Any, where: str = "") -> Iterator[tuple[str, object]]:
    """All that a checkpoint holds: numbers, texts, and tensors to the bit."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from values(each, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from values(each, f"{where}.{number}")
    elif isinstance(value, torch.Tensor):
        yield where, (value.dtype, value.shape, value.numpy().tobytes())
    else:
        yield where, value


def check(command: Command, whole: Path) -> None:
    """The same files; only the seconds of the steps differ, and how pickle counts equal texts in a checkpoint."""
    out = command.folder / "out"
    for path in sorted(whole.glob("*.pt")):
        ours, theirs = (dict(values(torch.load(place / path.name, weights_only=True))) for place in (out, whole))
        assert sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)) == []
    assert steps(out) == steps(whole)
    assert [line["step"] for line in steps(out)] == list(range(1, STEPS + 1))
    one, other = (content(place, blank=r".*\.pt|metrics\.jsonl") for place in (out, whole))
    assert differing(one, other) == []


def test_the_training_itself(shards: Path, whole: Path, tmp_path: Path) -> None:
    command = training(tmp_path / "run", shards)
    for number in range(KILLS):
        with command.running() as process:
            kill(command, process, lambda process=process: process.pid, 1 + number % 2)  # type: ignore[misc]
        assert (tmp_path / "run" / "out" / ".last.pt.tmp").exists()
    command.run()
    check(command, whole)


def test_a_process_that_loads(shards: Path, whole: Path, tmp_path: Path) -> None:
    """The training ends with a line that says so, and the same command goes on."""
    command = training(tmp_path / "run", shards)
    for _ in range(KILLS):
        with command.running() as process:
            kill(command, process, lambda: next(iter(command.workers("spawn_main")), None), 1)
            process.wait(300)
        assert process.returncode == 1, command.said()
        assert "Error: " in command.said().splitlines()[-1]
        assert "Traceback" not in command.said()
    command.run()
    check(command, whole)
