"""How large a network sees a whole photograph (section 5.4); by default as its training saw them. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, median
from typing import Any

from rssn.errors import InputError

STRIDE = 32
"""Sides that a network sees are multiples of this, px."""


@dataclass(frozen=True)
class Scales:
    """How small a training saw its pictures."""

    shares: tuple[float, ...]  # px of the network for a px of the picture, of each crop size, ascending
    side: int  # px, median of the pictures' longer sides

    def __post_init__(self) -> None:
        if not self.shares or not all(0.0 < share < math.inf for share in self.shares) or self.side < STRIDE:
            raise InputError(f"no scales of a training: the shares {self.shares} of {self.side} px")

    @classmethod
    def of_crops(cls, crop_sizes: Sequence[int], input_size: int, sizes: Sequence[tuple[int, int]]) -> Scales:
        """The scales of square crops that are resized to one size.

        Args:
            crop_sizes: Sides of the crops, px; a picture limits them by its own.
            input_size: What they are resized to, px.
            sizes: Shorter and longer side of the pictures, px.
        """
        shorter, longer = (round(median(sides)) for sides in zip(*sizes, strict=True))
        return cls(tuple(sorted({input_size / min(size, shorter) for size in crop_sizes})), longer)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Scales | None:
        """What `to_plain` gave; None of an empty mapping.

        Raises:
            InputError: If it is something else.
        """
        if not plain:
            return None
        try:
            return cls(tuple(float(share) for share in plain["shares"]), int(plain["side"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"no scales of a training: {plain!r:.80}") from error

    def to_plain(self) -> dict[str, Any]:
        """As values that a checkpoint may hold."""
        return {"shares": list(self.shares), "side": self.side}


PAPER_SCALES = Scales.of_crops((640, 960, 1280), 320, [(1080, 1620)])
"""Of the authors' networks: AM-2k's photographs have a shorter side of 1080 px."""


@dataclass(frozen=True)
class Strategy:
    """What networks see of a photograph; sides are rounded to multiples of `STRIDE`. The defaults: all of it."""

    max_side: int = 0  # px; a photograph with a longer side is shrunk first; 0: never
    hybrid: tuple[float, float] | None = None  # d1 and d2 of Table 2: the glance's and the focus's share of the sides
    share: float = 1.0  # of the sides, for both at once

    def __post_init__(self) -> None:
        if self.max_side and not STRIDE <= self.max_side <= 1 << 16:
            raise InputError(f"--max-side {self.max_side}: must be 0, or from {STRIDE} to {1 << 16}")
        if self.hybrid and not 0.0 < self.hybrid[0] <= self.hybrid[1] <= 1.0:
            raise InputError(f"--hybrid {self.hybrid[0]:.3g} {self.hybrid[1]:.3g}: must be 0 < D1 <= D2 <= 1")

    @classmethod
    def as_trained(cls, scales: Scales | None) -> Strategy:
        """The mean share of the crops, of photographs that are no larger than those of the training.

        A network without scales, which was not trained, sees all of a photograph.
        """
        return cls(scales.side, share=fmean(scales.shares)) if scales else cls()

    @classmethod
    def parse(cls, max_side: int | None, hybrid: Sequence[str] | None) -> Strategy | None:
        """From the words of the command line; a share is a fraction such as `1/3`, or a decimal.

        Returns:
            None where nothing is asked for.

        Raises:
            InputError: If they make no strategy.
        """
        if hybrid is None:
            return None if max_side is None else cls(max_side)
        try:
            glance, focus = (float(Fraction(share)) for share in hybrid)
        except (ValueError, ZeroDivisionError) as error:
            raise InputError(f"--hybrid {' '.join(hybrid)}: give two shares, as in --hybrid 1/3 1/2") from error
        return cls(max_side or 0, (glance, focus))

    def seen(self, width: int, height: int) -> list[tuple[int, int]]:
        """Width and height of what a network sees, px: once, or for the glance and for the focus."""
        limit = self.limit(width, height)
        shares = self.hybrid or (self.share,)
        return [(_fit(width * limit * share), _fit(height * limit * share)) for share in shares]

    def limit(self, width: int, height: int) -> float:
        """How much `max_side` shrinks a photograph of so many px: 1 where it does not."""
        return min(1.0, (self.max_side or max(width, height)) / max(width, height))

    def describe(self) -> str:
        """In words, for the record of an evaluation."""
        limit = f"longer side at most {self.max_side} px" if self.max_side else "whole"
        if self.hybrid:
            return f"{limit}, hybrid d1 {self.hybrid[0]:.3g}, d2 {self.hybrid[1]:.3g}"
        return limit if self.share == 1.0 else f"{limit}, {self.share:.3g} of its sides"


def _fit(side: float) -> int:
    return max(1, round(side / STRIDE)) * STRIDE
