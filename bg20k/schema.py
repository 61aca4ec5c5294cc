"""The tables of a curated set: fixed columns, and one for every measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from bg20k.measures import CRAWL_MEASURES, MEASURES
from bg20k.verdict import FLAGS
from rssn.dataset.schema import BACKGROUNDS, IMAGE, table_schema

_MEASURES = tuple((measure.name, measure.type) for measure in MEASURES)
_CRAWL_MEASURES = tuple((measure.name, measure.type) for measure in CRAWL_MEASURES)
_ORIGIN = (("source", pa.string()), ("origin", pa.string()), ("licence", pa.string()))
_FLAGS = ("flags", pa.list_(pa.string()))
_SKETCH = (("prints", pa.binary()), ("sketch", pa.binary()))
_OBJECT_SCORE = ("object_score", pa.float32())

PUBLISHED: Final = table_schema(
    *((field.name, field.type) for field in BACKGROUNDS),
    *_MEASURES,
    *_CRAWL_MEASURES,
    _FLAGS,
    ("screened_by", pa.string()),
    _OBJECT_SCORE,
    *_SKETCH,
)
"""One row per curated background: BG-20k. A composition reads the columns of `BACKGROUNDS` alone."""

MEANINGS: Final[Mapping[str, str]] = {
    "background_id": "content id of the source file",
    "image": "the picture, JPEG",
    "width": "of the picture, px",
    "height": "of the picture, px",
    "source": "name in the crawl, unique",
    "origin": "what the crawl's table says in its column `source`",
    "licence": "what the crawl's table says in its column `licence`",
    "split": "`train` or `validation`, by content id alone",
    **{measure.name: measure.meaning for measure in MEASURES},
    **{measure.name: measure.meaning for measure in CRAWL_MEASURES},
    "flags": ", ".join(FLAGS),
    "screened_by": "names of the networks that looked for salient objects; null: none did",
    "object_score": "probability of a salient object by all networks that looked, 0 to 1; null: none looked",
    "prints": "hashes of views and codes of local features, by which altered copies are looked for",
    "sketch": "local features and a small grey picture, by which copies are verified, see bg20k/sketch.py",
}
"""Every column of `PUBLISHED`, explained."""

CANDIDATES: Final = table_schema(
    ("background_id", pa.string()),
    *_ORIGIN,
    ("image", IMAGE),  # resized
    ("thumbnail", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    *_MEASURES,
    *_SKETCH,
    ("edges", pa.binary()),  # see bg20k.edges
    ("embedding", pa.list_(pa.float32())),  # of length 1; null where no network made one
)
"""One row per photograph that can be read and is large enough: the working set of the curation."""

VERDICTS: Final = table_schema(
    *_ORIGIN,
    ("background_id", pa.string()),  # null where the file could not be examined, as all that was measured
    ("candidate_shard", pa.string()),
    ("keep", pa.bool_()),
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("message", pa.string()),
    ("score", pa.float64()),  # the stage's, see bg20k.verdict
    ("duplicate_of", pa.string()),
    ("split", pa.string()),
    ("decided_by", pa.string()),  # in the review: person or model; null: nobody
    _FLAGS,
    _OBJECT_SCORE,
    *_MEASURES,
    *_CRAWL_MEASURES,
)
"""One row per photograph of the crawl: what became of it, and why."""

PAIRS: Final = table_schema(
    ("one", pa.string()),  # content id
    ("one_shard", pa.string()),
    ("one_row", pa.int64()),
    ("other", pa.string()),
    ("other_shard", pa.string()),
    ("other_row", pa.int64()),
    ("other_known", pa.bool_()),  # in the existing set
)
"""One row per pair of photographs of which one may be an altered copy of the other, and where they are."""

_SHARES = pa.list_(pa.float64(), 2)

COMPARED: Final = table_schema(
    ("one", pa.string()),
    ("other", pa.string()),
    ("agreement", pa.float64()),
    ("details", pa.float64()),
    ("structure", pa.float64()),
    ("covered", _SHARES),
    ("beyond", _SHARES),
    ("inliers", pa.int32()),
    ("mirrored", pa.bool_()),
)
"""One row per pair that was compared, see `bg20k.alignment.Comparison`."""
