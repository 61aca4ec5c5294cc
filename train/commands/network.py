"""`train describe` and `train import`."""

from __future__ import annotations

import click

from rssn.storage.location import Location
from train.commands.options import FILE, ROSTAS, use_all_cpus
from train.targets.rosta import Rosta

_DESCRIBED = ("r34", "d121", "r34_2b", "r101")


@click.command()
@click.option(
    "--backbone",
    "backbones",
    multiple=True,
    default=_DESCRIBED,
    help="Which encoder, as in `train run`; repeat for several.",
)
@click.option(
    "--rosta",
    "rostas",
    type=ROSTAS,
    multiple=True,
    default=[each.value for each in Rosta],
    help="Which representation, repeat for several.",
)
@click.option("--time/--no-time", "timed", default=True, help="Run each network once on 800 x 800 px.")
def describe(backbones: tuple[str, ...], rostas: tuple[str, ...], timed: bool) -> None:
    """Show what each network costs, beside the paper's Table 4.

    GMac count convolutions and matrix products at 800 x 800 px. `released` counts the authors' state dict: ImageNet's
    classifier is in it (513,000 of r34) and, of r34_2b, a branch that no block reads.

    \b
    Example:
      train describe --backbone r34 --backbone timm:convnext_tiny --rosta TT
    """  # noqa: D301
    from train.network.complexity import HEADINGS, cells, measure  # noqa: PLC0415

    use_all_cpus()
    click.echo("".join(f"{heading:>{10 if at else 24}}" for at, heading in enumerate(HEADINGS)))
    for backbone in backbones:
        for rosta in rostas:
            row = cells(measure(backbone, Rosta(rosta), timed=timed))
            click.echo("".join(f"{cell:>{10 if at else 24}}" for at, cell in enumerate(row)))


@click.command("import")
@click.argument("released", type=FILE)
@click.option(
    "--backbone",
    type=click.Choice(_DESCRIBED, case_sensitive=False),
    required=True,
    help="The encoder of the released network.",
)
@click.option("--rosta", type=ROSTAS, required=True, help="What its glance decoder learned.")
@click.option("--out", type=FILE, required=True, help="The checkpoint to write.")
def import_released(released: Location, backbone: str, rosta: str, out: Location) -> None:
    """Turn a checkpoint that the authors released into one of ours.

    It gives the authors' mattes with `train eval`, `train predict` and `train export`. A file of another network is
    refused, with the difference.

    \b
    Example:
      train import gfm_r34_tt.pth --backbone r34 --rosta TT --out gfm_r34_tt.pt
    """  # noqa: D301
    from train.published import import_published  # noqa: PLC0415

    network = import_published(released, backbone, Rosta(rosta), out)
    count = sum(parameter.numel() for parameter in network.parameters())
    click.echo(f"{out}: GFM-{rosta}({backbone}), {count:,} parameters; ImageNet's classifier was left out")
