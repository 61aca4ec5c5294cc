"""Rows of the curation: what a candidate looks like on disk, and as the judges see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bg20k.candidates import Candidate
from bg20k.flags import flags_of
from bg20k.records import Record
from bg20k.rules import CurationRules
from bg20k.salience import Detection, salience
from bg20k.saliency import Saliency
from rssn.dataset.rows import iter_rows
from rssn.dataset.schema import BACKGROUNDS, CANDIDATES, VERDICTS, picture
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import encode_jpeg, fit_inside
from rssn.image.photograph import is_mislabelled
from rssn.sources.crawl import Place
from rssn.storage.files import Row

THUMBNAIL_SIDE = 256  # px

ORIGIN = ("source", "origin", "licence")

LIGHT = tuple(name for name in CANDIDATES.names if name not in ("image", "thumbnail", "width", "height"))
"""Columns of a candidate that are no pictures."""

PUBLISHED = tuple(name for name in BACKGROUNDS.names if name in CANDIDATES.names)
"""Columns of a candidate that a published row has too."""

_JUDGED = ("background_id", "source", "source_width", "source_height", "phash", "sharpness", "flat", "grey", "detail")
_MEASURED = tuple(name for name in VERDICTS.names if name in CANDIDATES.names)


def candidate_row(
    place: Place,
    found: Candidate,
    detections: Sequence[Detection] | None,
    saliency: Saliency | None,
    embedding: Sequence[float] | None,
) -> Row:
    """The row of a photograph that could be examined."""
    return {
        "background_id": found.background_id,
        **origin_of(place),
        "image": picture(encode_jpeg(found.pixels), f"{found.background_id}.jpg"),
        "thumbnail": picture(encode_jpeg(fit_inside(found.pixels, THUMBNAIL_SIDE), 85), "thumbnail.jpg"),
        "width": found.pixels.shape[1],
        "height": found.pixels.shape[0],
        "source_width": found.source_width,
        "source_height": found.source_height,
        "phash": found.phash,
        "sharpness": found.sharpness,
        "flat": found.flat,
        "grey": found.grey,
        "detail": found.detail,
        "format": found.format,
        "converted": [*found.converted, *(["mislabelled"] if is_mislabelled(place.source, found.format) else [])],
        "boxes": None if detections is None else [_box(detection) for detection in detections],
        "saliency": None if saliency is None else asdict(saliency),
        "embedding": embedding,
    }


def origin_of(place: Place) -> dict[str, str | None]:
    """Source, origin and licence of a photograph; null where nobody said."""
    return {"source": place.source, "origin": place.origin or None, "licence": place.licence or None}


def records(folder: DatasetFolder, name: str, rules: CurationRules) -> Iterator[Record]:
    """The candidates of a shard as the judges see them; pictures are not read."""
    for row in iter_rows(folder.data(name), LIGHT):
        score, salient = _salience(row, rules)
        embedding = None if row["embedding"] is None else np.array(row["embedding"], dtype=np.float32)
        saliency = None if row["saliency"] is None else Saliency(**row["saliency"])
        facts = {column: row[column] for column in _JUDGED}
        yield Record(**facts, salience=score, salient=salient, saliency=saliency, embedding=embedding)


def measured(row: Row, rules: CurationRules) -> dict[str, Any]:
    """What a verdict tells of a candidate beside the judgement."""
    facts = {column: row[column] for column in _MEASURED}
    return facts | {"flags": _flags(row, rules), "salience": _salience(row, rules)[0]}


def background_row(row: Row, split: str, screened_by: str | None, rules: CurationRules) -> dict[str, Any]:
    """The published row of a candidate."""
    facts = {"split": split, "screened_by": screened_by, "salience": _salience(row, rules)[0]}
    return {column: row[column] for column in PUBLISHED} | facts | {"flags": _flags(row, rules)}


def _flags(row: Row, rules: CurationRules) -> list[str]:
    return list(flags_of(Record(**{column: row[column] for column in _JUDGED}), rules))


def _salience(row: Row, rules: CurationRules) -> tuple[float | None, Detection | None]:
    if row["boxes"] is None:
        return None, None
    return salience([_detection(box) for box in row["boxes"]], rules)


def _box(found: Detection) -> dict[str, Any]:
    left, top, right, bottom = found.box
    place = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return {"label": found.label, "confidence": found.confidence} | place


def _detection(box: Mapping[str, Any]) -> Detection:
    left, top = box["x"], box["y"]
    return Detection(box["label"], box["confidence"], (left, top, left + box["width"], top + box["height"]))
