"""Which checkpoint is the best, when a run has seen enough, and what a kill changes of it: nothing."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.conftest import Once
from train.checkpoint import Checkpoint, load_checkpoint, load_network, save_checkpoint
from train.config import TrainConfig
from train.evaluation.evaluate import Evaluator, evaluate
from train.evaluation.method import TrainedNetworks
from train.loop.best import Best, BestTracker
from train.loop.loop import StepReport, train
from train.validation_sets import ValidationSet

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """As good as SIGKILL: nothing that handles errors handles it."""


def ignore(_: StepReport) -> None:
    pass


def never(words: str) -> None:
    raise AssertionError(words)


def going_on(config: TrainConfig) -> tuple[list[str], list[int]]:
    """What is said besides the steps, and the steps that are done."""
    said: list[str] = []
    steps: list[int] = []

    train(config, lambda report: steps.append(report.step), say=said.append)
    return said, steps


@pytest.fixture(scope="module")
def sets(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ValidationSet, ValidationSet]:
    """What is good by one of them is bad by the other."""
    other = tmp_path_factory.mktemp("other") / "inverted"
    shutil.copytree(photographs, other)
    for path in (other / "mask").iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return ValidationSet("real", photographs), ValidationSet("inverted", other)


@pytest.fixture
def config(config: TrainConfig, sets: tuple[ValidationSet, ValidationSet]) -> TrainConfig:
    """A run whose best step is neither its first nor its last."""
    return replace(config, max_steps=8, learning_rate=0.1, validation=sets, validate_every=1)


@pytest.fixture
def seven(config: TrainConfig, once: Once) -> TrainConfig:
    """The run's settings; its first seven steps are done."""
    done = once("best-seven", lambda folder: ignored(replace(config, out=folder / "run", max_steps=7)))
    shutil.copytree(done / "run", config.out)
    return config


@pytest.fixture
def whole(config: TrainConfig, once: Once) -> Path:
    """What the run leaves that nobody disturbs, with every checkpoint; to be read only."""
    every = replace(config, keep=8, checkpoint_every=1)
    return once("best-whole", lambda folder: ignored(replace(every, out=folder / "run"))) / "run"


def ignored(config: TrainConfig) -> None:
    train(config, ignore)


