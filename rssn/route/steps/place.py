"""A cut-out's place on a larger frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.route.placement import Placement, place_cut_out
from rssn.route.step import CutOut, Stage, Step, Values
from rssn.storage.settings import ascending, settings

Share = Annotated[float, Field(gt=0, le=1)]
Sizes = Annotated[
    tuple[Share, Share],
    AfterValidator(ascending),
    Field(description="least and most of the frame's width or height, whichever the subject's box fills first"),
]


@settings
class Place(Step):
    """Scales, moves and flips the cut-out on a frame; where F has no surroundings, as in cut-outs.

    A subject that is cut off at an edge stays at that edge. One that is cut off at two opposite edges reaches from one
    to the other whatever size was drawn: on its own frame it keeps its size, and on a larger canvas it is refused
    unless `max_upscale` is as much as `canvas`.
    """

    canvas: Annotated[
        float,
        Field(
            ge=1,
            le=8,
            description="sides of the composite, times those of F's own frame; above 1, subjects that are cut off at "
            "two opposite edges are refused unless max_upscale is as much",
        ),
    ] = 1.0
    sizes: Sizes = (0.5, 0.9)
    flip: Annotated[float, Field(ge=0, le=1, description="how often left and right are exchanged")] = 0.5
    outside: Annotated[
        float, Field(ge=0, lt=1, description="share of the subject's box that may lie beyond an edge")
    ] = 0.0
    max_upscale: Annotated[float, Field(ge=1, description="how much the cut-out may be enlarged")] = 1.0

    name: ClassVar[str] = "place"
    acts_on: ClassVar[Literal["cut-out"]] = "cut-out"
    stage: ClassVar[Stage] = "placement"
    reference: ClassVar[str] = "not in the paper; objects are placed so in composition data sets of cut-outs"
    columns: ClassVar = {"size": pa.float64(), "x": pa.float64(), "y": pa.float64(), "flipped": pa.bool_()}

    def draw(self, dice: np.random.Generator) -> Values:
        """Size and place, each as likely."""
        return draw_placement(dice, self.sizes, self.flip)

    def frame(self, width: int, height: int) -> tuple[int, int]:
        """The canvas."""
        return round(self.canvas * width), round(self.canvas * height)

    def apply_to_cut_out(self, cut_out: CutOut, values: Values, others: Iterable[CutOut]) -> CutOut:
        """See `rssn.route.placement.place_cut_out`."""
        height, width = cut_out.alpha.shape
        placement = Placement(**values, outside=self.outside, max_upscale=self.max_upscale)
        return place_cut_out(cut_out, self.frame(width, height), placement)

    def describe(self, values: Values) -> str:
        """Size and place."""
        return describe_placement(values)

    @property
    def cpu_seconds(self) -> float:
        """Three resized pictures."""
        return 0.03


def draw_placement(dice: np.random.Generator, sizes: tuple[float, float], flip: float) -> Values:
    """What `Placement` takes of a draw: size, x, y and flipped."""
    size, x, y, coin = dice.random(4)
    low, high = sizes
    return {"size": low + float(size) * (high - low), "x": float(x), "y": float(y), "flipped": bool(coin < flip)}


def describe_placement(values: Values) -> str:
    """A draw of `draw_placement` in words."""
    words = f"{values['size']:.2f} of the frame, at {values['x']:.2f}, {values['y']:.2f}"
    return f"{words}, flipped" if values["flipped"] else words
