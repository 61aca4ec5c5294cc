"""Photographs that are stored turned, as EXIF says, beside mattes that do not say: who is to be turned with whom.

Programs that write mattes look at a photograph as it is shown, or at its pixels as they are stored; the matte tells by
its size which it was, unless both have one size.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rssn.errors import Rejected
from rssn.image.decoding import open_header, orientation, shown_size

A = TypeVar("A", bound=np.generic)

_SIDEWAYS = (5, 6, 7, 8)


def with_picture(values: npt.NDArray[A], own: bytes, picture: bytes) -> npt.NDArray[A]:
    """Turn what belongs to a picture (its matte, its foreground) as that picture is turned, if it is as stored.

    Args:
        values: H x W or H x W x 3, as its own file says.
        own: That file.
        picture: The file of the picture.

    Returns:
        The same or another view of it, turned so that it lies on the upright picture, if it fits at all.

    Raises:
        Rejected: stage `read`, reason `orientation_unclear`: it fits the picture as stored and as shown, and is not one
            value everywhere.
    """
    header = open_header(picture)
    turn = orientation(header)
    if turn == 1 or own is picture or orientation(open_header(own)) != 1:
        return values
    shown, size = shown_size(header), (values.shape[1], values.shape[0])
    stored = shown[::-1] if turn in _SIDEWAYS else shown
    if size != stored:
        return values
    if size == shown:
        if values.min() == values.max():  # an empty matte, or a full one
            return values
        words = f"the picture is to be turned (EXIF orientation {turn}) and its matte fits it before and after"
        remedy = "turn the pixels (magick mogrify -auto-orient) if the matte is upright, else remove the tag from it"
        raise Rejected("read", "orientation_unclear", f"{words}; {remedy}")
    return turned(values, turn)


def turned(values: npt.NDArray[A], turn: int) -> npt.NDArray[A]:
    """An array as an EXIF orientation (2 to 8) has it shown."""
    if turn in _SIDEWAYS:
        values = values.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
