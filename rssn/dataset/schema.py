"""The columns of the Parquet contract, version 4.

Since version 3 composites have `matte_flags`, planned foregrounds `alpha_scale`, and backgrounds `grey`.

Picture columns are `struct<bytes, path>` and carry the Hugging Face `Image` feature in the schema's metadata, so
that `datasets.load_dataset("parquet", ...)` gives PIL images; pyarrow, DuckDB, Polars and Ray read them as structs.
"""

from __future__ import annotations

import json

import pyarrow as pa

SCHEMA_VERSION = 4

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
    ("denoise_sigma", pa.float32()),  # of F, in 8-bit units
    ("background_denoise_sigma", pa.float32()),  # of B; another one only where the recipe says auto
    ("blur_size", pa.int32()),  # px
    ("noise_sigma", pa.float32()),  # 8-bit units, 0 where no noise was added
    ("noise_seed", pa.uint64()),
    ("background_crop", _CROP),  # in the background after resizing
    ("foreground_method", pa.string()),
    ("draw_seed", pa.uint64()),
    ("matte_flags", pa.list_(pa.string())),  # what is odd about the foreground's matte, see rssn.image.matte_flags
)
"""One row per composite: the training set."""

_PLACE = ("confidence", "x", "y", "width", "height")
BOX = pa.struct([("label", pa.string()), *((name, pa.float32()) for name in _PLACE)])
"""A finding of a detector; left, top, width and height as shares of the upright frame."""

SALIENCY = pa.struct([(name, pa.float32()) for name in ("confidence", "area", "compactness")])
"""The largest part of a class-free network's mask, see `bg20k.saliency`."""

_ORIGIN = (("source", pa.string()), ("origin", pa.string()), ("licence", pa.string()))
# source: the name in the crawl, unique; origin and licence: what a table says in its columns source and licence

_MEASURED = (
    ("source_width", pa.int32()),  # px, upright
    ("source_height", pa.int32()),
    ("phash", pa.uint64()),  # first bit most significant
    ("sharpness", pa.float64()),  # variance of the Laplacian at the stored size, squared 8-bit units
    ("flat", pa.bool_()),  # nearly constant: the hash means nothing
    ("grey", pa.bool_()),  # without colours, whatever the file could hold
    ("detail", pa.float64()),  # at the source's own resolution, see bg20k.detail; null where too small to tell
    ("format", pa.string()),  # what the bytes are: JPEG, PNG, ...
    ("converted", pa.list_(pa.string())),  # what decoding changed, see rssn.image.photograph.CONVERSIONS
    ("boxes", pa.list_(BOX)),  # all findings from a confidence of 0.05 on; null where no detector looked
    ("saliency", SALIENCY),  # null where no class-free network looked
)

BACKGROUNDS = _schema(
    ("background_id", pa.string()),  # content id of the source file
    ("image", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    *_ORIGIN,
    ("split", pa.string()),  # train or validation
    *_MEASURED,
    ("flags", pa.list_(pa.string())),  # empty_picture, upscaled, panorama
    ("screened_by", pa.string()),  # names of the detector and the class-free network, null where nothing screened
    ("salience", pa.float32()),  # the detector's score, 0 nothing found .. 1; null where none looked
)
"""One row per curated background: BG-20k."""

CANDIDATES = _schema(
    ("background_id", pa.string()),
    *_ORIGIN,
    ("image", IMAGE),  # resized
    ("thumbnail", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    *_MEASURED,
    ("embedding", pa.list_(pa.float32())),  # of length 1; null where no network made one
)
"""One row per photograph that can be read and is large enough: the working set of the curation."""

VERDICTS = _schema(
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
    ("flags", pa.list_(pa.string())),
    ("salience", pa.float32()),
    *_MEASURED,
)
"""One row per photograph that came in: what the curation said of it, and why."""

PLANNED_PHOTOS = _schema(
    ("source", pa.string()),
    ("kind", pa.string()),  # see rssn.sources.crawl.Place
    ("path", pa.string()),
    ("place", pa.int64()),
    ("row_group", pa.int32()),
    ("size", pa.int64()),
    ("origin", pa.string()),
    ("licence", pa.string()),
    ("reason", pa.string()),
    ("message", pa.string()),
    ("stamp", pa.string()),
)
"""One row per photograph of a plan, in the order of its shards."""

REJECTS = _schema(
    ("item_id", pa.string()),  # content id or sample id; the source where there is none yet
    ("source", pa.string()),
    ("stage", pa.string()),
    ("reason", pa.string()),
    ("message", pa.string()),
    ("thumbnail", IMAGE),
    ("origin", pa.string()),  # where a photograph of a crawl came from, and its licence, where a table says so
    ("licence", pa.string()),
)
"""One row per photograph or sample that was refused or failed."""

PLANNED_FOREGROUNDS = _schema(
    ("foreground_id", pa.string()),
    ("name", pa.string()),
    ("image", pa.string()),  # paths; null where the data set ships F alone
    ("alpha", pa.string()),
    ("alpha_scale", pa.float64()),  # the value of the matte that means opaque; null: goes by the values
    ("foreground", pa.string()),  # null where the data set ships no F
    ("source", pa.string()),  # the colour file, below the data set's root
    ("licence", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("generation", pa.int32()),  # 0 for the first run, 1 for what the first --extend added, ...
    ("returned", pa.bool_()),  # an earlier run refused its file, and --retry-rejects let it in
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
