from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.image.arrays import Image, encode_pixels, to_float, to_uint8
from rssn.image.compression import of_quality
from rssn.route.observed import Observation, Observed, observe, spread_of
from rssn.route.step import Step
from rssn.route.steps import shipped_steps
from rssn.route.steps.blur import Blur, box_blur
from rssn.route.steps.bokeh import Bokeh, aperture, aperture_blur
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.grain import Grain, add_grain
from rssn.route.steps.jpeg import Jpeg
from rssn.route.steps.match_grain import MatchGrain
from rssn.route.steps.noise import Noise
from tests.rssn.route.test_sharpness import discs, edges


def seen(compression: object = None, grain: float | None = None, front: float = 1.0, back: float = 1.0) -> Observation:
    return Observation(compression, grain, front, back)  # type: ignore[arg-type]


def test_a_photograph_is_read() -> None:
    rng = np.random.default_rng(0)
    picture = np.concatenate([edges(1.0), edges(4.0)], axis=1)
    picture = np.clip(picture + rng.normal(0, 2 / 255, picture.shape), 0, 1).astype(np.float32)
    alpha = np.zeros(picture.shape[:2], np.float32)
    alpha[:, :256] = 1
    alpha[:, 240:272] = 0.5  # where the two meet
    file = io.BytesIO()
    PillowImage.fromarray(to_uint8(picture)).save(file, "JPEG", quality=98, subsampling=2)
    found = observe(file.getvalue(), to_float(to_uint8(picture)), alpha)
    assert found.compression == of_quality(98, "4:2:0")
    assert found.grain == pytest.approx(2, rel=0.1)
    assert found.foreground_spread == pytest.approx(1.0, rel=0.2)
    assert found.background_spread == pytest.approx(4.0, rel=0.2)
    assert Observed([found]).defocus() == [pytest.approx(15**0.5, rel=0.25)]
    lossless = io.BytesIO()
    PillowImage.fromarray(to_uint8(picture)).save(lossless, "PNG")
    assert observe(lossless.getvalue(), picture, alpha).compression is None


def test_what_nobody_can_say_is_left_out() -> None:
    photographs = Observed([Observation(None, None, None, 3.0), seen(grain=2.0, front=2.0, back=1.0), seen(grain=1.0)])
    assert photographs.grain() == [1.0, 2.0]
    assert photographs.defocus() == [0.0, 0.0]
    assert photographs.compressions() == []


def test_a_range_holds_most_values() -> None:
    assert spread_of(range(101)) == (10.0, 90.0)


def test_jpegs_qualities_are_the_photographs() -> None:
    files = [of_quality(90, "4:2:0"), of_quality(95, "4:4:4"), None, of_quality(92, "4:2:0")]
    step = Jpeg().fitted_to(Observed([seen(one) for one in files]))
    assert isinstance(step, Jpeg)
    assert (step.quality, step.subsampling, step.tables, step.probability) == ((90, 95), ("4:2:0", "4:4:4"), (), 0.75)


def test_tables_that_are_not_libjpegs_are_taken_over() -> None:
    odd = of_quality(90, "4:2:0")
    odd = type(odd)(tuple(min(255, value + 1 + n % 3) for n, value in enumerate(odd.luma)), odd.chroma)
    step = Jpeg().fitted_to(Observed([seen(odd), seen(of_quality(90, "4:2:0")), seen(odd)]))
    assert isinstance(step, Jpeg)
    assert (step.tables, step.quality, step.probability) == ((odd, of_quality(90, "4:2:0")), None, 1.0)


def test_photographs_without_compression_take_none() -> None:
    assert Jpeg().fitted_to(Observed([seen(), seen()])).probability == 0


def test_blurs_are_as_wide_and_as_frequent_as_the_photographs() -> None:
    photographs = Observed([seen(front=1.0, back=1.0)] * 2 + [seen(front=0.0, back=float(size)) for size in (5, 6, 7)])
    blur, bokeh = Blur().fitted_to(photographs), Bokeh().fitted_to(photographs)
    assert isinstance(blur, Blur)
    assert isinstance(bokeh, Bokeh)
    assert (blur.sizes, blur.probability) == ((18, 19, 21, 22, 24), 0.6)  # sqrt(12) times 5.2 to 6.8
    assert (bokeh.radii, bokeh.probability) == ((10.4, 13.6), 0.6)
    sharp = Observed([seen(), seen()])
    assert (Blur().fitted_to(sharp).probability, Bokeh().fitted_to(sharp).probability) == (0, 0)
    nothing = Observed([Observation(None, None, None, None)])
    assert (Blur().fitted_to(nothing), Bokeh().fitted_to(nothing)) == (Blur(), Bokeh())


