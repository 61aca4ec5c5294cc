"""What the report of a background set shows beside its pictures: resolutions, scores, flags, what was converted.

Floor 3. All photographs that could be examined are counted, those that were rejected too: a threshold is judged by what
lies on both sides of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bg20k.flags import FLAGS
from rssn.dataset.rows import iter_rows, place_of, read_row
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.image.arrays import Pixels
from rssn.image.photograph import CONVERSIONS
from rssn.report.charts import histogram, histogram_picture
from rssn.report.contact_sheets import TILES_PER_ROW, background_tile, parts
from rssn.report.page import Section, contact_sheet

_FLAGGED = 24  # kept photographs with a flag on the page

_Row: TypeAlias = Mapping[str, Any]


def _aspect(row: _Row) -> float:
    shorter, longer = sorted((row["source_width"], row["source_height"]))
    return float(longer / shorter)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _saliency(row: _Row) -> float | None:
    found = row["saliency"]
    return None if found is None else round(found["confidence"] * found["compactness"], 2)


_SHOWN: Mapping[str, Mapping[str, Callable[[_Row], float | None]]] = {
    "Resolution of the sources": {
        "shorter side, px": lambda row: round(min(row["source_width"], row["source_height"]), -1),
        "megapixels": lambda row: round(row["source_width"] * row["source_height"] / 1e6, 1),
        "longer side over shorter": lambda row: round(_aspect(row), 2),
    },
    "Scores": {
        "salience, 0 to 1": lambda row: _rounded(row["salience"]),
        "saliency: confidence times compactness": _saliency,
        "detail (up to 1)": lambda row: _rounded(row["detail"] and min(row["detail"], 1.0)),
        "sharpness (up to 3000)": lambda row: round(min(row["sharpness"], 3000.0), -1),
    },
}
_COLUMNS = (
    "source_width", "source_height", "salience", "saliency", "detail", "sharpness", "flags", "converted", "format",
)  # fmt: skip


def curation_sections(folder: DatasetFolder, marks: Sequence[Mark]) -> list[Section]:
    """Histograms of all photographs that were examined, counts of flags and conversions, and a sheet of flagged ones.

    Args:
        folder: A finished set of backgrounds; without `verdicts.parquet` there is nothing to show.
        marks: Its trusted marks.
    """
    counts: dict[str, Counter[float]] = {title: Counter() for shown in _SHOWN.values() for title in shown}
    named: Counter[tuple[str, str]] = Counter()
    for row in iter_rows(folder.root / "verdicts.parquet", _COLUMNS):
        if row["source_width"] is not None:
            _count(row, counts, named)
    sections = [_histograms(part, {title: counts[title] for title in shown}) for part, shown in _SHOWN.items()]
    return [section for section in [*sections, _named(named), *_flagged(folder, marks)] if section is not None]


def _count(row: _Row, counts: Mapping[str, Counter[float]], named: Counter[tuple[str, str]]) -> None:
    for shown in _SHOWN.values():
        for title, measure in shown.items():
            value = measure(row)
            if value is not None:
                counts[title][value] += 1
    named["format", row["format"]] += 1
    named.update(("flag", name) for name in row["flags"])
    named.update(("converted", name) for name in row["converted"])


def _histograms(title: str, counts: Mapping[str, Counter[float]]) -> Section | None:
    pictures = [histogram_picture(histogram(name, values)) for name, values in counts.items() if values]
    words = "Of all photographs that could be examined, whatever became of them."
    return Section(title, words, pictures=[np.hstack(row) for row in parts(pictures, 2)]) if pictures else None


def _named(named: Counter[tuple[str, str]]) -> Section | None:
    explained = {"flag": FLAGS, "converted": CONVERSIONS}
    rows = [(kind, name, count, explained.get(kind, {}).get(name, "")) for (kind, name), count in sorted(named.items())]
    return (
        Section("Formats, conversions and flags", table=[("what", "name", "photographs", ""), *rows]) if rows else None
    )


def _flagged(folder: DatasetFolder, marks: Sequence[Mark]) -> Iterator[Section]:
    """Kept photographs with a flag: a person should look at them."""
    found = [place for mark in marks for place in _flagged_places(folder.data(mark.name))]
    chosen = [found[n * len(found) // _FLAGGED] for n in range(_FLAGGED)] if len(found) > _FLAGGED else found
    if chosen:
        tiles = [background_tile(read_row(path, place_of(path, number))) for path, number in chosen]
        sheet: Pixels = contact_sheet(list(parts(tiles, TILES_PER_ROW)))
        words = f"{len(chosen)} of {len(found)} are shown; --reject-flag keeps them out."
        yield Section(f"Kept, but flagged ({len(found)})", words, pictures=[sheet])


def _flagged_places(path: Path) -> list[tuple[Path, int]]:
    return [(path, number) for number, row in enumerate(iter_rows(path, ["flags"])) if row["flags"]]
