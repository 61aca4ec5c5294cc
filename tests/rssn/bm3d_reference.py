"""BM3D as the articles write it: one reference block after the other, float64, no vectors, no tiles, no 16-bit ints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn

Array = npt.NDArray[np.float64]

KAISER = np.outer(np.kaiser(8, 2), np.kaiser(8, 2))


def slow_bm3d(planes: Array, sigma: float, factors: dict[str, tuple[float, float]]) -> Array:
    """Denoise C x H x W planes in opponent space; both sides are 8 and a multiple of 3."""
    basic = _stage(planes, planes, sigma, factors, wiener=False)
    return _stage(planes, basic, sigma, factors, wiener=True)


def _stage(noisy: Array, guide: Array, sigma: float, factors: dict[str, tuple[float, float]], *, wiener: bool) -> Array:
    sums, weights = np.zeros_like(noisy), np.zeros_like(noisy)
    height, width = noisy.shape[1:]
    luma = np.rint(4 * (guide[0] - 127.5 * np.sqrt(len(guide)))) / 4  # blocks are compared in quarters of a grey level
    for y in range(0, height - 7, 3):
        for x in range(0, width - 7, 3):
            places = _match(luma, y, x, 32 if wiener else 16, factors["overlap"][wiener] * sigma**2)
            for c in range(len(noisy)):
                groups = [np.stack([image[c, a : a + 8, b : b + 8] for a, b in places]) for image in (noisy, guide)]
                factor = factors["noise" if wiener else "threshold"][min(c, 1)]
                blocks, weight = _wiener(*groups, factor * sigma**2) if wiener else _hard(groups[0], factor * sigma)
                for (a, b), block in zip(places, blocks, strict=True):
                    sums[c, a : a + 8, b : b + 8] += weight * KAISER * block
                    weights[c, a : a + 8, b : b + 8] += weight * KAISER
    return sums / weights


def _match(luma: Array, y: int, x: int, most: int, penalty: float) -> list[tuple[int, int]]:
    """The most similar blocks, nearest first where they are equal; where there are fewer, the block itself again."""
    block, found = luma[y : y + 8, x : x + 8], []
    for a in range(max(0, y - 19), min(luma.shape[0] - 8, y + 19) + 1):
        for b in range(max(0, x - 19), min(luma.shape[1] - 8, x + 19) + 1):
            shared = max(0, 8 - abs(a - y)) * max(0, 8 - abs(b - x)) if (a, b) != (y, x) else 0
            distance = np.float32(np.sum((luma[a : a + 8, b : b + 8] - block) ** 2) + penalty * shared)
            rounded = int(distance.view(np.int32)) >> 11
            found.append((rounded, (a - y) ** 2 + (b - x) ** 2, a, b))
    found.sort()
    return [(a, b) for *_, a, b in found[:most]] + [(y, x)] * (most - len(found))


def _haar(size: int) -> Array:
    """The orthonormal Haar matrix."""
    if size == 1:
        return np.ones((1, 1))
    coarse = np.kron(_haar(size // 2), [[1, 1]])
    return np.concatenate([coarse, np.kron(np.eye(size // 2), [[1, -1]])]) / np.sqrt(2)


def _forward(group: Array) -> Array:
    return np.tensordot(_haar(len(group)), dctn(group, axes=(1, 2), norm="ortho"), 1)


def _inverse(coefficients: Array) -> Array:
    blocks: Array = idctn(np.tensordot(_haar(len(coefficients)).T, coefficients, 1), axes=(1, 2), norm="ortho")
    return blocks


def _hard(noisy: Array, limit: float) -> tuple[Array, float]:
    coefficients = _forward(noisy)
    kept = np.abs(coefficients) > limit
    return _inverse(coefficients * kept), 1 / max(1, int(kept.sum()))


def _wiener(noisy: Array, basic: Array, variance: float) -> tuple[Array, float]:
    power = _forward(basic) ** 2
    attenuation = power / (power + variance)
    return _inverse(_forward(noisy) * attenuation), 1 / max(1e-3, float((attenuation**2).sum()))
