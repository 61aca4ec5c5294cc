from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import kstest

from rssn.errors import InputError
from rssn.image.arrays import Image, to_uint8
from rssn.route.draw import draw, roll
from rssn.route.recipe import parse_recipe
from rssn.route.steps.grain import Grain, add_grain, demosaic
from rssn.route.transfer import linear, to_linear

_SIDE = 400


def _flat(*colour: float) -> Image:
    return np.broadcast_to(np.float32(colour), (_SIDE, _SIDE, 3)).copy()


def _light_noise(image: Image, sigma: float, read_share: float = 0.01, seed: int = 5) -> Image:
    """What was added, in linear light."""
    return to_linear(add_grain(image, sigma / 255, read_share, seed)) - to_linear(image)


def _sensor_sites(noise: Image) -> dict[str, npt.NDArray[np.float32]]:
    return {"red": noise[::2, ::2, 0], "green": noise[::2, 1::2, 1], "blue": noise[1::2, 1::2, 2]}


def _correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("sigma", [0.5, 4.0])
def test_the_strength_is_what_one_measures_on_mid_grey(sigma: float) -> None:
    noise = (add_grain(_flat(0.5, 0.5, 0.5), sigma / 255, 0.01, 3) - 0.5) * 255
    assert float(np.sqrt((noise**2).mean())) == pytest.approx(sigma, rel=0.01)
    red, green, blue = noise.reshape(-1, 3).std(axis=0)
    assert green / red == pytest.approx(np.sqrt((5 / 8) / (9 / 16)), rel=0.02)
    assert blue == pytest.approx(red, rel=0.02)


@pytest.mark.parametrize("read_share", [0.0, 0.01, 0.3, 1.0])
def test_the_variance_of_a_sensor_is_gain_times_light_plus_read_noise(read_share: float) -> None:
    sigma = 3.0
    levels = np.float32([0.02, 0.1, 0.25, 0.5, 0.7, 0.85])
    light, found = [], []
    for seed, level in enumerate(levels):
        image = _flat(level, level / 2, 1.05 * level)
        for site, channel in zip(
            _sensor_sites(_light_noise(image, sigma, read_share, seed)).values(), range(3), strict=True
        ):
            light.append(linear(float(image[0, 0, channel])))
            found.append(float(site.var(dtype=np.float64)))
    slope = 1.055 / 2.4 * linear(0.5) ** (1 / 2.4 - 1)
    variance = (sigma / 255 / slope) ** 2 * 12 / 7
    expected = variance * (read_share + (1 - read_share) * np.array(light) / linear(0.5))
    assert np.abs(np.array(found) / expected - 1).max() < 0.035  # 40,000 sites: four standard errors of 0.7 % and more
    gain, read = np.polyfit(light, found, 1, w=1 / np.maximum(expected, 1e-9))
    assert gain == pytest.approx(variance * (1 - read_share) / linear(0.5), rel=0.03, abs=1e-2 * variance)
    assert read == pytest.approx(variance * read_share, rel=0.03, abs=2e-4 * variance)


@pytest.mark.parametrize("level", [0.0, 0.004, 0.03, 0.2, 0.6, 0.9, 0.99])
def test_light_keeps_its_mean_also_near_black(level: float) -> None:
    noise = _light_noise(_flat(level, level, level), 5.0)
    deviation = float(noise.std(dtype=np.float64))
    assert deviation > 0
    assert abs(float(noise.mean(dtype=np.float64))) < 4 * 2 * deviation / np.sqrt(noise.size)  # neighbours are alike


def test_it_is_not_clipped_here_and_white_has_none() -> None:
    black, white = (add_grain(_flat(level, level, level), 5 / 255, 0.01, 1) for level in (0.0, 1.0))
    assert black.min() < -0.01
    assert to_uint8(black).min() == 0
    assert np.array_equal(white, _flat(1, 1, 1))
    above = add_grain(_flat(1.1, -0.1, 0.5), 5 / 255, 0.01, 1)
    assert np.abs(above[..., 0] - 1.1).max() < 1e-6
    assert float(to_linear(above[..., 1]).mean()) == pytest.approx(float(to_linear(np.float32([-0.1]))[0]), abs=2e-5)


def test_noise_fades_towards_white_so_that_little_of_it_is_clipped() -> None:
    noise = _light_noise(_flat(0.99, 0.99, 0.99), 20.0)
    left = 1 - linear(0.99)
    assert float(_sensor_sites(noise)["green"].std()) == pytest.approx(left / 2, rel=0.02)


