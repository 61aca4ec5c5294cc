"""From a stored row to a training sample: the augmentation of section 5.2.2 and the targets of section 3.4.

A square crop of 640, 960 or 1280 px, half of them centred on a transition pixel, resized to 320, flipped with
probability 0.5. Trimap and RoSTa are made on the crop at full resolution. A JPEG whose crop will be shrunk to a half or
a quarter is decoded at that scale by its own transform, which saves most of the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Pixels, resize_area, to_float
from rssn.image.decoding import is_jpeg, open_header, orientation, srgb_pixels
from rssn.sources.mattes import stored_matte
from train.batch import Sample
from train.data.memo import FORGETFUL, Memo
from train.targets.rosta import Rosta, focus_target, glance_and_transition, make_trimap

_Array = TypeVar("_Array", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Augmentation:
    """How crops are cut; see `train.config.TrainConfig`."""

    rosta: Rosta
    crop_sizes: tuple[int, ...]  # px
    input_size: int  # px
    centred: float = 0.5  # share of crops with a transition pixel in the middle
    flip: float = 0.5
    colours: bool = True  # whether F and B are decoded
    context: bool = False  # whether a largest square around each crop is decoded, too


@dataclass(frozen=True)
class Crop:
    """A square in a picture, and whether it is mirrored."""

    top: int
    left: int
    size: int
    flip: bool

    def cut(self, array: _Array) -> _Array:
        """The square of an H x W or H x W x C array, not mirrored, without copying."""
        return array[self.top : self.top + self.size, self.left : self.left + self.size]  # type: ignore[return-value]

    def turn(self, square: _Array) -> _Array:
        """Mirror the columns of a square, if this crop does; it is cheaper after resizing."""
        return np.ascontiguousarray(square[:, ::-1]) if self.flip else square  # type: ignore[return-value]

    def within(self, square: Crop) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in a square that holds it and is mirrored as it is, from 0 to 1."""
        left, top = (self.left - square.left) / square.size, (self.top - square.top) / square.size
        share = self.size / square.size
        left = 1 - share - left if self.flip else left
        return left, top, left + share, top + share

    def scale_for(self, input_size: int) -> int:
        """How many times smaller a picture may be decoded so that the crop still has `input_size` px: 1, 2 or 4."""
        return max(scale for scale in (1, 2, 4) if scale == 1 or self.size >= scale * input_size)

    def rounded(self, input_size: int) -> Crop:
        """With a corner and a side that a picture decoded smaller can show: by at most 3 px less."""
        scale = self.scale_for(input_size)
        top, left, size = (value // scale * scale for value in (self.top, self.left, self.size))
        return Crop(top, left, size, self.flip)

    def shrunk(self, scale: int) -> Crop:
        """The same square in a picture that was decoded smaller; its corners are multiples of the scale."""
        return Crop(self.top // scale, self.left // scale, self.size // scale, self.flip)


def draw_crop(
    alpha: Alpha | Pixels, augmentation: Augmentation, rng: np.random.Generator, memo: Memo = FORGETFUL
) -> Crop:
    """Draw a crop; its side is limited by the picture's own.

    A centred crop has its chosen pixel, one of those where alpha changes or lies between 0 and 1, in the middle, or
    as near to it as the picture's border allows. A matte without such pixels gets a uniform crop. Where pictures can
    be decoded smaller, place and side are rounded down to what that scale can show: by at most 3 px.
    """
    height, width = alpha.shape
    size = min(int(rng.choice(augmentation.crop_sizes)), height, width)
    centred, flip = bool(rng.random() < augmentation.centred), bool(rng.random() < augmentation.flip)
    crop = _centred(alpha, size, flip, rng, memo) if centred else None
    if crop is None:
        top, left = (int(rng.integers(side - size + 1)) for side in (height, width))
        crop = Crop(top, left, size, flip)
    return crop.rounded(augmentation.input_size)


def draw_context(crop: Crop, shape: tuple[int, ...], input_size: int, rng: np.random.Generator) -> Crop:
    """Draw one of the largest squares of an H x W picture that hold a crop; mirrored and rounded as the crop is."""
    size = min(shape)
    top, left = (
        int(rng.integers(max(0, start + crop.size - size), min(start, side - size) + 1))
        for start, side in zip((crop.top, crop.left), shape, strict=True)
    )
    return Crop(top, left, size, crop.flip).rounded(input_size)


def _centred(alpha: Alpha | Pixels, size: int, flip: bool, rng: np.random.Generator, memo: Memo) -> Crop | None:
    height, width = alpha.shape
    transition = memo.of(
        "transition", lambda: np.flatnonzero(make_trimap(alpha, kernel_size=3) == 128).astype(np.int32)
    )
    if not transition.size:
        return None
    y, x = divmod(int(rng.choice(transition)), width)
    top, left = (min(max(c - size // 2, 0), side - size) for c, side in ((y, height), (x, width)))
    return Crop(top, left, size, flip)


def make_sample(
    row: Mapping[str, Any], augmentation: Augmentation, rng: np.random.Generator, memo: Memo = FORGETFUL
) -> Sample:
    """Decode a row of the `COMPOSITES` schema, cut a crop, make its targets.

    Pictures and alpha are resized by area averaging, labels and the transition mask by nearest neighbour; the focus
    target follows from the resized label and alpha, so that a perfect prediction still fuses to exactly alpha.

    Args:
        row: Its names, with the bytes of the pictures.
        augmentation: How the crop is cut.
        rng: Which crop it is.
        memo: What was decoded of this row before.

    Raises:
        Rejected: stage `read`, if a picture cannot be decoded.
        InputError: If the row's pictures differ in size.
    """
    alpha = memo.of("alpha", lambda: stored_matte(row["alpha"]["bytes"]))
    crop = draw_crop(alpha, augmentation, rng, memo)
    size, rosta = augmentation.input_size, augmentation.rosta
    square = crop.cut(alpha)
    labels, transition = glance_and_transition(square, rosta)
    glance, focused = (crop.turn(_nearest(each, size)) for each in (labels, transition.view(np.uint8)))
    small_alpha = to_float(crop.turn(resize_area(square, size, size)))
    shown = ("image", "foreground", "background") if augmentation.colours else ("image",)
    pictures = [_picture(row, name, alpha.shape, crop, size, memo) for name in shown]
    pictures += [torch.empty(3, 0, 0)] * (3 - len(pictures))
    image, foreground, background = pictures
    context, window = torch.empty(3, 0, 0), (0.0, 0.0, 0.0, 0.0)
    if augmentation.context:
        wide = draw_context(crop, alpha.shape, size, rng)
        context, window = _picture(row, "image", alpha.shape, wide, size, memo), crop.within(wide)
    return Sample(
        image=image,
        alpha=_plane(small_alpha),
        foreground=foreground,
        background=background,
        glance=torch.from_numpy(glance.astype(np.int64)),
        focus=_plane(focus_target(glance, small_alpha, rosta)),
        transition=_plane(focused.astype(np.float32)),
        context=context,
        window=torch.tensor(window),
        sample_id=row["sample_id"],
    )


def _picture(
    row: Mapping[str, Any], name: str, shape: tuple[int, ...], crop: Crop, size: int, memo: Memo
) -> torch.Tensor:
    header = open_header(row[name]["bytes"])
    if (header.height, header.width) != shape:
        raise InputError(f"{name} is {(header.height, header.width)}, alpha {shape}")
    scale = crop.scale_for(size) if is_jpeg(header) and orientation(header) == 1 else 1
    pixels = memo.of((name, scale), lambda: srgb_pixels(header, scale))
    small = crop.turn(resize_area(crop.shrunk(scale).cut(pixels), size, size))
    return torch.from_numpy(small).permute(2, 0, 1).contiguous().float().div_(255.0)


def _nearest(labels: Pixels, size: int) -> Pixels:
    small = cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(small, dtype=np.uint8)


def _plane(values: npt.NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).unsqueeze(0)
