"""What the report of a background set shows beside its pictures: resolutions, measures, flags, what was converted.

All photographs that could be examined are counted, those that were rejected too: a threshold is judged by what lies on
both sides of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from bg20k.evidence import salient_table
from bg20k.measures import CRAWL_MEASURES, MEASURES, Measure
from bg20k.verdict import FLAGS, explain
from pipelines.curate.rows import verdicts_path
from rssn.dataset.rows import iter_rows, place_of, read_row
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.image.arrays import Pixels
from rssn.image.photograph import CONVERSIONS
from rssn.report.charts import curve_picture, histogram, histogram_picture
from rssn.report.contact_sheets import TILES_PER_ROW, background_tile, parts
from rssn.report.page import Section, contact_sheet
from rssn.storage.location import Location

_FLAGGED = 24  # kept photographs with a flag on the page
_TAIL = 0.99  # share of the values that a histogram shows at least; a long tail beyond it falls into the last bar
_TRUE = "yes"
_MEASURES: Final[tuple[Measure[Any], ...]] = (*MEASURES, *CRAWL_MEASURES)

_Row: TypeAlias = Mapping[str, Any]


def _saliency(row: _Row) -> float | None:
    found = row["saliency"]
    return None if found is None else found["confidence"] * found["compactness"]


def _stored(measure: Measure[Any]) -> Callable[[_Row], float | None]:
    return lambda row: row[measure.name]


_SHOWN: Final[Mapping[str, Mapping[str, Callable[[_Row], float | None]]]] = {
    "Resolution of the sources": {
        "shorter side, px": lambda row: min(row["source_width"], row["source_height"]),
        "megapixels": lambda row: row["source_width"] * row["source_height"] / 1e6,
    },
    "Scores": {
        "object score": lambda row: row["object_score"],
        "saliency: confidence times compactness": _saliency,
        **{each.name.replace("_", " "): _stored(each) for each in _MEASURES if pa.types.is_floating(each.type)},
    },
}
_COUNTED = [each for each in _MEASURES if each.type in (pa.bool_(), pa.string(), pa.list_(pa.string()))]
_COLUMNS = ("object_score", "flags", *(measure.name for measure in _MEASURES if measure.name != "boxes"))


def curation_sections(folder: DatasetFolder, marks: Sequence[Mark]) -> list[Section]:
    """Histograms of all photographs that were examined, counts of flags and conversions, and a sheet of flagged ones.

    Args:
        folder: A finished set of backgrounds; without `verdicts.parquet` there is nothing to show.
        marks: Its trusted marks.
    """
    counts: dict[str, Counter[float]] = {title: Counter() for shown in _SHOWN.values() for title in shown}
    named: Counter[tuple[str, str]] = Counter()
    for row in iter_rows(verdicts_path(folder.root), _COLUMNS):
        if row["source_width"] is not None:
            _count(row, counts, named)
    sections = [_histograms(part, {title: counts[title] for title in shown}) for part, shown in _SHOWN.items()]
    sections += [_salient() if counts["object score"] else None, _named(named), *_flagged(folder, marks)]
    return [section for section in sections if section is not None]


def _salient() -> Section:
    """How the rule of salient objects does on the labelled photographs that were held out when it was fitted."""
    heading = ("networks", "salient photographs found", "95 %", "clean ones lost", "95 %")
    errors = {name: fit.error for name, fit in salient_table().items()}
    words = (
        "Of the labelled photographs of bg20k/salient.json, each judged by a fit without it and its copies. "
        "--rule salient_cost=NUMBER moves along the curve; what has the flag unsure, a person should look at."
    )
    rows = [
        (name, f"{one.recall:.0%}", _percents(one.recall_range), f"{one.lost:.0%}", _percents(one.lost_range))
        for name, one in errors.items()
    ]
    curves = [curve_picture(f"{name}: found against lost, %", one.curve) for name, one in errors.items()]
    return Section("Salient objects", words, pictures=[np.hstack(curves)], table=[heading, *rows])


def _percents(found: tuple[float, float]) -> str:
    return f"{found[0]:.0%} to {found[1]:.0%}"


def _count(row: _Row, counts: Mapping[str, Counter[float]], named: Counter[tuple[str, str]]) -> None:
    for shown in _SHOWN.values():
        for title, value_of in shown.items():
            value = value_of(row)
            if value is not None:
                counts[title][float(f"{value:.3g}")] += 1  # so that millions of values are a few thousand
    for measure in _COUNTED:
        value = row[measure.name]
        names = value if isinstance(value, list) else [_TRUE if value is True else value]
        named.update((measure.name, name) for name in names if name)
    named.update(("flag", name) for name in row["flags"])


def _histograms(title: str, counts: Mapping[str, Counter[float]]) -> Section | None:
    pictures = [histogram_picture(histogram(*_without_tail(name, values))) for name, values in counts.items() if values]
    words = "Of all photographs that could be examined, kept or not."
    return Section(title, words, pictures=[np.hstack(row) for row in parts(pictures, 2)]) if pictures else None


def _without_tail(name: str, values: Counter[float]) -> tuple[str, Counter[float]]:
    """The values as they are, or with a few that lie far above all others cut to those, which the title then says."""
    points = np.array(sorted(values))
    shares = np.cumsum([values[point] for point in points.tolist()]) / values.total()
    top = float(points[np.searchsorted(shares, _TAIL)])
    if points[-1] <= 2 * top:
        return name, values
    cut: Counter[float] = Counter()
    for value, count in values.items():
        cut[min(value, top)] += count
    return f"{name} (up to {top:g})", cut


def _named(named: Counter[tuple[str, str]]) -> Section | None:
    explained = {("flag", name): explain(name) for name in FLAGS}
    explained |= {("converted", name): words for name, words in CONVERSIONS.items()}
    explained |= {(measure.name, _TRUE): measure.meaning for measure in _COUNTED}
    rows = [(*key, count, explained.get(key, "")) for key, count in sorted(named.items())]
    title = "Formats, conversions and flags"
    return Section(title, table=[("what", "name", "photographs", ""), *rows]) if rows else None


def _flagged(folder: DatasetFolder, marks: Sequence[Mark]) -> Iterator[Section]:
    """Kept photographs with a flag: a person should look at them."""
    found = [place for mark in marks for place in _flagged_places(folder.data(mark.name))]
    chosen = [found[n * len(found) // _FLAGGED] for n in range(_FLAGGED)] if len(found) > _FLAGGED else found
    if chosen:
        tiles = [background_tile(read_row(path, place_of(path, number))) for path, number in chosen]
        sheet: Pixels = contact_sheet(list(parts(tiles, TILES_PER_ROW)))
        words = f"{len(chosen)} of {len(found)} are shown; --reject-flag keeps them out."
        yield Section(f"Kept, but flagged ({len(found)})", words, pictures=[sheet])


def _flagged_places(path: Location) -> list[tuple[Location, int]]:
    return [(path, number) for number, row in enumerate(iter_rows(path, ["flags"])) if row["flags"]]
