"""`train run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from train.commands.options import FILE, FOLDER, ROSTAS, use_all_cpus
from train.config import TrainConfig
from train.network.backbones import BACKBONES, LIBRARIES, backbone_named
from train.rosta import Rosta

if TYPE_CHECKING:
    from train.loop import StepReport, TrainResult

_BACKBONES = f"The encoder: {', '.join(BACKBONES)}, or {' or '.join(f'{name}:MODEL' for name in LIBRARIES)}."


@click.command()
@click.option("--data", type=FOLDER, required=True, help="Shards, made by `rssn compose`.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the run; an interrupted run in it is continued.")
@click.option("--backbone", default=TrainConfig.backbone, help=_BACKBONES)
@click.option(
    "--rosta",
    type=ROSTAS,
    default=TrainConfig.rosta.value,
    help="What the glance decoder learns: trimap, foreground or background (section 3.4).",
)
@click.option(
    "--ablation",
    "ablations",
    type=click.Choice(["single", "no-ppm", "no-bb"]),
    multiple=True,
    help="Leave out a part, as section 5.5 does: one decoder, no pyramid pooling, no bridge block. May be repeated.",
)
@click.option("--max-steps", default=TrainConfig.max_steps, help="Stop after this many steps, earlier ones included.")
@click.option("--batch-size", default=TrainConfig.batch_size, help="The paper: 32 for r34, 4 for d121.")
@click.option(
    "--learning-rate", default=TrainConfig.learning_rate, help="The paper: 1e-5 for composites, 1e-4 for photographs."
)
@click.option("--seed", default=TrainConfig.seed, help="Of starting values, order and crops.")
@click.option("--weights", type=FILE, help="torchvision's ImageNet weights for the encoder; nothing is downloaded.")
@click.option(
    "--crop-size",
    "crop_sizes",
    type=int,
    multiple=True,
    default=TrainConfig.crop_sizes,
    help="Side of the square crops, px; repeat it for several.",
)
@click.option("--input-size", default=TrainConfig.input_size, help="Side that crops are resized to, px.")
@click.option("--checkpoint-every", default=TrainConfig.checkpoint_every, help="Steps between checkpoints.")
@click.option("--workers", default=TrainConfig.workers, help="Processes that prepare samples; 0: none.")
def run(rosta: str, **options: Any) -> None:
    """Train on shards, or continue a run that stopped.

    Writes last.pt, metrics.jsonl, config.json and curve.png into --out. Ctrl-C saves and stops; the same command
    continues, and gives the losses that an unbroken run would have given. --max-steps may grow.

    \b
    Examples:
      train run --data shards/ --out runs/first --weights resnet34-b627a593.pth
      train run --data shards/ --out runs/tiny --backbone tiny --max-steps 200 --learning-rate 1e-2
    """  # noqa: D301
    config = TrainConfig(rosta=Rosta(rosta), **options)
    from train.loop import train  # noqa: PLC0415

    use_all_cpus()
    _warn_of_random_start(config)
    with tqdm(total=config.max_steps, unit="step", dynamic_ncols=True) as bar:
        result = train(config, _progress(bar, config))
    _report_run(result, config)


def _warn_of_random_start(config: TrainConfig) -> None:
    model = backbone_named(config.backbone).model
    if model and config.weights is None and not (config.out / "last.pt").is_file():
        library = config.backbone.partition(":")[0] if ":" in config.backbone else "torchvision"
        click.secho(
            f"NOTE: the encoder {config.backbone} starts from random values; the paper starts from ImageNet's. "
            f"Download {library}'s {model} weights yourself and give the file with --weights FILE.",
            fg="yellow",
            err=True,
        )


def _progress(bar: tqdm[Any], config: TrainConfig) -> Callable[[StepReport], None]:
    def show(report: StepReport) -> None:
        if bar.n == 0 and report.step > 1:
            bar.initial = report.step - 1
            bar.reset(total=config.max_steps)
        bar.update(report.step - bar.n)
        bar.set_postfix_str(f"loss {report.losses['total']:.4f}, {config.batch_size / report.seconds:.1f} samples/s")

    return show


def _report_run(result: TrainResult, config: TrainConfig) -> None:
    click.echo(f"step {result.step} of {config.max_steps}\ncheckpoint: {result.checkpoint}\nloss curve: {result.curve}")
    if result.stopped_by:
        click.echo(f"stopped by {result.stopped_by.name}; the same command continues", err=True)
        raise SystemExit(128 + result.stopped_by)
