"""A picture as a row of figures, and many of them as arrays: what is kept of a picture once it is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from rssn.errors import Rejected
from rssn.gap.cues import CUES
from rssn.gap.patches import Patches, Values, cut_patches
from rssn.image.arrays import Pixels, resize_area

QUANTILE = 0.2
"""Beside the mean: the calm patches of a side, which show noise best."""

SAMPLE = 100
"""Patches of F, and of B, that cue strength sees of a foreground, spread over its pictures."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Named:
    """Which picture: its name, and the content ids of the foreground and the background that it shows.

    A photograph's own background has none.
    """

    name: str
    foreground_id: str
    background_id: str = ""


@dataclass(frozen=True)
class Measured:
    """One picture's figures, for C cues.

    Attributes:
        of: Which picture.
        size: Width and height in px, as measured.
        counts: Patches of F and of B.
        sides: 2 x 2 x C: of F and of B the mean and the 20 % quantile.
        sampled: Of F and of B, n x C: a limited sample of its patches.
    """

    of: Named
    size: tuple[int, int]
    counts: tuple[int, int]
    sides: Values
    sampled: tuple[Values, Values]


def measure_picture(pixels: Pixels, alpha: Pixels, of: Named, sample: int = SAMPLE) -> Measured:
    """Measure every cue of a picture.

    Args:
        pixels: H x W x 3, 8-bit RGB.
        alpha: H x W, 8 bits.
        of: Its name keys the sample of its patches.
        sample: Most patches of F, and of B, to keep.

    Raises:
        Rejected: stage `gap`, reason `no_patch`: F or B has no patch of 32 x 32 px of its own.
    """
    patches = cut_patches(pixels, alpha)
    inside = patches.in_foreground
    for flags, side in ((inside, "foreground"), (~inside, "background")):
        if not flags.any():
            words = f"no patch of 32 x 32 px lies wholly in its {side} ({alpha.shape[1]} x {alpha.shape[0]} px)"
            raise Rejected("gap", "no_patch", words)
    values = patch_values(patches)
    parts = values[inside], values[~inside]
    sides = np.stack([np.stack([part.mean(0), np.quantile(part, QUANTILE, axis=0)]) for part in parts])
    dice = keyed_dice(of.name)
    kept = tuple(part[np.sort(dice.permutation(len(part))[:sample])] for part in parts)
    size = alpha.shape[1], alpha.shape[0]
    return Measured(of, size, (len(parts[0]), len(parts[1])), sides.astype(np.float32), (kept[0], kept[1]))


def patch_values(patches: Patches) -> Values:
    """N x C: every cue of every patch."""
    return np.stack([cue.compute(patches) for cue in CUES], axis=1)


def shrink(pixels: Pixels, alpha: Pixels, share: Fraction) -> tuple[Pixels, Pixels]:
    """A picture and its alpha at the size that a network sees: sides times `share` (up to 1), by area averaging."""
    if share == 1:
        return pixels, alpha
    height, width = (max(1, round(length * share)) for length in alpha.shape)
    return resize_area(pixels, width, height), resize_area(alpha, width, height)


def keyed_dice(*words: str) -> np.random.Generator:
    """Dice that fall the same way for the same words, on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:8], "big"))


@dataclass(frozen=True)
class Pictures:
    """P measured pictures of one set.

    Attributes:
        names: P.
        groups: P, the foreground of each.
        backgrounds: P, the background of each; empty where it is the foreground's own.
        sizes: P x 2, width and height in px.
        counts: P x 2, patches of F and of B.
        sides: P x 2 x 2 x C: of F and of B the mean and the 20 % quantile.
        patches: M x C, a sample.
        patch_in_foreground: M.
        patch_picture: M, whose each is.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    backgrounds: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    sides: Values
    patches: Values
    patch_in_foreground: npt.NDArray[np.bool_]
    patch_picture: npt.NDArray[np.int64]

    @classmethod
    def of(cls, measured: Iterable[Measured]) -> Pictures:
        """The arrays of pictures, by name, whatever order they come in; at least one."""
        ordered = sorted(measured, key=lambda each: each.of.name)
        pieces = [
            (number, part, side == 0) for number, one in enumerate(ordered) for side, part in enumerate(one.sampled)
        ]
        return cls(
            tuple(each.of.name for each in ordered),
            tuple(each.of.foreground_id for each in ordered),
            tuple(each.of.background_id for each in ordered),
            np.array([each.size for each in ordered]),
            np.array([each.counts for each in ordered]),
            np.stack([each.sides for each in ordered]),
            np.concatenate([part for _, part, _ in pieces]),
            np.repeat([inside for _, _, inside in pieces], [len(part) for _, part, _ in pieces]),
            np.repeat([number for number, _, _ in pieces], [len(part) for _, part, _ in pieces]),
        )

    def __len__(self) -> int:
        return len(self.names)

    def differences(self, cues: Sequence[int]) -> Floats:
        """P x 2V: F minus B of the mean, then of the quantile, of V cues by their numbers."""
        return np.asarray(self.sides[:, 0] - self.sides[:, 1], np.float64)[..., cues].reshape(len(self), -1)

    @property
    def shifts(self) -> Floats:
        """P x C: F minus B of each cue's mean."""
        return np.asarray(self.sides[:, 0, 0] - self.sides[:, 1, 0], np.float64)
