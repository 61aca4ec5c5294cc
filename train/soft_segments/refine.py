"""The second sparsification: every pixel's share of each layer, no longer bound to the eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from rssn.image.arrays import Image

Doubles: TypeAlias = npt.NDArray[np.float64]

_TOGETHER = 100.0  # weight on layers that do not add up to 1
_ROUNDS = 20
_LEAST = 0.01
_TOLERANCE = 1e-6
_SIGMA, _TRUNCATE = 1.5, 4.0  # px; of derivatives of 13 taps


@dataclass(frozen=True)
class LayerSystem:
    """blockdiag(L) + 100 (1 1^T x I) + diag(weights) + I on all layers at once, never built as a matrix.

    Attributes:
        laplacian: n x n.
        weights: n x k, not negative.
    """

    laplacian: csr_array
    weights: Doubles

    def multiply(self, layers: Doubles) -> Doubles:
        """The product with layers, n x k."""
        shared = _TOGETHER * layers.sum(axis=1, keepdims=True)
        return np.asarray(self.laplacian @ layers + shared + (self.weights + 1) * layers)

    def solve(self, right: Doubles, start: Doubles, steps: int) -> Doubles:
        """By conjugate gradients, with the diagonal as preconditioner.

        Args:
            right: n x k.
            start: n x k.
            steps: At most.
        """
        shape, size = self.weights.shape, self.weights.size
        diagonal = self.laplacian.diagonal()[:, None] + _TOGETHER + self.weights + 1
        scale = 1 / diagonal.ravel()
        operator = LinearOperator(
            (size, size), matvec=lambda flat: self.multiply(flat.reshape(shape)).ravel(), dtype=np.float64
        )
        jacobi = LinearOperator((size, size), matvec=lambda flat: scale * flat, dtype=np.float64)
        found, _ = cg(operator, right.ravel(), start.ravel(), rtol=_TOLERANCE, maxiter=steps, M=jacobi)
        return np.asarray(found).reshape(shape)


def refine(laplacian: csr_array, layers: npt.NDArray[np.floating], image: Image) -> Doubles:
    """Push layers to 0 and 1, less so where the picture has edges, along the graph.

    Args:
        laplacian: n x n.
        layers: n x k, which add up to 1.
        image: H x W x 3 RGB in [0, 1], n pixels.

    Returns:
        n x k in [0, 1]; they add up to 1.
    """
    first = _decided(layers.astype(np.float64))
    power = _edges(image).reshape(-1, 1) - 2
    current = first
    for _ in range(_ROUNDS):
        weights_zero = np.maximum(np.abs(current), _LEAST) ** power
        weights_one = np.maximum(np.abs(1 - current), _LEAST) ** power
        system = LayerSystem(laplacian, weights_zero + weights_one)
        current = system.solve(weights_one + first + _TOGETHER, current, 100)
    last = LayerSystem(laplacian, np.zeros_like(first)).solve(current + _TOGETHER, current, 1000)
    return _shares(np.clip(last, 0, 1))


def _decided(layers: Doubles) -> Doubles:
    """What is nearly 0 or 1 is so."""
    decided = np.where(layers < 0.1, 0.0, np.where(layers > 0.9, 1.0, layers))
    return _shares(decided)


def _shares(layers: Doubles) -> Doubles:
    return np.asarray(layers / layers.sum(axis=1, keepdims=True))


def _edges(image: Image) -> Doubles:
    """H x W in [0.9, 1]: the exponent of sparsity, by the length of the colours' gradient."""
    colours = image.astype(np.float64)
    slopes = [
        gaussian_filter(colours, _SIGMA, order=order, mode="nearest", truncate=_TRUNCATE, axes=(0, 1))
        for order in ((0, 1), (1, 0))
    ]
    length = np.sqrt((slopes[0] ** 2 + slopes[1] ** 2).sum(axis=2))
    return np.asarray(np.minimum(length, 0.1) + 0.9)