def sads(out: Path, name: str = "real") -> list[float]:
    """Of every validation, in order."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line[f"validation/{name}/sad"] for line in lines if f"validation/{name}/sad" in line]


def facts(path: Path) -> dict[str, Any]:
    """A checkpoint as it compares: without what names its folder."""
    stored = vars(load_checkpoint(path))
    del stored["config"]
    tensors = {
        f"{part}.{name}": value.tolist() for part in ("model", "ema") for name, value in stored.pop(part).items()
    }
    moments = stored.pop("optimiser")["state"]
    optimiser = {
        f"{at}.{name}": torch.as_tensor(value).tolist()
        for at, state in moments.items()
        for name, value in state.items()
    }
    return {**stored, **tensors, **optimiser, "rng": stored["rng"].tolist()}


def test_the_best_step_is_a_checkpoint_of_its_own_that_says_why(config: TrainConfig) -> None:
    config = replace(config, keep=8, checkpoint_every=1)
    result = train(config, ignore)
    found = sads(config.out)
    step = 1 + int(np.argmin(found))
    assert 1 < step < 8
    best = config.out / "best.pt"
    assert facts(best) == facts(config.out / f"step-{step:08d}.pt")
    expected = {"by": "real/sad", "step": step, "value": min(found), "weights": "raw", "photographs": 4, "after": 0}
    record = json.loads((config.out / "best.json").read_text())
    assert record == {**expected, "checkpoint": "best.pt", "set": "real", "metric": "sad"}
    assert {name: load_checkpoint(best).best[name] for name in expected} == expected
    assert result.best == replace(Best.from_plain(load_checkpoint(best).best), worse=8 - step)  # type: ignore[type-var]
    judged = evaluate(
        Evaluator(TrainedNetworks([load_network(best, torch.device("cpu"))])), config.validation[0].path, lambda _: None
    )
    assert judged.mean["sad"] == pytest.approx(min(found))


def test_going_back_does_not_write_into_the_best(config: TrainConfig) -> None:
    train(replace(config, max_steps=3, keep=3, checkpoint_every=1), ignore)
    best = config.out / "best.pt"
    assert load_checkpoint(best).step > 1
    before = best.read_bytes()
    for step in (1, 2):
        shutil.copyfile(config.out / f"step-{step:08d}.pt", config.out / "last.pt")
    assert best.read_bytes() == before


def test_the_figure_can_be_another_sets(config: TrainConfig) -> None:
    train(replace(config, best_by="inverted/mse"), ignore)
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    found = [line["validation/inverted/mse"] for line in lines]
    best = load_checkpoint(config.out / "best.pt")
    assert (best.step, best.best["value"]) == (1 + int(np.argmin(found)), min(found))
    assert best.step != 1 + int(np.argmin(sads(config.out)))


def test_the_average_is_judged_where_there_is_one(config: TrainConfig) -> None:
    train(replace(config, ema=0.9), ignore)
    best = load_checkpoint(config.out / "best.pt")
    assert best.best["weights"] == "ema"
    assert best.best["value"] == min(sads(config.out))
    evaluator = Evaluator(TrainedNetworks([load_network(config.out / "best.pt", torch.device("cpu"))]))
    assert evaluate(evaluator, config.validation[0].path, lambda _: None).mean["sad"] == pytest.approx(
        min(sads(config.out))
    )


def test_the_last_step_is_judged_too(config: TrainConfig) -> None:
    train(replace(config, max_steps=5, validate_every=3), ignore)
    lines = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation/real/sad" in line] == [3, 5]


@dataclass
class Renames:
    """Counts the checkpoints and records of the best that are put in their place, and dies before one of them."""

    most: float = math.inf
    count: int = 0

    def during(self, monkeypatch: pytest.MonkeyPatch, config: TrainConfig) -> None:
        real = Path.replace

        def watched(path: Path, target: Path) -> Path:
            self.count += target.name in ("last.pt", "best.pt", "best.json")
            if self.count >= self.most:
                raise Killed
            return real(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", watched)
            train(config, ignore)


def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_best(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, validate_every=2, checkpoint_every=3, validation=config.validation[:1], validation_side=64)
    whole, killed = (replace(config, out=config.out / name) for name in ("whole", "killed"))
    renames = Renames()
    renames.during(monkeypatch, whole)
    assert 2 < load_checkpoint(whole.out / "best.pt").step < 8
    assert renames.count == 11  # five of last.pt, three of the others
    expected = {name: facts(whole.out / name) for name in ("best.pt", "last.pt")}
    for moment in range(1, renames.count + 1):
        shutil.rmtree(killed.out, ignore_errors=True)
        with pytest.raises(Killed):
            Renames(moment).during(monkeypatch, killed)
        (killed.out / ".best.pt.tmp").touch()  # what a true kill leaves
        said, _ = going_on(killed)
        assert said == []
        for name, there in expected.items():
            assert facts(killed.out / name) == there, moment
        assert (killed.out / "best.json").read_bytes() == (whole.out / "best.json").read_bytes()
        assert sads(killed.out) == sads(whole.out)
        assert sorted(path.name for path in killed.out.glob("*best*")) == ["best.json", "best.pt"]


def test_patience_ends_a_run_at_its_step_and_a_larger_one_goes_on(config: TrainConfig, whole: Path) -> None:
    best = 1 + int(np.argmin(sads(whole)))
    assert best + 2 < 8
    short = replace(config, out=config.out / "short", patience=2, checkpoint_every=3)
    heard: list[int] = []
    result = train(short, lambda report: heard.append(report.step))
    assert (result.step, result.stopped_by, heard[-1]) == (best + 2, None, best + 2)
    assert result.best is not None
    assert (result.best.step, result.best.exhausts(2), result.best.exhausts(3)) == (best, True, False)
    assert train(short, lambda _: pytest.fail("trained on")).step == best + 2
    longer = train(replace(short, patience=3), ignore)
    assert longer.step == best + 3
    assert train(replace(short, patience=0), ignore).step == 8
    assert sads(short.out) == sads(whole)
    assert facts(short.out / "best.pt") == facts(whole / "best.pt")


def test_patience_is_not_tried_twice_by_a_kill(config: TrainConfig, whole: Path) -> None:
    def die_before_the_last(report: StepReport) -> None:
        if report.step == best + 1:
            raise Killed

    best = 1 + int(np.argmin(sads(whole)))
    broken = replace(config, out=config.out / "broken", patience=2, checkpoint_every=1)
    with pytest.raises(Killed):
        train(broken, die_before_the_last)
    assert train(broken, ignore).step == best + 2


def test_a_best_from_after_the_checkpoint_that_a_user_goes_back_to_is_kept_by_another_name(
    config: TrainConfig, whole: Path
) -> None:
    config = replace(config, keep=8, checkpoint_every=1)
    shutil.copytree(whole, config.out)
    best = config.out / "best.pt"
    later, step = facts(best), load_checkpoint(best).step
    shutil.copy(config.out / f"step-{step - 2:08d}.pt", config.out / "last.pt")
    before = sads(config.out)[: step - 2]
    first = f"step {1 + int(np.argmin(before))}, sad {min(before):.5g} on real"
    said, steps = going_on(replace(config, max_steps=step - 1))
    assert steps == [step - 1]
    assert said == [
        f"the best so far, {first}, is not in {best}; the search for the best starts again at step {step - 2}",
        f"{best} is not from this run with its present settings; it was renamed to best.1.pt",
    ]
    assert facts(config.out / "best.1.pt") == later
    here = load_checkpoint(best)
    assert (here.step, here.best["after"]) == (step - 1, step - 2)
    going_on(config)  # and comes to the step again
    assert {**facts(best), "best": later["best"]} == later


def test_a_best_by_another_figure_is_kept_by_another_name(seven: TrainConfig) -> None:
    config = seven
    first = facts(config.out / "best.pt")
    said, _ = going_on(replace(config, best_by="inverted/sad"))
    assert (
        "was chosen by another metric, or on other photographs; the search for the best starts again at step 7"
        in said[0]
    )
    assert facts(config.out / "best.1.pt") == first
    best = json.loads((config.out / "best.json").read_text())
    assert (best["by"], best["step"], best["after"]) == ("inverted/sad", 8, 7)


@pytest.mark.parametrize("change", [{"validation_side": 32}, {"validation": "half"}])
def test_values_of_other_photographs_or_sizes_do_not_compare(
    seven: TrainConfig, change: dict[str, Any], tmp_path: Path
) -> None:
    if "validation" in change:
        shutil.copytree(seven.validation[0].path, tmp_path / "half")
        for part in ("original", "mask"):
            (tmp_path / "half" / part / "scene0.png").unlink()
        change = {"validation": (ValidationSet("real", tmp_path / "half"),)}
    said, _ = going_on(replace(seven, **change))
    assert "was chosen by another metric, or on other photographs" in said[0]


def test_the_same_photographs_elsewhere_compare(seven: TrainConfig, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(seven.validation[0].path, tmp_path / "moved")
    moved = (ValidationSet("real", tmp_path / "moved"), seven.validation[1])
    assert going_on(replace(seven, validation=moved))[0] == []
    assert facts(seven.out / "best.pt") == facts(whole / "best.pt")


@pytest.mark.parametrize("what", ["gone", "damaged"])
def test_a_best_that_is_gone_or_damaged_is_said(seven: TrainConfig, what: str) -> None:
    config = seven
    path = config.out / "best.pt"
    step = load_checkpoint(path).step
    path.unlink()
    if what == "damaged":
        path.write_bytes(b"junk")
    said, _ = going_on(config)
    assert said[0].startswith(f"the best so far, step {step}, sad ")
    assert f"is not in {path}; the search for the best starts again at step 7" in said[0]
    assert load_checkpoint(path).step == 8
    assert (config.out / "best.1.pt").exists() == (what == "damaged")


def test_a_run_without_validation_keeps_what_it_knows(seven: TrainConfig) -> None:
    config = seven
    before = load_checkpoint(config.out / "last.pt").best
    assert before
    assert train(replace(config, validation=()), ignore).step == 8
    assert load_checkpoint(config.out / "last.pt").best == before


@pytest.fixture
def tracker(config: TrainConfig) -> BestTracker:
    return BestTracker(replace(config, patience=2), config.out, "these", None, never)


def test_the_first_of_equals_is_the_best(tracker: BestTracker) -> None:
    seen = [tracker.update(step, value, 4) for step, value in enumerate([5.0, 3.0, 3.0, float("nan")], start=1)]
    assert seen == [True, True, False, False]
    assert tracker.best is not None
    assert (tracker.best.step, tracker.best.worse) == (2, 2)
    assert tracker.exhausted


def test_a_mean_over_fewer_photographs_is_no_better_one(tracker: BestTracker) -> None:
    assert tracker.update(1, 5.0, 4)
    assert not tracker.update(2, 1.0, 3)
    assert tracker.update(3, 6.0, 5)


def test_what_no_figure_was_found_for_is_not_the_best(tracker: BestTracker) -> None:
    assert not tracker.update(1, float("nan"), 4)
    assert tracker.best is None


def test_a_record_that_says_nothing_is_none(config: TrainConfig) -> None:
    train(replace(config, max_steps=2), ignore)
    stored = load_checkpoint(config.out / "last.pt")
    save_checkpoint(
        config.out / "last.pt", Checkpoint(**{**vars(stored), "best": {"by": "real/sad", "value": "small"}})
    )
    _, steps = going_on(config)
    assert steps == [3, 4, 5, 6, 7, 8]
    assert load_checkpoint(config.out / "best.pt").step > 2
    assert (config.out / "best.1.pt").exists()
