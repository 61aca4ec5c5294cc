from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from tests.train.soft_segments.test_spectrum import graph
from train.soft_segments.graph import matting_laplacian
from train.soft_segments.refine import LayerSystem, refine

LAYERS = 3


def explicit(laplacian: csr_array, weights: np.ndarray) -> np.ndarray:
    """blockdiag(L) + 100 (1 1^T x I) + diag(weights) + I, layer after layer."""
    count = laplacian.shape[0]
    blocks = np.kron(np.eye(LAYERS), laplacian.toarray())
    return blocks + 100 * np.kron(np.ones((LAYERS, LAYERS)), np.eye(count)) + np.diag(weights.T.ravel() + 1)


def test_the_operator_is_the_block_matrix() -> None:
    dice = np.random.default_rng(0)
    laplacian = graph()
    weights = dice.uniform(0, 90, (laplacian.shape[0], LAYERS))
    system, matrix = LayerSystem(laplacian, weights), explicit(laplacian, weights)
    layers = dice.normal(size=weights.shape)
    np.testing.assert_allclose(system.multiply(layers).T.ravel(), matrix @ layers.T.ravel(), rtol=1e-9, atol=1e-9)
    found = system.solve(layers, np.zeros_like(layers), 1000)
    np.testing.assert_allclose(found.T.ravel(), np.linalg.solve(matrix, layers.T.ravel()), atol=1e-5)


def test_layers_become_hard_where_the_picture_is_and_add_up_to_1() -> None:
    image = np.zeros((20, 24, 3), np.float32)
    image[:, 12:] = (0.9, 0.5, 0.1)
    image += np.random.default_rng(0).uniform(0, 0.02, image.shape).astype(np.float32)
    soft = np.full((20, 24, 2), 0.2)
    soft[:, :12, 0] = soft[:, 12:, 1] = 0.8
    found = refine(matting_laplacian(image), soft.reshape(-1, 2), image).reshape(20, 24, 2)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-12)
    assert found.min() >= 0
    assert found[:, :11, 0].mean() > 0.9
    assert found[:, 13:, 1].mean() > 0.9
