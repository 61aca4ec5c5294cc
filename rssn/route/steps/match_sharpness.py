"""F and B brought to one sharpness: the paper's first letter, resolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.route.sharpness import blur_to, estimate_spread
from rssn.route.step import Scene, Stage, Step, Values
from rssn.storage.settings import ascending, settings

Spread = Annotated[float, Field(ge=0, le=10)]


@settings
class MatchSharpness(Step):
    """Blurs the sharper of F and B to the other's measured point spread, or both to a drawn one."""

    spreads: (
        Literal["other"]
        | Annotated[
            tuple[Spread, Spread],
            AfterValidator(ascending),
            Field(description="least and most, standard deviations, px; or other"),
        ]
    ) = "other"
    most: Annotated[float, Field(ge=0, le=10, description="point spread beyond which B is out of focus, px")] = 2.5

    name: ClassVar[str] = "match-sharpness"
    acts_on: ClassVar[Literal["layers"]] = "layers"
    stage: ClassVar[Stage] = "frame"
    reference: ClassVar[str] = "the paper's R, section 4.1; point spread after Zhuo and Sim 2011"
    columns: ClassVar = {"spread": pa.float64()}  # px; null where one layer is brought to the other's

    def draw(self, dice: np.random.Generator) -> Values:
        """The point spread of both, each as likely; None where it is the other's."""
        share = float(dice.random())
        if self.spreads == "other":
            return {"spread": None}
        low, high = self.spreads
        return {"spread": low + share * (high - low)}

    def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
        """F and B blurred; as they are where one has no edges, or is out of focus, which is no matter of resolution.

        F is measured where alpha is opaque and blurred weighted by it; B all over the frame.
        """
        front = estimate_spread(scene.foreground, scene.alpha)
        back = estimate_spread(scene.background)
        if front is None or back is None or max(front, back) > self.most:
            return scene
        wanted = max(front, back) if values["spread"] is None else values["spread"]
        return replace(
            scene,
            foreground=blur_to(scene.foreground, front, wanted, scene.alpha),
            background=blur_to(scene.background, back, wanted),
        )

    def describe(self, values: Values) -> str:
        """The point spread that both have then."""
        return "to the softer one" if values["spread"] is None else f"to {values['spread']:.2f} px"

    @property
    def cpu_seconds(self) -> float:
        """The point spread of both at all scales."""
        return 0.35
