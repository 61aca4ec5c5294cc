"""Whether two photographs show the same picture: one is laid over the other, and what agrees is counted.

Local features alone do not decide, because strangers may carry the same logo: they find how the frames lie over each
other (RootSIFT, ratio test, a similarity by RANSAC; also mirrored). There may be too few of them, and they may follow a
logo that was moved, so the whole frames and the views whose hashes are near are laid over each other, too. Then
structure is compared all over the frame, whatever its brightness and colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from bg20k.hamming import Hashes
from bg20k.lookalikes import VIEW_DISTANCE, view_distances
from bg20k.sketch import Floats, Sketch
from bg20k.views import Box, boxes
from rssn.image.arrays import Pixels

FEW_INLIERS: Final = 8
"""With fewer matches that agree on one similarity, chance may have found it."""

_RATIO = 0.8  # of the distances to the best and the second best match
_NEAR = 4.0  # px of `bg20k.sketch.SIDE` by which an inlier may lie beside its match
_TRIALS, _CONFIDENCE = 500, 0.995
_SMALLEST = 0.3  # scale of one frame in the other
_WINDOW = 9  # px of a sketch's picture
_STRUCTURE = 3.0  # standard deviation in a window, 8-bit units, from which on there is something to compare
_DETAIL = 2.0  # the same, once the window's slope is taken away
_ALIKE = 0.7  # correlation of two windows
_FEWER_DETAILS = 0.1  # of copies fewer details agree
_INSIDE = 0.93  # least share of one of the frames; what lies inside loses some at its edge
_OVERLAPPING = 0.6  # the same, where many features agree
_MANY_INLIERS = 30
_SOME_STRUCTURE = 0.02  # least share of the places where both frames are
_CROPPED = 0.02  # share of a frame

Matrix: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How well one photograph lies over another.

    Attributes:
        agreement: Share of the structured places, where both frames are, at which the structure is the same; 0 to 1.
        details: The same share once every window's slope is taken away, so that skies and gradients count nothing.
        structure: Share of the places where both frames are at which either has structure; 0 to 1.
        covered: Shares of the first and of the second frame that lie in the other one; 0 to 1.
        beyond: Shares of the first and of the second frame that have structure outside of the other one; 0 to 1.
        inliers: Matched features that agree; 0 where views gave the alignment.
        mirrored: Whether one is a mirror image of the other.
    """

    agreement: float = 0.0
    details: float = 0.0
    structure: float = 0.0
    covered: tuple[float, float] = (0.0, 0.0)
    beyond: tuple[float, float] = (0.0, 0.0)
    inliers: int = 0
    mirrored: bool = False

    def is_copy(self, agreement: float) -> bool:
        """Whether both show the same picture: one lies inside the other, and the structure agrees.

        Two crops may also just overlap, if many features say so: few of them may shift a pattern that repeats.

        Args:
            agreement: See `bg20k.rules.CurationRules.agreement`.
        """
        inside = _INSIDE if self.inliers < _MANY_INLIERS else _OVERLAPPING
        enough = max(self.covered) >= inside and self.structure >= _SOME_STRUCTURE
        return enough and self.evidence >= agreement

    @property
    def evidence(self) -> float:
        """The agreement, as far as details bear it out; without enough features, less twice what does not agree.

        Features of a logo that strangers share lay one sky over another, which agrees, but for the details.
        """
        if self.inliers >= FEW_INLIERS:
            return min(self.agreement, self.details + _FEWER_DETAILS)
        return 2 * self.agreement - 1

    @property
    def cropped(self) -> tuple[bool, bool]:
        """Whether the first and whether the second one shows less than the other; a plain border shows nothing."""
        first, second = self.beyond
        return second > max(first, _CROPPED), first > max(second, _CROPPED)


def compare(one: Sketch, other: Sketch, views: tuple[Hashes, Hashes]) -> Comparison:
    """The best of all ways in which one photograph may lie over the other.

    Args:
        one: A photograph.
        other: Another one.
        views: The hashes of their views.
    """
    ways = [*_by_features(one, other), *_by_views(one, other, views)]
    return max((_laid(*way) for way in ways), key=lambda each: (each.is_copy(each.evidence), each.evidence))


