"""`train run`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rssn.errors import InputError
from rssn.progress import Progress
from rssn.stopping import farewell
from train.commands.effect import Idle, refuse_given, refuse_idle, was_given, without
from train.commands.options import FILE, FOLDER, ROSTAS, NamedFolder, use_all_cpus
from train.config import FREEZABLE, OPTIMISERS, PRECISIONS, SCHEDULES, LossWeights, Origin, TrainConfig
from train.network.backbones import BACKBONES, LIBRARIES, backbone_named
from train.presets import PRESETS, Preset
from train.rosta import Rosta
from train.validation_sets import validation_sets

if TYPE_CHECKING:
    from train.loop import TrainResult

_Command = Callable[..., None]
_BACKBONES = f"The encoder: {', '.join(BACKBONES)}, or {' or '.join(f'{name}:MODEL' for name in LIBRARIES)}."


def _apply_preset(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Its values become the defaults of the other options, which are read after it."""
    if name:
        context.default_map = {**(context.default_map or {}), **PRESETS[name].values}
    return name


def _network(command: _Command) -> _Command:
    for option in (
        click.option(
            "--freeze",
            type=click.Choice(FREEZABLE),
            multiple=True,
            help="Leave the encoder, or all norms with their statistics, as --init or --weights brought them.",
        ),
        click.option(
            "--init",
            type=FILE,
            help="Start from a trained network, as far as it fits: last.pt of any run, or a checkpoint that the "
            "authors released.",
        ),
        click.option("--weights", type=FILE, help="ImageNet weights for the encoder; nothing is downloaded."),
        click.option(
            "--ablation",
            "ablations",
            type=click.Choice(["single", "no-ppm", "no-bb"], case_sensitive=False),
            multiple=True,
            help="Leave out a part, as section 5.5 does: one decoder, no pyramid pooling, no bridge block.",
        ),
        click.option(
            "--rosta",
            type=ROSTAS,
            default=TrainConfig.rosta.value,
            help="What the glance decoder learns: trimap, foreground or background (section 3.4).",
        ),
        click.option("--backbone", default=TrainConfig.backbone, help=_BACKBONES),
    ):
        command = option(command)
    return command


def _samples(command: _Command) -> _Command:
    for option in (
        click.option("--workers", default=TrainConfig.workers, help="Processes that prepare samples; 0: none."),
        click.option("--input-size", default=TrainConfig.input_size, help="Side that crops are resized to, px."),
        click.option(
            "--crop-size",
            "crop_sizes",
            type=int,
            multiple=True,
            default=TrainConfig.crop_sizes,
            help="Side of the square crops, px; repeat it for several.",
        ),
        click.option(
            "--mix",
            "mixture",
            type=float,
            multiple=True,
            help="Share of the samples from each --data, in their order.  [default: each row once an epoch]",
        ),
        click.option(
            "--data",
            multiple=True,
            required=True,
            help="Shards of `rssn compose` or `rssn pack`: a folder, or a URL as s3://bucket/shards. May be repeated.",
        ),
    ):
        command = option(command)
    return command


def _optimisation(command: _Command) -> _Command:
    for option in (
        click.option("--seed", default=TrainConfig.seed, help="Of starting values, order and crops."),
        click.option("--compile", is_flag=True, help="Compile the network with torch.compile."),
        click.option("--channels-last", is_flag=True, help="Store features px by px; faster on GPUs."),
        click.option(
            "--precision",
            type=click.Choice(PRECISIONS, case_sensitive=False),
            default=TrainConfig.precision,
            help="bf16, fp16: the network runs under autocast, with fp16 a scaled loss; losses stay in fp32.",
        ),
        click.option(
            "--loss-weight",
            "losses",
            multiple=True,
            help="NAME=NUMBER of equation 8; composition=0 reads no F, B.",
        ),
        click.option("--ema", default=TrainConfig.ema, help="Decay of the weights' moving average, as 0.999; 0: none."),
        click.option("--clip", default=TrainConfig.clip, help="Norm to which gradients are clipped; 0: never."),
        click.option("--weight-decay", default=TrainConfig.weight_decay, help="Of weights, not of norms and biases."),
        click.option(
            "--learning-rate",
            default=TrainConfig.learning_rate,
            help="The largest, where it changes. The paper: 1e-5 for composites, 1e-4 for photographs, fixed.",
        ),
        click.option(
            "--encoder-rate",
            default=TrainConfig.encoder_rate,
            help="Times the learning rate, for the encoder, as 0.1 in fine-tuning.",
        ),
        click.option("--warm-up", default=TrainConfig.warm_up, help="Steps in which the rate rises to that."),
        click.option(
            "--schedule",
            type=click.Choice(SCHEDULES),
            default=TrainConfig.schedule,
            help="How the rate goes on: it stays, or falls to nothing at --max-steps, by half a cosine.",
        ),
        click.option(
            "--optimiser",
            type=click.Choice(OPTIMISERS, case_sensitive=False),
            default=TrainConfig.optimiser,
            help="Its kind.",
        ),
        click.option(
            "--accumulate",
            default=TrainConfig.accumulate,
            help="Batches to a step: 8 of 4 have the losses of one of 32, in an eighth of the memory.",
        ),
        click.option(
            "--batch-size", default=TrainConfig.batch_size, help="Of each process. The paper: 32 for r34, 4 for d121."
        ),
        click.option("--max-steps", default=TrainConfig.max_steps, help="Stop after so many, earlier ones included."),
        click.option(
            "--preset",
            type=click.Choice(list(PRESETS)),
            is_eager=True,
            callback=_apply_preset,
            help="The paper's settings for composites or photographs, with its epochs and batch size; what else is "
            "given counts more.",
        ),
    ):
        command = option(command)
    return command


