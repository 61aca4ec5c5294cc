from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw
from scipy.ndimage import correlate
from scipy.stats import kstest

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.route.recipe import parse_recipe
from rssn.route.steps.bokeh import Bokeh, aperture, aperture_blur
from rssn.route.transfer import to_linear, to_srgb

_SHAPES = [0, 5, 6, 7, 8, 9]


def _point(light: float = 1.0, side: int = 61) -> Image:
    image = np.zeros((side, side, 3), np.float32)
    image[side // 2, side // 2] = to_srgb(np.float32([light]))
    return image


def _places(kernel: Image) -> tuple[Image, Image]:
    y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("blades", _SHAPES)
@pytest.mark.parametrize("radius", [3.0, 11.5, 34.6])
def test_a_kernel_has_sum_one_the_area_of_its_disc_and_no_shift(radius: float, blades: int) -> None:
    kernel = aperture(radius, blades, 17.0)
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert float(kernel.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-6)
    assert 1 / kernel.max() == pytest.approx(math.pi * radius**2, rel=0.02)
    x, y = _places(kernel)
    assert abs(float((kernel * x).sum())) < 0.02
    assert abs(float((kernel * y).sum())) < 0.02


@pytest.mark.parametrize("radius", [3.0, 11.5, 34.6])
def test_a_disc_is_as_wide_as_the_square_that_its_radius_is_named_after(radius: float) -> None:
    kernel = aperture(radius, 0, 0.0)
    x, _ = _places(kernel)
    assert float((kernel * x**2).sum()) == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.01)
    assert np.array_equal(kernel, kernel.T)
    assert np.array_equal(kernel, kernel[::-1])


@pytest.mark.parametrize("blades", _SHAPES[1:])
def test_a_polygon_is_the_one_that_is_drawn_by_its_corners(blades: int) -> None:
    radius, rotation, fine = 30.0, 11.0, 16
    kernel = aperture(radius, blades, rotation)
    outer = math.sqrt(2 * math.pi * radius**2 / blades / math.sin(2 * math.pi / blades))
    angles = np.deg2rad(rotation + 180 / blades + np.arange(blades) * 360 / blades)
    centre = kernel.shape[0] * fine / 2 - 0.5
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * outer * fine + centre
    canvas = PillowImage.new("L", (kernel.shape[0] * fine,) * 2)
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in corners.tolist()], fill=255)
    drawn = np.asarray(canvas.resize(kernel.shape, PillowImage.Resampling.BOX)) / 255
    assert np.abs(kernel / kernel.max() - drawn).max() < 0.15  # Pillow draws the edge itself, a sixteenth of a pixel
    assert np.abs(kernel / kernel.max() - drawn).mean() < 0.005


@pytest.mark.parametrize("radius", [4.0, 12.0])  # filtered directly, and by the discrete Fourier transform
def test_a_bright_point_becomes_a_disc_of_its_light(radius: float) -> None:
    light = to_linear(aperture_blur(_point(), aperture(radius, 0, 0.0), 0.0))
    y, x = np.indices(light.shape[:2]) - 30
    away = np.hypot(x, y)
    level = 1 / (math.pi * radius**2)
    assert np.abs(light[away < radius - 1] - level).max() < 0.01 * level + 1e-6
    assert light[away > radius + 1].max() < 1e-6
    assert float(light[..., 0].sum(dtype=np.float64)) == pytest.approx(1, rel=1e-3)


def test_a_bright_point_becomes_the_aperture_and_not_its_mirror_image() -> None:
    kernel = aperture(12.0, 5, 20.0)
    light = to_linear(aperture_blur(_point(), kernel, 0.0))
    reach = kernel.shape[0] // 2
    seen = light[30 - reach : 31 + reach, 30 - reach : 31 + reach, 1]
    assert np.abs(seen - kernel).max() < 2e-6


