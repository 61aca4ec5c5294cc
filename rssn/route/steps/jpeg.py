"""The composite as a JPEG: photographs were compressed once, F and B together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.errors import InputError
from rssn.image.arrays import Image, to_float, to_uint8
from rssn.image.compression import Compression, Subsampling, compress, compression_versions, nearest_quality, of_quality
from rssn.route.observed import Observed
from rssn.route.step import Stage, Step, Values
from rssn.storage.settings import ascending, settings

Quality = Annotated[int, Field(ge=1, le=100, description="a whole number")]

_MOST_TABLES = 16
_QUALITY, _SUBSAMPLING = (70, 95), ("4:2:0",)


@settings
class Jpeg(Step):
    """Encodes and decodes the composite: one block grid and one loss of chroma over F and B, as photographs have.

    The composite is clipped and rounded to 8 bits on the way. F, B and alpha stay as they are. `tables` stands for
    `quality` and `subsampling`, which take their defaults where there are no tables. Shards whose codec is JPEG store
    the result at quality 95 and 4:4:4, which is a second, smaller loss; PNG and WebP store it as it is.
    """

    quality: Annotated[
        tuple[Quality, Quality] | None,
        AfterValidator(lambda bounds: bounds and ascending(bounds)),
        Field(description=f"lowest and highest of libjpeg's, 1 to 100; {[*_QUALITY]} where there are no tables"),
    ] = None
    subsampling: Annotated[
        tuple[Subsampling, ...] | None,
        Field(min_length=1, description="of 4:2:0, 4:2:2, 4:4:4, one is drawn; [4:2:0] where there are no tables"),
    ] = None
    tables: Annotated[
        tuple[Compression, ...],
        Field(description="photographs' own: luma and chroma, 64 numbers each in rows, and subsampling; one is drawn"),
    ] = ()

    name: ClassVar[str] = "jpeg"
    acts_on: ClassVar[Literal["composite"]] = "composite"
    stage: ClassVar[Stage] = "composite"
    reference: ClassVar[str] = "not in the paper; ITU-T T.81 (1992), Annex K.1, scaled by quality as libjpeg does"
    columns: ClassVar = {"quality": pa.int32(), "table": pa.int32(), "subsampling": pa.string()}  # table: from 0

    def __post_init__(self) -> None:
        if not self.tables:  # written into the settings, so that manifests and digests say what was drawn from
            object.__setattr__(self, "quality", self.quality or _QUALITY)
            object.__setattr__(self, "subsampling", self.subsampling or _SUBSAMPLING)
        elif idle := [name for name in ("quality", "subsampling") if getattr(self, name) is not None]:
            raise InputError(f"{idle[0]} has no effect beside tables, which say it themselves; leave one of them out")

    def draw(self, dice: np.random.Generator) -> Values:
        """A quality and a subsampling, or one of the tables; each as likely."""
        first, second = dice.random(2)
        if self.tables:
            table = int(first * len(self.tables))
            return {"quality": None, "table": table, "subsampling": self.tables[table].subsampling}
        (low, high), choices = self.quality or _QUALITY, self.subsampling or _SUBSAMPLING
        quality = low + int(first * (high - low + 1))
        return {"quality": quality, "table": None, "subsampling": choices[int(second * len(choices))]}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `rssn.image.compression.compress`."""
        drawn = values["table"]
        how = of_quality(values["quality"], values["subsampling"]) if drawn is None else self.tables[drawn]
        return to_float(compress(to_uint8(pixels), how))

    def fitted_to(self, observed: Observed) -> Step:
        """The photographs' own tables, or libjpeg's qualities where they have those; as often as one has any.

        Photographs that are no JPEGs were not compressed, and then nothing is to be.
        """
        found = observed.compressions()
        share = round(len(found) / max(1, len(observed.photographs)), 2)
        if not found:
            return replace(self, probability=0.0)
        nearest = [nearest_quality(one) for one in found]
        if all(one.off == 0 for one in nearest):
            qualities = [one.quality for one in nearest]
            kinds = tuple(sorted({one.subsampling for one in found}))
            return replace(
                self, quality=(min(qualities), max(qualities)), subsampling=kinds, tables=(), probability=share
            )
        common = [one for one, _ in Counter(found).most_common(_MOST_TABLES)]
        return replace(self, quality=None, subsampling=None, tables=tuple(common), probability=share)

    def variations(self) -> Iterator[Step]:
        """Other probabilities, and qualities that are lower or higher."""
        yield from super().variations()
        if self.quality:
            low, high = self.quality
            for less, more in ((-10, 0), (-5, -5), (-10, -10), (5, 5), (0, 5)):
                with suppress(InputError):
                    yield replace(self, quality=(low + less, high + more))

    def describe(self, values: Values) -> str:
        """Quality or table, and subsampling."""
        drawn = values["table"]
        words = f"quality {values['quality']}" if drawn is None else f"table {drawn}"
        return f"{words}, {values['subsampling']}"

    @property
    def cpu_seconds(self) -> float:
        """To and from 8 bits, encoding and decoding."""
        return 0.015

    def versions(self) -> str:
        """Of what encodes and decodes."""
        return compression_versions()
