"""The `train` command: parses, calls, prints. Everything it does lives in the other modules of this room.

torch is imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from rssn.errors import Rejected, RssnError
from train.config import MAX_SIDE, TrainConfig
from train.network.backbones import BACKBONES
from train.rosta import Rosta

if TYPE_CHECKING:
    from train.loop import StepReport, TrainResult

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


class _Commands(click.Group):
    """Turns every error that the project raises on purpose into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RssnError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "torchvision"):
                raise
            raise click.ClickException(f"{error.name} is not installed: pip install 'rssn[train]'") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train, judge and use GFM, the Glance and Focus Matting network.

    \b
    train run --data shards/ --backbone r34 --rosta TT --out runs/first
    train eval --checkpoint runs/first/last.pt --data AM-2k/validation
    train predict --checkpoint runs/first/last.pt photo.jpg
    """  # noqa: D301
    # Read once, when torch is loaded. Threads that wait busily for one whose core is taken by a loader process or by
    # another program make a training step several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@main.command()
@click.option("--data", type=_FOLDER, required=True, help="Shards, made by `rssn compose`.")
@click.option("--out", type=_FOLDER, required=True, help="Folder of the run; an interrupted run in it is continued.")
@click.option("--backbone", type=click.Choice(list(BACKBONES)), default=TrainConfig.backbone, help="The encoder.")
@click.option(
    "--rosta",
    type=click.Choice([each.value for each in Rosta]),
    default=TrainConfig.rosta.value,
    help="What the glance decoder learns: trimap, foreground or background (section 3.4).",
)
@click.option("--max-steps", default=TrainConfig.max_steps, help="Stop after this many steps, earlier ones included.")
@click.option("--batch-size", default=TrainConfig.batch_size, help="The paper: 32 for r34, 4 for d121.")
@click.option(
    "--learning-rate", default=TrainConfig.learning_rate, help="The paper: 1e-5 for composites, 1e-4 for photographs."
)
@click.option("--seed", default=TrainConfig.seed, help="Of starting values, order and crops.")
@click.option("--weights", type=_FILE, help="torchvision's ImageNet weights for the encoder; nothing is downloaded.")
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
def run(rosta: str, crop_sizes: tuple[int, ...], **options: Any) -> None:
    """Train on shards, or continue a run that stopped.

    Writes last.pt, metrics.jsonl, config.json and curve.png into --out. Ctrl-C saves and stops; the same command
    continues, and gives the losses that an unbroken run would have given. --max-steps may grow.

    \b
    Examples:
      train run --data shards/ --out runs/first --weights resnet34-b627a593.pth
      train run --data shards/ --out runs/tiny --backbone tiny --max-steps 200 --learning-rate 1e-2
    """  # noqa: D301
    config = TrainConfig(rosta=Rosta(rosta), crop_sizes=tuple(crop_sizes), **options)
    from train.device import available_cpus, limit_threads  # noqa: PLC0415
    from train.loop import train  # noqa: PLC0415

    limit_threads(available_cpus())
    _warn_of_random_start(config)
    with tqdm(total=config.max_steps, unit="step", dynamic_ncols=True) as bar:
        result = train(config, _progress(bar, config))
    _report_run(result, config)


@main.command("eval")
@click.option("--checkpoint", type=_FILE, required=True, help="last.pt of a run.")
@click.option("--data", type=_FOLDER, required=True, help="Photographs in original/, their mattes in mask/.")
@click.option("--out", type=_FOLDER, help="Folder for the results.  [default: eval/ beside the checkpoint]")
@click.option(
    "--max-side", type=click.IntRange(32), default=MAX_SIDE, help="Larger photographs are shrunk for GFM, px."
)
def evaluate(checkpoint: Path, data: Path, out: Path | None, max_side: int) -> None:
    """Judge a network on real photographs, as in Table 1 of the paper.

    Writes per_image.parquet, summary.json and worst.png (photo, prediction, truth and error of the worst cases). The
    exit code is 1 if a photograph could not be judged.

    \b
    Example:
      train eval --checkpoint runs/first/last.pt --data AM-2k/validation
    """  # noqa: D301
    from train.checkpoint import load_network  # noqa: PLC0415
    from train.device import available_cpus, best_device, limit_threads  # noqa: PLC0415
    from train.evaluate import evaluate_folder, format_table  # noqa: PLC0415

    limit_threads(available_cpus())
    network = load_network(checkpoint, best_device())
    out = out or checkpoint.parent / "eval"
    with tqdm(unit="photo", dynamic_ncols=True) as bar:
        result = evaluate_folder(network, data, out, max_side, _counter(bar))
    click.echo(format_table([(f"mean of {len(result.rows)}", result.mean)]))
    click.echo(f"worst cases: {out / 'worst.png'}\nper photo:   {out / 'per_image.parquet'}")
    _fail_if([f"{failure.name}: {failure.reason}" for failure in result.failures], "could not be judged")


@main.command()
@click.option("--checkpoint", type=_FILE, required=True, help="last.pt of a run.")
@click.option("--out", type=_FOLDER, default=Path("predictions"), help="Folder for the results.")
@click.option(
    "--max-side", type=click.IntRange(32), default=MAX_SIDE, help="Larger photographs are shrunk for GFM, px."
)
@click.argument("photos", nargs=-1, required=True, type=_FILE)
def predict(checkpoint: Path, out: Path, max_side: int, photos: tuple[Path, ...]) -> None:
    """Cut subjects out of photographs.

    Writes <name>-alpha.png and <name>-cutout.png (RGBA, colours of the foreground alone) for each of PHOTOS. The exit
    code is 1 if a photograph failed.

    \b
    Example:
      train predict --checkpoint runs/first/last.pt cat.jpg dog.jpg --out mattes/
    """  # noqa: D301
    from train.checkpoint import load_network  # noqa: PLC0415
    from train.device import available_cpus, best_device, limit_threads  # noqa: PLC0415
    from train.predict import check_photos, predict_photo  # noqa: PLC0415

    check_photos(photos)
    limit_threads(available_cpus())
    network = load_network(checkpoint, best_device())
    failures = []
    for photo in tqdm(photos, unit="photo", dynamic_ncols=True, disable=len(photos) == 1):
        try:
            files = predict_photo(network, photo, out, max_side)
        except Rejected as error:
            failures.append(f"{photo}: {error}")
        else:
            tqdm.write(f"{files.alpha}\n{files.cutout}")
    _fail_if(failures, "could not be predicted")


def _warn_of_random_start(config: TrainConfig) -> None:
    model = BACKBONES[config.backbone].model
    if model and config.weights is None and not (config.out / "last.pt").is_file():
        click.secho(
            f"NOTE: the encoder {config.backbone} starts from random values; the paper starts from ImageNet's. "
            f"Download torchvision's {model} weights yourself and give the file with --weights FILE.",
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


def _counter(bar: tqdm[Any]) -> Callable[[int], None]:
    def show(total: int) -> None:
        if total:
            bar.reset(total=total)
        else:
            bar.update()

    return show


def _report_run(result: TrainResult, config: TrainConfig) -> None:
    click.echo(f"step {result.step} of {config.max_steps}\ncheckpoint: {result.checkpoint}\nloss curve: {result.curve}")
    if result.stopped_by:
        click.echo(f"stopped by {result.stopped_by.name}; the same command continues", err=True)
        raise SystemExit(128 + result.stopped_by)


def _fail_if(failures: Sequence[str], verdict: str) -> None:
    if failures:
        listed = "\n".join(f"  {failure}" for failure in failures)
        raise click.ClickException(f"{len(failures)} {verdict}:\n{listed}")


if __name__ == "__main__":
    main()
