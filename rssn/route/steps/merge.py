"""A second foreground over the first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from rssn.errors import Rejected
from rssn.route.placement import Placement, place_cut_out
from rssn.route.step import CutOut, Stage, Step, Values
from rssn.route.steps.place import Sizes, describe_placement, draw_placement
from rssn.storage.settings import settings


@settings
class Merge(Step):
    """Lays another foreground of the data set over F: alpha becomes 1 - (1 - a)(1 - b)."""

    sizes: Sizes = (0.5, 1.0)
    flip: Annotated[float, Field(ge=0, le=1, description="how often left and right of the other are exchanged")] = 0.5
    max_upscale: Annotated[float, Field(ge=1, description="how much the other may be enlarged")] = 1.0

    name: ClassVar[str] = "merge"
    acts_on: ClassVar[Literal["cut-out"]] = "cut-out"
    stage: ClassVar[Stage] = "placement"
    reference: ClassVar[str] = "trainings on Deep Image Matting's data; Li and Lu, AAAI 2020 (GCA), data augmentation"
    columns: ClassVar = {"size": pa.float64(), "x": pa.float64(), "y": pa.float64(), "flipped": pa.bool_()}
    takes_other: ClassVar[bool] = True

    def draw(self, dice: np.random.Generator) -> Values:
        """Size and place of the other, each as likely; which one it is depends on the sample's seed."""
        return draw_placement(dice, self.sizes, self.flip)

    def apply_to_cut_out(self, cut_out: CutOut, values: Values, others: Iterable[CutOut]) -> CutOut:
        """See `over`; the first of the others that has its place in the frame, with nothing more cut off, is taken."""
        height, width = cut_out.alpha.shape
        placement = Placement(**values, max_upscale=self.max_upscale)
        refused = Rejected("foreground", "no_other", "the data set has no other foreground that can be read")
        for other in others:
            try:
                return over(place_cut_out(other, (width, height), placement), cut_out)
            except Rejected as error:
                refused = error
        raise refused

    def describe(self, values: Values) -> str:
        """Size and place of the other, and where it comes from."""
        source = values.get("other_source")
        return f"{source}, {describe_placement(values)}" if source else describe_placement(values)

    @property
    def cpu_seconds(self) -> float:
        """Without the estimation of the other's F, which the cache holds."""
        return 0.05


def over(front: CutOut, back: CutOut) -> CutOut:
    """One cut-out over another of its size (Porter and Duff 1984, over): blended onto B it is front on back on B.

    Where neither shows, F is the back's.
    """
    one = np.float32(1)
    alpha = np.asarray(one - (one - front.alpha) * (one - back.alpha), dtype=np.float32)
    share = front.alpha / np.maximum(alpha, np.float32(1e-6))
    weight = np.clip(share, 0, 1)[..., None]
    foreground = weight * front.foreground + (one - weight) * back.foreground
    return CutOut(np.asarray(foreground, dtype=np.float32), alpha)
