"""F and B brought to one level of grain: the paper's last letter, noise, without taking detail away."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.image.arrays import Alpha, Image
from rssn.route import transfer
from rssn.route.noise_level import estimate_floor
from rssn.route.step import Scene, Stage, Step, Values
from rssn.route.steps.grain import FLOOR, add_grain
from rssn.storage.settings import ascending, settings

_MOST = 2.0  # times as much as at mid grey: near white no grain is enough
_PATCH = 128  # px
_TINY = 1e-9

Sigma = Annotated[float, Field(ge=0, le=100)]


@settings
class MatchGrain(Step):
    """Adds grain to the cleaner of F and B until it has the other's, or to both up to a drawn level.

    Levels are those of the finest detail of flat parts (`rssn.route.noise_level.estimate_floor`), given as the
    deviation of mid grey that the step `grain` would need for them. After the step both layers read alike, whatever
    their light. Where one reads more than `most`, it has no flat part, such as fur or grass all over: backgrounds of
    photographs at 1080p read 0.3 to 5, fur 8 and more, grass 15.
    """

    sigma: (
        Literal["other"]
        | Annotated[
            tuple[Sigma, Sigma],
            AfterValidator(ascending),
            Field(description="least and most, deviation of mid grey, 8-bit units; or other"),
        ]
    ) = "other"
    read_share: Annotated[float, Field(ge=0, le=1, description="share of mid grey's variance without light")] = 0.01
    most: Annotated[
        float, Field(ge=0, le=100, description="level beyond which it is texture, deviation of mid grey, 8-bit units")
    ] = 5.0

    name: ClassVar[str] = "match-grain"
    acts_on: ClassVar[Literal["layers"]] = "layers"
    stage: ClassVar[Stage] = "frame"
    reference: ClassVar[str] = "the paper's N, section 4.1; the noise is that of the step grain"
    columns: ClassVar = {"sigma": pa.float64(), "seed": pa.uint64()}  # sigma: null where it is the other's

    def draw(self, dice: np.random.Generator) -> Values:
        """The level, each as likely, None where it is the other's; and the seed of the noise."""
        share, seed = float(dice.random()), int(dice.integers(1 << 63))
        if self.sigma == "other":
            return {"sigma": None, "seed": seed}
        low, high = self.sigma
        return {"sigma": low + share * (high - low), "seed": seed}

    def apply_to_scene(self, scene: Scene, values: Values) -> Scene:
        """F and B with grain; as they are where one has no flat part to measure, or what is found is texture.

        F is measured where alpha is opaque, B all over the frame.
        """
        front, back = _level(scene.foreground, scene.alpha), _level(scene.background)
        if front is None or back is None or max(front, back) > self.most / 255:
            return scene
        wanted = max(front, back) if values["sigma"] is None else values["sigma"] / 255
        return replace(
            scene,
            foreground=self._raised(scene.foreground, scene.alpha, (front, wanted), values["seed"]),
            background=self._raised(scene.background, None, (back, wanted), values["seed"] + 1),
        )

    def describe(self, values: Values) -> str:
        """The level that both have then."""
        return "to the coarser one" if values["sigma"] is None else f"to sigma {values['sigma']:.1f}"

    @property
    def cpu_seconds(self) -> float:
        """Two levels measured, and grain on a layer."""
        return 0.1

    def warm_up(self) -> None:
        """Compile the curves."""
        transfer.warm_up()

    def _raised(self, layer: Image, weight: Alpha | None, levels: tuple[float, float], seed: int) -> Image:
        """From one level to another."""
        level, wanted = levels
        if wanted <= level:
            return layer
        missing = float(np.sqrt(wanted**2 - level**2))
        sigma = missing * min(_MOST, missing / max(self._shown(layer, weight, missing), _TINY))
        return np.clip(add_grain(layer, sigma, self.read_share, seed), 0, 1)

    def _shown(self, layer: Image, weight: Alpha | None, sigma: float) -> float:
        """The level of grain at a layer's mean light, which differs from that at mid grey."""
        colours = layer.reshape(-1, 3)
        mean = np.average(colours, axis=0, weights=None if weight is None else weight.ravel())
        patch = np.full((_PATCH, _PATCH, 3), mean, np.float32)
        return _level(add_grain(patch, sigma, self.read_share, 0) - patch) or 0.0


def _level(layer: Image, weight: Alpha | None = None) -> float | None:
    """The deviation of mid grey of grain that reads as this layer does, in the image's units."""
    floor = estimate_floor(layer, weight)
    return None if floor is None else floor / FLOOR