def _records(command: _Command) -> _Command:
    for option in (
        click.option(
            "--tensorboard",
            is_flag=True,
            help="Also write event files for TensorBoard, with the first photographs of each --validation.",
        ),
        click.option(
            "--validation-hybrid",
            nargs=2,
            metavar="D1 D2",
            help="As --hybrid of `train eval`; in the paper 1/3 1/2.",
        ),
        click.option(
            "--validation-side",
            type=int,
            help="Larger photographs are shrunk, px; 0: they are not.  [default: as training sees them]",
        ),
        click.option(
            "--patience",
            default=TrainConfig.patience,
            help="End after so many validations without a better one; 0: never. A rate that falls by a schedule is "
            "still high then, and figures often get better only as it falls: be patient, or take a constant rate.",
        ),
        click.option(
            "--best-by",
            default=TrainConfig.best_by,
            help="Which figure makes best.pt: a metric of the first --validation, or SET/METRIC; the smallest is best.",
        ),
        click.option(
            "--validate-every", default=TrainConfig.validate_every, help="Steps between validations; the last is one."
        ),
        click.option(
            "--alpha-scale",
            "alpha_scales",
            multiple=True,
            metavar="[NAME=]NUMBER",
            help="The value that means opaque in every matte of --validation, as 1 or 255; NAME=NUMBER: of one set.  "
            "[default: by the values of each]",
        ),
        click.option(
            "--validation",
            type=NamedFolder(file_okay=False, path_type=Path),
            metavar="[NAME=]FOLDER",
            multiple=True,
            help="Photographs with mattes, or shards, to judge on the way; repeat it for several sets. Write ./a=b for "
            "a folder that is called so.",
        ),
        click.option("--keep", default=TrainConfig.keep, help="Older checkpoints to keep beside last.pt."),
        click.option("--checkpoint-every", default=TrainConfig.checkpoint_every, help="Steps between checkpoints."),
        click.option(
            "--override",
            is_flag=True,
            help="Go on with the run in --out although its settings or data were others; each is said.",
        ),
        click.option("--out", type=FOLDER, required=True, help="Folder of the run; one that stopped is continued."),
    ):
        command = option(command)
    return command


def _is_idle_loss(term: str, given: Mapping[str, Any]) -> bool:
    return "single" in given["ablations"] and any(text.partition("=")[0] == term for text in given["losses"])


