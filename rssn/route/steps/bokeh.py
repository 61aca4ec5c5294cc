"""An open lens's blur on the background, in linear light."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from rssn.image.arrays import Image
from rssn.route import transfer
from rssn.route.observed import Observed, spread_of
from rssn.route.step import Stage, Step, Values
from rssn.route.transfer import to_linear, to_srgb
from rssn.storage.settings import ascending, settings

Radius = Annotated[float, Field(ge=0.5, le=200, description="px")]
Blades = Literal[0, 5, 6, 7, 8, 9]

_PARTS = 8  # sub-pixels across a pixel of the kernel
_NEARLY_WHITE = 0.95  # luminance from which light may have been clipped: 249 of 255
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709, as sRGB has it


@settings
class Bokeh(Step):
    """A disc or a polygon on the background in its frame, in linear light: points of light become the aperture's shape.

    Radii are drawn evenly on a logarithmic scale, because the blur of what lies behind the focus grows with ratios of
    distances. The default range has the second moments of the paper's kernels of 20 to 60 px: a square of side s is as
    wide as a disc of radius s / sqrt(3).

    What the camera clipped was brighter than white. `highlights` raises it before the kernel: by nothing at a luminance
    of 0.95, by so many stops at white, smoothly between, and hue stays. The kernel keeps the sum of the raised light
    (but for the mirrored border); the picture is clipped to white again at the end. With 0 the lamps of a night scene
    dissolve, and from 2 on a white railing in daylight spreads as a lamp does: the default lies between.
    """

    radii: Annotated[
        tuple[Radius, Radius], AfterValidator(ascending), Field(description="smallest and largest, 0.5 to 200 px")
    ] = (11.5, 34.6)
    blades: Annotated[
        tuple[Blades, ...], Field(min_length=1, description="0 for a disc, 5 to 9 for a polygon; one is drawn")
    ] = (0, 5, 6, 7, 8, 9)
    highlights: Annotated[float, Field(ge=0, le=6, description="stops that white is raised by before the kernel")] = 1.0

    name: ClassVar[str] = "bokeh"
    acts_on: ClassVar[Literal["background"]] = "background"
    stage: ClassVar[Stage] = "frame"
    reference: ClassVar[str] = "not in the paper; geometrical optics of a thin lens, IEC 61966-2-1 for linear light"
    searched: ClassVar[tuple[str, ...]] = ("radii",)
    columns: ClassVar = {"radius": pa.float64(), "blades": pa.int32(), "rotation": pa.float64()}  # px, degrees

    def draw(self, dice: np.random.Generator) -> Values:
        """A radius, a shape, and how the shape is turned."""
        size, shape, turn = dice.random(3)
        low, high = self.radii
        blades = self.blades[int(shape * len(self.blades))]
        radius = min(high, low * math.exp(size * math.log(high / low)))
        return {"radius": radius, "blades": blades, "rotation": turn * 360 / blades if blades else 0.0}

    def apply(self, pixels: Image, values: Values) -> Image:
        """See `aperture_blur`."""
        kernel = aperture(values["radius"], values["blades"], values["rotation"])
        return aperture_blur(pixels, kernel, self.highlights)

    def fitted_to(self, observed: Observed) -> Step:
        """Discs as wide as the backgrounds' blur; as often as a background is softer than its subject by 2 px."""
        soft = observed.softness()
        if soft is None:
            return self
        if not soft.deviations:
            return replace(self, probability=0.0)
        low, high = spread_of(soft.deviations)
        return replace(self, radii=(2 * low, 2 * high), probability=soft.share)

    def describe(self, values: Values) -> str:
        """Radius and shape."""
        return f"{values['radius']:.1f} px, {values['blades'] or 'round'}{' blades' if values['blades'] else ''}"

    @property
    def cpu_seconds(self) -> float:
        """Of the largest kernels, by OpenCV's discrete Fourier transform."""
        return 0.11

    def warm_up(self) -> None:
        """Compile the curves."""
        transfer.warm_up()


def aperture(radius: float, blades: int, rotation: float) -> Image:
    """The kernel of a disc or of a regular polygon of its area, with smooth edges and sum 1.

    Args:
        radius: Of the disc, px.
        blades: Sides of the polygon; 0 for the disc itself.
        rotation: Of the polygon, degrees.

    Returns:
        Side x side float32, an odd side; each value is the share of the pixel that is covered.
    """
    inner = radius * math.sqrt(math.pi / (blades * math.tan(math.pi / blades))) if blades else radius
    reach = math.ceil((inner / math.cos(math.pi / blades) if blades else radius) - 0.5)
    places = (np.arange((2 * reach + 1) * _PARTS) + 0.5) / _PARTS - reach - 0.5
    x, y = places[None, :], places[:, None]
    inside = x * x + y * y <= radius * radius if not blades else np.ones((places.size, places.size), np.bool_)
    for blade in range(blades):
        angle = math.radians(rotation) + 2 * math.pi * blade / blades
        inside &= x * math.cos(angle) + y * math.sin(angle) <= inner
    parts = inside.reshape(2 * reach + 1, _PARTS, 2 * reach + 1, _PARTS)
    kernel = parts.sum(axis=(1, 3), dtype=np.float64)
    return np.asarray(kernel / kernel.sum(), np.float32)


def aperture_blur(image: Image, kernel: Image, highlights: float) -> Image:
    """Filter in linear light, with mirrored borders as `box_blur` has them.

    Args:
        image: H x W x 3 float32 sRGB in [0, 1].
        kernel: See `aperture`.
        highlights: Stops by which white is raised before, see `Bokeh`.

    Returns:
        The same shape, in [0, 1].
    """
    light = _raised(to_linear(image), highlights)
    blurred = cv2.filter2D(light, -1, cv2.flip(kernel, -1), borderType=cv2.BORDER_REFLECT_101)  # it correlates
    return to_srgb(np.clip(np.asarray(blurred, np.float32), 0, 1))


def _raised(light: Image, stops: float) -> Image:
    """The light that was there before the camera clipped it, about."""
    if not stops:
        return light
    red, green, blue = (light[..., channel] * np.float32(share) for channel, share in enumerate(_LUMINANCE))
    near = np.clip((red + green + blue - np.float32(_NEARLY_WHITE)) / np.float32(1 - _NEARLY_WHITE), 0, 1)
    gain = 1 + np.float32(2**stops - 1) * near * near * (3 - 2 * near)
    return np.asarray(light * gain[..., None], np.float32)
