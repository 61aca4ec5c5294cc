"""The `rssn` command: parses options, calls the pipelines, says what became of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bg20k.rules import CurationRules
from bg20k.verdict import REASONS
from pipelines.build_bg20k import Curated, CurationJob, run_curation
from pipelines.compose import ComposeJob, run_compose
from pipelines.demo import run_demo
from pipelines.inspection import run_inspect
from pipelines.recipes import DEFAULT, load_recipe, shipped
from pipelines.runner import make_runner
from pipelines.work import Tally, parse_budget
from rssn.errors import RssnError

FOLDER = click.Path(path_type=Path)
NOT_SCREENED = """\
NOT SCREENED for salient objects: no detector was given, so people and animals may stay in the backgrounds.
Give one with --detector MODEL (a YOLO model trained on COCO, .pt or .onnx; pip install 'rssn[curate]')."""


class _Group(click.Group):
    """Turns our errors into one line and an exit code; a second run goes on after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RssnError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("\nstopped; the same command goes on where it was", err=True)
            sys.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="rssn")
def main() -> None:
    r"""Photographs in, trustworthy matting training shards out.

    \b
    rssn demo                                       see it work, without any data
    rssn build-bg20k PHOTOS --out bg20k/            curate backgrounds
    rssn compose --matting AM-2k --backgrounds bg20k/ --k 5 --out shards/
    rssn inspect shards/                            verify, count, look
    """


_workers = click.option(
    "--workers", type=int, default=os.cpu_count() or 1, help="Processes; 0 works in this one, without Ray."
)


@main.command("build-bg20k")
@click.argument("photos", type=FOLDER)
@click.option("--out", required=True, type=FOLDER, help="Where the set goes; run again to go on.")
@click.option("--detector", type=FOLDER, help="A YOLO model of COCO classes, .pt or .onnx; nothing is downloaded.")
@click.option("--min-side", type=int, default=1080, help="Shorter side in px that a photo must have and is resized to.")
@click.option("--max-errors", metavar="N|N%", help="Stop when more photos than this cannot be used.  [default: never]")
@_workers
def build_bg20k(photos: Path, out: Path, detector: Path | None, min_side: int, workers: int, **options: Any) -> None:
    """Curate a folder of photographs into a background set (section 4.1 of the paper).

    Keeps photographs with enough pixels, without duplicates and without salient objects, resizes them, splits them into
    train and validation, and writes every verdict with its reason to verdicts.parquet.
    """
    job = CurationJob(photos, out, CurationRules(min_side=min_side), detector, parse_budget(options["max_errors"]))
    if detector is None:
        click.secho(NOT_SCREENED, fg="yellow", bold=True, err=True)
    curated: list[Curated] = []

    def work(runner: Any) -> Tally:
        curated.append(run_curation(job, runner))
        return curated[0].tally

    tally = _with_runner(workers, work)
    for reason, count in sorted(curated[0].reasons.items()):
        click.echo(f"{count:>8}  {reason}: {REASONS.get(reason, 'an error that nobody foresaw')}")
    if not tally.failed:
        click.echo(f"report: {run_inspect(out).page}")
    _finish(tally, out, "backgrounds", complete=True)


@main.command()
@click.option("--matting", required=True, type=FOLDER, help="Folder with original/ and mask/, or fg/ and alpha/.")
@click.option("--backgrounds", required=True, type=FOLDER, help="A build-bg20k output, or a folder of pictures.")
@click.option("--out", required=True, type=FOLDER, help="Where the shards go; run again to go on.")
@click.option("--k", type=int, help="Composites for each foreground.  [default: the recipe's, 5]")
@click.option("--recipe", default=DEFAULT, help=f"A YAML file, or one of: {', '.join(shipped())}.")
@click.option("--denoiser", type=click.Choice(["bm3d", "nlmeans"]), help="Overrides the recipe's denoise.backend.")
@click.option("--seed", type=int, default=0, help="Another seed gives other draws.")
@click.option("--max-errors", metavar="N|N%", help="Stop when more samples than this are refused.  [default: never]")
@_workers
def compose(matting: Path, backgrounds: Path, out: Path, workers: int, **options: Any) -> None:
    """Compose foregrounds onto backgrounds by the RSSN route (Pipeline 1 of the paper).

    Writes Parquet shards with composite, alpha, F and B, and everything that was drawn. Stop it at any moment; the
    same command goes on where it was.
    """
    recipe = load_recipe(options["recipe"])
    if options["k"] is not None:
        recipe = replace(recipe, k=options["k"])
    if options["denoiser"]:
        recipe = replace(recipe, denoise=replace(recipe.denoise, backend=options["denoiser"]))
    job = ComposeJob(matting, backgrounds, out, recipe, options["seed"], parse_budget(options["max_errors"]))
    tally = _with_runner(workers, lambda runner: run_compose(job, runner))
    _finish(tally, out, "composites", complete=not tally.rejected)


def _with_runner(workers: int, work: Callable[[Any], Tally]) -> Tally:
    runner = make_runner(workers)
    try:
        return work(runner)
    finally:
        runner.close()


def _finish(tally: Tally, out: Path, unit: str, *, complete: bool) -> None:
    """Say what became of a run, and end with a true exit code."""
    for name in tally.damaged:
        click.echo(f"made again, because it did not match its mark: {name}")
    click.echo(f"{tally.written} {unit} written, {tally.reused} reused, {tally.rejected} rejected: {out}")
    for failure in tally.failed:
        click.echo(f"failed: {failure}", err=True)
    if tally.rejected:
        click.echo(f"what was rejected and why: {out / 'rejects'}")
    if tally.failed or not complete:
        sys.exit(1)


@main.command()
@click.argument("dataset", type=FOLDER)
@click.option("--samples", type=click.IntRange(min=1), default=48, help="How many samples the contact sheets show.")
def inspect(dataset: Path, samples: int) -> None:
    """Verify a data set, count it, and write report/index.html with contact sheets.

    Exits with 1 if a shard is missing, or does not agree with its mark.
    """
    found = run_inspect(dataset, samples)
    for key, value in found.facts.items():
        click.echo(f"{key:>16}  {value}")
    for sheet in found.sheets:
        click.echo(f"{'look at':>16}  {sheet}")
    click.echo(f"{'report':>16}  {found.page}")
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    if found.problems:
        sys.exit(1)
    click.echo("every shard agrees with its mark: size, rows, footer and sha256")


@main.command()
@click.option("--out", type=FOLDER, default=Path("demo"), help="Where everything goes; run again to go on.")
@_workers
def demo(out: Path, workers: int) -> None:
    """Run the whole job on pictures that the project renders itself: nothing is downloaded."""
    run_demo(out, workers, click.echo)


if __name__ == "__main__":
    main()
