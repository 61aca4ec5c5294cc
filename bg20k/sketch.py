"""A photograph as its copies are verified: local features and a small grey picture, in some 25 KB.

The features are SIFT in the RootSIFT form, four bits a number: square roots of its histograms run from 0 to 16.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from bg20k.hamming import BITS, Hashes
from rssn.image.arrays import Pixels, fit_inside

Floats: TypeAlias = npt.NDArray[np.float32]

SIDE: Final = 480
"""Longer side in px of what features are found on; their places are in its pixels."""

CODES: Final = 48
"""Features of a photograph that have a code by which copies are looked for."""

_FEATURES = 400
_PICTURE_SIDE = 160  # px
_CONTRAST = 0.01  # SIFT's own is 0.04: skies and gradients would have no features
_BINS = np.arange(128).reshape(4, 4, 8)  # of a descriptor: rows, columns, orientations
_MIRROR = _BINS[::-1][:, :, -np.arange(8) % 8].ravel()  # a mirrored patch has its rows and orientations turned
_HEADER = np.dtype([("width", "<u2"), ("height", "<u2"), ("count", "<u2")])
_PLACE = 64.0  # steps of a stored place in a px
_LEVELS = 15  # largest stored number of a descriptor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sketch:
    """The local features of a photograph.

    Attributes:
        width: Of the frame in px, the longer side has `SIDE`; smaller photographs are enlarged.
        height: Of the frame in px.
        places: n x 2, x and y of each feature in px, the largest features first.
        descriptors: n x 128 uint8, 0 to 15.
        picture: h x w uint8 grey, the longer side has 160 px.
    """

    width: int
    height: int
    places: Floats
    descriptors: npt.NDArray[np.uint8]
    picture: Pixels

    @classmethod
    def of(cls, grey: Pixels) -> Sketch:
        """The sketch of an H x W grey picture."""
        frame = _framed(grey)
        points, found = _sift().detectAndCompute(frame, None)
        count = len(points)
        descriptors = np.zeros((0, 128), np.float32) if found is None else np.asarray(found)
        values = np.array([(*each.pt, each.size, each.response) for each in points], np.float32).reshape(count, 4)
        best = np.lexsort((values[:, 0], values[:, 1], -values[:, 3]))[:_FEATURES]
        best = best[np.argsort(-values[best, 2], kind="stable")]
        return cls(
            width=frame.shape[1],
            height=frame.shape[0],
            places=values[best, :2],
            descriptors=np.minimum(np.rint(np.sqrt(descriptors[best])), _LEVELS).astype(np.uint8),
            picture=fit_inside(frame, _PICTURE_SIDE),
        )

    @property
    def mirrored(self) -> Sketch:
        """The sketch of the picture mirrored left to right."""
        places = self.places * np.array([-1, 1], np.float32) + np.array([self.width - 1, 0], np.float32)
        picture = np.ascontiguousarray(self.picture[:, ::-1])
        return replace(self, places=places, descriptors=self.descriptors[:, _MIRROR], picture=picture)

    def codes(self) -> Hashes:
        """A 64-bit code of each of the `CODES` largest features, the same for a mirrored picture; 0: no feature."""
        largest = self.descriptors[:CODES].astype(np.int64)
        turned = largest @ _SIDEWAYS < 0
        largest[turned] = largest[turned][:, _MIRROR]
        bits = np.packbits(largest @ _PROJECTIONS > 0, axis=1)
        codes = np.zeros(CODES, np.uint64)
        codes[: len(bits)] = bits.view(">u8").ravel()
        return codes

    def units(self) -> Floats:
        """The descriptors as n x 128 vectors of length 1."""
        values = self.descriptors.astype(np.float32)
        return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.float32(1)))

    def to_bytes(self) -> bytes:
        """The sketch as it is stored."""
        header = np.array([(self.width, self.height, len(self.places))], _HEADER).tobytes()
        places = np.rint(self.places * _PLACE).astype("<u2").tobytes()
        pairs = self.descriptors[:, ::2] << 4 | self.descriptors[:, 1::2]
        picture = cv2.imencode(".jpg", self.picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        return b"".join([header, places, pairs.tobytes(), picture])

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """What `to_bytes` wrote; places are rounded to 1/64 px."""
        width, height, count = (int(each) for each in np.frombuffer(data, _HEADER, 1)[0])
        start = _HEADER.itemsize
        places = np.frombuffer(data, "<u2", 2 * count, start).reshape(count, 2)
        pairs = np.frombuffer(data, np.uint8, 64 * count, start + 4 * count).reshape(count, 64)
        picture = np.frombuffer(data, np.uint8, offset=start + 68 * count)
        return cls(
            width=width,
            height=height,
            places=(places / _PLACE).astype(np.float32),
            descriptors=np.stack([pairs >> 4, pairs & _LEVELS], axis=2).reshape(count, 128),
            picture=np.asarray(cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE), np.uint8),
        )


def _framed(grey: Pixels) -> Pixels:
    scale = SIDE / max(grey.shape)
    if scale <= 1:
        return fit_inside(grey, SIDE)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC), np.uint8)


@lru_cache(maxsize=1)
def _sift() -> Any:
    create: Any = vars(cv2)["SIFT_create"]  # OpenCV's stubs do not know it
    return create(nfeatures=600, contrastThreshold=_CONTRAST)


def _projections() -> npt.NDArray[np.int64]:
    """128 x 64 random directions that see neither how much a cell of a descriptor holds nor an orientation's share.

    Those two are what all descriptors have in common: without them, codes of strangers are ten times rarer. Whole
    numbers, so that codes are the same on every machine.
    """
    noise = np.random.default_rng(7).integers(-64, 65, (16, 8, BITS))
    cells, orientations = noise.sum(axis=1, keepdims=True), noise.sum(axis=0, keepdims=True)
    return np.asarray(128 * noise - 16 * cells - 8 * orientations + noise.sum(axis=(0, 1))).reshape(128, BITS)


def _sideways() -> npt.NDArray[np.int64]:
    """128 numbers; a descriptor's product with them changes its sign when the patch is mirrored."""
    sines = np.tile([0, 5, 7, 5, 0, -5, -7, -5], 16)
    return np.asarray(sines - sines[_MIRROR])


_PROJECTIONS = _projections()
_SIDEWAYS = _sideways()
