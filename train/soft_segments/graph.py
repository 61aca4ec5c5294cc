"""The graph whose Laplacian the layers follow: matting, colour and semantic affinities of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree
from scipy.special import erf

from rssn.image.arrays import Image
from train.soft_segments.libraries import require_libraries

Doubles: TypeAlias = npt.NDArray[np.float64]
Pairs: TypeAlias = npt.NDArray[np.int64]
"""P x 2 indices."""

_EPSILON = 1e-7  # of the matting affinity
_WEIGHT = 0.01  # of the other two
_NEAR = 0.2  # of height and width: colours of superpixels farther apart are not compared
_COMPACTNESS = 10  # of SLIC; less, and scikit-image merges most of the superpixels
_PX_EACH = 8  # that a superpixel has at least, on the mean


@dataclass(frozen=True)
class Superpixels:
    """Regions of a picture, and the pixel that stands for each in the graph."""

    labels: npt.NDArray[np.int64]  # H x W, from 0
    centroids: Doubles  # K x 2, row and column, px

    @property
    def nodes(self) -> npt.NDArray[np.int64]:
        """Of each region the index of the pixel at its rounded centroid, row by row."""
        rows, columns = np.rint(self.centroids).astype(np.int64).T
        return np.asarray(rows * self.labels.shape[1] + columns)

    def means(self, values: Image) -> Doubles:
        """H x W x C -> K x C, means over the regions."""
        labels = self.labels.ravel()
        count = np.bincount(labels)
        channels = values.reshape(len(labels), -1).T
        return np.stack([np.bincount(labels, weights=channel) for channel in channels], axis=1) / count[:, None]

    def adjacent(self) -> Pairs:
        """Pairs of regions that share an edge of a pixel, each once."""
        across = np.stack([self.labels[:, :-1].ravel(), self.labels[:, 1:].ravel()])
        down = np.stack([self.labels[:-1].ravel(), self.labels[1:].ravel()])
        pairs = np.sort(np.concatenate([across, down], axis=1), axis=0).T
        return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)

    def near(self, distance: float = _NEAR) -> Pairs:
        """Pairs of regions whose centroids, in shares of height and width, are nearer than this, each once."""
        tree = cKDTree(self.centroids / np.array(self.labels.shape))
        return np.asarray(tree.query_pairs(distance, output_type="ndarray"), dtype=np.int64).reshape(-1, 2)


def find_superpixels(image: Image, wanted: int) -> Superpixels:
    """SLIC with the published number of regions.

    Args:
        image: H x W x 3 RGB in [0, 1].
        wanted: Regions; fewer where they would have less than 8 px each.

    Raises:
        DependencyError: If scikit-image is not installed.
    """
    slic = require_libraries()
    pixels = image.shape[0] * image.shape[1]
    found = slic(image, n_segments=max(1, min(wanted, pixels // _PX_EACH)), compactness=_COMPACTNESS, start_label=0)
    labels = np.unique(found, return_inverse=True)[1].reshape(image.shape[:2]).astype(np.int64)
    count = np.bincount(labels.ravel())
    places = np.indices(labels.shape).reshape(2, -1)
    centroids = np.stack([np.bincount(labels.ravel(), weights=each) for each in places], axis=1) / count[:, None]
    return Superpixels(labels, centroids)


def matting_laplacian(image: Image) -> csr_array:
    """The Laplacian of the closed form's affinity, in windows of 3 x 3 px: rows add up to 0.

    Args:
        image: H x W x 3 RGB in [0, 1]; sides of at least 3 px.

    Returns:
        n x n, n the number of pixels, row by row.
    """
    height, width = image.shape[:2]
    indices = np.arange(height * width, dtype=np.int32).reshape(height, width)
    places = np.lib.stride_tricks.sliding_window_view(indices, (3, 3)).reshape(-1, 9)
    colours = image.reshape(-1, 3).astype(np.float64)[places]
    centred = colours - colours.mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", centred, centred) / 9 + np.eye(3) * (_EPSILON / 9)
    affinity = (1 + centred @ np.linalg.inv(covariance) @ centred.transpose(0, 2, 1)) / 9
    rows, columns = np.repeat(places, 9, axis=1).ravel(), np.tile(places, 9).ravel()
    return _laplacian(affinity.ravel(), (rows, columns), height * width)


def semantic_affinity(distance: Doubles) -> Doubles:
    """Of adjacent superpixels by the distance of their features; in [-1, 1], negative values push apart."""
    return np.asarray(erf(20 * (1 - distance - 0.85)))


def colour_affinity(distance: Doubles) -> Doubles:
    """Of near superpixels by the distance of their colours; in [0, 1]."""
    return np.asarray((erf(50 * (1 - distance - 0.95)) + 1) / 2)


def build_laplacian(image: Image, features: Image, superpixels: Superpixels) -> csr_array:
    """D - W of the three affinities together: symmetric, and indefinite, as semantic affinities may be negative.

    Args:
        image: H x W x 3 RGB in [0, 1].
        features: H x W x 3 in [0, 1].
        superpixels: Of the image.

    Returns:
        n x n float64, n the number of pixels.
    """
    total = matting_laplacian(image)
    size = total.shape[0]
    for pairs, values, affinity in (
        (superpixels.adjacent(), features, semantic_affinity),
        (superpixels.near(), image, colour_affinity),
    ):
        means = superpixels.means(values)
        weights = _WEIGHT * affinity(np.linalg.norm(means[pairs[:, 0]] - means[pairs[:, 1]], axis=1))
        first, second = superpixels.nodes[pairs].T.astype(np.int32)
        both = (np.concatenate([first, second]), np.concatenate([second, first]))
        total = total + _laplacian(np.concatenate([weights, weights]), both, size)
    return csr_array((total + total.T) / 2)


def _laplacian(weights: Doubles, places: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]], size: int) -> csr_array:
    """D - W of a symmetric W; entries at the same place are added."""
    rows, columns = places
    degrees = np.bincount(rows, weights=weights, minlength=size)
    diagonal = np.arange(size, dtype=np.int32)
    values = np.concatenate([degrees, -weights])
    where = (np.concatenate([diagonal, rows]), np.concatenate([diagonal, columns]))
    return csr_array(coo_array((values, where), shape=(size, size)))
