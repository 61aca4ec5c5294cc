"""`train export`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from rssn.storage.location import Location
from train.commands.options import FILE, max_side_option, open_networks, weights_option
from train.commands.typed import option, takes

_SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


@dataclass(frozen=True)
class ExportOptions:
    """What `train export` is asked for."""

    checkpoint: Location = option(
        "--checkpoint", type=FILE, required=True, help="last.pt or best.pt of a run, or of `train import`."
    )
    weights: str | None = weights_option()
    kind: str = option(
        "--format", type=click.Choice(list(_SUFFIXES), case_sensitive=False), required=True, help="For which runtime."
    )
    out: Location | None = option("--out", type=FILE, help="The file to write.  [default: beside the checkpoint]")
    max_side: int | None = max_side_option()


@click.command()
@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write a network for another runtime, and check that it computes the same.

    It takes `image`, N x 3 x H x W RGB in [0, 1], any sides of multiples of 32, and gives `alpha`, `focus` and the
    glance's `scores`. The file holds how a photograph is to be seen, --max-side included; a card beside it shows that,
    with the lines of Python that make a matte.

    \b
    Example:
      train export --checkpoint runs/first/last.pt --format onnx
    """  # noqa: D301
    from train.export import card_path, export_network  # noqa: PLC0415  (loads torch, as below)
    from train.network.strategy import Strategy  # noqa: PLC0415

    (network,), strategy = open_networks((options.checkpoint,), options.weights, options.max_side, None)
    out = options.out or options.checkpoint.with_suffix(_SUFFIXES[options.kind])
    strategy = strategy or Strategy.as_trained(network.scales)
    difference = export_network(network.to("cpu"), out, options.kind, strategy)
    click.echo(f"{out}: differs from the network by at most {difference:.1g}; {strategy.describe()}")
    click.echo(f"how to use it: {card_path(out)}")
