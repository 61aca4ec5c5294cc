from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from rssn.errors import Rejected
from train.soft_segments.graph import Superpixels, build_laplacian
from train.soft_segments.spectrum import find_spectrum


def graph(seed: int = 0) -> csr_array:
    """Of 18 x 20 px, two halves whose colours hardly differ in themselves; indefinite, as features push apart."""
    dice = np.random.default_rng(seed)
    image = dice.uniform(0, 0.02, (18, 20, 3)).astype(np.float32)
    image[:, 10:] += 0.7
    features = np.zeros_like(image)
    features[:, 10:] = 1
    rows, columns = np.indices((18, 20)) // 3
    labels = np.unique(rows * 7 + columns, return_inverse=True)[1].reshape(18, 20)
    count = np.bincount(labels.ravel())
    places = [np.bincount(labels.ravel(), weights=each.ravel()) / count for each in np.indices((18, 20))]
    return build_laplacian(image, features, Superpixels(labels, np.stack(places, axis=1)))


def test_eigenvalues_are_those_of_smallest_magnitude_by_a_dense_solver() -> None:
    laplacian = graph()
    found = find_spectrum(laplacian, 12, seed=0)
    values = np.linalg.eigvalsh(laplacian.toarray())
    assert values.min() < -1e-4, "indefinite"
    nearest = values[np.argsort(np.abs(values + 1e-5))[:12]]
    np.testing.assert_allclose(np.sort(found.values), np.sort(nearest), rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(12), atol=1e-6)
    np.testing.assert_allclose(laplacian @ found.vectors, found.vectors * found.values, atol=1e-4)


def test_the_same_seed_gives_the_same_vectors() -> None:
    laplacian = graph()
    first, again = (find_spectrum(laplacian, 6, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, again.vectors)


def test_a_matrix_without_factors_is_refused() -> None:
    singular = csr_array(np.diag(np.full(9, -1e-5)))
    with pytest.raises(Rejected, match="no_eigenvectors"):
        find_spectrum(singular, 3, seed=0)
