from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rssn.errors import InputError
from rssn.image.arrays import to_float
from train.checkpoint import Checkpoint, load_checkpoint, load_network, save_checkpoint
from train.config import TrainConfig
from train.evaluation.evaluate import Evaluator, evaluate
from train.evaluation.method import TrainedNetworks
from train.loop.learner import NonFiniteLoss
from train.loop.loop import StepReport, train
from train.metrics.paper import matting_metrics
from train.network.strategy import Strategy
from train.targets.rosta import make_trimap
from train.validation_sets import ValidationSet


def losses(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def ignore(_: StepReport) -> None:
    pass


def test_a_run_leaves_checkpoint_metrics_config_and_curve(config: TrainConfig) -> None:
    heard: list[StepReport] = []
    config.out.mkdir()
    (config.out / ".config.json.7.tmp").touch()  # of a run that was killed
    result = train(config, heard.append)
    assert not list(config.out.glob("*.tmp"))
    assert (result.step, result.stopped_by) == (6, None)
    assert [report.step for report in heard] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in losses(config.out)] == [1, 2, 3, 4, 5, 6]
    assert losses(config.out)[2] == {"step": 3, **heard[2].losses}
    assert load_checkpoint(result.checkpoint).step == 6
    assert json.loads((config.out / "config.json").read_text()) == config.to_plain()
    assert cv2.imread(str(result.curve)).shape == (760, 960, 3)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_has_the_same_losses_to_the_last_digit(config: TrainConfig, workers: int) -> None:
    whole = replace(config, out=config.out / "whole", batch_size=3)
    parts = replace(whole, out=config.out / "parts", workers=workers)
    train(whole, ignore)
    train(replace(parts, max_steps=2), ignore)
    train(parts, ignore)
    assert losses(parts.out) == losses(whole.out)
    one, other = (load_checkpoint(each.out / "last.pt").model for each in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_steps_after_the_last_checkpoint_are_repeated_not_doubled(config: TrainConfig) -> None:
    def die_at_5(report: StepReport) -> None:
        if report.step == 5:
            raise KeyError("power cut")

    whole = replace(config, out=config.out / "whole")
    broken = replace(config, out=config.out / "broken", checkpoint_every=2)
    train(whole, ignore)
    with pytest.raises(KeyError):
        train(broken, die_at_5)
    assert load_checkpoint(broken.out / "last.pt").step == 4
    with (broken.out / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 6, "tot')
    train(broken, ignore)
    assert losses(broken.out) == losses(whole.out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_first_and_the_run_can_go_on(config: TrainConfig, number: signal.Signals) -> None:
    def stop_at_2(report: StepReport) -> None:
        if report.step == 2:
            os.kill(os.getpid(), number)

    whole = replace(config, out=config.out / "whole")
    train(whole, ignore)
    before = signal.getsignal(number)
    result = train(config, stop_at_2)
    assert signal.getsignal(number) == before
    assert (result.step, result.stopped_by) == (2, number)
    assert load_checkpoint(result.checkpoint).step == 2
    assert train(config, ignore).step == 6
    assert losses(config.out) == losses(whole.out)


def test_a_folder_belongs_to_one_run_at_a_time(config: TrainConfig) -> None:
    def start_another(_: StepReport) -> None:
        with pytest.raises(InputError, match=r"run: another run is at work here \(process "):
            train(config, ignore)

    assert train(replace(config, max_steps=1), start_another).step == 1
    assert train(replace(config, max_steps=2), ignore).step == 2


def test_a_finished_run_is_left_as_it_is(config: TrainConfig) -> None:
    train(config, ignore)
    before = losses(config.out)
    assert train(config, ignore).step == 6
    assert losses(config.out) == before


def test_a_run_that_was_started_otherwise_is_refused_with_the_difference(
    config: TrainConfig, scenes: list[Any], store: Callable[..., Path], tmp_path: Path
) -> None:
    train(replace(config, max_steps=1), ignore)
    with pytest.raises(InputError, match=r"--learning-rate was 0.01, now 0.001; --seed was 0, now 1; give another"):
        train(replace(config, learning_rate=1e-3, seed=1), ignore)
    with pytest.raises(InputError, match="holds other shards than before"):
        train(replace(config, data=(str(store(tmp_path / "other", scenes[:2])),)), ignore)


def test_a_loss_that_is_not_finite_stops_with_the_samples_and_saves_nothing(config: TrainConfig) -> None:
    train(replace(config, max_steps=2), ignore)
    path = config.out / "last.pt"
    stored = load_checkpoint(path)
    poisoned = {
        name: torch.full_like(tensor, 3e38) if name.endswith("weight") else tensor
        for name, tensor in stored.model.items()
    }
    save_checkpoint(path, Checkpoint(**{**vars(stored), "model": poisoned}))
    before = path.read_bytes()
    with pytest.raises(NonFiniteLoss) as caught:
        train(config, ignore)
    assert str(caught.value).startswith("step 3: the loss is not finite (cross_entropy nan")
    assert all(f"scene{n}/0" in str(caught.value) for n in range(4))
    assert path.read_bytes() == before


@pytest.mark.slow
def test_the_tiny_network_learns_four_scenes(config: TrainConfig, photographs: Path, tmp_path: Path) -> None:
    config = replace(config, max_steps=80, crop_sizes=(96,), input_size=96)
    result = train(config, ignore)
    totals = [line["total"] for line in losses(config.out)]
    assert np.mean(totals[-5:]) < 0.5 * np.mean(totals[:5])
    network = load_network(result.checkpoint, torch.device("cpu"))
    judged = evaluate(Evaluator(TrainedNetworks([network], Strategy(96))), photographs, lambda _: None)
    constants = constant_predictions(photographs)
    assert judged.mean["sad"] < 0.5 * min(each["sad"] for each in constants)
    assert judged.mean["mse"] < 0.5 * min(each["mse"] for each in constants)


def constant_predictions(photographs: Path) -> list[dict[str, float]]:
    """The mean metrics of mattes that are 0, 0.1 .. 1 everywhere."""
    mattes = [
        to_float(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in sorted((photographs / "mask").iterdir())
    ]
    results = []
    for value in np.linspace(0, 1, 11, dtype=np.float32):
        rows = [matting_metrics(np.full_like(matte, value), matte, make_trimap(matte)) for matte in mattes]
        results.append({key: float(np.mean([row[key] for row in rows])) for key in ("sad", "mse")})
    return results


@pytest.mark.slow
def test_validation_is_in_the_record_and_in_pictures(config: TrainConfig, photographs: Path) -> None:
    sets = (ValidationSet("real", photographs),)
    config = replace(config, validation=sets, validate_every=3, ema=0.5, keep=2, checkpoint_every=1)
    whole = replace(config, out=config.out / "whole")
    result = train(whole, ignore)
    lines = losses(whole.out)
    assert ["validation/real/sad" in line for line in lines] == [False, False, True, False, False, True]
    assert sorted(path.name for path in (whole.out / "validation" / "real").iterdir()) == [
        "step-00000003.png",
        "step-00000006.png",
    ]
    network = load_network(result.checkpoint, torch.device("cpu"))
    mean = evaluate(Evaluator(TrainedNetworks([network])), photographs, lambda _: None).mean
    assert {name: lines[-1][f"validation/real/{name}"] for name in mean} == pytest.approx(mean)
    raw = evaluate(
        Evaluator(TrainedNetworks([load_network(result.checkpoint, torch.device("cpu"), "raw")])),
        photographs,
        lambda _: None,
    ).mean
    assert {name: lines[-1][f"validation/real/raw/{name}"] for name in raw} == pytest.approx(raw)
    assert raw["sad"] != mean["sad"]
    without = replace(config, out=config.out / "without", validation=())
    train(without, ignore)
    assert [line["total"] for line in losses(without.out)] == [line["total"] for line in lines]


def test_a_validation_set_that_is_none_is_refused_before_the_first_step(config: TrainConfig, tmp_path: Path) -> None:
    heard: list[StepReport] = []
    with pytest.raises(InputError, match="absent: no such folder"):
        train(replace(config, validation=(ValidationSet("real", tmp_path / "absent"),)), heard.append)
    assert heard == []
    assert not config.out.exists()


@pytest.mark.slow
def test_older_checkpoints_rotate(config: TrainConfig) -> None:
    train(replace(config, keep=2, checkpoint_every=2, max_steps=7), ignore)
    names = sorted(path.name for path in config.out.glob("*.pt"))
    assert names == ["last.pt", "step-00000006.pt", "step-00000007.pt"]
    assert [load_checkpoint(config.out / name).step for name in names] == [7, 6, 7]


def test_going_back_to_an_older_checkpoint_leaves_the_others(config: TrainConfig) -> None:
    config.out.mkdir()
    (config.out / "step-best.pt").write_text("of the user")
    (config.out / ".step-00000001.pt.tmp").write_text("of a run that was killed")
    train(replace(config, keep=2, checkpoint_every=1, max_steps=3), ignore)
    names = ["last.pt", "step-00000002.pt", "step-00000003.pt", "step-best.pt"]
    assert sorted(path.name for path in config.out.iterdir() if "pt" in path.name) == names
    newest = (config.out / "step-00000003.pt").read_bytes()
    assert (config.out / "last.pt").read_bytes() == newest
    shutil.copyfile(config.out / "step-00000002.pt", config.out / "last.pt")  # into the file, as `cp` does
    assert (config.out / "step-00000003.pt").read_bytes() == newest


def test_a_folder_without_locks_can_be_trained_in(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert train(replace(config, max_steps=1), ignore).step == 1


def test_a_checkpoint_holds_all_that_goes_on(config: TrainConfig) -> None:
    train(config, ignore)
    stored = load_checkpoint(config.out / "last.pt")
    assert (stored.step, stored.position) == (6, 24)
    assert stored.rng is not None
    assert stored.config["losses"]["composition"] == 1.0


def test_every_setting_resumes_to_the_last_digit(config: TrainConfig) -> None:
    config = replace(
        config, optimiser="adamw", weight_decay=0.1, clip=1.0, ema=0.9, precision="bf16", channels_last=True
    )
    whole, parts = (replace(config, out=config.out / name) for name in ("whole", "parts"))
    train(whole, ignore)
    train(replace(parts, max_steps=3), ignore)
    train(parts, ignore)
    assert losses(parts.out) == losses(whole.out)
    one, other = (load_checkpoint(each.out / "last.pt") for each in (whole, parts))
    assert all(torch.equal(one.ema[name], other.ema[name]) for name in one.ema)


def test_tensorboard_holds_the_record(config: TrainConfig) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(replace(config, tensorboard=True, max_steps=3), ignore)
    found = accumulator.EventAccumulator(str(config.out / "tensorboard")).Reload()
    events = found.Scalars("loss/total")
    assert [event.step for event in events] == [1, 2, 3]
    assert [event.value for event in events] == pytest.approx([line["total"] for line in losses(config.out)])


def test_tensorboard_shows_the_same_photographs_at_each_validation(
    config: TrainConfig, photographs: Path, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    one = tmp_path / "one"
    for part in ("original", "mask"):
        (one / part).mkdir(parents=True)
        (one / part / "scene2.png").write_bytes((photographs / part / "scene2.png").read_bytes())
    sets = (ValidationSet("real", photographs), ValidationSet("one", one))
    train(replace(config, tensorboard=True, validation=sets, validate_every=3), ignore)
    found = accumulator.EventAccumulator(str(config.out / "tensorboard")).Reload()
    assert sorted(found.Tags()["images"]) == ["validation/one", "validation/real"]
    assert [event.step for event in found.Scalars("validation/one/sad")] == [3, 6]
    first, last = (
        cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
        for event in found.Images("validation/real")
    )
    assert first.shape == last.shape
    assert first.shape[1:] == (520, 3)
    top, bottom = 30, 120  # of the first row's pictures, 96 px high
    left, middle, right = (slice(10 + 170 * column, 170 + 170 * column) for column in range(3))
    assert (first[top:bottom, left] == last[top:bottom, left]).all()
    assert (first[top:bottom, right] == last[top:bottom, right]).all()
    assert (first[top:bottom, middle] != last[top:bottom, middle]).any()
    assert first[top:bottom, right].max() > 250  # the truth's white


def test_the_wait_for_data_is_part_of_a_step(config: TrainConfig) -> None:
    heard: list[StepReport] = []
    train(config, heard.append)
    assert all(0 <= report.waited <= report.seconds for report in heard)
    assert any(report.waited > 0 for report in heard)
