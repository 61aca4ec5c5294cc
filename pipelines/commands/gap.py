"""`rssn gap`: how far composites are from photographs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import click

from pipelines.commands import options
from pipelines.gap.files import PAGE, only_writer, open_out
from pipelines.gap.fit import run_fit, write_recipe
from pipelines.gap.job import run_gap
from pipelines.gap.result import GapJob, Result
from pipelines.gap.search import FitJob
from pipelines.gap.sources import LEAST, Source, open_photographs, open_set
from pipelines.gap.table import lines
from rssn.dataset.manifest import holds_dataset
from rssn.errors import InputError
from rssn.image.codecs import ImageCodec
from rssn.route.recipe import load_recipe
from rssn.stopping import farewell, received
from rssn.storage.documents import brief, counted
from rssn.storage.location import Location
from train.commands.effect import refuse_given
from train.commands.options import PLACE
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
class FitOptions:
    """How a recipe is fitted to the photographs."""

    fit: str | None = option(
        "--fit", metavar="RECIPE", help="Fit the steps of a recipe to the photographs, in place of measuring SETS."
    )
    write: Location | None = option("--write", type=PLACE, help="The fitted recipe's YAML file; for --fit.")
    backgrounds: Location | None = option(
        "--backgrounds", type=PLACE, help="Backgrounds, as rssn compose takes them; for --fit."
    )
    trials: int = option(
        "--trials", type=click.IntRange(min=2), default=100, help="Most recipes that --fit tries; each is composed."
    )
    image_codec: ImageCodec = option(
        "--image-codec",
        type=click.Choice(["jpeg", "png", "webp"], case_sensitive=False),
        default="jpeg",
        help="The codec that composites will be stored with; for --fit.",
    )

    def places(self) -> tuple[Location, Location]:
        """The file to write, and the backgrounds.

        Raises:
            InputError: If one was not given.
        """
        if self.write is None or self.backgrounds is None:
            raise InputError(f"--fit needs {'--write' if self.write is None else '--backgrounds'}, too")
        return self.write, self.backgrounds


@dataclass(frozen=True)
class MeterOptions:
    """How sets are measured."""

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
        help="Most foregrounds of each set, or of both halves of --fit; a sample by content of those that have more.",
    )
    seed: int = option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        help="Of the permutations; with --fit of the draws of composites, too.",
    )


@dataclass(frozen=True)
class GapOptions:
    """What `rssn gap` is asked to do."""

    sets: tuple[Location, ...] = argument(nargs=-1, type=PLACE)
    real: Location = option(
        "--real",
        required=True,
        type=PLACE,
        help="The photographs that the network is meant for, with their mattes: what rssn pack wrote, a matting data "
        "set's folder or table, or s3://...",
    )
    out: Location = option(
        "--out", required=True, type=PLACE, help="Folder of gap.html, gap.json and gap.parquet, or s3://..."
    )
    meter: MeterOptions = group(MeterOptions)
    mattes: options.MatteOptions = group(options.MatteOptions)
    fitting: FitOptions = group(FitOptions)
    cache: options.CacheOptions = group(options.CacheOptions)

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing, and ask for what is missing."""
        if self.fitting.fit:
            if self.sets:
                raise InputError(f"--fit composes itself: {self.sets[0]} has no effect; leave it out")
            return
        if not self.sets:
            raise InputError("give SETS, data sets of rssn compose; or --fit RECIPE")
        for name in ("--write", "--backgrounds", "--trials", "--image-codec", "--cache-dir", "--cache-size"):
            refuse_given(name, "it is for --fit; leave it out")

    def fit_job(self, real: Location, backgrounds: Location) -> FitJob:
        """What `--fit` is asked to do."""
        return FitJob(
            photographs=real,
            backgrounds=backgrounds,
            recipe=load_recipe(str(self.fitting.fit)),
            out=self.out,
            cache=self.cache.open(),
            trials=self.fitting.trials,
            foregrounds=self.meter.foregrounds,
            seed=self.meter.seed,
            codec=self.fitting.image_codec,
            at=self.meter.at,
            layout=self.mattes.matting_format,
            alpha_scale=self.mattes.alpha_scale,
        )

    def photographs(self) -> Source:
        """The photographs."""
        if holds_dataset(self.real):
            for name in ("--matting-format", "--alpha-scale"):
                refuse_given(name, "--real is a data set, whose mattes are known; leave it out")
        return open_photographs(self.real, self.meter.foregrounds, self.mattes.matting_format, self.mattes.alpha_scale)


def _names(places: Sequence[Location]) -> Mapping[str, Location]:
    """Sets by the names of their folders; by their whole paths where two have the same."""
    for number, place in enumerate(places):
        if place in places[:number]:
            raise InputError(f"{place}: given twice; leave one out")
    short = [str(place).rstrip("/").rpartition("/")[2] for place in places]
    return {name if short.count(name) == 1 else str(place): place for name, place in zip(short, places, strict=True)}


@click.command()
@takes(GapOptions)
def gap(given: GapOptions) -> None:
    """Say how far composites are from photographs, without training a network.

    SETS are data sets of rssn compose. Measures how well low-level cues tell F from B, how well composites can be told
    from the photographs, and which cue is farthest off, with the step that acts on it.
    """
    given.refuse_idle()
    with only_writer(given.out):
        if given.fitting.fit:
            _fit(given)
            return
        open_out(given.out)
        photographs = given.photographs()
        sets = {name: open_set(place, given.meter.foregrounds) for name, place in _names(given.sets).items()}
        _say(run_gap(GapJob(sets, photographs, given.out, given.meter.at, given.meter.seed)))


def _fit(given: GapOptions) -> None:
    path, backgrounds = given.fitting.places()
    try:
        fitted = run_fit(given.fit_job(given.real, backgrounds), path)
    except KeyboardInterrupt:
        if (stopped_by := received()) is None:  # another run took over
            raise
        line, code = farewell(stopped_by, "", resumes=True)  # the command without --fit starts over
        click.echo(f"\n{line}", err=True)
        sys.exit(code)
    write_recipe(fitted, path, str(given.real))
    click.echo("discrepancy of the half that decided (mean of the letters', in deviations; 0: none):")
    for change in fitted.path:
        click.echo(f"{change.far:.3f}  {change.words}")
    if fitted.left_out:
        words = f"{counted(len(fitted.left_out), 'file')} left out of the fit; the first: {fitted.left_out[0]}"
        click.echo(f"NOTE: {words}", err=True)
    click.echo(f"{fitted.tried} recipes tried on one half of the photographs; the figures are of the other:")
    _say(fitted.result)
    click.echo(fitted.verdict)
    click.echo(f"the fitted recipe: {path}")


def _say(result: Result) -> None:
    for line in lines(result):
        click.echo(line)
    for note in result.notes:
        click.echo(f"NOTE: {note}", err=True)
    click.echo(f"look at {result.job.out / PAGE}")