@pytest.mark.parametrize("radius", [2.3, 9.0])
def test_light_is_filtered_and_not_its_code_with_mirrored_borders(radius: float) -> None:
    image = np.random.default_rng(0).random((33, 40, 3), dtype=np.float32) * 0.9
    kernel = aperture(radius, 6, 5.0)
    exact = ((image.astype(np.float64) + 0.055) / 1.055) ** 2.4
    exact = np.where(image <= 0.04045, image / 12.92, exact)
    expected = correlate(exact, kernel.astype(np.float64)[::-1, ::-1, None], mode="mirror")
    assert np.abs(to_linear(aperture_blur(image, kernel, 2.0)) - expected).max() < 2e-6
    stripes = np.tile(np.float32([0, 1]), (40, 20))[..., None].repeat(3, axis=2)
    assert aperture_blur(stripes, aperture(9.0, 0, 0.0), 0.0)[20, 20] == pytest.approx(0.735357, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30, 3), (8, 9, 3)])
def test_a_picture_may_be_smaller_than_its_kernel(shape: tuple[int, int, int]) -> None:
    assert np.abs(aperture_blur(np.full(shape, 0.25, np.float32), aperture(34.6, 7, 0.0), 2.0) - 0.25).max() < 2e-6


def test_what_was_clipped_is_brighter_than_white_and_keeps_its_light() -> None:
    kernel = aperture(12.0, 0, 0.0)
    plain, raised = (to_linear(aperture_blur(_point(), kernel, stops)) for stops in (0.0, 3.0))
    assert float(raised.sum(dtype=np.float64)) == pytest.approx(8 * float(plain.sum(dtype=np.float64)), rel=1e-3)
    assert raised[30, 30, 0] == pytest.approx(8 / (math.pi * 144), rel=0.01)


def test_what_was_not_clipped_is_not_raised_and_hue_stays() -> None:
    bright = np.full((9, 9, 3), 248 / 255, np.float32)
    assert np.abs(aperture_blur(bright, aperture(3.0, 0, 0.0), 4.0) - bright).max() < 1e-6
    red = np.zeros((9, 9, 3), np.float32)
    red[..., 0] = 1
    assert np.abs(aperture_blur(red, aperture(3.0, 0, 0.0), 4.0) - red).max() < 1e-6
    lamp = _point()
    lamp[30, 30] = to_srgb(np.float32([1, 1, 0.8]))
    seen = to_linear(aperture_blur(lamp, aperture(9.0, 0, 0.0), 2.0))[30, 30]
    assert seen[2] / seen[0] == pytest.approx(0.8, rel=1e-3)
    assert seen[0] > 2.5 / (math.pi * 81)


def test_a_white_area_stays_white() -> None:
    white = np.ones((40, 40, 3), np.float32)
    assert np.array_equal(aperture_blur(white, aperture(9.0, 0, 0.0), 2.0), white)


def test_radii_are_drawn_on_a_logarithmic_scale_and_shapes_evenly() -> None:
    step = Bokeh(radii=(5.0, 40.0), blades=(0, 7))
    drawn = [step.draw(np.random.default_rng(seed)) for seed in range(1000)]
    octaves = np.log2([one["radius"] / 5 for one in drawn])
    assert kstest(octaves / 3, "uniform").pvalue > 1e-3
    turned = np.array([one["rotation"] for one in drawn if one["blades"]])
    assert 430 < len(turned) < 570
    assert kstest(turned / (360 / 7), "uniform").pvalue > 1e-3
    assert {one["rotation"] for one in drawn if not one["blades"]} == {0.0}
    assert Bokeh(radii=(7.0, 7.0)).draw(np.random.default_rng(0))["radius"] == 7.0


def test_the_step_filters_with_what_it_drew() -> None:
    step, image = Bokeh(highlights=1.0), np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    drawn = {"radius": 4.25, "blades": 7, "rotation": 3.0}
    assert np.array_equal(step.apply(image, drawn), aperture_blur(image, aperture(4.25, 7, 3.0), 1.0))
    assert step.describe(drawn) == "4.2 px, 7 blades"
    assert step.describe(drawn | {"blades": 0}) == "4.2 px, round"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{radii: [40, 5]}", "radii is [40, 5]; expected the least before the most"),
        ("{radii: [0.1, 5]}", "radii[0] is 0.1; expected 0.5 or more"),
        ("{blades: [4]}", "blades[0] is 4; expected one of 0, 5, 6, 7, 8 or 9"),
        ("{highlights: -1}", "highlights is -1; expected 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(settings: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_recipe(f"name: a\nsteps: [{{bokeh: {settings}}}, blend]", "mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml: steps.bokeh: {words}")
