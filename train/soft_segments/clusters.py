"""Clusters of feature vectors by k-means: the same for the same seed, and never an empty one."""

from __future__ import annotations

import warnings
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2, vq

Points: TypeAlias = npt.NDArray[np.floating]
Labels: TypeAlias = npt.NDArray[np.int64]

_FIRST = 5  # clusters before any is split
_RESTARTS = 7
_RERUN_BELOW = 13  # clusters: with fewer, all are found anew after a split
_STEPS = 20


def cluster(points: Points, count: int, seed: int) -> Labels:
    """The best of several runs of k-means.

    Args:
        points: N x D.
        count: Clusters; fewer where there are fewer different points.
        seed: Of the starts.

    Returns:
        N labels from 0, each in use.
    """
    different = len(np.unique(points, axis=0))
    if different <= count:
        return np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    found = [_run(points, count, seed + run) for run in range(_RESTARTS)]
    return _used(min(found, key=lambda labels: float(_spread(points, labels).sum())))


def split_clusters(points: Points, count: int, seed: int) -> Labels:
    """As the published code starts: 5 clusters, of which that with the largest spread is split until there are enough.

    While there are fewer than 13, all are found anew from their centres after each split.

    Args:
        points: N x D.
        count: Clusters; fewer where nothing is left to be split.
        seed: Of the starts.

    Returns:
        N labels from 0, each in use.
    """
    labels = cluster(points, min(_FIRST, count), seed)
    while (now := int(labels.max()) + 1) < count:
        spread = _spread(points, labels)
        largest = int(spread.argmax())
        if spread[largest] <= 0:
            break
        members = labels == largest
        halves = cluster(points[members], 2, seed + now)
        if halves.max() == 0:
            break
        labels = labels.copy()
        labels[members] = np.where(halves == 0, largest, now)
        if now + 1 < _RERUN_BELOW:
            labels = _used(_refined(points, labels))
            if int(labels.max()) + 1 <= now:
                break
    return labels


def _run(points: Points, count: int, seed: int) -> Labels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of an empty cluster, which `_used` takes out
        _, labels = kmeans2(points, count, iter=_STEPS, minit="++", seed=seed)
    return np.asarray(labels, dtype=np.int64)


def _refined(points: Points, labels: Labels) -> Labels:
    """k-means from the centres of clusters."""
    centres = _centres(points, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        centres, _ = kmeans2(points, centres, iter=_STEPS, minit="matrix")
    return np.asarray(vq(points, centres)[0], dtype=np.int64)


def _centres(points: Points, labels: Labels) -> npt.NDArray[np.float64]:
    count = np.bincount(labels)
    return np.stack([np.bincount(labels, weights=column) for column in points.T], axis=1) / count[:, None]


def _spread(points: Points, labels: Labels) -> npt.NDArray[np.float64]:
    """Of each cluster the sum of squared distances from its centre."""
    labels = _used(labels)
    distances = ((points - _centres(points, labels)[labels]) ** 2).sum(axis=1)
    return np.asarray(np.bincount(labels, weights=distances), dtype=np.float64)


def _used(labels: Labels) -> Labels:
    """Numbered anew, without gaps."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)
