"""`rssn build-bg20k`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from bg20k.classes import CREATURES, OBJECTS
from bg20k.flags import FLAGS
from bg20k.onnx_model import Scaling
from bg20k.review import describe_effects
from bg20k.rules import CurationRules
from bg20k.verdict import REASONS
from pipelines.commands import options
from pipelines.curate.job import Curated, CurationJob, run_curation
from pipelines.executor.work import parse_budget
from pipelines.export.job import ExportJob, run_export
from pipelines.inspect.inspect import run_inspect
from pipelines.output.staging import source, staged
from pipelines.review.log import review_path
from rssn.errors import InputError
from rssn.storage.urls import Url, shown
from train.commands.effect import Idle, refuse_idle, without

NOT_SCREENED = """\
NOT SCREENED for salient objects: no detector was given, so people and animals may stay in the backgrounds.
Give one with --detector MODEL (a YOLO model trained on COCO, .pt or .onnx; pip install 'rssn[curate]')."""

_NUMBERS = {name: value for name, value in CurationRules.numbers().items() if name != "min_side"}


_NETWORK_RULES = {
    "confidence": "detector",
    "creature_area": "detector",
    "object_area": "detector",
    "saliency": "saliency",
    "saliency_least": "saliency",
    "saliency_most": "saliency",
    "cosine": "deep_duplicates",
}
"""Rules that judge what a network finds, and the option that gives the network."""


def _is_idle_rule(rule: str, network: str, given: Mapping[str, Any]) -> bool:
    return not given[network] and any(text.partition("=")[0] == rule for text in given["rules"])


@click.command("build-bg20k")
@click.argument("photos", type=options.PLACE)
@click.option("--out", required=True, type=options.PLACE, help="Where the set goes, or s3://...; run again to go on.")
@click.option(
    "--detector", type=options.FOLDER, help="A YOLO model of COCO classes, .pt or .onnx; nothing is downloaded."
)
@click.option("--saliency", type=options.FOLDER, help="A class-free second opinion: a saliency network, .onnx.")
@click.option(
    "--saliency-scaling",
    type=click.Choice(get_args(Scaling), case_sensitive=False),
    default="imagenet",
    help="How that network wants its input: by ImageNet's mean and deviation, or less 0.5 (IS-Net).",
)
@click.option(
    "--deep-duplicates",
    metavar="MODEL",
    help="Find crops and re-gradings too: FILE.onnx, or a torchvision backbone and its weights, resnet50=FILE.",
)
@click.option("--against", type=options.PLACE, help="A finished set; photos that it holds already are rejected.")
@click.option(
    "--reject-flag",
    "refused_flags",
    type=click.Choice(list(FLAGS), case_sensitive=False),
    multiple=True,
    help="Reject what is otherwise only flagged; may be given twice.",
)
@click.option(
    "--ignore-class",
    "ignored_classes",
    type=click.Choice(sorted(CREATURES | OBJECTS), case_sensitive=False),
    metavar="CLASS",
    multiple=True,
    help="A COCO class that is no salient object in your backgrounds, as car; may be repeated.",
)
@click.option(
    "--rule",
    "rules",
    metavar="NAME=NUMBER",
    multiple=True,
    help=f"Another threshold: {', '.join(f'{name}={value}' for name, value in _NUMBERS.items())}.",
)
@click.option("--export-folder", type=options.FOLDER, help="Write train/ and testval/ there, as rssn export does.")
@click.option("--min-side", type=int, default=1080, help="Shorter side in px that a photo must have and is resized to.")
@click.option(
    "--apply-review/--no-apply-review",
    "review",
    default=None,
    help="Whether the decisions of rssn review are applied.  [default: as the last run did]",
)
@options.cache_dir
@options.max_errors
@options.workers
@options.address
@options.refuse_idle_cache
@refuse_idle(
    Idle("--ignore-class", without("detector"), "no detector looks for classes; give one with --detector"),
    Idle("--saliency-scaling", without("saliency"), "there is no saliency network; give one with --saliency"),
    *(
        Idle("--rule", partial(_is_idle_rule, rule, network), f"{rule} is for --{network.replace('_', '-')} alone")
        for rule, network in _NETWORK_RULES.items()
    ),
)
def build_bg20k(photos: Path | Url, out: Path | Url, detector: Path | None, min_side: int, **settings: Any) -> None:
    """Curate photographs into a background set (section 4.1).

    PHOTOS is a folder (with all below it, .tar, .tar.gz and .zip files included), one such archive, or a table: CSV or
    Parquet with a column path, or Parquet with the pictures in image or bytes; columns source and licence are carried
    along.

    Keeps photographs with enough pixels, without duplicates and without salient objects, resizes them, splits them into
    train and validation, and writes every verdict with its reason to verdicts.parquet.
    """
    budget = parse_budget(settings["max_errors"])
    _refuse_export_among(photos, settings["export_folder"])
    lists = {name: sorted(set(settings[name])) for name in ("refused_flags", "ignored_classes")}
    rules = CurationRules.parse(settings["rules"], min_side=min_side, **lists)
    cache_dir = settings["cache_dir"]
    if detector is None and settings["saliency"] is None:
        click.secho(NOT_SCREENED, fg="yellow", bold=True, err=True)
    against = settings["against"] and source(settings["against"], cache_dir)
    more = {name: settings[name] for name in ("saliency", "saliency_scaling", "deep_duplicates")}
    more |= {"against": against, "say": partial(click.echo, err=True)}
    with staged(out, cache_dir) as root:
        job = CurationJob(source(photos, cache_dir), root, rules, detector, budget, settings["review"], **more)
        where = (settings["workers"], settings["address"])
        curated = options.with_runner(*where, lambda runner: run_curation(job, runner))
        _report(curated, root, settings["export_folder"])
    options.finish(curated.tally, out, "backgrounds", complete=True)


def _refuse_export_among(photos: Path | Url, export_folder: Path | None) -> None:
    if export_folder and not isinstance(photos, Url) and export_folder.resolve().is_relative_to(photos.resolve()):
        words = "the next run would take what is exported for photographs; choose another folder"
        raise InputError(f"--export-folder {export_folder} lies in {photos}: {words}")


def _report(curated: Curated, root: Path, export_folder: Path | None) -> None:
    for reason, count in sorted(curated.reasons.items()):
        click.echo(f"{count:>8}  {reason}: {REASONS.get(reason, 'an error that nobody foresaw')}")
    if curated.review:
        click.echo(f"review: {describe_effects(curated.review)}")
    elif review_path(root).is_file():
        words = f"{shown(str(review_path(root)))}: NOT APPLIED; --apply-review publishes what was decided"
        click.secho(words, fg="yellow", err=True)
    if not curated.tally.failed:
        click.echo(f"report: {shown(str(run_inspect(root).page))}")
        if export_folder and curated.splits:
            exported = run_export(ExportJob(root, export_folder, "folder"))
            click.echo(f"exported: {exported.rows} photographs to {export_folder}")
