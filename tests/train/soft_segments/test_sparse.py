from __future__ import annotations

import numpy as np
import pytest

from train.soft_segments.sparse import solve_coupled, sparsify, weighted_grams
from train.soft_segments.spectrum import Spectrum

PIXELS, VECTORS = 60, 7


@pytest.fixture
def spectrum() -> Spectrum:
    """Orthonormal vectors, the first of them constant, as 1 is in the null space of a Laplacian."""
    dice = np.random.default_rng(2)
    given = np.column_stack([np.ones(PIXELS), dice.normal(size=(PIXELS, VECTORS - 1))])
    return Spectrum(np.linspace(0, 1e-2, VECTORS), np.linalg.qr(given)[0])


def test_grams_are_products_with_a_diagonal(spectrum: Spectrum) -> None:
    weights = 10.0 ** np.random.default_rng(0).uniform(-1, 11, (PIXELS, 3))
    found = weighted_grams(spectrum.vectors, weights)
    for layer in range(3):
        expected = spectrum.vectors.T @ np.diag(weights[:, layer]) @ spectrum.vectors
        np.testing.assert_allclose(found[layer], expected, rtol=1e-9, atol=1e-12 * weights.max())


@pytest.mark.parametrize("layers", [2, 5])
def test_the_shortcut_is_the_dense_system(layers: int) -> None:
    dice = np.random.default_rng(layers)

    def positive() -> np.ndarray:
        factor = dice.normal(size=(VECTORS, VECTORS))
        return factor @ factor.T + np.eye(VECTORS)

    grams, last = np.stack([positive() for _ in range(layers - 1)]), positive()
    right = dice.normal(size=(layers - 1, VECTORS))
    dense = np.kron(np.ones((layers - 1, layers - 1)), last)
    for k, gram in enumerate(grams):
        dense[k * VECTORS : (k + 1) * VECTORS, k * VECTORS : (k + 1) * VECTORS] += gram
    expected = np.linalg.solve(dense, right.ravel()).reshape(right.shape)
    np.testing.assert_allclose(solve_coupled(grams, last, right), expected, rtol=1e-9)


def test_a_round_minimises_the_weighted_energy(spectrum: Spectrum) -> None:
    """Over all layers at once, by numpy's least squares in the coefficients of all layers but the last."""
    labels = np.arange(PIXELS) % 3
    first = np.eye(3)[labels]
    strength = 0.3**0.8
    e_one, e_zero = (strength * np.maximum(np.abs(first - c), 1e-10) ** -1.2 for c in (1, 0))
    vectors, roots = spectrum.vectors, np.diag(np.sqrt(spectrum.values)) @ spectrum.vectors.T
    rows, wanted = [], []
    for k in range(3):
        layer = [vectors if j == k else 0 * vectors for j in range(2)] if k < 2 else [-vectors, -vectors]
        offset = 1.0 if k == 2 else 0.0
        for weights, target in ((e_one[:, k], 1.0), (e_zero[:, k], 0.0)):
            rows.append(np.sqrt(weights)[:, None] * np.hstack(layer))
            wanted.append(np.sqrt(weights) * (target - offset))
        rows.append(roots @ np.hstack(layer))
        wanted.append(np.zeros(VECTORS) - roots @ np.full(PIXELS, offset))
    scale = 1e-4  # least squares of rows with weights from 1 to 1e5
    solved = np.linalg.lstsq(np.vstack(rows) * scale, np.concatenate(wanted) * scale, rcond=None)[0].reshape(2, VECTORS)
    expected = (vectors @ solved.T).T
    found = sparsify(spectrum, labels, rounds=1)
    np.testing.assert_allclose(found[:, :2].T, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


def test_layers_become_nearly_hard_along_vectors_that_are(spectrum: Spectrum) -> None:
    """In the span of three indicators all can be 0 or 1; a fourth cluster of one pixel has no vector: dropped."""
    truth = np.repeat(np.arange(3), PIXELS // 3)
    indicators = np.eye(3)[truth]
    hard = Spectrum(np.zeros(3), indicators / np.linalg.norm(indicators, axis=0))
    labels = truth.copy()
    labels[5] = 3
    found = sparsify(hard, labels)
    assert found.shape == (PIXELS, 3)
    np.testing.assert_allclose(np.sort(found, axis=1), np.tile([0.0, 0.0, 1.0], (PIXELS, 1)), atol=1e-3)
    assert [int(found[truth == k].mean(axis=0).argmax()) for k in range(3)] == [0, 1, 2]