def test_it_is_as_coarse_as_really_demosaiced_noise() -> None:
    mosaic = np.clip(np.random.default_rng(0).normal(30000, 3000, (_SIDE, _SIDE)), 0, 65535).astype(np.uint16)
    real = cv2.demosaicing(mosaic, cv2.COLOR_BayerRGGB2RGB).astype(np.float64)
    assert np.abs(demosaic(mosaic.astype(np.float32)) - real)[2:-2, 2:-2].max() <= 1.0
    real -= real.mean(axis=(0, 1))
    ours = _light_noise(_flat(0.5, 0.5, 0.5), 3.0)
    for channel in range(3):
        for down, across in [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (3, 3)]:
            found, expected = (
                _correlation(one[down:, across:, channel], one[: _SIDE - down, : _SIDE - across, channel])
                for one in (ours, real)
            )
            assert found == pytest.approx(expected, abs=0.02), (channel, down, across)
    assert _correlation(ours[:, 1:, 0], ours[:, :-1, 0]) > 0.5, "the paper's noise has none"


def test_colours_have_noise_of_their_own() -> None:
    noise = _light_noise(_flat(0.5, 0.5, 0.5), 3.0)
    channels = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.03
    chroma = noise[..., 0] - noise[..., 1]
    assert float(chroma.std()) > float(noise[..., 1].std())


def test_a_demosaic_keeps_what_each_pixel_saw_and_flat_colours() -> None:
    colours = np.float32([0.2, 0.5, 0.9])
    mosaic = np.empty((6, 9), np.float32)
    mosaic[::2, ::2], mosaic[1::2, 1::2] = colours[0], colours[2]
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = colours[1]
    assert demosaic(mosaic) == pytest.approx(np.broadcast_to(colours, (6, 9, 3)), abs=1e-6)
    seen = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    full = demosaic(seen)
    assert np.array_equal(full[::2, ::2, 0], seen[::2, ::2])
    assert np.array_equal(full[1::2, 1::2, 2], seen[1::2, 1::2])
    assert full[2, 2, 1] == pytest.approx((seen[1, 2] + seen[3, 2] + seen[2, 1] + seen[2, 3]) / 4)
    assert full[1, 2, 0] == pytest.approx((seen[0, 2] + seen[2, 2]) / 2)
    assert full[0, 1, 1] == seen[0, 1]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5, 3), (4, 1, 3)])
def test_any_size_has_grain(shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 0.5, np.float32)
    made = add_grain(image, 5 / 255, 0.01, 1)
    assert made.shape == shape
    assert 0 < float(np.abs(made - image).max()) < 0.15


def test_noise_follows_its_seed() -> None:
    image = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    first = add_grain(image, 0.02, 0.01, 2**64 - 1)
    assert first.dtype == np.float32
    assert np.array_equal(first, add_grain(image, 0.02, 0.01, 2**64 - 1))
    assert not np.array_equal(first, add_grain(image, 0.02, 0.01, 5))


def test_strengths_are_drawn_on_a_logarithmic_scale() -> None:
    step = Grain(sigma=(1.0, 8.0))
    drawn = [step.draw(np.random.default_rng(seed)) for seed in range(1000)]
    assert kstest(np.log2([one["sigma"] for one in drawn]) / 3, "uniform").pvalue > 1e-3
    assert len({one["seed"] for one in drawn}) == 1000
    assert Grain(sigma=(7.0, 7.0)).draw(np.random.default_rng(0))["sigma"] == 7.0


def test_a_row_makes_the_same_noise_again() -> None:
    recipe = parse_recipe("name: a\nsteps: [blend, {grain: {probability: 1, read_share: 0.2}}]", "mine.yaml")
    (step,) = recipe.steps
    first = draw(recipe, 3, "abc", 1)
    assert roll(recipe, first.seed) == first
    values = first.steps["grain"]
    assert values
    image = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    assert np.array_equal(step.apply(image, values), add_grain(image, values["sigma"] / 255, 0.2, values["seed"]))
    assert step.describe({"sigma": 3.14159, "seed": 1}) == "sigma 3.1"
    assert not step.also_on_layers


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{sigma: [5, 1]}", "sigma is [5, 1]; expected the least before the most"),
        ("{sigma: [0, 1]}", "sigma[0] is 0; expected 0.05 or more"),
        ("{read_share: 1.5}", "read_share is 1.5; expected 1 or less"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(settings: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_recipe(f"name: a\nsteps: [blend, {{grain: {settings}}}]", "mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml: steps.grain: {words}")
