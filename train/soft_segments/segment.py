"""Semantic Soft Segmentation (Aksoy et al. 2018): a photograph's layers, from its colours and semantic features.

From what is known of the published code; where that is silent, the sheet of facts that this project was given decides.
Ours: scikit-image's SLIC, Gaussian derivatives of 13 taps, and the starts of k-means.
"""

from __future__ import annotations

import numpy as np

from rssn.errors import Rejected
from rssn.image.arrays import Image
from train.soft_segments.clusters import cluster, split_clusters
from train.soft_segments.graph import build_laplacian, find_superpixels
from train.soft_segments.refine import refine
from train.soft_segments.settings import Settings
from train.soft_segments.sparse import Doubles, sparsify
from train.soft_segments.spectrum import find_spectrum

_SHORTEST = 16  # px


def segment(image: Image, features: Image, settings: Settings) -> Image:
    """Segment a photograph softly.

    Args:
        image: H x W x 3 RGB in [0, 1]; at its size all is computed, whatever the settings' side.
        features: H x W x 3 in [0, 1].
        settings: Seed and numbers.

    Returns:
        K x H x W float32 in [0, 1], at most `settings.layers` of them; they add up to 1.

    Raises:
        Rejected: If the photograph is too narrow, its features are the same everywhere, or no eigenvectors are found.
        DependencyError: If scikit-image is not installed.
    """
    height, width = image.shape[:2]
    if min(height, width) < _SHORTEST:
        raise Rejected("segment", "too_narrow", f"{width} x {height} px are left of it; give a larger --sss-side")
    points = features.reshape(-1, features.shape[2])
    labels = split_clusters(points, settings.clusters, settings.seed)
    if labels.max() == 0:
        raise Rejected("segment", "no_features", "its features are the same everywhere")
    superpixels = find_superpixels(image, settings.superpixels)
    laplacian = build_laplacian(image, features, superpixels)
    layers = sparsify(find_spectrum(laplacian, settings.eigenvectors, settings.seed), labels)
    refined = refine(laplacian, group_layers(layers, points, settings), image)
    return np.ascontiguousarray(refined.T.reshape(-1, height, width), dtype=np.float32)


def group_layers(layers: Doubles, points: Image, settings: Settings) -> Doubles:
    """Add up layers whose mean features are of one cluster.

    Args:
        layers: n x k.
        points: n x 3 features.
        settings: How many groups, and the seed.

    Returns:
        n x g.
    """
    parts = np.clip(layers, 0, None)
    means = (parts.T @ points) / parts.sum(axis=0)[:, None]
    groups = cluster(means, settings.layers, settings.seed)
    return np.asarray(layers @ np.eye(int(groups.max()) + 1)[groups])
