"""`train eval`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rssn.progress import Progress
from rssn.storage.location import Location
from train.commands.options import FOLDER, PLACE, NetworkOptions, counter, fail_if, say_unread
from train.commands.typed import group, option, takes

if TYPE_CHECKING:
    from train.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class EvalOptions:
    """What `train eval` is asked for."""

    networks: NetworkOptions = group(NetworkOptions)
    data: Location = option(
        "--data", type=PLACE, required=True, help="Photographs with their mattes: a data set, or shards."
    )
    out: Location | None = option(
        "--out", type=FOLDER, help="Folder for the results.  [default: eval/ beside the first checkpoint]"
    )
    protocol: str = option(
        "--protocol",
        type=click.Choice(["gfm", "dim"], case_sensitive=False),
        default="gfm",
        help="gfm: the paper's tables; dim: Deep Image Matting's code, on the unknown part of the trimap.",
    )
    trimaps: Location | None = option(
        "--trimaps", type=FOLDER, help="The data set's own trimaps, named as the photographs.  [default: 25 px]"
    )
    alpha_scale: float | None = option(
        "--alpha-scale",
        type=float,
        help="The value that means opaque in every matte of --data, such as 1 or 255.  [default: by its values]",
    )
    mattes: bool = option("--mattes", is_flag=True, help="Also write each predicted matte, to mattes/ in --out.")


@click.command("eval")
@takes(EvalOptions)
def evaluate(options: EvalOptions) -> None:
    """Evaluate networks on photographs, as the paper's tables do.

    With --hybrid 1/3 1/2 as in Table 1. Writes per_image.parquet, summary.json and worst.png (photo, prediction, truth
    and error of the worst cases). The exit code is 1 if a photograph could not be evaluated.

    \b
    Examples:
      train eval --checkpoint runs/first/last.pt --data AM-2k/validation --hybrid 1/3 1/2
      train eval --checkpoint tt.pt --checkpoint ft.pt --checkpoint bt.pt --data shards/
      train eval --checkpoint tt.pt --data alphamatting --protocol dim --trimaps alphamatting/trimap
    """  # noqa: D301
    result = run_evaluation(options)
    fail_if([f"{failure.name}: {failure.reason}" for failure in result.failures], "could not be evaluated")


def run_evaluation(options: EvalOptions, on_count: Callable[[int], None] = lambda _: None) -> Evaluation:
    """Evaluate, write the results, and print them.

    Args:
        options: What is asked for.
        on_count: Called with the number of photographs before the first, and with 0 after each.
    """
    from train.evaluation.evaluate import Evaluator, Protocol, format_table, write_evaluation  # noqa: PLC0415
    from train.evaluation.evaluate import evaluate as evaluate_all  # noqa: PLC0415

    out = options.out or options.networks.checkpoints[0].parent / "eval"
    networks, strategy = options.networks.open()
    mattes = out / "mattes" if options.mattes else None
    evaluator = Evaluator(networks, strategy, Protocol(options.protocol), options.trimaps, mattes)
    with Progress(None, "photos") as progress:
        show = counter(progress)

        def on_image(number: int) -> None:
            show(number)
            on_count(number)

        result = evaluate_all(evaluator, options.data, on_image, out, options.alpha_scale)
    write_evaluation(result, evaluator, out)
    click.echo(format_table([(evaluator.name, result.mean)], evaluator.protocol.metrics))
    left_out = f" ({len(result.left_out)} more without unknown pixels left out)" if result.left_out else ""
    click.echo(f"mean of {len(result.counted)} photographs{left_out}; {evaluator.region}; {evaluator.view}")
    click.echo(f"worst cases: {out / 'worst.png'}\nper photo:   {out / 'per_image.parquet'}")
    say_unread(result.unread)
    for doubt in result.doubts:
        click.echo(f"NOTE: {doubt}", err=True)
    return result
