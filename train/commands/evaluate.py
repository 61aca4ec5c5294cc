"""`train eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rssn.progress import Progress
from train.commands.options import FOLDER, alpha_scale, counter, fail_if, networks, open_networks, say_unread


@click.command("eval")
@networks
@click.option("--data", type=FOLDER, required=True, help="Photographs with their mattes: a data set, or shards.")
@click.option("--out", type=FOLDER, help="Folder for the results.  [default: eval/ beside the first checkpoint]")
@click.option(
    "--protocol",
    type=click.Choice(["gfm", "dim"], case_sensitive=False),
    default="gfm",
    help="gfm: the paper's tables; dim: Deep Image Matting's code, on the unknown part of the trimap.",
)
@click.option("--trimaps", type=FOLDER, help="The data set's own trimaps, named as the photographs.  [default: 25 px]")
@alpha_scale("of --data")
@click.option("--mattes", is_flag=True, help="Also write each predicted matte, to mattes/ in --out.")
def evaluate(checkpoints: tuple[Path, ...], data: Path, out: Path | None, **settings: Any) -> None:
    """Evaluate networks on photographs, as the paper's tables do.

    With --hybrid 1/3 1/2 as in Table 1. Writes per_image.parquet, summary.json and worst.png (photo, prediction, truth
    and error of the worst cases). The exit code is 1 if a photograph could not be evaluated.

    \b
    Examples:
      train eval --checkpoint runs/first/last.pt --data AM-2k/validation --hybrid 1/3 1/2
      train eval --checkpoint tt.pt --checkpoint ft.pt --checkpoint bt.pt --data shards/
      train eval --checkpoint tt.pt --data alphamatting --protocol dim --trimaps alphamatting/trimap
    """  # noqa: D301
    from train.evaluation.evaluate import Evaluator, Protocol, format_table, write_evaluation  # noqa: PLC0415
    from train.evaluation.evaluate import evaluate as evaluate_all  # noqa: PLC0415

    out = out or checkpoints[0].parent / "eval"
    mattes = out / "mattes" if settings["mattes"] else None
    opened, strategy = open_networks(checkpoints, settings["weights"], settings["max_side"], settings["hybrid"])
    evaluator = Evaluator(opened, strategy, Protocol(settings["protocol"]), settings["trimaps"], mattes)
    with Progress(None, "photos") as progress:
        result = evaluate_all(evaluator, data, counter(progress), out, settings["alpha_scale"])
    write_evaluation(result, evaluator, out)
    click.echo(format_table([(evaluator.name, result.mean)], evaluator.protocol.metrics))
    left_out = f" ({len(result.left_out)} more without unknown pixels left out)" if result.left_out else ""
    click.echo(f"mean of {len(result.counted)} photographs{left_out}; {evaluator.region}; {evaluator.view}")
    click.echo(f"worst cases: {out / 'worst.png'}\nper photo:   {out / 'per_image.parquet'}")
    say_unread(result.unread)
    for doubt in result.doubts:
        click.echo(f"NOTE: {doubt}", err=True)
    fail_if([f"{failure.name}: {failure.reason}" for failure in result.failures], "could not be evaluated")