_Way: TypeAlias = tuple[Sketch, Sketch, Matrix, int, bool]
"""Two sketches, how places of the second lie in the first, how many features say so, whether the second is mirrored."""


def _by_features(one: Sketch, other: Sketch) -> Iterator[_Way]:
    units = one.units()
    for mirrored, second in ((False, other), (True, other.mirrored)):
        pairs = _matches(units, second.units())
        if len(pairs) >= 3:
            source, target = second.places[pairs[:, 1]], one.places[pairs[:, 0]]
            matrix, inliers = cv2.estimateAffinePartial2D(
                source, target, ransacReprojThreshold=_NEAR, maxIters=_TRIALS, confidence=_CONFIDENCE
            )
            if matrix is not None:
                yield one, second, np.asarray(matrix, np.float64), int(inliers.sum()), mirrored


def _matches(one: Floats, other: Floats) -> npt.NDArray[np.int64]:
    """M x 2 places of descriptors that match each other, each at most once."""
    if len(one) < 2 or len(other) < 2:
        return np.zeros((0, 2), np.int64)
    cosines = other @ one.T
    rows = np.arange(len(other))
    best = cosines.argmax(axis=1)
    nearest = cosines[rows, best]
    cosines[rows, best] = -1.0
    telling = np.flatnonzero(1 - nearest < _RATIO**2 * (1 - cosines.max(axis=1)))
    telling = telling[np.argsort(-nearest[telling], kind="stable")]
    _, first = np.unique(best[telling], return_index=True)
    chosen = np.sort(telling[first])
    return np.stack([best[chosen], chosen], axis=1)


def _by_views(one: Sketch, other: Sketch, views: tuple[Hashes, Hashes]) -> Iterator[_Way]:
    """The whole frames lie over each other, and so do the two nearest views."""
    yield one, other, _over(one, other, (0.0, 0.0, 1.0, 1.0), True), 0, False
    apart = view_distances(*views)
    if apart.min() <= VIEW_DISTANCE:
        asker, mirrored, view = (int(each) for each in np.unravel_index(apart.argmin(), apart.shape))
        second, outer = other.mirrored if mirrored else other, (other, one)[asker]
        left, top, width, height = boxes(outer.width, outer.height)[view]
        if mirrored and outer is other:
            left = 1.0 - left - width
        yield one, second, _over(one, second, (left, top, width, height), outer is one), 0, bool(mirrored)


def _over(one: Sketch, other: Sketch, box: Box, inside: bool) -> Matrix:
    """How the second frame fills a box of the first, or the first a box of the second."""
    outer, inner = (one, other) if inside else (other, one)
    scale = np.array([box[2] * outer.width / inner.width, box[3] * outer.height / inner.height])
    matrix = np.column_stack([np.diag(scale), [box[0] * outer.width, box[1] * outer.height]])
    return matrix if inside else _inverse(matrix)


