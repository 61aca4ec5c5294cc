"""`train run`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rssn.errors import InputError
from rssn.progress import Progress
from rssn.stopping import farewell
from train.commands.effect import was_given
from train.commands.options import use_all_cpus
from train.commands.run_options import RunOptions, run_options
from train.config import TrainConfig
from train.network.backbones import backbone_named
from train.presets import PRESETS, Preset

if TYPE_CHECKING:
    from train.loop.loop import TrainResult


@click.command()
@run_options
def run(options: RunOptions) -> None:
    """Train on shards, or continue a run that stopped.

    Writes last.pt, metrics.jsonl, config.json and curve.png into --out. Ctrl-C saves and stops; run the same command
    again to resume, with the losses that an unbroken run would have given. With --schedule constant, --max-steps may
    grow. Started by torchrun, several GPUs or machines train together.

    --init starts a new run from the weights of a trained network, of ours or released, and lists what does not fit.
    --override resumes the run in --out under other settings, and lists the changes.

    With --validation the best step so far is also best.pt; best.json says which it is. Where the weights have a moving
    average, that is what is validated, as in `train eval`.

    \b
    Examples:
      train run --data shards/ --out runs/first --weights resnet34-b627a593.pth
      train run --data ori/ --data shards/ --mix 1 --mix 3 --out runs/mixed --validation AM-2k/validation
      train run --data shards/ --out runs/two --validation am2k=AM-2k/validation --validation mine=photos/ --patience 5
      torchrun --nproc-per-node 4 -m train.cli run --data s3://bucket/shards --out runs/four --batch-size 8
      train run --data ours/ --out runs/tuned --init gfm_r34_tt.pth --freeze norms --encoder-rate 0.1
      train run --data shards/ --out runs/tiny --backbone tiny --max-steps 200 --learning-rate 1e-2
    """  # noqa: D301
    from train.loop.distributed import world_size  # noqa: PLC0415  (loads torch, as below)

    if options.ray_workers and world_size() > 1:
        raise InputError("--ray-workers starts processes of its own, and torchrun did so already; use one of them")
    config = replace(options.config, world_size=options.ray_workers or world_size())
    config = complete(config, options.preset, was_given)
    if options.ray_workers:
        from train.loop.ray_launch import train_on_ray  # noqa: PLC0415

        _warn_of_random_start(config)
        _report_run(train_on_ray(config), config)
        return
    from train.loop.distributed import is_rank_zero  # noqa: PLC0415
    from train.loop.loop import train  # noqa: PLC0415
    from train.loop.progress import step_listener  # noqa: PLC0415

    use_all_cpus()
    if is_rank_zero():
        _warn_of_random_start(config)
    with Progress(config.max_steps, "steps", silent=not is_rank_zero()) as progress:
        result = train(config, step_listener(progress, config), say=progress.say)
    if is_rank_zero():
        _report_run(result, config)
    elif result.stopped_by:
        sys.exit(128 + result.stopped_by)


def complete(config: TrainConfig, preset: str | None, given: Callable[[str], bool]) -> TrainConfig:
    """The settings with a preset's batch size and epochs, unless others are given.

    Args:
        config: The settings otherwise, the preset's among them.
        preset: Of `PRESETS`, or none.
        given: Whether the user gave an option, such as `--batch-size`.

    Raises:
        InputError: If the processes cannot share the preset's batch, or `--patience` has no effect.
    """
    if preset:
        config = _as_long_as_the_papers(config, PRESETS[preset], given)
    if config.patience and (1 + config.patience) * config.validate_every >= config.max_steps:
        words = "its end comes no earlier than --max-steps; give less, or a smaller --validate-every"
        raise InputError(f"--patience has no effect here: {words}")
    return config


def _as_long_as_the_papers(config: TrainConfig, preset: Preset, given: Callable[[str], bool]) -> TrainConfig:
    if not given("--batch-size"):
        whole = preset.batch_size(config.backbone)
        parts = config.world_size * config.accumulate
        if whole % parts:
            raise InputError(
                f"--preset: {config.world_size} processes with --accumulate {config.accumulate} cannot share a batch "
                f"of {whole}; give --batch-size"
            )
        config = replace(config, batch_size=whole // parts)
    if not given("--max-steps"):
        from train.data.loader import count_rows  # noqa: PLC0415  (loads torch)

        config = replace(config, max_steps=preset.steps(count_rows(config.data), config.step_size))
    return config


def _warn_of_random_start(config: TrainConfig) -> None:
    model = backbone_named(config.backbone).model
    if model and config.weights is None and config.init is None and not (config.out / "last.pt").is_file():
        library = config.backbone.partition(":")[0] if ":" in config.backbone else "torchvision"
        click.secho(
            f"NOTE: the encoder {config.backbone} starts from random values; the paper starts from ImageNet's. "
            f"Download {library}'s {model} weights yourself and give the file with --weights FILE.",
            fg="yellow",
            err=True,
        )


def _report_run(result: TrainResult, config: TrainConfig) -> None:
    click.echo(f"step {result.step} of {config.max_steps}\ncheckpoint: {result.checkpoint}\nloss curve: {result.curve}")
    if config.validation:
        best = result.best and f"{config.out / 'best.pt'}, {result.best}"
        click.echo(f"best: {best or 'none, there was no validation yet'}")
    if result.best and result.best.exhausts(config.patience):
        words = f"{result.best.worse} validations since, none better: a larger --patience resumes the run"
        click.echo(f"stopped early: {words}")
    if result.stopped_by:
        line, code = farewell(result.stopped_by, "", resumes=True)
        click.echo(line, err=True)
        sys.exit(code)
