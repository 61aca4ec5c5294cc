"""`rssn build-bg20k`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

import click

from bg20k.classes import CREATURES, OBJECTS
from bg20k.onnx_model import Scaling
from bg20k.review import describe_effects
from bg20k.rules import CurationRules
from bg20k.verdict import FLAGS, explain
from pipelines.commands import options
from pipelines.curate.job import Curated, CurationJob, run_curation
from pipelines.executor.work import ErrorBudget
from pipelines.export.job import ExportJob, run_export
from pipelines.inspect.inspect import run_inspect
from pipelines.review.log import review_path
from rssn.errors import InputError
from rssn.storage.location import Location, lies_in
from train.commands.effect import refuse_given
from train.commands.options import PLACE
from train.commands.typed import argument, group, option, takes

NOT_SCREENED = """\
NOT SCREENED for salient objects: no detector was given, so people and animals may stay in the backgrounds.
Give one with --detector MODEL (a YOLO model trained on COCO, .pt or .onnx; pip install 'rssn[curate]')."""

_THRESHOLDS = ", ".join(f"{name}={value}" for name, value in CurationRules.numbers().items() if name != "min_side")

_NETWORK_RULES = {
    "salient_cost": ("detector", "saliency"),
    "look_cost": ("detector", "saliency"),
    "creature_area": ("detector",),
    "object_area": ("detector",),
    "saliency_least": ("saliency",),
    "saliency_most": ("saliency",),
    "cosine": ("deep_duplicates",),
}
"""Rules that judge what a network finds, and the options one of which gives the network."""


@dataclass(frozen=True)
class CurationOptions:
    """What `rssn build-bg20k` is asked to do."""

    photos: Location = argument(type=PLACE)
    out: Location = options.out_option()
    detector: Location | None = option(
        "--detector",
        type=PLACE,
        help="A YOLO model of the COCO classes, .pt or .onnx, that finds people, animals and things; not downloaded.",
    )
    saliency: Location | None = option(
        "--saliency", type=PLACE, help="A saliency network, .onnx, as a second opinion that knows no classes."
    )
    saliency_scaling: Scaling = option(
        "--saliency-scaling",
        type=click.Choice(get_args(Scaling), case_sensitive=False),
        default="imagenet",
        help="Input of that network: ImageNet's mean and deviation, or centred: less 0.5 (IS-Net, RMBG-1.4).",
    )
    deep_duplicates: str | None = option(
        "--deep-duplicates",
        metavar="MODEL",
        help="Also find crops and re-gradings, by FILE.onnx or a torchvision backbone and its weights, resnet50=FILE.",
    )
    against: Location | None = option(
        "--against", type=PLACE, help="A finished set; photographs that it holds already are rejected."
    )
    refused_flags: tuple[str, ...] = option(
        "--reject-flag",
        type=click.Choice(list(FLAGS), case_sensitive=False),
        multiple=True,
        help="Reject what is otherwise only flagged; repeat for several.",
    )
    ignored_classes: tuple[str, ...] = option(
        "--ignore-class",
        type=click.Choice(sorted(CREATURES | OBJECTS), case_sensitive=False),
        metavar="CLASS",
        multiple=True,
        help="A COCO class, such as car, that is no salient object in your backgrounds; repeat for several.",
    )
    rules: tuple[str, ...] = option(
        "--rule",
        metavar="NAME=NUMBER",
        multiple=True,
        help=f"Another threshold, of these defaults: {_THRESHOLDS}; repeat for several.",
    )
    export_folder: Location | None = option(
        "--export-folder", type=PLACE, help="Also write plain files, train/ and testval/, into this folder."
    )
    min_side: int = option(
        "--min-side", type=int, default=1080, help="Shorter side that a photograph must have and is resized to, px."
    )
    review: bool | None = option(
        "--apply-review/--no-apply-review",
        default=None,
        help="Whether decisions made in rssn review are applied.  [default: as in the last run]",
    )
    max_errors: ErrorBudget = options.max_errors_option()
    workers: options.WorkerOptions = group(options.WorkerOptions)

    def refuse_idle(self) -> None:
        """Refuse options that would do nothing."""
        if not self.detector:
            refuse_given("--ignore-class", "no detector looks for classes; give one with --detector")
        if not self.saliency:
            refuse_given("--saliency-scaling", "there is no saliency network; give one with --saliency")
        named = {text.partition("=")[0] for text in self.rules}
        for rule, networks in _NETWORK_RULES.items():
            if rule in named and not any(getattr(self, network) for network in networks):
                words = " and ".join(f"--{network.replace('_', '-')}" for network in networks)
                refuse_given("--rule", f"{rule} is for {words} alone")

    def curation_rules(self) -> CurationRules:
        """Thresholds and classes."""
        lists = {name: tuple(sorted(set(getattr(self, name)))) for name in ("refused_flags", "ignored_classes")}
        return CurationRules.parse(self.rules, min_side=self.min_side, **lists)

    def job(self, rules: CurationRules) -> CurationJob:
        """The job that makes the data set."""
        return CurationJob(
            self.photos,
            self.out,
            rules,
            self.detector,
            self.max_errors,
            self.review,
            against=self.against,
            saliency=self.saliency,
            saliency_scaling=self.saliency_scaling,
            deep_duplicates=self.deep_duplicates,
            log=partial(click.echo, err=True),
        )


@click.command("build-bg20k")
@takes(CurationOptions)
def build_bg20k(given: CurationOptions) -> None:
    """Curate photographs into a background set (section 4.1).

    PHOTOS is a folder (with all below it, .tar, .tar.gz and .zip files included), one such archive, or a table: CSV or
    Parquet with a column path, or Parquet with the pictures in image or bytes; columns source and licence are carried
    along.

    Keeps photographs with enough pixels, without duplicates and without salient objects, resizes them, splits them into
    train and validation, and writes every verdict with its reason to verdicts.parquet.
    """
    given.refuse_idle()
    rules = given.curation_rules()
    _refuse_export_among(given.photos, given.export_folder)
    if given.detector is None and given.saliency is None:
        click.secho(NOT_SCREENED, fg="yellow", bold=True, err=True)
    job = given.job(rules)
    curated = given.workers.run(lambda runner: run_curation(job, runner))
    _report(curated, given.out, given.export_folder)
    options.finish(curated.summary, given.out, "backgrounds", complete=True)


def _refuse_export_among(photos: Location, export_folder: Location | None) -> None:
    if export_folder and lies_in(export_folder.resolve(), photos.resolve()):
        words = "the next run would take what is exported for photographs; choose another folder"
        raise InputError(f"--export-folder {export_folder} lies in {photos}: {words}")


def _report(curated: Curated, root: Location, export_folder: Location | None) -> None:
    for reason, count in sorted(curated.reasons.items()):
        click.echo(f"{count:>8}  {reason}: {explain(reason)}")
    if curated.review:
        click.echo(f"review: {describe_effects(curated.review)}")
    elif review_path(root).is_file():
        words = f"{review_path(root)}: NOT APPLIED; --apply-review publishes what was decided"
        click.secho(words, fg="yellow", err=True)
    if not curated.summary.failed:
        click.echo(f"report: {run_inspect(root).page}")
        if export_folder and curated.splits:
            exported = run_export(ExportJob(root, export_folder, "folder"))
            click.echo(f"exported: {exported.rows} photographs to {export_folder}")
