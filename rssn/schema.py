"""The columns of the Parquet contract, version 1.

Picture columns are `struct<bytes, path>` and carry the Hugging Face `Image` feature in the schema's metadata, so
that `datasets.load_dataset("parquet", ...)` gives PIL images; pyarrow, DuckDB, Polars and Ray read them as structs.
"""

from __future__ import annotations

import json

import pyarrow as pa

SCHEMA_VERSION = 1

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""An encoded picture (PNG or JPEG bytes) and a file name for it."""

_CROP = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("width", pa.int32()), ("height", pa.int32())])


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    pictures = {name: {"_type": "Image"} for name, kind in fields if kind == IMAGE}
    metadata = {"huggingface": json.dumps({"info": {"features": pictures}})}
    return pa.schema([pa.field(name, kind) for name, kind in fields], metadata=metadata)


COMPOSITES = _schema(
    ("sample_id", pa.string()),  # <foreground_id>/<k>
    ("image", IMAGE),  # the composite
    ("alpha", IMAGE),  # 8-bit grey PNG
    ("foreground", IMAGE),  # F as blended, before noise
    ("background", IMAGE),  # B as blended, before noise
    ("foreground_id", pa.string()),
    ("background_id", pa.string()),
    ("foreground_source", pa.string()),
    ("background_source", pa.string()),
    ("foreground_licence", pa.string()),
    ("background_licence", pa.string()),
    ("k", pa.int32()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("recipe", pa.string()),  # <name>@<digest>
    ("denoised", pa.bool_()),
    ("denoiser", pa.string()),
    ("denoise_sigma", pa.float32()),  # 8-bit units
    ("blur_size", pa.int32()),  # px
    ("noise_sigma", pa.float32()),  # 8-bit units, 0 where no noise was added
    ("noise_seed", pa.uint64()),
    ("background_crop", _CROP),  # in the background after resizing
    ("foreground_method", pa.string()),
    ("draw_seed", pa.uint64()),
)
"""One row per composite: the training set."""

BACKGROUNDS = _schema(
    ("background_id", pa.string()),  # content id of the source file
    ("image", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("source_width", pa.int32()),
    ("source_height", pa.int32()),
    ("split", pa.string()),  # train or validation
    ("phash", pa.uint64()),
    ("screened_by", pa.string()),  # the detector's name, null where nothing screened
    ("salience", pa.float32()),  # 0 nothing found .. 1; null where nothing screened
)
"""One row per curated background: BG-20k."""

# box: left, top, right, bottom as shares of the frame
_DETECTION = pa.struct([("label", pa.string()), ("confidence", pa.float64()), ("box", pa.list_(pa.float64()))])

CANDIDATES = _schema(
    ("background_id", pa.string()),
    ("source", pa.string()),
    ("image", IMAGE),  # resized
    ("thumbnail", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("source_width", pa.int32()),
    ("source_height", pa.int32()),
    ("phash", pa.uint64()),
    ("sharpness", pa.float64()),
    ("flat", pa.bool_()),
    (
        "detections",
        pa.list_(_DETECTION),
    ),  # null where no detector looked
)
"""One row per photograph that can be read and is large enough: the working set of the curation."""

VERDICTS = _schema(
    ("source", pa.string()),
    ("background_id", pa.string()),  # null where the file could not be read
    ("candidate_shard", pa.string()),
    ("keep", pa.bool_()),
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("message", pa.string()),
    ("score", pa.float64()),
    ("duplicate_of", pa.string()),
    ("split", pa.string()),
)
"""One row per photograph that came in: what the curation said of it, and why."""

PLANNED_PHOTOS = _schema(("source", pa.string()), ("path", pa.string()))
"""One row per photograph of a plan, in the order of its shards."""

REJECTS = _schema(
    ("item_id", pa.string()),  # content id or sample id; the source where there is none yet
    ("source", pa.string()),
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("message", pa.string()),
    ("thumbnail", IMAGE),
)
"""One row per photograph or sample that was refused or failed."""

PLANNED_FOREGROUNDS = _schema(
    ("foreground_id", pa.string()),
    ("name", pa.string()),
    ("image", pa.string()),  # paths; null where the data set ships F alone
    ("alpha", pa.string()),
    ("foreground", pa.string()),  # null where the data set ships no F
    ("source", pa.string()),  # the colour file, below the data set's root
    ("licence", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("generation", pa.int32()),  # 0 for the first run, 1 for what the first --extend added, ...
    ("replaced", pa.bool_()),  # every composite of it was refused, and its file holds something else now
)
"""One row per foreground of a plan, in the order of its shards."""

PLANNED_BACKGROUNDS = _schema(
    ("background_id", pa.string()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("path", pa.string()),
    ("row_group", pa.int32()),
    ("row", pa.int32()),
)
"""One row per background that a plan may draw."""


def picture(data: bytes, name: str) -> dict[str, bytes | str]:
    """The value of an `IMAGE` column."""
    return {"bytes": data, "path": name}
