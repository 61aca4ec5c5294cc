"""Representations of semantic and transition areas (RoSTa): what each decoder is asked for (sections 3.4 and 3.5).

Arrays in, arrays out; no torch. TT is the trimap, FT the certain foreground, BT everything but the certain background.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Pixels
from train.targets.morphology import Mask, dilate, erode

BACKGROUND, TRANSITION, FOREGROUND = 0, 1, 2
"""The classes of the glance decoder for TT; FT and BT have 0 and 1."""


class Rosta(StrEnum):
    """The three representations of section 3.4."""

    TT = "TT"
    FT = "FT"
    BT = "BT"

    @classmethod
    def _missing_(cls, value: object) -> Rosta:
        """Names are taken in any case.

        Raises:
            InputError: If there is no such representation.
        """
        for each in cls:
            if isinstance(value, str) and value.upper() == each.value:
                return each
        raise InputError(f"RoSTa {value!r}: unknown; there are {', '.join(cls)}")

    @property
    def classes(self) -> int:
        """Channels of the glance decoder, C in equation 2."""
        return 3 if self is Rosta.TT else 2

    @property
    def kernel_size(self) -> int:
        """Diameter of the dilation and erosion, px."""
        return 25 if self is Rosta.TT else 50


def make_trimap(alpha: Alpha | Pixels, kernel_size: int = 25) -> Pixels:
    """Make a trimap by elliptical dilation and erosion (section 3.4, GFM-TT).

    Args:
        alpha: H x W, float32 in [0, 1] or uint8.
        kernel_size: Diameter of the ellipse, px. 1 keeps exactly the pixels with 0 < alpha < 1 unknown.

    Returns:
        H x W uint8: 0 outside the dilation of alpha > 0, 255 inside the erosion of alpha = 1, 128 between.
    """
    trimap = np.full(alpha.shape, 128, dtype=np.uint8)
    trimap[~dilate(alpha > 0, kernel_size)] = 0
    trimap[erode(_opaque(alpha), kernel_size)] = 255
    return trimap


def glance_and_transition(alpha: Alpha | Pixels, rosta: Rosta | str) -> tuple[Pixels, Mask]:
    """What the glance decoder should say, and where the focus decoder is supervised (W^T in equations 4 and 5).

    TT: the glance label is the trimap, the transition its unknown part. FT: the glance label is F, the erosion of
    alpha = 1, the transition I(alpha > 0) - F. BT: the glance label is B, the dilation of alpha > 0. For BT the
    paper contradicts itself: it takes B - I(alpha > 0) for the transition, where alpha is 0 everywhere, and alpha for
    the focus target, while section 3.5 subtracts the focus from the glance. The subtraction decides here: the focus
    target is B - alpha, and the transition is where B = 1 and alpha < 1. So, for all three, a perfect glance and a
    perfect focus fuse to exactly alpha (`train.network.gfm.fuse`; BT up to the rounding of 1 - (1 - alpha)).

    Args:
        alpha: H x W, float32 in [0, 1] or uint8; at full resolution, before it is resized.
        rosta: The representation.

    Returns:
        H x W uint8 class labels, H x W bool.
    """
    rosta = Rosta(rosta)
    if rosta is Rosta.TT:
        glance = make_trimap(alpha, rosta.kernel_size) // np.uint8(127)
        return glance, glance == TRANSITION
    if rosta is Rosta.FT:
        certain = erode(_opaque(alpha), rosta.kernel_size)
        return certain.astype(np.uint8), (alpha > 0) & ~certain
    possible = dilate(alpha > 0, rosta.kernel_size)
    return possible.astype(np.uint8), possible & ~_opaque(alpha)


def focus_target(glance: Pixels, alpha: Alpha, rosta: Rosta | str) -> Alpha:
    """What the focus decoder should say: alpha for TT and FT, B - alpha for BT (0 where B is 0).

    Args:
        glance: H x W class labels.
        alpha: H x W float32 in [0, 1].
        rosta: The representation.
    """
    if Rosta(rosta) is Rosta.BT:
        return np.asarray(np.clip(glance.astype(np.float32) - alpha, 0.0, 1.0), dtype=np.float32)
    return alpha


def _opaque(alpha: Alpha | Pixels) -> Mask:
    full = 255 if alpha.dtype == np.uint8 else 1.0
    return np.asarray(alpha == full)
