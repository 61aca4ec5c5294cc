"""What several commands share: options, starting and stopping workers, and the last lines of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.compose.job import Output
from pipelines.compose.layer_cache import LayerCache
from pipelines.executor.ray_runner import make_runner
from pipelines.executor.runner import Runner
from pipelines.executor.work import RunSummary, parse_budget, parse_bytes
from rssn.errors import InputError
from rssn.image.codecs import ImageCodec
from rssn.image.picture_files import unread_words
from rssn.sources.layouts import LAYOUT_NAMES
from rssn.storage.location import Location
from rssn.storage.machine import cache_home
from rssn.storage.urls import scrub
from train.commands.options import PLACE, Place
from train.commands.typed import option

R = TypeVar("R")


def _size(_: click.Context, param: click.Parameter, text: str) -> int:
    return parse_bytes(param.opts[0], text)


def _at_least_a_byte(context: click.Context, param: click.Parameter, text: str) -> int:
    size = _size(context, param, text)
    if size < 1:
        raise InputError(f"{param.opts[0]} is {text!r}; give 1 byte or more, such as 256M")
    return size


def out_option() -> Any:
    """The field `--out` of a command that writes a data set."""
    words = "Folder of the new data set, or s3://... for a bucket; run the same command again to resume."
    return option("--out", required=True, type=PLACE, help=words)


def max_errors_option() -> Any:
    """The field `--max-errors`; see `parse_budget`."""
    words = "Stop when more than N items, or N% of them, are refused.  [default: never]"
    return option("--max-errors", metavar="N|N%", callback=lambda _, __, text: parse_budget(text), help=words)


def workers_option() -> Any:
    """The field `--workers`."""
    words = "Worker processes; 0 works in the command's own process, without Ray.  [default: one per CPU]"
    return option("--workers", type=int, help=words)


def cache_dir_option() -> Any:
    """The field `--cache-dir`."""
    return option(
        "--cache-dir",
        type=Place(local="is a path on this disk"),
        default=lambda: cache_home() / "rssn",
        show_default="~/.cache/rssn",
        help="Local folder for layers, and pictures from buckets, that later runs use again.",
    )


@dataclass(frozen=True)
class MatteOptions:
    """How a matting data set is read."""

    matting_format: str | None = option(
        "--matting-format",
        type=click.Choice(LAYOUT_NAMES, case_sensitive=False),
        help="Layout of the matting data set.  [default: detected]",
    )
    alpha_scale: float | None = option(
        "--alpha-scale",
        type=float,
        metavar="VALUE",
        help="The value that means opaque in every matte, such as 1 or 255.  [default: judged from its values]",
    )


@dataclass(frozen=True)
class ShardOptions:
    """How shards are written."""

    image_codec: ImageCodec = option(
        "--image-codec",
        type=click.Choice(["jpeg", "png", "webp"], case_sensitive=False),
        default="jpeg",
        help="Codec of image, foreground and background: JPEG (quality 95, 4:4:4) or lossless. Alpha is always PNG.",
    )
    shard_size: int = option(
        "--shard-size",
        callback=_at_least_a_byte,
        metavar="BYTES",
        default="256M",
        help="Approximate size of a shard.",
    )
    shard_rows: int | None = option(
        "--shard-rows",
        type=click.IntRange(min=1),
        help="Most rows of a shard; one that holds a single foreground may have more.",
    )

    @property
    def output(self) -> Output:
        """The same as a job takes it."""
        return Output(self.image_codec, self.shard_size, self.shard_rows or Output.shard_rows)


@dataclass(frozen=True)
class CacheOptions:
    """Where layers are kept for other runs."""

    cache_dir: Path = cache_dir_option()
    cache_size: int = option(
        "--cache-size",
        callback=_size,
        metavar="BYTES",
        default="20G",
        help="Most that folder may hold; 0 keeps nothing.",
    )

    def open(self) -> LayerCache:
        """The cache.

        Raises:
            InputError: If the folder is somebody else's, or cannot be written to.
        """
        cache = LayerCache(self.cache_dir.resolve(), self.cache_size)
        cache.open()
        return cache


@dataclass(frozen=True)
class WorkerOptions:
    """Who works."""

    workers: int | None = workers_option()
    address: str | None = option(
        "--address",
        metavar="ADDRESS",
        help="A running Ray cluster: auto, HOST:PORT or ray://HOST:PORT.  [default: RAY_ADDRESS, or none]",
    )

    @property
    def cluster(self) -> str | None:
        """The cluster's address: the one that is given, or that of RAY_ADDRESS where Ray is to work."""
        return _cluster_around() if self.address is None and self.workers != 0 else self.address

    def run(self, work: Callable[[Runner], R]) -> R:
        """Start workers here or on the cluster, do the work, stop them whatever happens."""
        runner = make_runner(self.workers, self.cluster)
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


def finish(summary: RunSummary, out: Location, unit: str, *, complete: bool) -> None:
    """Say what became of a run, and end with a true exit code."""
    for name in summary.damaged:
        click.echo(f"made again, because it did not match its mark: {name}")
    total = sum(summary.seconds.values())
    if total:
        shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in summary.seconds.most_common())
        click.echo(f"time in workers: {total:.0f} s ({shares}); the largest took {summary.peak_bytes / 1e9:.1f} GB")
    lost = f", {summary.lost} lost with {len(summary.failed)} shards that failed" if summary.failed else ""
    click.echo(f"{summary.counts(unit)}{lost}: {out}")
    for line in _notices(summary, out, unit):
        click.echo(scrub(line), err=True)
    if summary.rejected or summary.failed:
        click.echo(f"what was rejected and why: {out}/rejects")
    if summary.failed or not complete:
        sys.exit(1)


def _notices(summary: RunSummary, out: Location, unit: str) -> Iterator[str]:
    """What a person should know beside the counts."""
    for name, unread in summary.unread.items():
        yield f"{name}: {unread_words(unread)}"
    if summary.unusable:
        words = f"{len(summary.unusable)} backgrounds cannot be used; others were drawn in their place"
        yield f"{words}: {out}/rejects/plan.parquet"
    yield from (f"failed: {failure}" for failure in summary.failed)
    if summary.failed:
        yield "the same command tries the failed shards again"
    yield from (f"NOTE: {note}" for note in summary.notes)
