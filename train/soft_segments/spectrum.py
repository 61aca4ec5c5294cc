"""Eigenvectors of a graph's Laplacian: those of the smallest magnitude, by shift and invert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh, splu

from rssn.errors import Rejected, first_line

Doubles: TypeAlias = npt.NDArray[np.float64]

_SHIFT = 1e-5
_TOLERANCE = 1e-3  # gives eigenvalues to six digits


@dataclass(frozen=True)
class Spectrum:
    """The smallest eigenvalues of a Laplacian and their vectors."""

    values: Doubles  # m
    vectors: Doubles  # n x m, orthonormal columns


def find_spectrum(laplacian: csr_array, count: int, seed: int) -> Spectrum:
    """The eigenvectors of the smallest magnitude.

    The Laplacian is indefinite, so that there is no Cholesky factor; a factor of L + 1e-5 takes most of the memory.

    Args:
        laplacian: n x n, symmetric.
        count: How many; fewer where there are hardly as many pixels.
        seed: Of the start.

    Raises:
        Rejected: If the Laplacian has no factors, or no eigenvectors are found.
    """
    size = laplacian.shape[0]
    start = np.random.default_rng(seed).uniform(-1, 1, size)
    shifted = csc_array(laplacian + _SHIFT * eye_array(size))
    try:
        factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        inverse = LinearOperator((size, size), matvec=factors.solve, dtype=np.float64)
        values, vectors = eigsh(
            laplacian, min(count, size - 2), sigma=-_SHIFT, which="LM", OPinv=inverse, tol=_TOLERANCE, v0=start
        )
    except (ArpackError, RuntimeError) as error:
        raise Rejected("segment", "no_eigenvectors", first_line(error)) from error
    return Spectrum(values, np.ascontiguousarray(vectors))
