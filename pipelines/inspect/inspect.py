"""`rssn inspect`: is a data set whole, what does it hold, do its draws fit its recipe, and what does it look like.

Floor 3. Light columns are streamed shard by shard; pictures are read for a bounded number of samples only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.compose.layer_cache import NO_CACHE, LayerCache
from pipelines.curate.report import curation_sections
from pipelines.inspect.facts import Counted, Found, check_draws, facts_of
from pipelines.inspect.step_strips import step_strips
from rssn.dataset.batches import superseded
from rssn.dataset.dataset import open_dataset
from rssn.dataset.shards import DatasetFolder, filled, is_own, missing_rows
from rssn.dataset.statistics import ColumnCounts, count, count_brightness, count_rejects
from rssn.dataset.verify import verify
from rssn.image.arrays import Pixels, encode_png
from rssn.report.charts import histogram, histogram_picture
from rssn.report.contact_sheets import background_sheets, composite_sheets
from rssn.report.page import Section, page
from rssn.report.reject_sheets import reject_sheets
from rssn.storage.atomic import write_bytes
from rssn.storage.location import Location

_EMBEDDED = 5  # contact sheets on the page; all of them lie beside it
_BRIGHTNESS_SAMPLES = 200
_WORDS = {
    "Steps": "F and the steps on it, B and those on it, the blend and the steps on the composite. What a row stores "
    "is shown as stored; what comes before is composed again from the sources. The last tile is what the blend of the "
    "stored layers leaves unexplained: the noise that was added, and what the codec lost."
}
_LIGHT = ("width", "height", "recipe", "foreground_method")


@dataclass(frozen=True)
class Inspection:
    """What was found in a data set."""

    kind: str
    problems: Sequence[str]
    facts: Mapping[str, object]
    page: Location
    sheets: Sequence[Location]


@dataclass(frozen=True)
class ReportOptions:
    """How much is looked at, and with what."""

    samples: int = 48  # rows on the contact sheets, and rejects
    strips: int = 4
    cache: LayerCache = NO_CACHE  # where layers lie that a strip would otherwise make again
    log: Callable[[str], None] = lambda _: None  # is told what will take long


def run_inspect(root: Location, options: ReportOptions = ReportOptions()) -> Inspection:
    """Verify a data set, count it, and write its report.

    Args:
        root: The data set's folder.
        options: How much to show.

    Raises:
        InputError: If the folder holds no data set.
    """
    folder = open_dataset(root)
    manifest = folder.manifest
    verified = verify(folder)
    columns = _LIGHT if manifest.kind != "backgrounds" else ("width", "height", "split")
    counted, later = Counted(ColumnCounts(columns)), superseded(root)
    composed = [] if manifest.kind == "backgrounds" else [counted.distinct, counted.mattes]
    count(folder, filled(verified.trusted), counted.columns, *composed)
    found = Found(folder, manifest, verified, counted, count_rejects(verified.rejects, later), later)
    draws = check_draws(found)
    unfinished = [] if manifest.finished else ["manifest.json: no totals: the run is not finished; run it again"]
    if missing := missing_rows(manifest, verified.marks):
        unfinished.append(f"manifest.json: {missing}; run the same command again")
    problems = verified.problems + unfinished + (draws.problems() if draws else [])
    facts = facts_of(found, draws)
    sections = [Section("What it holds", facts=facts), _verification(problems)]
    pictured, sheets = _pictures(found, options)
    path = _write_page(folder, [*sections, *pictured])
    return Inspection(manifest.kind, problems, facts, path, sheets)


def _verification(problems: Sequence[str]) -> Section:
    if problems:
        return Section("Verification: FAILED", facts={str(n): problem for n, problem in enumerate(problems, 1)})
    return Section("Verification: passed", "Every shard agrees with its mark: size, rows, footer and sha256.")


def _pictures(found: Found, options: ReportOptions) -> tuple[list[Section], list[Location]]:
    """Draw everything that is looked at: sections for the page, and pictures beside it."""
    folder, marks = found.folder, found.verified.trusted
    for name in ("contact-sheet-*.png", "step-strip-*.png"):
        for path in folder.report.glob(name):
            if is_own(f"report/{path.name}"):
                path.unlink()
    sections, written = _histograms(found), []
    if not found.composed:
        sections += curation_sections(folder, [mark for mark in marks if mark.rows])
    if recipe := found.recipe:
        strips = step_strips(folder, marks, recipe, options.strips, options.cache, options.log)
        samples = composite_sheets(folder, marks, recipe, found.original, options.samples)
        shown = {"Steps": ("step-strip", strips), "Samples": ("contact-sheet-samples", samples)}
    else:
        shown = {"Kept": ("contact-sheet-kept", background_sheets(folder, marks, options.samples))}
    for title, (name, sheets) in shown.items():
        kept, paths = _write_sheets(folder, name, sheets)
        sections += [Section(title, _WORDS.get(title, ""), pictures=kept)] if kept else []
        written += paths
    rejects = list(reject_sheets(found.verified.rejects, found.rejects, options.samples, found.superseded))
    _, paths = _write_sheets(folder, "contact-sheet-rejected", (sheet.pixels for sheet in rejects))
    for sheet in rejects:
        words = f"{sheet.shown} of {sheet.count} are shown." if sheet.shown < sheet.count else ""
        sections.append(Section(f"Rejected: {sheet.reason} ({sheet.count})", words, pictures=[sheet.pixels]))
    return sections, written + paths


def _histograms(found: Found) -> list[Section]:
    if not found.rows:
        return []
    bright = count_brightness(found.folder, found.verified.trusted, _BRIGHTNESS_SAMPLES)
    shown = [
        histogram("width, px", found.counted.columns.counts["width"]),
        histogram("height, px", found.counted.columns.counts["height"]),
        histogram("mean luma, 0 to 255", bright),
    ]
    every = "all rows" if bright.total() == found.rows else f"{bright.total()} rows, spread evenly"
    words = f"Sizes are counted over all rows, brightness (mean luma of the picture) over {every}."
    return [Section("Sizes and brightness", words, pictures=[np.hstack([histogram_picture(one) for one in shown])])]


def _write_sheets(folder: DatasetFolder, name: str, sheets: Iterable[Pixels]) -> tuple[list[Pixels], list[Location]]:
    """Write pictures one by one; the first few are returned for the page."""
    kept, written = [], []
    for number, pixels in enumerate(sheets, 1):
        path = folder.report / f"{name}-{number:02d}.png"
        write_bytes(path, encode_png(pixels), durable=False)
        written.append(path)
        if number <= _EMBEDDED:
            kept.append(pixels)
    return kept, written


def _write_page(folder: DatasetFolder, sections: Sequence[Section]) -> Location:
    path = folder.report / "index.html"
    write_bytes(path, page(f"Report: {folder.root.name}", sections).encode(), durable=False)
    return path
