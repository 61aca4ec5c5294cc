"""What several commands share: options, starting and stopping workers, and the last lines of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.compose.job import Output
from pipelines.compose.layer_cache import LayerCache
from pipelines.executor.ray_runner import make_runner
from pipelines.executor.runner import Runner
from pipelines.executor.work import Tally, parse_bytes
from rssn.errors import InputError
from rssn.image.picture_files import unread_words
from rssn.sources.layouts import LAYOUT_NAMES
from rssn.storage.machine import cache_home
from rssn.storage.urls import Url, checked_url, is_url, scrub, shown
from train.commands.effect import Idle, refuse_idle
from train.commands.options import UserPath

R = TypeVar("R")

FOLDER = UserPath(path_type=Path)


class _Place(UserPath):
    """A path, or the URL of something in a bucket."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return checked_url(value) if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


PLACE = _Place(path_type=Path)

workers = click.option(
    "--workers", type=int, help="Processes; 0 works in this one, without Ray.  [default: as many as CPUs]"
)
address = click.option(
    "--address",
    metavar="ADDRESS",
    help="A running Ray cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: RAY_ADDRESS, or none]",
)
max_errors = click.option(
    "--max-errors", metavar="N|N%", help="Stop when more than this are refused.  [default: never]"
)
matting_format = click.option(
    "--matting-format",
    type=click.Choice(LAYOUT_NAMES, case_sensitive=False),
    help="How --matting is laid out.  [default: detected]",
)
alpha_scale = click.option(
    "--alpha-scale",
    type=float,
    metavar="VALUE",
    help="The value that means opaque in every matte, as 1 or 255.  [default: by the values of each]",
)
codec = click.option(
    "--image-codec",
    type=click.Choice(["jpeg", "png", "webp"], case_sensitive=False),
    default="jpeg",
    help="JPEG of quality 95, 4:4:4, or a lossless one. Alpha is always PNG.",
)
shard_size = click.option("--shard-size", metavar="BYTES", default="256M", help="About how large a shard may become.")
shard_rows = click.option("--shard-rows", type=click.IntRange(min=1), help="At most so many rows, or one foreground's.")
cache_dir = click.option(
    "--cache-dir",
    type=FOLDER,
    default=lambda: cache_home() / "rssn",
    show_default="~/.cache/rssn",
    help="Where compose keeps layers for other runs, and all what is on its way to a bucket; a local disk.",
)
cache_size = click.option("--cache-size", metavar="BYTES", default="20G", help="Limit of that folder; 0 keeps nothing.")


def in_bucket(given: Mapping[str, Any]) -> bool:
    """Whether an input or the output of a command lies in a bucket."""
    return any(isinstance(value, Url) for value in given.values())


refuse_idle_cache = refuse_idle(
    Idle("--cache-dir", lambda given: not in_bucket(given), "it is for what goes to a bucket or comes from one")
)


def output(settings: Mapping[str, Any]) -> Output:
    """How the options of a command want shards to be written."""
    size = parse_bytes("--shard-size", settings["shard_size"])
    if size < 1:
        raise InputError(f"--shard-size is {settings['shard_size']!r}; give 1 byte or more, such as 256M")
    return Output(settings["image_codec"], size, settings["shard_rows"] or Output.shard_rows)


def layer_cache(folder: Path, size: str) -> LayerCache:
    """The cache that `--cache-dir` and `--cache-size` ask for.

    Raises:
        InputError: If the folder is somebody else's, or cannot be written to.
    """
    cache = LayerCache(folder.resolve(), parse_bytes("--cache-size", size))
    cache.open()
    return cache


def with_runner(count: int | None, where: str | None, work: Callable[[Runner], R], *, gpu_each: bool = False) -> R:
    """Start workers here or on the cluster at an address, do the work, stop them whatever happens."""
    if where is None and count != 0:
        where = _cluster_around()
    runner = make_runner(count, where, gpu_each=gpu_each)
    try:
        return work(runner)
    finally:
        runner.close()


def _cluster_around() -> str | None:
    """The cluster that RAY_ADDRESS names, as it does in a job of `ray job submit`; that tool's own is a web address."""
    named = os.environ.get("RAY_ADDRESS", "")
    if named in ("", "local") or named.startswith(("http://", "https://")):
        return None
    click.echo(f"working on the Ray cluster that RAY_ADDRESS names: {named}", err=True)
    return named


def finish(tally: Tally, out: Path | Url, unit: str, *, complete: bool) -> None:
    """Say what became of a run, and end with a true exit code."""
    for name in tally.damaged:
        click.echo(f"made again, because it did not match its mark: {name}")
    total = sum(tally.seconds.values())
    if total:
        shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in tally.seconds.most_common())
        click.echo(f"time in workers: {total:.0f} s ({shares}); the largest took {tally.peak_bytes / 1e9:.1f} GB")
    lost = f", {tally.lost} lost with {len(tally.failed)} shards that failed" if tally.failed else ""
    click.echo(f"{tally.written} {unit} written, {tally.reused} reused, {tally.rejected} rejected{lost}: {out}")
    for line in _notices(tally, out, unit):
        click.echo(shown(scrub(line)), err=True)
    if tally.rejected or tally.failed:
        click.echo(f"what was rejected and why: {out}/rejects")
    if tally.failed or tally.left or not complete:
        sys.exit(1)


def _notices(tally: Tally, out: Path | Url, unit: str) -> Iterator[str]:
    """What a person should know beside the counts."""
    for name, unread in tally.unread.items():
        yield f"{name}: {unread_words(unread)}"
    if tally.unusable:
        words = f"{len(tally.unusable)} backgrounds cannot be used; others were drawn in their place"
        yield f"{words}: {out}/rejects/plan.parquet"
    yield from (f"failed: {failure}" for failure in tally.failed)
    if tally.failed:
        yield "the same command tries the failed shards again"
    yield from (f"NOTE: {note}" for note in tally.notes)
    if tally.left:
        yield f"{tally.left} {unit} were not tried yet; the same command without --retry-rejects makes them"