@click.command()
@_samples
@_records
@_network
@_optimisation
@click.option(
    "--ray-workers", type=click.IntRange(1), help="So many workers of the Ray at RAY_ADDRESS, or of one of its own."
)
@refuse_idle(
    Idle("--validate-every", without("validation"), "there is nothing to judge on; give --validation"),
    Idle("--validation-side", without("validation"), "there is nothing to judge on; give --validation"),
    Idle("--validation-hybrid", without("validation"), "there is nothing to judge on; give --validation"),
    Idle("--alpha-scale", without("validation"), "it is for the mattes of --validation; give --validation"),
    Idle("--best-by", without("validation"), "there is nothing to judge on; give --validation"),
    Idle("--patience", without("validation"), "there is nothing to judge on; give --validation"),
    Idle("--weights", lambda given: given["init"], "--init brings the whole network; leave one of them out"),
    Idle("--encoder-rate", lambda given: "encoder" in given["freeze"], "--freeze encoder leaves it nothing to learn"),
    Idle("--mix", lambda given: len(given["data"]) == 1, "there is one --data, so nothing is mixed; leave it out"),
    *(
        Idle("--loss-weight", partial(_is_idle_loss, term), f"--ablation single has no {term}; leave it out")
        for term in ("cross_entropy", "focus_alpha", "focus_laplacian")
    ),
)
def run(
    rosta: str,
    losses: tuple[str, ...],
    init: Path | None,
    ray_workers: int | None,
    preset: str | None,
    **options: Any,
) -> None:
    """Train on shards, or continue a run that stopped.

    Writes last.pt, metrics.jsonl, config.json and curve.png into --out. Ctrl-C saves and stops; the same command
    continues, and gives the losses that an unbroken run would have given. --max-steps may grow. Started by torchrun,
    several GPUs or machines train together.

    With --validation the best step so far is best.pt, too; best.json says which it is. Where the weights have a moving
    average, that is what is judged, as `train eval` does.

    \b
    Examples:
      train run --data shards/ --out runs/first --weights resnet34-b627a593.pth
      train run --data ori/ --data shards/ --mix 1 --mix 3 --out runs/mixed --validation AM-2k/validation
      train run --data shards/ --out runs/two --validation am2k=AM-2k/validation --validation mine=photos/ --patience 5
      torchrun --nproc-per-node 4 -m train.cli run --data s3://bucket/shards --out runs/four --batch-size 8
      train run --data ours/ --out runs/tuned --init gfm_r34_tt.pth --freeze norms --encoder-rate 0.1
      train run --data shards/ --out runs/tiny --backbone tiny --max-steps 200 --learning-rate 1e-2
    """  # noqa: D301
    from train.distributed import world_size  # noqa: PLC0415  (loads torch, as below)

    if ray_workers and world_size() > 1:
        raise InputError("--ray-workers starts processes of its own, and torchrun did so already; use one of them")
    size = ray_workers or world_size()
    options["freeze"] = tuple(sorted(set(options["freeze"])))  # the order says nothing
    options["init"] = Origin.of(init) if init else None
    validation = validation_sets(options.pop("validation"), options.pop("alpha_scales"))
    terms = LossWeights.parse(losses)
    config = TrainConfig(rosta=Rosta(rosta), losses=terms, validation=validation, world_size=size, **options)
    if preset:
        config = _as_long_as_the_papers(config, PRESETS[preset])
    if config.patience and (1 + config.patience) * config.validate_every >= config.max_steps:
        refuse_given(
            "--patience", "its end comes no earlier than --max-steps; give less, or a smaller --validate-every"
        )
    if ray_workers:
        from train.ray_launch import train_on_ray  # noqa: PLC0415

        _warn_of_random_start(config)
        _report_run(train_on_ray(config), config)
        return
    from train.distributed import is_chief  # noqa: PLC0415
    from train.loop import train  # noqa: PLC0415
    from train.progress import step_listener  # noqa: PLC0415

    use_all_cpus()
    if is_chief():
        _warn_of_random_start(config)
    with Progress(config.max_steps, "steps", silent=not is_chief()) as progress:
        result = train(config, step_listener(progress, config), say=progress.say)
    if is_chief():
        _report_run(result, config)
    elif result.stopped_by:
        sys.exit(128 + result.stopped_by)


def _as_long_as_the_papers(config: TrainConfig, preset: Preset) -> TrainConfig:
    """With the preset's batch size and epochs, unless others are given."""
    if not was_given("--batch-size"):
        whole = preset.batch_size(config.backbone)
        parts = config.world_size * config.accumulate
        if whole % parts:
            raise InputError(
                f"--preset: {config.world_size} processes with --accumulate {config.accumulate} cannot share a batch "
                f"of {whole}; give --batch-size"
            )
        config = replace(config, batch_size=whole // parts)
    if not was_given("--max-steps"):
        from train.data import count_rows  # noqa: PLC0415  (loads torch)

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
        words = f"{result.best.worse} validations since, none better: a larger --patience goes on"
        click.echo(f"stopped early: {words}")
    if result.stopped_by:
        line, code = farewell(result.stopped_by, "", resumes=True)
        click.echo(line, err=True)
        sys.exit(code)
