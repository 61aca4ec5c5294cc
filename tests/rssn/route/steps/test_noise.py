from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from rssn.image.arrays import to_uint8
from rssn.route.steps.noise import Noise, add_noise


def test_noise_is_gaussian_of_the_given_strength() -> None:
    noise = add_noise(np.zeros((200, 200, 3), np.float32), 10 / 255, 4) * 255
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(noise.std()) - 10) < 0.1
    assert kstest(noise.ravel() / 10, "norm").pvalue > 1e-3
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1]) < 0.02


def test_noise_follows_its_seed_and_is_not_clipped_here() -> None:
    white = np.ones((20, 30, 3), np.float32)
    first = add_noise(white, 0.1, 2**64 - 1)
    assert np.array_equal(first, add_noise(white, 0.1, 2**64 - 1))
    assert not np.array_equal(first, add_noise(white, 0.1, 5))
    assert first.max() > 1.1
    assert first.dtype == np.float32
    assert to_uint8(first)[first >= 1].min() == 255


def test_the_step_adds_the_noise_of_its_seed() -> None:
    step, image = Noise(sigma=5), np.full((8, 9, 3), 0.5, np.float32)
    drawn = step.draw(np.random.default_rng(0))
    assert drawn["sigma"] == 5.0
    assert drawn["seed"] != step.draw(np.random.default_rng(1))["seed"]
    assert np.array_equal(step.apply(image, drawn), add_noise(image, 5 / 255, drawn["seed"]))
    assert step.describe(drawn) == "sigma 5"
    assert np.array_equal(step.apply(image, drawn | {"sigma": 0.0}), image)
