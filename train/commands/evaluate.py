"""`train eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from rssn.errors import InputError
from rssn.progress import Progress
from rssn.stopping import Resumable
from rssn.storage.location import Location
from train.commands.options import FOLDER, PLACE, counter, fail_if, say_unread
from train.commands.soft_options import NetworkOrEncoderOptions, SoftOptions
from train.commands.typed import group, option, takes

if TYPE_CHECKING:
    from train.evaluation.evaluate import Evaluation, Evaluator
    from train.evaluation.method import Method


@dataclass(frozen=True)
class EvalOptions:
    """What `train eval` is asked for."""

    method: str = option(
        "--method",
        type=click.Choice(["networks", "sss"], case_sensitive=False),
        default="networks",
        help="networks: those of --checkpoint; sss: Semantic Soft Segmentation, which is not trained.",
    )
    networks: NetworkOrEncoderOptions = group(NetworkOrEncoderOptions)
    soft: SoftOptions = group(SoftOptions)
    data: Location = option(
        "--data", type=PLACE, required=True, help="Photographs with their mattes: a data set, or shards."
    )
    out: Location | None = option(
        "--out", type=FOLDER, help="Folder for the results.  [default: eval/, or sss/, beside the first checkpoint]"
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

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing, and ask for what is missing.

        Raises:
            InputError: Naming the option.
        """
        self.soft.refuse_idle(self.method, self.networks)
        if self.method != "sss" and not self.networks.checkpoints:
            raise InputError("--checkpoint is missing: last.pt or best.pt of a run")
        if not self.out and not self.networks.checkpoints:
            raise InputError("--out is missing: a folder for the results")

    @property
    def folder(self) -> Location:
        """Where results go."""
        return self.out or self.networks.checkpoints[0].parent / ("sss" if self.method == "sss" else "eval")


@click.command("eval")
@takes(EvalOptions)
def evaluate(options: EvalOptions) -> None:
    """Evaluate networks on photographs, as the paper's tables do.

    With --hybrid 1/3 1/2 as in Table 1. Writes per_image.parquet, summary.json and worst.png (photo, prediction, truth
    and error of the worst cases). The exit code is 1 if a photograph could not be evaluated.

    With --method sss also sheets/ (each photograph's layers), layers/ (which are not made again), and in oracle/ the
    results of the best layers by the true matte, beside those that are chosen without it.

    \b
    Examples:
      train eval --checkpoint runs/first/last.pt --data AM-2k/validation --hybrid 1/3 1/2
      train eval --checkpoint tt.pt --checkpoint ft.pt --checkpoint bt.pt --data shards/
      train eval --checkpoint tt.pt --data alphamatting --protocol dim --trimaps alphamatting/trimap
      train eval --method sss --backbone r34 --encoder-weights resnet34.pth --data AM-2k/validation --out sss/
    """  # noqa: D301
    options.refuse_idle()
    try:
        result = run_evaluation(options)
    except KeyboardInterrupt as error:
        if options.method == "sss":
            raise Resumable(*error.args) from error
        raise
    fail_if([f"{failure.name}: {failure.reason}" for failure in result.failures], "could not be evaluated")


def run_evaluation(options: EvalOptions, on_count: Callable[[int], None] = lambda _: None) -> Evaluation:
    """Evaluate, write the results, and print them.

    Args:
        options: What is asked for.
        on_count: Called with the number of photographs before the first, and with 0 after each.

    Returns:
        The results; of soft segmentation those of the layers that were chosen without the truth.
    """
    from train.evaluation.evaluate import Evaluator, Protocol, format_table, write_evaluation  # noqa: PLC0415

    protocol = Protocol(options.protocol)
    rows: list[tuple[str, dict[str, float]]] = []
    results: list[Evaluation] = []
    for method, out in _methods(options):
        evaluator = Evaluator(method, protocol, options.trimaps, out / "mattes" if options.mattes else None)
        result = _evaluated(options, evaluator, (lambda _: None) if results else on_count)
        write_evaluation(result, evaluator, out)
        rows.append((method.name, result.mean))
        results.append(result)
    click.echo(format_table(rows, protocol.metrics))
    result = results[0]
    left_out = f" ({len(result.left_out)} more without unknown pixels left out)" if result.left_out else ""
    click.echo(f"mean of {len(result.counted)} photographs{left_out}; {evaluator.region}; {method.view}")
    click.echo(f"worst cases: {options.folder / 'worst.png'}\nper photo:   {options.folder / 'per_image.parquet'}")
    say_unread(result.unread)
    for doubt in result.doubts:
        click.echo(f"NOTE: {doubt}", err=True)
    return result


def _evaluated(options: EvalOptions, evaluator: Evaluator, on_count: Callable[[int], None]) -> Evaluation:
    """Evaluate a method, and show how far it is."""
    from train.evaluation.evaluate import evaluate as evaluate_all  # noqa: PLC0415  (loads torch)

    with Progress(None, "photos") as progress:
        show = counter(progress)

        def on_image(number: int) -> None:
            show(number)
            on_count(number)

        return evaluate_all(evaluator, options.data, on_image, options.folder, options.alpha_scale)


def _methods(options: EvalOptions) -> Sequence[tuple[Method, Location]]:
    """What is evaluated, each with the folder of its results."""
    out = options.folder
    if options.method == "sss":
        return options.soft.methods(options.networks, out)
    from train.evaluation.method import TrainedNetworks  # noqa: PLC0415  (loads torch)

    return [(TrainedNetworks(*options.networks.open()), out)]
