"""The options of `train run`, by what they are for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from train.commands.options import FILE, FOLDER, ROSTAS, WEIGHTS_FILE, NamedFolder
from train.config import FREEZABLE, OPTIMISERS, PRECISIONS, SCHEDULES, TrainConfig
from train.network.backbones import BACKBONES, LIBRARIES
from train.presets import PRESETS

_Command = Callable[..., None]
_BACKBONES = f"The encoder: {', '.join(BACKBONES)}, or {' or '.join(f'{name}:MODEL' for name in LIBRARIES)}."


def _apply_preset(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Its values become the defaults of the other options, which are read after it."""
    if name:
        context.default_map = {**(context.default_map or {}), **PRESETS[name].values}
    return name


def network(command: _Command) -> _Command:
    """Which network is trained, and from where."""
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
        click.option(
            "--weights",
            type=WEIGHTS_FILE,
            help="ImageNet weights for the encoder: a file, or package:NAME for what an installed package brings.",
        ),
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


def samples(command: _Command) -> _Command:
    """What it is shown."""
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


def optimisation(command: _Command) -> _Command:
    """How it learns."""
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
        click.option(
            "--warm-up",
            type=int,
            help="Steps in which the rate rises to that.  [default: with cosine a tenth of all, at most 50]",
        ),
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
            help="How weights are updated.",
        ),
        click.option(
            "--accumulate",
            default=TrainConfig.accumulate,
            help="Batches to a step: 8 of 4 have the losses of one of 32, in an eighth of the memory.",
        ),
        click.option(
            "--batch-size",
            default=TrainConfig.batch_size,
            help="Samples that each process computes with at once. The paper: 32 for r34, 4 for d121.",
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


def records(command: _Command) -> _Command:
    """What is kept and judged on the way."""
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
