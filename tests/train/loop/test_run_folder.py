"""Runs in buckets: what lies there at every moment, and that they resume on another machine."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rssn.errors import InputError, RemoteError
from rssn.storage.buckets import upload
from rssn.storage.location import BucketPath
from rssn.storage.lock import LEASE
from tests.bucket import Fault, Store
from train.checkpoint import load_checkpoint
from train.config import TrainConfig
from train.loop import run_folder
from train.loop.loop import StepReport, train
from train.loop.run_folder import open_run
from train.validation_sets import ValidationSet


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of the test's own: where runs into buckets work, and where what is fetched once stays."""
    folder = tmp_path / "machine"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder


@pytest.fixture
def remote(config: TrainConfig, bucket: str) -> TrainConfig:
    return replace(config, out=BucketPath(f"{bucket}/runs/first"))


def figures(record: bytes) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in record.decode().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def recorded(s3: Store, config: TrainConfig) -> list[dict[str, float]]:
    return figures(s3.get(f"{config.out}/metrics.jsonl"))


def expected(config: TrainConfig, folder: Path) -> list[dict[str, float]]:
    """The record of the same run in a folder, unbroken."""
    train(replace(config, out=folder), ignore)
    return figures((folder / "metrics.jsonl").read_bytes())


def checkpoint(s3: Store, url: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(io.BytesIO(s3.get(url)), weights_only=True)
    return found


def ignore(_: StepReport) -> None:
    pass


def left_in(scratch: Path) -> list[Path]:
    return [path for path in scratch.rglob("*") if path.is_file() and "cache" not in path.parts]


def test_a_run_in_a_bucket_is_that_in_a_folder(
    remote: TrainConfig, s3: Store, photographs: Path, tmp_path: Path, scratch: Path
) -> None:
    sets = (ValidationSet("real", photographs),)
    remote = replace(remote, validation=sets, validate_every=3, checkpoint_every=2, keep=2, tensorboard=True)
    result = train(remote, ignore)
    assert (result.step, str(result.checkpoint)) == (6, f"{remote.out}/last.pt")
    assert recorded(s3, remote) == expected(remote, tmp_path / "here")
    names = {name for name in s3.names(str(remote.out)) if not name.startswith("tensorboard/")}
    here = {str(path.relative_to(tmp_path / "here")) for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert names == {name for name in here if not name.startswith("tensorboard/")}
    assert {"last.pt", "best.pt", "best.json", "curve.png", "step-00000006.pt", "step-00000004.pt"} < names
    assert "validation/real/step-00000006.png" in names
    assert len(s3.names(f"{remote.out}/tensorboard")) == 1
    config = json.loads(s3.get(f"{remote.out}/config.json"))
    assert config == remote.to_plain()
    assert config["out"] == str(remote.out) == checkpoint(s3, f"{remote.out}/last.pt")["config"]["out"]
    one = load_checkpoint(tmp_path / "here" / "last.pt").model
    assert all(torch.equal(one[name], value) for name, value in load_checkpoint(result.checkpoint).model.items())
    assert left_in(scratch) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_to_the_bucket_and_another_machine_resumes(
    remote: TrainConfig,
    s3: Store,
    number: signal.Signals,
    tmp_path: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop_at_2(report: StepReport) -> None:
        if report.step == 2:
            os.kill(os.getpid(), number)

    result = train(remote, stop_at_2)
    assert (result.step, result.stopped_by) == (2, number)
    assert s3.names(str(remote.out)) == {"last.pt", "metrics.jsonl", "config.json", "curve.png"}
    (scratch / "other").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "other"))
    assert train(remote, ignore).step == 6
    assert recorded(s3, remote) == expected(remote, tmp_path / "here")


def command(shards: Path, out: object, steps: int) -> list[str]:
    options = ["--data", str(shards), "--out", str(out), "--backbone", "tiny", "--max-steps", str(steps)]
    options += ["--crop-size", "64", "--input-size", "64", "--workers", "0", "--learning-rate", "1e-3"]
    options += ["--schedule", "constant", "--batch-size", "2", "--checkpoint-every", "2"]
    return [sys.executable, "-m", "train.cli", "run", *options]


def wait_until(true: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    while not true():
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("during", ["training", "an upload"])
def test_a_run_that_is_killed_resumes_on_another_machine(
    bucket: str, s3: Store, shards: Path, tmp_path: Path, scratch: Path, during: str
) -> None:
    out = f"{bucket}/run"
    first, second = ({**os.environ, "TMPDIR": str(scratch / name)} for name in ("first", "second"))
    for machine in (first, second):
        Path(machine["TMPDIR"]).mkdir()
    process = subprocess.Popen(command(shards, out, 100_000), env=first, stderr=subprocess.DEVNULL)
    wait_until(lambda: "metrics.jsonl" in s3.names(out) and len(recorded_lines(s3, out)) >= 4, process)
    if during == "an upload":
        fault = Fault("hang", "PUT", r"/last\.pt$")
        s3.faults = [fault]
        wait_until(lambda: fault.seen, process)
    process.kill()
    process.wait()
    s3.faults = []
    step = checkpoint(s3, f"{out}/last.pt")["step"]
    assert step >= 2
    s3.remove(f"{out}/{LEASE}")  # as though a minute had passed: another machine does not know that its owner is gone
    subprocess.run(command(shards, out, step + 3), env=second, check=True, capture_output=True)
    subprocess.run(command(shards, tmp_path / "whole", step + 3), env=second, check=True, capture_output=True)
    assert recorded_lines(s3, out) == figures((tmp_path / "whole" / "metrics.jsonl").read_bytes())
    assert checkpoint(s3, f"{out}/last.pt")["step"] == step + 3
    assert left_in(scratch / "second") == []
    subprocess.run(command(shards, out, step + 3), env=first, check=True, capture_output=True)
    assert left_in(scratch / "first") == []  # what the killed run left is gone


def recorded_lines(s3: Store, out: str) -> list[dict[str, float]]:
    return figures(s3.get(f"{out}/metrics.jsonl"))


def test_training_goes_on_while_one_upload_is_under_way(
    remote: TrainConfig, s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, at_work, most = threading.Event(), [], []

    def slow(path: Path, url: str) -> None:
        at_work.append(url)
        most.append(len(at_work))
        assert released.wait(60)
        upload(path, url)
        at_work.remove(url)

    def on_step(report: StepReport) -> None:
        if report.step == 3:  # after the checkpoint of step 2, of which nothing is there yet
            assert s3.names(str(remote.out)) == {LEASE}
            released.set()

    monkeypatch.setattr(run_folder, "upload", slow)
    train(replace(remote, checkpoint_every=2), on_step)
    assert set(most) == {1}
    assert checkpoint(s3, f"{remote.out}/last.pt")["step"] == 6


def test_the_record_is_uploaded_before_the_checkpoint_and_the_best_after_it(
    remote: TrainConfig, s3: Store, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(path: Path, url: str) -> None:
        order.append(url.removeprefix(f"{remote.out}/"))
        upload(path, url)

    monkeypatch.setattr(run_folder, "upload", noted)
    remote = replace(remote, validation=(ValidationSet("real", photographs),), validate_every=2, max_steps=2)
    train(remote, ignore)
    written = ["config.json", "metrics.jsonl", "validation/real/step-00000002.png", "last.pt", "best.pt", "best.json"]
    assert order == [*written, "curve.png"]  # the checkpoint of step 2 is not uploaded twice


def test_an_upload_that_fails_is_tried_again_with_the_next_checkpoint(remote: TrainConfig, s3: Store) -> None:
    said: list[str] = []
    s3.faults = [Fault("refuse", "PUT", r"/last\.pt$")]
    train(replace(remote, checkpoint_every=2), ignore, say=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"{remote.out}/last.pt: access is refused")
    assert said[0].endswith("; the run continues, and tries again at its next checkpoint")
    assert checkpoint(s3, f"{remote.out}/last.pt")["step"] == 6


def test_a_run_whose_last_upload_fails_says_so(remote: TrainConfig, s3: Store, scratch: Path) -> None:
    s3.faults = [Fault("refuse", "PUT", r"/last\.pt$", times=9)]
    with pytest.raises(RemoteError, match=r"runs/first/last\.pt: access is refused") as raised:
        train(remote, ignore)
    assert "best.pt" not in s3.names(str(remote.out))
    assert LEASE not in s3.names(str(remote.out))
    [kept] = scratch.rglob("last.pt")
    assert f"what is in {kept.parent} stays" in str(raised.value)
    assert load_checkpoint(kept).step == 6
    s3.faults, said = [], []
    train(replace(remote, max_steps=3), ignore, say=said.append)
    assert kept.exists()
    assert [words for words in said if f"what is in {kept.parent} stays: copy it over" in words]
    for path in filter(Path.is_file, kept.parent.iterdir()):
        s3.put(f"{remote.out}/{path.name}", path.read_bytes())
    train(remote, ignore)
    assert left_in(scratch) == []


def test_an_interrupt_leaves_the_checkpoint_that_was_not_sent(remote: TrainConfig, s3: Store, scratch: Path) -> None:
    """A second Ctrl-C ends an upload that hangs."""
    said: list[str] = []
    s3.faults = [Fault("refuse", "PUT", r"/last\.pt$", times=9)]

    def interrupted() -> None:
        with open_run(remote.out, 0, said.append) as folder:
            (folder.path / "last.pt").write_bytes(b"days of work")
            folder.publish()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    [kept] = scratch.rglob("run/last.pt")
    assert kept.read_bytes() == b"days of work"
    assert said == [words for words in said if f"what is in {kept.parent} stays" in words] != []


def test_what_lies_beside_a_run_stays_and_older_checkpoints_rotate(remote: TrainConfig, s3: Store) -> None:
    others = {"notes.txt": b"mine", "step-best.pt": b"mine too", "sub/last.pt": b"another run"}
    for name, data in others.items():
        s3.put(f"{remote.out}/{name}", data)
    remote = replace(remote, keep=2, checkpoint_every=1)
    train(replace(remote, max_steps=3), ignore)
    train(replace(remote, max_steps=5), ignore)
    found = s3.stored(str(remote.out))
    assert {name: found[name] for name in others} == others
    assert {name for name in found if name.startswith("step-0")} == {"step-00000004.pt", "step-00000005.pt"}
    train(replace(remote, keep=0, max_steps=6), ignore)
    assert "step-00000004.pt" in s3.names(str(remote.out))  # none is made, none is removed


def test_another_runs_best_is_renamed_in_the_bucket_too(remote: TrainConfig, s3: Store, photographs: Path) -> None:
    sets = (ValidationSet("real", photographs),)
    train(replace(remote, validation=sets, validate_every=2, max_steps=2), ignore)
    before = s3.get(f"{remote.out}/best.pt")
    s3.put(f"{remote.out}/best.1.pt", b"of an earlier time")
    said: list[str] = []
    train(replace(remote, validation=sets, validate_every=2, max_steps=4, best_by="mse"), ignore, say=said.append)
    words = f"{remote.out}/best.pt is not from this run with its present settings; it was renamed to best.2.pt"
    assert words in said
    assert s3.get(f"{remote.out}/best.2.pt") == before
    assert s3.get(f"{remote.out}/best.1.pt") == b"of an earlier time"
    assert s3.get(f"{remote.out}/best.pt") != before


def test_a_bucket_belongs_to_one_run_at_a_time(remote: TrainConfig) -> None:
    def start_another(_: StepReport) -> None:
        with pytest.raises(InputError, match=r"runs/first: another run is at work here \(process "):
            train(remote, ignore)

    assert train(replace(remote, max_steps=1), start_another).step == 1


def test_messages_name_the_object_and_not_the_copy(remote: TrainConfig, s3: Store) -> None:
    train(replace(remote, max_steps=1), ignore)
    s3.put(f"{remote.out}/metrics.jsonl", b"{}\n")
    with pytest.raises(InputError) as caught:
        train(remote, ignore)
    assert str(caught.value).startswith(f"{remote.out}/metrics.jsonl: not the record of a run")
    s3.put(f"{remote.out}/last.pt", s3.get(f"{remote.out}/last.pt")[:-200])
    with pytest.raises(InputError) as caught:
        train(remote, ignore)
    assert str(caught.value).startswith(f"{remote.out}/last.pt: damaged")


def test_a_bucket_that_is_not_there_is_refused_before_the_first_step(config: TrainConfig, s3: Store) -> None:
    heard: list[StepReport] = []
    with pytest.raises(RemoteError, match=r"s3://none-of-that-name/run.*no such bucket; create it first"):
        train(replace(config, out=BucketPath("s3://none-of-that-name/run")), heard.append)
    assert heard == []


@pytest.mark.slow
def test_two_processes_run_in_a_bucket_and_one_of_them_writes(
    bucket: str, s3: Store, shards: Path, tmp_path: Path
) -> None:
    def two(out: object, steps: int) -> None:
        words = [sys.executable, "-m", "tests.train.loop.ranks", *command(shards, out, steps)[3:]]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})

    out = f"{bucket}/run"
    for steps in (2, 4):
        two(out, steps)
    two(tmp_path / "here", 4)
    assert recorded_lines(s3, out) == figures((tmp_path / "here" / "metrics.jsonl").read_bytes())
    assert s3.names(out) == {"last.pt", "metrics.jsonl", "config.json", "curve.png"}


@pytest.mark.slow
def test_ray_workers_run_in_a_bucket_and_save_when_they_are_stopped(
    bucket: str, s3: Store, shards: Path, scratch: Path
) -> None:
    pytest.importorskip("ray.train.torch", reason="Ray Train is not installed: pip install 'rssn[ray-train]'")
    out = f"{bucket}/run"
    with (scratch / "said.txt").open("wb") as said:
        process = subprocess.Popen([*command(shards, out, 100_000), "--ray-workers", "2"], stderr=said, stdout=said)
    wait_until(lambda: "last.pt" in s3.names(out), process)
    process.send_signal(signal.SIGINT)
    process.wait(120)
    words = (scratch / "said.txt").read_text()
    assert process.returncode == 128 + signal.SIGINT, words
    assert f"checkpoint: {out}/last.pt" in words
    assert len(recorded_lines(s3, out)) == checkpoint(s3, f"{out}/last.pt")["step"]
    assert {LEASE, ".stop"}.isdisjoint(s3.names(out))
