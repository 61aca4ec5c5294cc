from __future__ import annotations

import builtins
import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from rssn.errors import DependencyError
from train.soft_segments.graph import (
    Superpixels,
    build_laplacian,
    colour_affinity,
    find_superpixels,
    matting_laplacian,
    semantic_affinity,
)

DICE = np.random.default_rng(3)
HEIGHT, WIDTH = 8, 10


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return DICE.uniform(0, 1, (HEIGHT, WIDTH, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Two regions, nearly the same within each."""
    base = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    base[:, WIDTH // 2 :] = 0.8
    return base + DICE.uniform(0, 0.1, base.shape).astype(np.float32)


@pytest.fixture(scope="module")
def superpixels() -> Superpixels:
    """Squares of 2 x 2 px."""
    rows, columns = np.indices((HEIGHT, WIDTH)) // 2
    labels = rows * (WIDTH // 2) + columns
    places = np.array([(2 * (k // (WIDTH // 2)) + 0.5, 2 * (k % (WIDTH // 2)) + 0.5) for k in range(20)])
    return Superpixels(labels, places)


def matting_by_loops(image: np.ndarray) -> np.ndarray:
    """D - W, W_ij = sum over windows of (1 + (I_i - m)^T (S + eps/9)^-1 (I_j - m)) / 9."""
    count = HEIGHT * WIDTH
    affinity = np.zeros((count, count))
    for y in range(1, HEIGHT - 1):
        for x in range(1, WIDTH - 1):
            window = [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            colours = np.array([image[place] for place in window], dtype=np.float64)
            mean = colours.mean(axis=0)
            inverse = np.linalg.inv((colours - mean).T @ (colours - mean) / 9 + 1e-7 / 9 * np.eye(3))
            for i, one in enumerate(window):
                for j, other in enumerate(window):
                    value = (1 + (colours[i] - mean) @ inverse @ (colours[j] - mean)) / 9
                    affinity[one[0] * WIDTH + one[1], other[0] * WIDTH + other[1]] += value
    return np.diag(affinity.sum(axis=1)) - affinity


def test_the_matting_laplacian_is_that_of_the_formula(image: np.ndarray) -> None:
    found = matting_laplacian(image)
    np.testing.assert_allclose(found.toarray(), matting_by_loops(image), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-9)


@pytest.mark.slow
def test_the_matting_laplacian_is_pymattings() -> None:
    pymatting = pytest.importorskip("pymatting.laplacian.cf_laplacian")
    image = DICE.uniform(0, 1, (30, 40, 3)).astype(np.float32)
    expected = pymatting.cf_laplacian(image.astype(np.float64), epsilon=1e-7, radius=1)
    assert abs(matting_laplacian(image) - expected).max() < 1e-6


def test_affinities_at_distances_known_by_hand() -> None:
    distances = np.array([0.0, 0.15, 0.3, 1.0])
    np.testing.assert_allclose(semantic_affinity(distances), [math.erf(3), 0, -math.erf(3), -1], atol=1e-12)
    np.testing.assert_allclose(colour_affinity(np.array([0.0, 0.05, 0.1])), [1, 0.5, 0], atol=1e-3)


def test_a_superpixel_stands_at_its_centroid_and_knows_its_neighbours(superpixels: Superpixels) -> None:
    assert superpixels.nodes[:2].tolist() == [0, 2]  # 0.5 is rounded to 0, 2.5 to 2
    neighbours = {tuple(pair) for pair in superpixels.adjacent().tolist()}
    assert neighbours == {(a, b) for a, b in combinations(range(20), 2) if (b == a + 5) or (b == a + 1 and a % 5 != 4)}
    values = np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH, 1)
    assert superpixels.means(values)[0] == pytest.approx((0 + 1 + 10 + 11) / 4)


def test_the_laplacian_is_that_of_the_three_affinities_by_loops(
    image: np.ndarray, features: np.ndarray, superpixels: Superpixels
) -> None:
    def mean(values: np.ndarray, region: int) -> np.ndarray:
        return values[superpixels.labels == region].astype(np.float64).mean(axis=0)

    affinity = np.zeros((HEIGHT * WIDTH, HEIGHT * WIDTH))
    for a, b in combinations(range(20), 2):
        places = np.array([superpixels.centroids[k] / (HEIGHT, WIDTH) for k in (a, b)])
        weight = 0.0
        if np.abs(superpixels.centroids[a] - superpixels.centroids[b]).sum() == 2:  # they touch
            weight += 0.01 * math.erf(20 * (1 - np.linalg.norm(mean(features, a) - mean(features, b)) - 0.85))
        if np.linalg.norm(places[0] - places[1]) < 0.2:
            weight += 0.01 * (math.erf(50 * (1 - np.linalg.norm(mean(image, a) - mean(image, b)) - 0.95)) + 1) / 2
        first, second = superpixels.nodes[[a, b]]
        affinity[first, second] += weight
        affinity[second, first] += weight
    expected = matting_by_loops(image) + np.diag(affinity.sum(axis=1)) - affinity
    found = build_laplacian(image, features, superpixels)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-9)
    assert abs(found - found.T).max() == 0
    assert affinity.min() < 0, "features that differ push apart"


def test_superpixels_keep_to_colours() -> None:
    image = np.zeros((32, 48, 3), np.float32)
    image[:, 20:] = 1
    found = find_superpixels(image, 40)
    assert 20 <= found.labels.max() + 1 <= 60
    means = found.means(image)
    assert np.all((means < 0.01) | (means > 0.99))
    assert find_superpixels(image, 2500).labels.max() + 1 <= 32 * 48 / 8 * 1.2


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(
        DependencyError, match=r"--method sss: scikit-image is not installed: pip install 'rssn\[sss\]'"
    ):
        find_superpixels(np.zeros((16, 16, 3), np.float32), 4)
