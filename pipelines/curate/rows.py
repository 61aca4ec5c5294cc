"""Rows of the curation: what a candidate looks like on disk, and where the tables of a curated set lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bg20k.candidates import Candidate
from bg20k.edges import find_edges, pack_edges
from bg20k.lookalikes import print_of
from bg20k.measures import CRAWL_MEASURES, MEASURES, measured
from bg20k.records import Record, screened
from bg20k.rules import CurationRules
from bg20k.schema import CANDIDATES, PUBLISHED
from bg20k.sketch import Sketch
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import picture
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import encode_jpeg
from rssn.sources.crawl import Photograph
from rssn.storage.files import Row
from rssn.storage.location import Location

ORIGIN = ("source", "origin", "licence")

_HEAVY = ("image", "thumbnail", "width", "height", "prints", "sketch", "edges")

LIGHT = tuple(name for name in CANDIDATES.names if name not in _HEAVY)
"""Columns of a candidate by which it is judged."""

COPIED = tuple(name for name in PUBLISHED.names if name in CANDIDATES.names)
"""Columns of a candidate that a published row has too."""

CRAWL_FACTS = tuple(measure.name for measure in CRAWL_MEASURES)
"""Columns of a verdict that the whole crawl gave."""

_DESCRIBED = ("background_id", *ORIGIN, *(measure.name for measure in MEASURES), *CRAWL_FACTS)


def candidates_folder(folder: DatasetFolder) -> DatasetFolder:
    """The working set of a curation: every photograph that could be examined, resized and measured."""
    return DatasetFolder(folder.root / "candidates", folder.plan_digest)


def verdicts_path(root: Location) -> Location:
    """The verdicts: one row per photograph of the crawl."""
    return root / "verdicts.parquet"


def photos_plan(root: Location) -> Location:
    """The photographs in the order of the candidate shards."""
    return root / "plan" / "photos.parquet"


def candidate_row(place: Photograph, found: Candidate, embedding: Sequence[float] | None) -> Row:
    """The row of a photograph that could be examined, after the networks have looked."""
    sketch = Sketch.of(found.grey)
    return {
        "background_id": found.background_id,
        **origin_of(place),
        "image": picture(encode_jpeg(found.pixels), f"{found.background_id}.jpg"),
        "thumbnail": picture(encode_jpeg(found.thumbnail, 85), "thumbnail.jpg"),
        "width": found.pixels.shape[1],
        "height": found.pixels.shape[0],
        **measured(found),
        "prints": print_of(found.grey, sketch, found.rules.flat_std),
        "sketch": sketch.to_bytes(),
        "edges": pack_edges(find_edges(found.grey)),
        "embedding": embedding,
    }


def origin_of(place: Photograph) -> dict[str, str | None]:
    """Source, origin and licence of a photograph; null where unknown."""
    return {"source": place.source, "origin": place.origin or None, "licence": place.licence or None}


def records(folder: DatasetFolder, name: str, rules: CurationRules) -> Iterator[Record]:
    """The candidates of a shard as the global stages see them; pictures are not read."""
    return (Record.of(row, rules) for row in iter_rows(folder.data(name), LIGHT))


def judged_facts(row: Row, rules: CurationRules) -> dict[str, Any]:
    """The columns of a verdict that describe the candidate: its measures, flags and object score.

    Args:
        row: A candidate, with what the whole crawl gave.
        rules: What it is judged by.
    """
    return {column: row[column] for column in _DESCRIBED} | _scored(row, rules)


def background_row(row: Row, split: str, screened_by: str | None, rules: CurationRules) -> dict[str, Any]:
    """The published row of a candidate, with what the whole crawl gave."""
    copied = {column: row[column] for column in (*COPIED, *CRAWL_FACTS)}
    return copied | {"split": split, "screened_by": screened_by} | _scored(row, rules)


def _scored(row: Row, rules: CurationRules) -> dict[str, Any]:
    score, _ = screened(row, rules)
    return {"flags": list(rules.flags({**row, "object_score": score})), "object_score": score}
