"""Semantic features of a photograph: an encoder's, brought to its pixels, smoothed along its edges, and cut to three.

The published network has 128 features a pixel, trained on COCO-Stuff for this purpose. Here any encoder's will do: its
stages from a quarter of the resolution on, each enlarged to the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import svds

from rssn.errors import Rejected
from rssn.image.arrays import Image
from train.soft_segments.guided import GuidedFilter

Maps: TypeAlias = Sequence[npt.NDArray[np.float32]]
"""Stages of an encoder, C x h x w each."""

_LIMIT = 5.0
_RADIUS, _EPSILON = 5, 0.01
_KEPT = 3
_CHUNK = 32  # channels that are enlarged at a time
_STEP = 4  # px: of every fourth row and column the principal components are found; the filter leaves no finer detail


def semantic_features(maps: Maps, image: Image) -> Image:
    """Three features for each pixel.

    Each stage is brought to mean 0 of every channel and standard deviation 1, cut at 5 as the published features are,
    and divided by the square root of its number of channels: so all stages weigh the same in the principal components.

    Args:
        maps: Stages of an encoder.
        image: H x W x 3 RGB in [0, 1], of which they are.

    Returns:
        H x W x 3 float32; each of the three spans [0, 1], unless it is the same everywhere.

    Raises:
        Rejected: If they are not finite.
    """
    stages = [_balanced(each) for each in maps]
    chunks = [stage[..., start : start + _CHUNK] for stage in stages for start in range(0, stage.shape[2], _CHUNK)]
    smooth, size = GuidedFilter(image, _RADIUS, _EPSILON), (image.shape[1], image.shape[0])
    samples = np.concatenate([smooth.apply(_enlarged(each, size))[::_STEP, ::_STEP] for each in chunks], axis=2)
    axes = principal_axes(samples.reshape(-1, samples.shape[2]), _KEPT)
    parts = np.split(axes, np.cumsum([each.shape[2] for each in chunks])[:-1])
    projected = np.zeros((*image.shape[:2], _KEPT), dtype=np.float32)
    for chunk, part in zip(chunks, parts, strict=True):
        projected += _enlarged(chunk, size) @ part
    return _spanned(smooth.apply(projected))  # linear: to filter three sums is to add up filtered features


def principal_axes(samples: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Directions of the largest variance; of each axis the largest component is positive.

    Args:
        samples: N x C.
        count: How many.

    Returns:
        C x count, orthonormal columns; columns of zeros where there are fewer dimensions.
    """
    centred = (samples - samples.mean(axis=0)).astype(np.float64)
    rank = min(count, min(centred.shape) - 1)
    axes = np.zeros((samples.shape[1], count), dtype=np.float32)
    if rank < 1 or not centred.any():
        return axes
    _, sizes, rows = svds(centred, rank, v0=np.ones(min(centred.shape)), solver="arpack")
    found = rows[np.argsort(-sizes)].T
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(rank)])
    axes[:, :rank] = found * signs
    return axes


def _balanced(stage: npt.NDArray[np.float32]) -> Image:
    """From C x h x w to h x w x C, as `semantic_features` says."""
    if not np.isfinite(stage).all():
        raise Rejected("features", "not_finite", "the encoder gives features that are not finite")
    centred = stage.transpose(1, 2, 0) - stage.mean(axis=(1, 2))
    deviation = max(float(np.sqrt(np.mean(centred**2))), 1e-12)
    limited = np.clip(centred / deviation, -_LIMIT, _LIMIT)
    return np.asarray(limited / np.sqrt(len(stage)), dtype=np.float32)


def _enlarged(chunk: Image, size: tuple[int, int]) -> Image:
    """From h x w x c to H x W x c, linearly."""
    enlarged = cv2.resize(np.ascontiguousarray(chunk), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, dtype=np.float32).reshape(size[1], size[0], chunk.shape[2])


def _spanned(values: Image) -> Image:
    """Each channel by its own smallest and largest value."""
    lowest = values.min(axis=(0, 1))
    span = values.max(axis=(0, 1)) - lowest
    return np.asarray((values - lowest) / np.where(span > 0, span, 1), dtype=np.float32)