def before(background: Image, noise: float) -> Observed:
    """A photograph of sharp discs before a background."""
    both = np.concatenate([discs()[:, :400], background], axis=1)
    picture = both + np.random.default_rng(0).normal(0, noise / 255, both.shape)
    alpha = np.zeros(both.shape[:2], np.float32)
    alpha[:, :400] = 1
    file = encode_pixels(".png", np.zeros((8, 8, 3), np.uint8), [])
    return Observed([observe(file, to_float(to_uint8(picture.astype(np.float32))), alpha)])


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("size", [8, 16, 30, 60])
def test_the_kernel_of_a_background_is_found_again(size: int, noise: float) -> None:
    step = Blur().fitted_to(before(box_blur(discs(), size), noise))
    assert isinstance(step, Blur)
    assert step.probability == 1
    assert step.sizes == (pytest.approx(size, rel=0.25),)


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("radius", [4, 8, 16, 24])
def test_the_aperture_of_a_background_is_found_again(radius: int, noise: float) -> None:
    step = Bokeh().fitted_to(before(aperture_blur(discs(), aperture(radius, 0, 0.0), 0.0), noise))
    assert isinstance(step, Bokeh)
    assert step.probability == 1
    assert step.radii == pytest.approx((radius, radius), rel=0.25)


def test_noise_and_grain_are_the_photographs() -> None:
    photographs = Observed([seen(grain=float(level)) for level in range(1, 12)])
    noise, grain = Noise().fitted_to(photographs), Grain().fitted_to(photographs)
    assert isinstance(noise, Noise)
    assert isinstance(grain, Grain)
    assert noise.sigma == 6.0
    assert grain.sigma == pytest.approx((2.0 / 0.4072, 10.0 / 0.4072), rel=0.001), "of coarser noise there is more"
    assert Grain().fitted_to(Observed([seen()])) == Grain()


@pytest.mark.parametrize("light", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 5.0])
def test_grain_is_found_again(sigma: float, light: float) -> None:
    """Off mid grey it is a little stronger or weaker, as a sensor's is."""
    picture = add_grain(np.full((320, 320, 3), light, np.float32), sigma / 255, 0.01, 3)
    opaque = np.ones((320, 320), np.float32)
    step = Grain().fitted_to(
        Observed([observe(encode_pixels(".png", np.zeros((8, 8, 3), np.uint8), []), picture, opaque)])
    )
    assert isinstance(step, Grain)
    assert step.sigma == pytest.approx((sigma, sigma), rel=0.03 if light == 0.5 else 0.15)


@pytest.mark.parametrize("name", list(shipped_steps()))
def test_variations_are_other_steps_of_the_same_kind(name: str) -> None:
    step: Step = shipped_steps()[name]()
    others = list(step.variations())
    assert {type(one) for one in others} == {type(step)}
    assert step not in others
    assert {one.probability for one in others} >= {0.0, 0.25, 0.75, 1.0}


def test_settings_are_varied_by_factors_as_far_as_they_may() -> None:
    assert {one.sigma for one in Noise(sigma=200.0).variations()} == {100.0, 140.0, 200.0}
    assert {one.sizes for one in Blur(sizes=(20, 3)).variations()} == {(20, 3), (10, 2), (14, 2), (28, 4), (40, 6)}
    assert {one.sigma for one in Denoise(sigma="auto").variations()} == {"auto"}
    assert {one.sigma for one in MatchGrain().variations()} == {"other"}
    assert {(65, 95), (70, 90), (80, 100)} <= {one.quality for one in Jpeg(quality=(75, 95)).variations()}
    assert (95, 105) not in {one.quality for one in Jpeg(quality=(90, 100)).variations()}
