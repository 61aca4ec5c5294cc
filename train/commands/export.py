"""`train export`."""

from __future__ import annotations

from pathlib import Path

import click

from train.commands.options import FILE, use_all_cpus, weights

_SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


@click.command()
@click.option("--checkpoint", type=FILE, required=True, help="last.pt or best.pt of a run, or of `train import`.")
@weights
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_SUFFIXES), case_sensitive=False),
    required=True,
    help="For which runtime.",
)
@click.option("--out", type=FILE, help="The file to write.  [default: beside the checkpoint]")
@click.option(
    "--size", nargs=2, type=int, default=(800, 800), help="Height and width of its input, px; multiples of 32."
)
def export(checkpoint: Path, weights: str | None, kind: str, out: Path | None, size: tuple[int, int]) -> None:
    """Write a network for another runtime, and check that it computes the same.

    The network takes `image`, 1 x 3 x HEIGHT x WIDTH RGB in [0, 1], sides multiples of 32, and gives `alpha`, `focus`
    and the glance's `scores`.

    \b
    Example:
      train export --checkpoint runs/first/last.pt --format onnx --size 1088 1600
    """  # noqa: D301
    import torch  # noqa: PLC0415

    from train.checkpoint import load_network  # noqa: PLC0415
    from train.export import export_network  # noqa: PLC0415

    use_all_cpus()
    out = out or checkpoint.with_suffix(_SUFFIXES[kind])
    difference = export_network(load_network(checkpoint, torch.device("cpu"), weights), out, kind, size)
    click.echo(f"{out}: differs from the network by at most {difference:.1g}")
