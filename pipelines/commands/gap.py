"""`rssn gap`: how far composites are from photographs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click

from pipelines.commands import options
from pipelines.gap.job import LEAST, run_gap
from pipelines.gap.result import GapJob
from pipelines.gap.sources import Source, open_photographs, open_set
from pipelines.gap.table import lines
from pipelines.output.staging import open_readonly, source
from rssn.dataset.manifest import MANIFEST, holds_dataset
from rssn.errors import InputError
from rssn.storage.buckets import list_objects
from rssn.storage.documents import brief
from rssn.storage.urls import Url, shown
from train.commands.effect import refuse_given
from train.commands.typed import argument, group, option, takes


def _share(_: click.Context, __: click.Parameter, text: str) -> Fraction:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise InputError(f"--at is {brief(text)}; give a share of the size, such as 1/3, above 0 and up to 1")
    return share


@dataclass(frozen=True)
class GapOptions:
    """What `rssn gap` is asked to do."""

    sets: tuple[Path | Url, ...] = argument(nargs=-1, required=True, type=options.PLACE)
    real: Path | Url = option(
        "--real",
        required=True,
        type=options.PLACE,
        help="The photographs that the network is meant for, with their mattes: what rssn pack wrote, a matting data "
        "set's folder or table, or s3://...",
    )
    out: Path = option(
        "--out", required=True, type=options.FOLDER, help="Folder of gap.html, gap.json and gap.parquet."
    )
    at: Fraction = option(
        "--at",
        callback=_share,
        default="1",
        metavar="SHARE",
        help="Shrink pictures first: 1/3 for a network that sees a third of their size.",
    )
    foregrounds: int = option(
        "--foregrounds",
        type=click.IntRange(min=LEAST),
        default=500,
        help="Most foregrounds of each set; a sample by content of sets that have more.",
    )
    seed: int = option("--seed", type=click.IntRange(min=0), default=0, help="Of the bootstrap and the permutations.")
    mattes: options.MatteOptions = group(options.MatteOptions)
    cache_dir: Path = options.cache_dir_option()

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing."""
        options.refuse_idle_cache(self.real)

    @contextmanager
    def photographs(self) -> Iterator[Source]:
        """The photographs."""
        if isinstance(self.real, Url) and MANIFEST in list_objects(self.real):
            opened = open_readonly(self.real)
        else:
            opened = open_readonly(source(self.real, self.cache_dir))
        with opened as root:
            if holds_dataset(root):
                for name in ("--matting-format", "--alpha-scale"):
                    refuse_given(name, "--real is a data set, whose mattes are known; leave it out")
            found = open_photographs(root, self.foregrounds, self.mattes.matting_format, self.mattes.alpha_scale)
            yield found


def _names(places: Sequence[Path | Url]) -> Mapping[str, Path | Url]:
    """Sets by the names of their folders; by their whole paths where two have the same."""
    for number, place in enumerate(places):
        if place in places[:number]:
            raise InputError(f"{shown(str(place))}: given twice; leave one out")
    short = [str(place).rstrip("/").rpartition("/")[2] for place in places]
    return {name if short.count(name) == 1 else str(place): place for name, place in zip(short, places, strict=True)}


@click.command()
@takes(GapOptions)
def gap(given: GapOptions) -> None:
    """Say how far composites are from photographs.

    SETS are data sets of rssn compose. Measures how well low-level cues tell F from B, how well composites can be told
    from the photographs, and which cue is farthest off, with the step that acts on it. No network is trained.
    """
    given.refuse_idle()
    with ExitStack() as stack:
        opened = {name: stack.enter_context(open_readonly(place)) for name, place in _names(given.sets).items()}
        photographs = stack.enter_context(given.photographs())
        sets = {name: open_set(root, given.foregrounds) for name, root in opened.items()}
        result = run_gap(GapJob(sets, photographs, given.out, given.at, given.seed))
    for line in lines(result):
        click.echo(line)
    for note in result.notes:
        click.echo(f"NOTE: {shown(note)}", err=True)
    click.echo(f"look at {given.out / 'gap.html'}")
