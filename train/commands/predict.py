"""`train predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from rssn.errors import Rejected
from rssn.image.arrays import to_float
from rssn.progress import Progress
from rssn.storage.files import content_id, sha256
from rssn.storage.location import BucketPath, Location
from rssn.storage.machine import available_cpus
from rssn.storage.remote import list_files
from rssn.storage.weights import weights_copy
from rssn.versions import version
from train.commands.effect import refuse_given
from train.commands.options import FILE, FOLDER, PLACE, NetworkOptions, fail_if, say_unread
from train.commands.typed import argument, group, option, takes

if TYPE_CHECKING:
    from train.predict import Cutter, Depth, Photos

_MOST_AT_ONCE = 4
"""By default: each photograph of 24 megapixels takes hundreds of megabytes."""


@dataclass(frozen=True)
class PredictOptions:
    """What `train predict` is asked for."""

    networks: NetworkOptions = group(NetworkOptions)
    out: Location = option("--out", type=FOLDER, default=Path("predictions"), help="Folder for the results.")
    alpha_only: bool = option(
        "--alpha-only", is_flag=True, help="Write the matte alone: no cut-out, which takes most of the time."
    )
    depth: str = option(
        "--depth", type=click.Choice(["8", "16"]), default="8", help="Bits of the matte's values; a cut-out has 8."
    )
    background: Location | None = option("--background", type=FILE, help="Also compose each subject on this picture.")
    workers: int | None = option(
        "--workers",
        type=click.IntRange(1, 256),
        help=f"Photographs that are worked on at once.  [default: one per processor, at most {_MOST_AT_ONCE}]",
    )
    photos: tuple[Location, ...] = argument(nargs=-1, required=True, type=PLACE)


@click.command()
@takes(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Cut subjects out of photographs.

    Writes <name>-alpha.png and <name>-cutout.png (RGBA, colours of the foreground alone, by the closed form) for each
    of PHOTOS, which are files, folders or archives, and <name>-composite.png with --background. Of a moving picture the
    first frame counts. Each result says in a note what it was made from: the same command resumes where it was stopped,
    and a file of that name without such a note is not overwritten. The exit code is 1 if a photograph failed.

    \b
    Examples:
      train predict --checkpoint runs/first/last.pt cat.jpg dog.jpg --out mattes/
      train predict --checkpoint runs/first/last.pt photos/ --alpha-only --depth 16
      train predict --checkpoint runs/first/last.pt photos/ --background beach.jpg --hybrid 1/3 1/2
    """  # noqa: D301
    from train.evaluation.inference import predict_alpha  # noqa: PLC0415  (loads torch)
    from train.predict import Cutter, Wanted, find_photos, read_background  # noqa: PLC0415

    if options.background and options.alpha_only:
        refuse_given("--background", "--alpha-only composes nothing; leave out one of the two")
    given = find_photos(options.photos, options.out)
    scene = read_background(options.background) if options.background else None
    networks, strategy = options.networks.open()
    networks_used = map(weights_copy, options.networks.checkpoints)
    files: list[Location] = [*networks_used, *([options.background] if options.background else [])]
    made_by = _name(files, options.networks.weights, strategy, options.depth)
    there = frozenset(list_files(options.out)) if isinstance(options.out, BucketPath) else None
    wanted = Wanted(options.out, made_by, cast("Depth", int(options.depth)), options.alpha_only, scene, there)
    workers = options.workers or min(available_cpus(), _MOST_AT_ONCE)
    threads = max(1, workers // max(1, len(given.found)))
    cutter = Cutter(lambda pixels: predict_alpha(networks, to_float(pixels), strategy), wanted, threads)
    failures = given.failures + _cut(cutter, given, workers)
    say_unread(given.unread)
    fail_if(failures, "could not be predicted")


def _name(files: Sequence[Location], *settings: object) -> str:
    """A name for all that results depend on besides the photographs."""
    versions = [f"{package} {version(package)}" for package in ("rssn", "torch")]
    return content_id(*(str(part).encode() for part in (*map(sha256, files), *settings, *versions)))


def _cut(cutter: Cutter, given: Photos, workers: int) -> list[str]:
    """Cut all out, and tell; returns what failed.

    Raises:
        KeyboardInterrupt: At a signal, with how many were done.
    """
    from train.predict import cut_all  # noqa: PLC0415

    failures, stood, done = [], 0, 0
    total = len(given.found)
    try:
        with (
            Progress(total, "photos", silent=total == 1) as progress,
            closing(cut_all(cutter, given.found, workers)) as outcomes,
        ):
            for photo, result in outcomes:
                if isinstance(result, Rejected):
                    failures.append(f"{photo.where}: {result}")
                else:
                    stood += result.stood
                    progress.say("\n".join(str(path) for path in result.files), sys.stdout)
                done += 1
                progress.advance()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{done} of {total} photographs done") from error
    if stood:
        click.echo(f"{stood} of {total} photographs already had these results, made in the same way", err=True)
    return failures
