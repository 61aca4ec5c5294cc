"""What can be read off photographs with their mattes: how they were compressed, how noisy and how sharp they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rssn.image.arrays import Alpha, Image
from rssn.image.compression import Compression, read_compression
from rssn.route.noise_level import estimate_floor
from rssn.route.sharpness import estimate_spread

_SOFT = 2.0  # px


@dataclass(frozen=True)
class Observation:
    """One photograph; None is what nobody can say of it."""

    compression: Compression | None  # None: it is no JPEG, or one of an unusual kind
    grain: float | None  # noise of its flat parts, 8-bit units
    foreground_spread: float | None  # point spread where it is opaque, px
    background_spread: float | None  # where it is clear, px

    @property
    def defocus(self) -> float | None:
        """The deviation of a Gaussian that would make the subject as soft as its background; 0 where it is softer."""
        if self.foreground_spread is None or self.background_spread is None:
            return None
        return math.sqrt(max(0.0, self.background_spread**2 - self.foreground_spread**2))


class Softness(NamedTuple):
    """The backgrounds that are softer than their subjects by 2 px or more."""

    deviations: list[float]  # px, ascending
    share: float  # of the photographs that say it


@dataclass(frozen=True)
class Observed:
    """A set of photographs."""

    photographs: Sequence[Observation]

    def compressions(self) -> list[Compression]:
        """Of those that have one."""
        return [one.compression for one in self.photographs if one.compression]

    def grain(self) -> list[float]:
        """Of those that have flat parts, 8-bit units, ascending."""
        return sorted(one.grain for one in self.photographs if one.grain is not None)

    def defocus(self) -> list[float]:
        """Of those whose subject and background have edges, px, ascending; see `Observation.defocus`."""
        return sorted(one.defocus for one in self.photographs if one.defocus is not None)

    def softness(self) -> Softness | None:
        """How far, and how often, backgrounds are softer than subjects; None where no photograph says it.

        One whose background has no edges at all, such as a plain wall, does not say it.
        """
        known = self.defocus()
        soft = [deviation for deviation in known if deviation > _SOFT]
        return Softness(soft, round(len(soft) / len(known), 2)) if known else None


def observe(data: bytes, picture: Image, alpha: Alpha) -> Observation:
    """Read a photograph.

    Args:
        data: Its file.
        picture: Decoded, H x W x 3 float32 in [0, 1].
        alpha: Its matte, H x W float32 in [0, 1].
    """
    grain = estimate_floor(picture)
    clear = np.asarray(1 - alpha, dtype=np.float32)
    return Observation(
        read_compression(data),
        None if grain is None else 255 * grain,
        estimate_spread(picture, alpha),
        estimate_spread(picture, clear),
    )


def spread_of(values: Sequence[float], low: float = 0.1, high: float = 0.9) -> tuple[float, float]:
    """Two quantiles of values, for a range that most of them are in; two decimals."""
    found = np.quantile(np.asarray(values), (low, high))
    return round(float(found[0]), 2), round(float(found[1]), 2)
