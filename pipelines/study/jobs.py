"""The kinds of steps, a row each: how their options are read and their jobs run, in a process of their own.

`python -m pipelines.study.jobs JOB.json` runs the job that a file describes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from signal import SIGTERM
from typing import Any, cast

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
from pipelines.study.meter import MeterJob, measure, meter
from rssn.dataset.shards import DatasetFolder
from rssn.errors import RssnError
from rssn.progress import Progress
from rssn.stopping import farewell, received, stoppable
from rssn.storage.files import read_json
from rssn.storage.location import Location, parse_location
from train.commands.effect import was_given
from train.commands.evaluate import EvalOptions, evaluate, run_evaluation
from train.commands.group import error_line
from train.commands.options import use_all_cpus
from train.commands.run import complete, run
from train.commands.run_options import RunOptions, read_options
from train.commands.typed import build
from train.network.backbones import backbone_named
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
    job = given.job(given.curation_rules())
    curated = given.workers.run(lambda runner: run_curation(job, runner))
    if not curated.summary.failed:
        run_inspect(job.out)
    finish(curated.summary, job.out, "backgrounds", complete=True)


def _compose(given: ComposeOptions) -> None:
    job = given.job()
    summary = given.workers.run(lambda runner: run_compose(job, runner))
    finish(summary, job.out, "composites", complete=True)


def _pack(given: PackOptions) -> None:
    job = given.job()
    summary = given.workers.run(lambda runner: run_pack(job, runner))
    finish(summary, job.out, "photographs", complete=True)


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


def _has_strategy(given: EvalOptions) -> None:
    Strategy.parse(given.networks.max_side, given.networks.hybrid)


def _can_segment(given: EvalOptions) -> None:
    _ = given.soft.settings
    backbone_named(given.soft.backbone or "")


def _evaluate(given: EvalOptions) -> None:
    out = cast(Location, given.out)  # a study sets it
    out.mkdir(parents=True, exist_ok=True)
    with _State(out, "photos") as state:
        totals: list[int] = []

        def on_count(number: int) -> None:
            totals.append(number)
            state.reach(len(totals) - 1, totals[0])

        result = run_evaluation(given, on_count)
    if result.failures:
        click.echo(f"{len(result.failures)} could not be evaluated")


class _State:
    """Tells whoever looks at the folder how far a training or an evaluation is, as jobs on shards do."""

    def __init__(self, out: Location, unit: str) -> None:
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
_TRAINING = frozenset({"workers", "checkpoint-every", "keep", "tensorboard", "validate-every", "keep-decoded"})

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
    "pack": Kind(pack, ("rssn", "pack"), _typed(PackOptions), _pack, _SHARDS),
    "gap": Kind(meter, ("python", "-m", "pipelines.study.meter"), _typed(MeterJob), measure, resumes=False),
    "train": Kind(run, ("train", "run"), read_options, _train, _TRAINING, side_by_side=True),
    "eval": Kind(
        evaluate,
        ("train", "eval"),
        _typed(EvalOptions, EvalOptions.refuse_idle, _has_strategy),
        _evaluate,
        resumes=False,
        side_by_side=True,
    ),
    "sss": Kind(  # its layers stay
        evaluate,
        ("train", "eval"),
        _typed(EvalOptions, EvalOptions.refuse_idle, _can_segment),
        _evaluate,
        side_by_side=True,
    ),
}
"""In the order of the work."""


def main() -> None:
    """Run the job that a file describes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `train` does, before torch is loaded
    facts = read_json(parse_location(sys.argv[1]), "run rssn study again, which writes it anew")
    kind = KINDS[facts["kind"]]
    try:
        with stoppable(), kind.reading(facts["options"]) as given:
            kind.run(given)
    except (RssnError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"Error: {error_line(error)}")
    except KeyboardInterrupt as error:
        line, code = farewell(received() or SIGTERM, error, resumes=kind.resumes)
        click.echo(line, err=True)
        sys.exit(code)


if __name__ == "__main__":
    main()
