"""`train describe` and `train import`."""

from __future__ import annotations

from itertools import product

import click

from rssn.storage.location import Location
from train.commands.effect import refuse_given, was_given
from train.commands.options import FILE, ROSTAS, use_all_cpus
from train.network.networks import NETWORKS
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
@click.option(
    "--network",
    "networks",
    type=click.Choice(list(NETWORKS), case_sensitive=False),
    multiple=True,
    help="Which networks, repeat for several; --backbone and --rosta are of gfm, others have the paper's encoders.  "
    "[default: all, with --backbone gfm]",
)
@click.option("--time/--no-time", "timed", default=True, help="Run each network once on 800 x 800 px.")
def describe(backbones: tuple[str, ...], rostas: tuple[str, ...], networks: tuple[str, ...], timed: bool) -> None:
    """Show what each network costs, beside the paper's Table 4.

    GMac count convolutions and matrix products at 800 x 800 px. `with unused` adds what the paper counts and no matte
    needs: ImageNet's classifiers (513,000 of r34) and branches that nothing reads.

    \b
    Examples:
      train describe --network gfm --backbone r34 --backbone timm:convnext_tiny --rosta TT
      train describe --network shm --network lf --no-time
    """  # noqa: D301
    from train.network.complexity import HEADINGS, cells, measure, measure_gfm, notes  # noqa: PLC0415

    networks = networks or (("gfm",) if was_given("--backbone") else tuple(NETWORKS))
    if "gfm" not in networks:
        for option in ("--backbone", "--rosta"):
            refuse_given(option, "it is of gfm, and --network names others")
    use_all_cpus()
    _show(HEADINGS)
    for backbone, rosta in product(backbones, rostas) if "gfm" in networks else ():
        _show(cells(measure_gfm(backbone, Rosta(rosta), timed=timed)))
    for name in networks:
        if name != "gfm":
            _show(cells(measure(NETWORKS[name], timed=timed)))
    for note in notes(networks):
        click.echo(f"  {note}")


def _show(cells: tuple[str, ...]) -> None:
    click.echo("".join(f"{cell:>{13 if at else 24}}" for at, cell in enumerate(cells)))


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
