"""The columns of the Parquet contract, version 7.

Since version 4 a composite has one column `steps` for what its recipe's steps drew, in the place of `denoised`,
`denoiser`, `denoise_sigma`, `background_denoise_sigma`, `blur_size`, `noise_sigma` and `noise_seed`.

Picture columns are `struct<bytes, path>` and carry the Hugging Face `Image` feature in the schema's metadata, so
that `datasets.load_dataset("parquet", ...)` gives PIL images; pyarrow, DuckDB, Polars and Ray read them as structs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

SCHEMA_VERSION = 7

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""An encoded picture (PNG or JPEG bytes) and a file name for it."""

_CROP = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("width", pa.int32()), ("height", pa.int32())])


def table_schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    """A schema whose picture columns say that they are pictures."""
    pictures = {name: {"_type": "Image"} for name, kind in fields if kind == IMAGE}
    metadata = {"huggingface": json.dumps({"info": {"features": pictures}})}
    return pa.schema([pa.field(name, kind) for name, kind in fields], metadata=metadata)


COMPOSITES = table_schema(
    ("sample_id", pa.string()),  # <foreground_id>/<k>
    ("image", IMAGE),  # the composite
    ("alpha", IMAGE),  # 8-bit grey PNG
    ("foreground", IMAGE),  # F as blended
    ("background", IMAGE),  # B as blended
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
    ("background_crop", _CROP),  # in the background after resizing
    ("foreground_method", pa.string()),
    ("draw_seed", pa.uint64()),  # rolls the row's draw again, see rssn.route.draw.roll; null where nothing was drawn
    ("matte_flags", pa.list_(pa.string())),  # what is odd about the foreground's matte, see rssn.image.matte_flags
)
"""One row per composite: the training set; with the column `steps` of its recipe, see `with_steps`."""


def with_steps(steps: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns of composites whose recipe has steps, each a struct of what it drew; null where it was not drawn."""
    return COMPOSITES.append(pa.field("steps", pa.struct(list(steps.items())))) if steps else COMPOSITES


BACKGROUNDS = table_schema(
    ("background_id", pa.string()),  # content id of the source file
    ("image", IMAGE),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("source", pa.string()),  # name in the crawl, unique
    ("origin", pa.string()),  # what a table says in its columns source and licence
    ("licence", pa.string()),
    ("split", pa.string()),  # train or validation
)
"""What a composition reads of a curated set; the set's own columns follow, see `bg20k.schema`."""

PICTURE_REF = pa.struct(
    [
        ("path", pa.string()),
        ("kind", pa.string()),
        ("place", pa.int64()),
        ("row_group", pa.int32()),
        ("column", pa.string()),
        ("size", pa.int64()),
        ("stamp", pa.string()),
    ]
)
"""Where a picture is, see `rssn.sources.picture_ref.PictureRef`."""

PLANNED_PHOTOS = table_schema(
    ("source", pa.string()),
    ("picture", PICTURE_REF),  # null where nothing says where it is
    ("origin", pa.string()),
    ("licence", pa.string()),
    ("reason", pa.string()),  # see rssn.sources.crawl.Photograph
    ("message", pa.string()),
)
"""One row per photograph of a plan, in the order of its shards."""

REJECTS = table_schema(
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

PLANNED_FOREGROUNDS = table_schema(
    ("foreground_id", pa.string()),
    ("name", pa.string()),
    ("image", PICTURE_REF),  # null where the data set ships F alone
    ("alpha", PICTURE_REF),
    ("alpha_scale", pa.float64()),  # the value of the matte that means opaque; null: goes by the values
    ("foreground", PICTURE_REF),  # null where the data set ships no F
    ("source", pa.string()),  # the colour file, below the data set's root
    ("licence", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("ks", pa.list_(pa.int32())),  # which of its K composites; null: all
    ("existing", pa.list_(pa.string())),  # ids of the backgrounds of those that it has already
    ("replaces", pa.string()),  # id of the foreground that an earlier batch planned under its name
)
"""One row per foreground of a batch, in the order of its shards."""

PLANNED_BACKGROUNDS = table_schema(
    ("background_id", pa.string()),
    ("source", pa.string()),
    ("licence", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("picture", PICTURE_REF),
    ("key", pa.uint64()),  # by which it is drawn, see rssn.route.draw.background_key
)
"""One row per background that a plan may draw, in order of their ids."""

PRUNED = table_schema(
    ("kind", pa.string()),  # foreground, background or composite
    ("item_id", pa.string()),
    ("source", pa.string()),
)
"""One row per picture that `rssn prune` found gone, and per composite of a foreground that is there but had one."""


def picture(data: bytes, name: str) -> dict[str, bytes | str]:
    """The value of an `IMAGE` column."""
    return {"bytes": data, "path": name}