def _laid(one: Sketch, other: Sketch, matrix: Matrix, inliers: int, mirrored: bool) -> Comparison:
    """Compare two frames, of which the second lies in the first as a matrix says."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if not _SMALLEST <= scale <= 1 / _SMALLEST:
        return Comparison()
    turned = scale > 1  # the frame that shrinks is laid over the other one, so that nothing is blurred
    if turned:
        one, other, matrix, scale = other, one, _inverse(matrix), 1 / scale
    first, second, both = _aligned(one.picture, other.picture, _in_pictures(one, other, matrix))
    if not both.any():
        return Comparison()
    windows = _Windows.of(first, second, both)
    details = windows.detrended(first, second)
    structured, detailed = both & windows.structured(_STRUCTURE), both & details.structured(_DETAIL)
    correlation = windows.correlation() if inliers else np.abs(windows.correlation())  # features of negatives differ
    share = float(both.mean())
    covered = share, min(1.0, share * one.width * one.height / (scale**2 * other.width * other.height))
    beyond = _beyond(one, other, matrix), _beyond(other, one, _inverse(matrix))
    return Comparison(
        agreement=_alike(correlation, structured),
        details=_alike(details.correlation(), detailed),
        structure=float(structured.sum() / both.sum()),
        covered=covered[::-1] if turned else covered,
        beyond=beyond[::-1] if turned else beyond,
        inliers=inliers,
        mirrored=mirrored,
    )


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def _alike(correlation: Floats, places: npt.NDArray[np.bool_]) -> float:
    return float((correlation[places] >= _ALIKE).mean()) if places.any() else 0.0


def _in_pictures(one: Sketch, other: Sketch, matrix: Matrix) -> Matrix:
    """A matrix between frames as one between the pictures of the sketches."""
    to_frame, to_picture = other.width / other.picture.shape[1], one.picture.shape[1] / one.width
    return np.column_stack([matrix[:, :2] * to_frame * to_picture, matrix[:, 2] * to_picture])


def _aligned(one: Pixels, other: Pixels, matrix: Matrix) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Both pictures, slightly smoothed, in the frame of the first, and where both are."""
    size = one.shape[::-1]
    inside = cv2.warpAffine(np.ones_like(other), matrix, size, flags=cv2.INTER_NEAREST)
    both = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    warped = cv2.warpAffine(other, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    first, second = (cv2.GaussianBlur(each.astype(np.float32), (0, 0), 1.0) for each in (one, warped))
    return np.asarray(first), np.asarray(second), both


@dataclass(frozen=True, slots=True)
class _Windows:
    """Variances and covariance of two pictures in the window around each place, H x W each."""

    first: Floats
    second: Floats
    together: Floats

    @classmethod
    def of(cls, first: Floats, second: Floats, both: npt.NDArray[np.bool_]) -> _Windows:
        """Of the places where both pictures are."""
        weight = both.astype(np.float32)
        filled = np.maximum(_box(weight), np.float32(1e-3))
        mean_1, mean_2 = _box(first * weight) / filled, _box(second * weight) / filled
        variance_1 = _box(first * first * weight) / filled - mean_1 * mean_1
        variance_2 = _box(second * second * weight) / filled - mean_2 * mean_2
        covariance = _box(first * second * weight) / filled - mean_1 * mean_2
        return cls(np.asarray(variance_1), np.asarray(variance_2), np.asarray(covariance))

    def detrended(self, first: Floats, second: Floats) -> _Windows:
        """Without the slope of each window: two skies have that in common."""
        across_1, down_1 = _slopes(first)
        across_2, down_2 = _slopes(second)
        return _Windows(
            self.first - across_1 * across_1 - down_1 * down_1,
            self.second - across_2 * across_2 - down_2 * down_2,
            self.together - across_1 * across_2 - down_1 * down_2,
        )

    def correlation(self) -> Floats:
        """Of each window; of plain ones near 0."""
        floor = np.float32(_STRUCTURE**2 / 4)
        spread = np.sqrt(np.maximum(self.first, floor) * np.maximum(self.second, floor))
        return np.asarray(self.together / spread)

    def structured(self, deviation: float) -> npt.NDArray[np.bool_]:
        """Where either picture has at least a standard deviation."""
        return np.asarray(np.maximum(self.first, self.second) > deviation**2)


def _slopes(values: Floats) -> tuple[Floats, Floats]:
    """Standard deviations in a window, across and down, that come from its slope alone; with its sign."""
    offsets = np.arange(_WINDOW, dtype=np.float32) - _WINDOW // 2
    kernel = np.tile(offsets / np.sqrt((offsets**2).mean()), (_WINDOW, 1)) / _WINDOW**2
    across, down = (
        cv2.filter2D(values, -1, np.ascontiguousarray(each), borderType=cv2.BORDER_REFLECT)
        for each in (kernel, kernel.T)
    )
    return np.asarray(across), np.asarray(down)


def _beyond(one: Sketch, other: Sketch, matrix: Matrix) -> float:
    """The share of the first frame that has structure and lies outside of the second one by more than a window."""
    size = one.picture.shape[::-1]
    inside = cv2.warpAffine(
        np.ones_like(other.picture), _in_pictures(one, other, matrix), size, flags=cv2.INTER_NEAREST
    )
    outside = cv2.dilate(inside, np.ones((_WINDOW, _WINDOW), np.uint8)) == 0
    picture = one.picture.astype(np.float32)
    mean = _box(picture)
    return float((outside & (_box(picture * picture) - mean * mean > _STRUCTURE**2)).mean())


def _box(values: Floats) -> Floats:
    return np.asarray(cv2.boxFilter(values, -1, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT))
