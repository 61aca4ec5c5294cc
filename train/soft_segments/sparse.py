"""The first sparsification: soft layers in the span of the eigenvectors whose values are pushed to 0 and 1."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from train.soft_segments.spectrum import Spectrum

Doubles: TypeAlias = npt.NDArray[np.float64]

_GAMMA = 0.8
_STRENGTH = 0.3**_GAMMA
_LEAST = 1e-10
_ROUNDS = 40
_DROP_AFTER = (10, 20, 30)
_FAINT = 0.1  # a layer that is nowhere more than this is dropped
_BLOCK = 2048  # px whose products with the eigenvectors stay in the processor's cache


def sparsify(spectrum: Spectrum, labels: npt.NDArray[np.int64], rounds: int = _ROUNDS) -> Doubles:
    """Soft layers from hard clusters, by weighted least squares again and again.

    Args:
        spectrum: n pixels, m eigenvectors.
        labels: n, from 0: the clusters to start from.
        rounds: How often the weights are found anew.

    Returns:
        n x k; rows add up to 1; values may lie a little outside of [0, 1].
    """
    layers = np.eye(int(labels.max()) + 1)[labels]
    for done in range(1, rounds + 1):
        if layers.shape[1] == 1:
            break
        layers = _round(spectrum, layers)
        if done in _DROP_AFTER:
            layers = layers[:, np.abs(layers).max(axis=0) > _FAINT]
    return layers


def _round(spectrum: Spectrum, layers: Doubles) -> Doubles:
    """One solution for weights of the present layers; the last layer is 1 minus all others."""
    to_one, to_zero = _weights(layers - 1), _weights(layers)
    grams = weighted_grams(spectrum.vectors, to_one + to_zero) + np.diag(spectrum.values)
    pulls = to_one[:, :-1].T @ spectrum.vectors + spectrum.vectors.T @ to_zero[:, -1]
    others = spectrum.vectors @ solve_coupled(grams[:-1], grams[-1], pulls).T
    return np.concatenate([others, 1 - others.sum(axis=1, keepdims=True)], axis=1)


def _weights(distance: Doubles) -> Doubles:
    """Of the square of a distance, so that the product is 0.3^gamma |distance|^gamma."""
    return np.asarray(_STRENGTH * np.maximum(np.abs(distance), _LEAST) ** (_GAMMA - 2))


def weighted_grams(vectors: Doubles, weights: Doubles) -> Doubles:
    """V^T diag(d) V for each column d: most of the time of the whole method.

    BLAS takes the symmetric product of blocks of pixels. In float32 it would take half as long, but weights reach from
    0.3 to 1e11, and what is lost beside the largest gives layers of -30 to 20 instead of -2 to 2.

    Args:
        vectors: n x m.
        weights: n x k, positive.

    Returns:
        k x m x m.
    """
    count = vectors.shape[1]
    total = np.zeros((weights.shape[1], count, count))
    roots = np.sqrt(weights)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        scaled = np.empty_like(block)
        for layer, root in enumerate(roots[start : start + _BLOCK].T):
            np.multiply(block, root[:, None], out=scaled)
            total[layer] += scaled.T @ scaled
    return total


def solve_coupled(grams: Doubles, last: Doubles, right: Doubles) -> Doubles:
    """Solve A_k y_k + T sum_j y_j = r_k for all k.

    The published code solves one dense system of k m unknowns. With s = sum_j y_j there are only systems of m: adding
    up y_k = A_k^-1 (r_k - T s) gives s = (I + (sum A_k^-1) T)^-1 sum A_k^-1 r_k.

    Args:
        grams: k x m x m, the A_k.
        last: m x m, T.
        right: k x m, the r_k.

    Returns:
        k x m.
    """
    inverses = np.linalg.inv(grams)
    alone = np.einsum("kij,kj->ki", inverses, right)
    coupling = np.eye(len(last)) + np.sum(inverses, axis=0) @ last
    shared = np.linalg.solve(coupling, alone.sum(axis=0))
    return np.asarray(alone - np.einsum("kij,j->ki", inverses, last @ shared))
