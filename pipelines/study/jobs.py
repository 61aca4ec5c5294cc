"""The kinds of steps, a row each: how their options are read and their jobs run, in a process of their own.

`python -m pipelines.study.jobs JOB.json` runs the job that a file describes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from signal import SIGTERM
from typing import Any

import click

from pipelines.commands.composition import ComposeOptions, PackOptions, compose, pack
from pipelines.commands.curate import CurationOptions, build_bg20k
from pipelines.commands.options import finish
from pipelines.compose.job import run_compose
from pipelines.compose.pack import run_pack
from pipelines.curate.job import run_curation
from pipelines.executor.run_state import RunState, StateFile
from pipelines.inspect.inspect import run_inspect
from pipelines.study.crops import CropsJob, crops, write_crops
from pipelines.study.kinds import Kind
from rssn.dataset.shards import DatasetFolder
from rssn.errors import RssnError
from rssn.progress import Progress
from rssn.stopping import farewell, received, stoppable
from rssn.storage.files import read_json
from train.commands.effect import refuse_given, was_given
from train.commands.evaluate import evaluate as evaluate_command
from train.commands.group import said_of
from train.commands.options import counter, open_networks, use_all_cpus
from train.commands.run import IDLE, complete, run
from train.commands.run_options import RunOptions, read_options
from train.commands.typed import build
from train.network.strategy import Strategy


def _typed(kind: type[Any], *checks: Callable[[Any], object]) -> Callable[[dict[str, Any]], Any]:
    """Reads the typed options of a command on data sets, and checks what they mean together."""

    def read(parameters: dict[str, Any]) -> Any:
        given = build(kind, parameters)
        for check in checks:
            check(given)
        return given

    return read


def _curate(given: CurationOptions) -> None:
    out = Path(str(given.out))
    job = given.job(out, given.curation_rules())
    curated = given.workers.run(lambda runner: run_curation(job, runner))
    if not curated.summary.failed:
        run_inspect(out)
    finish(curated.summary, out, "backgrounds", complete=True)


def _compose(given: ComposeOptions) -> None:
    job = given.job(Path(str(given.out)))
    summary = given.workers.run(lambda runner: run_compose(job, runner))
    finish(summary, job.out, "composites", complete=True)


def _pack(given: PackOptions) -> None:
    job = given.job(Path(str(given.out)))
    summary = given.workers.run(lambda runner: run_pack(job, runner))
    finish(summary, job.out, "photographs", complete=True)


def _read_training(parameters: dict[str, Any]) -> RunOptions:
    for rule in IDLE:
        if rule.where(parameters):
            refuse_given(rule.option, rule.words)
    return read_options(parameters)


def _train(given: RunOptions) -> None:
    from train.loop.loop import StepReport, train  # noqa: PLC0415  (loads torch, as below)
    from train.loop.progress import step_listener  # noqa: PLC0415
    from train.loop.ray_launch import train_on_ray  # noqa: PLC0415

    config = complete(replace(given.config, world_size=given.ray_workers or 1), given.preset, was_given)
    use_all_cpus()
    if given.ray_workers:
        result = train_on_ray(config)
    else:
        with Progress(config.max_steps, "steps") as progress, _State(config.out, "steps") as state:
            show = step_listener(progress, config)

            def on_step(report: StepReport) -> None:
                show(report)
                state.reach(report.step, config.max_steps)

            result = train(config, on_step, say=progress.say)
    if result.stopped_by:
        raise KeyboardInterrupt(f"step {result.step} of {config.max_steps}")


@dataclass(frozen=True)
class EvalOptions:
    """What `train eval` is asked to do."""

    checkpoints: tuple[Path, ...]
    data: Path
    out: Path
    max_side: int | None
    hybrid: tuple[str, str] | None
    protocol: str
    trimaps: Path | None
    alpha_scale: float | None


def _read_evaluation(parameters: dict[str, Any]) -> EvalOptions:
    given = EvalOptions(**{each.name: parameters[each.name] for each in fields(EvalOptions)})
    Strategy.parse(given.max_side, given.hybrid)
    return given


def _evaluate(given: EvalOptions) -> None:
    from train.evaluation.evaluate import Evaluator, Protocol, evaluate, write_evaluation  # noqa: PLC0415

    networks, strategy = open_networks(given.checkpoints, None, given.max_side, given.hybrid)
    evaluator = Evaluator(networks, strategy, Protocol(given.protocol), given.trimaps, given.out / "mattes")
    given.out.mkdir(parents=True, exist_ok=True)
    with Progress(None, "photos") as progress, _State(given.out, "photos") as state:
        totals: list[int] = []

        def on_image(number: int) -> None:
            """The total comes first, then 0 after each."""
            totals.append(number)
            counter(progress)(number)
            state.reach(len(totals) - 1, totals[0])

        result = evaluate(evaluator, given.data, on_image, given.out, given.alpha_scale)
    write_evaluation(result, evaluator, given.out)
    click.echo(f"{len(result.counted)} photographs, {len(result.failures)} could not be evaluated")


class _State:
    """Tells whoever looks at the folder how far a training or an evaluation is, as jobs on shards do."""

    def __init__(self, out: Path, unit: str) -> None:
        self._file = StateFile(DatasetFolder(out))
        self._unit = unit
        self._started = time.time()
        self._first: int | None = None

    def reach(self, done: int, total: int) -> None:
        """So many are done; of those before the first that is told of, none in this run."""
        self._first = done - 1 if self._first is None else self._first
        times = (self._started, time.time())
        self._file.write(RunState(self._unit, 1, total, int(done == total), done, max(self._first, 0), 0, 0, *times))

    def __enter__(self) -> _State:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.remove()


_SHARDS = frozenset({"cache-dir", "cache-size", "max-errors", "recipe"})  # what a recipe says counts, not its name
_TRAINING = frozenset({"workers", "checkpoint-every", "keep", "tensorboard", "validate-every"})

KINDS: Mapping[str, Kind] = {
    "curate": Kind(
        build_bg20k,
        ("rssn", "build-bg20k"),
        _typed(CurationOptions, CurationOptions.refuse_idle, CurationOptions.curation_rules),
        _curate,
        _SHARDS,
    ),
    "crops": Kind(
        crops,
        ("python", "-m", "pipelines.study.crops"),
        _typed(CropsJob),
        write_crops,
        resumes=False,
    ),
    "compose": Kind(
        compose,
        ("rssn", "compose"),
        _typed(ComposeOptions, ComposeOptions.refuse_idle, ComposeOptions.chosen_recipe),
        _compose,
        _SHARDS,
    ),
    "pack": Kind(pack, ("rssn", "pack"), _typed(PackOptions, PackOptions.refuse_idle), _pack, _SHARDS),
    "train": Kind(run, ("train", "run"), _read_training, _train, _TRAINING, side_by_side=True),
    "eval": Kind(evaluate_command, ("train", "eval"), _read_evaluation, _evaluate, resumes=False, side_by_side=True),
}
"""In the order of the work."""


def main() -> None:
    """Run the job that a file describes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `train` does, before torch is loaded
    facts = read_json(Path(sys.argv[1]), "run rssn study again, which writes it anew")
    kind = KINDS[facts["kind"]]
    try:
        with stoppable(), kind.reading(facts["options"]) as given:
            kind.run(given)
    except (RssnError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"Error: {said_of(error)}")
    except KeyboardInterrupt as error:
        line, code = farewell(received() or SIGTERM, str(error), resumes=kind.resumes)
        click.echo(line, err=True)
        sys.exit(code)


if __name__ == "__main__":
    main()
