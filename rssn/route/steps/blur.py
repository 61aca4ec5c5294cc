"""The averaging filter on the background (Pipeline 1, lines 16 to 19)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import pyarrow as pa
from pydantic import Field

from rssn.image.arrays import Image
from rssn.route.observed import Observed
from rssn.route.step import Stage, Step, Values
from rssn.storage.settings import settings

Size = Annotated[int, Field(ge=1, le=1000, description="whole px")]


@settings
class Blur(Step):
    """OpenCV's averaging filter on the background in its frame: a large aperture."""

    sizes: Annotated[tuple[Size, ...], Field(min_length=1, description="sides of the kernel, whole px")] = (
        20,
        30,
        40,
        50,
        60,
    )

    name: ClassVar[str] = "blur"
    acts_on: ClassVar[Literal["background"]] = "background"
    stage: ClassVar[Stage] = "frame"
    reference: ClassVar[str] = "section 4.2"
    columns: ClassVar = {"size": pa.int32()}  # px
    searched: ClassVar[tuple[str, ...]] = ("sizes",)

    def draw(self, dice: np.random.Generator) -> Values:
        """One of the sizes, each as likely."""
        return {"size": self.sizes[int(dice.random() * len(self.sizes))]}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `box_blur`."""
        return box_blur(pixels, values["size"])

    def fitted_to(self, observed: Observed) -> Step:
        """Kernels as wide as the backgrounds' blur; as often as a background is softer than its subject by 2 px."""
        soft = observed.softness()
        if soft is None:
            return self
        if not soft.deviations:
            return replace(self, probability=0.0)
        sizes = {
            max(2, round(12**0.5 * float(size))) for size in np.quantile(soft.deviations, (0.1, 0.3, 0.5, 0.7, 0.9))
        }
        return replace(self, sizes=tuple(sorted(sizes)), probability=soft.share)

    def describe(self, values: Values) -> str:
        """The kernel's side."""
        return f"{values['size']} px"

    @property
    def cpu_seconds(self) -> float:
        """The filter's running sums take the same time for every size."""
        return 0.02


def box_blur(image: Image, size: int) -> Image:
    """OpenCV's averaging filter with a `size` x `size` kernel and its default (mirrored) border (section 4.2)."""
    return np.asarray(cv2.blur(image, (size, size)), dtype=np.float32)
