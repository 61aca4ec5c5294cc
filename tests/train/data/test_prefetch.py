"""Whatever becomes of the processes that prepare samples, the trainer ends, and says why."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from rssn.errors import RssnError
from train.checkpoint import load_checkpoint
from train.data.prefetch import exit_with_trainer, prefetch
from train.signals import NEVER, StopFile

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


class Numbers(Dataset[object]):
    """0, 1, 2; what is asked for as a 2 meets a fate."""

    def __init__(self, fate: str = "") -> None:
        self._fate = fate

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> object:
        if index < 2 or not self._fate:
            return torch.tensor(index)
        if self._fate == "sleep":
            time.sleep(3600)
        if self._fate == "unsendable":
            return lambda: index
        if self._fate == "half":
            Connection._send = _send_half  # type: ignore[method-assign]
            return b"x" * 1_000_000
        os.kill(os.getpid(), signal.Signals[self._fate])
        return None


def _send_half(connection: Connection, data: bytes, *_: object) -> None:
    os.write(connection.fileno(), data[:100])
    os.kill(os.getpid(), signal.SIGKILL)


def first(items: list[object]) -> object:
    return items[0]


def prepare(_: int) -> None:
    exit_with_trainer()


def leave_a_mark(path: Path, fails: bool) -> None:
    exit_with_trainer()
    atexit.register(path.touch)
    if fails:
        raise ValueError("what went wrong")


def loaded(fate: str, stop: object = NEVER) -> Iterator[torch.Tensor]:
    loader = DataLoader(
        Numbers(fate),
        num_workers=1,
        collate_fn=first,
        worker_init_fn=prepare,
        multiprocessing_context="spawn",
        prefetch_factor=1,
    )
    return prefetch(loader, stop)  # type: ignore[arg-type]


def test_all_come_in_order_and_the_processes_end() -> None:
    assert [int(each) for each in loaded("")] == [0, 1, 2]
    assert active_children() == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_did_all_goes_without_the_interpreters_end(
    fails: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which would end a thread inside torch's code, and so abort."""
    process = get_context("spawn").Process(target=leave_a_mark, args=(tmp_path / "end", fails))
    process.start()
    process.join(300)
    assert process.exitcode == int(fails)
    assert (tmp_path / "end").exists() == fails
    assert ("ValueError: what went wrong" in capfd.readouterr().err) == fails


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("SIGBUS", "ended of SIGBUS: a full /dev/shm, most likely; .*--shm-size 1g.*, or give --workers 0"),
        ("SIGKILL", "ended of SIGKILL: it was killed, or memory ran out; .*, or give --workers 0"),
        ("half", "ended of SIGKILL"),
        ("unsendable", "ended with exit code 70: its own message is above, or give --workers 0"),
    ],
)
def test_a_process_that_dies_ends_the_wait(fate: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = []
    with pytest.raises(RssnError, match=words):
        found.extend(int(each) for each in loaded(fate))
    assert found == [0, 1]
    assert active_children() == []
    if fate == "unsendable":
        assert "a batch could not be sent to the trainer: " in capfd.readouterr().err


def test_a_stop_is_heard_while_nothing_comes(tmp_path: Path) -> None:
    stop = StopFile(tmp_path / "stop")
    found = []
    for each in loaded("sleep", stop):
        found.append(int(each))
        if len(found) == 2:
            stop.write(signal.SIGTERM)
    assert found == [0, 1]
    assert active_children() == []


def test_the_processes_end_with_the_trainer() -> None:
    """At once, whatever they are at: torch's own look comes between two batches, every 5 s."""
    words = "from tests.train.data.test_prefetch import loaded\n"
    words += "for _ in loaded('sleep'): print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, text=True, stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout
        for _ in range(2):
            trainer.stdout.readline()
        trainer.kill()
        trainer.communicate(timeout=300)  # they hold the other end of the pipe


def words_of_run(shards: Path, out: Path, steps: int) -> list[str]:
    options = {"data": shards, "out": out, "backbone": "tiny", "batch-size": 4, "crop-size": 64, "input-size": 64}
    options |= {"workers": 1, "max-steps": steps}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "train.cli", "run", *words]


@contextmanager
def running(shards: Path, out: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run that has made a step, and the process id of its loader."""
    command = words_of_run(shards, out, 100_000)
    with subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        try:
            while not ((out / "metrics.jsonl").is_file() and (out / "metrics.jsonl").stat().st_size):
                assert run.poll() is None
                time.sleep(0.05)
            yield run, next(pid for pid in children_of(run.pid) if b"spawn_main" in cmdline(pid))
        finally:
            run.kill()


def children_of(pid: int) -> list[int]:
    listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(each) for text in listed for each in text.split()]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in Linux's /proc")


@needs_proc
def test_a_run_whose_loader_stands_still_saves_when_it_is_stopped(shards: Path, tmp_path: Path) -> None:
    with running(shards, tmp_path / "run") as (run, loader):
        os.kill(loader, signal.SIGSTOP)
        time.sleep(1)  # what was prepared is used up
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=300)
    assert run.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "stopped by SIGTERM; run the same command again to resume"
    steps = len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == steps
    assert not Path(f"/proc/{loader}").exists()


@needs_proc
def test_a_run_whose_loader_died_ends_with_one_line(shards: Path, tmp_path: Path) -> None:
    with running(shards, tmp_path / "run") as (run, loader):
        os.kill(loader, signal.SIGKILL)
        _, said = run.communicate(timeout=300)
    assert run.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("Error: a process that prepares samples ended of SIGKILL: ")


def test_a_small_dev_shm_is_enough(shards: Path, tmp_path: Path) -> None:
    small = ["/usr/bin/unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*small, "true"], capture_output=True, check=False).returncode:
        pytest.skip("another /dev/shm needs the right to mount one")
    command = words_of_run(shards, tmp_path / "run", 3)
    done = subprocess.run([*small, *command], cwd=ROOT, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
