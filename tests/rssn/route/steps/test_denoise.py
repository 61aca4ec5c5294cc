from __future__ import annotations

import numpy as np

from rssn.route.denoise import backend_version, denoise
from rssn.route.noise_level import estimate_sigma
from rssn.route.steps.denoise import Denoise

_NOISY = np.clip(np.random.default_rng(0).normal(0.5, 0.05, (40, 48, 3)), 0, 1).astype(np.float32)


def test_a_strength_of_the_recipe_asks_for_no_photograph() -> None:
    def photograph() -> np.ndarray:
        raise AssertionError("nobody needs it")

    assert Denoise(sigma=12).measure(photograph) == {"sigma": 12.0}


def test_an_automatic_strength_is_the_photographs_own() -> None:
    assert Denoise(sigma="auto").measure(lambda: _NOISY) == {"sigma": round(2550 * estimate_sigma(_NOISY)) / 10}


def test_the_step_denoises_with_the_backend_that_it_stores() -> None:
    step = Denoise(sigma=12, backend="nlmeans")
    values = {**step.draw(np.random.default_rng(0)), **step.measure(lambda: _NOISY)}
    assert values == {"backend": "nlmeans", "sigma": 12.0}
    assert np.array_equal(step.apply(_NOISY, values), denoise(_NOISY, 12 / 255, "nlmeans"))
    assert step.versions() == backend_version("nlmeans")


def test_it_is_told_with_the_strength_of_each_layer() -> None:
    step = Denoise()
    assert step.describe({"backend": "native"}) == "native"
    assert (
        step.describe({"backend": "native", "foreground_sigma": 10.0, "background_sigma": 10.0}) == "native, sigma 10"
    )
    assert step.describe({"backend": "bm3d", "foreground_sigma": 3.5, "background_sigma": 7.0}) == (
        "bm3d, sigma 3.5 and 7"
    )


def test_the_reference_package_needs_more_memory_and_time() -> None:
    assert Denoise(backend="bm3d").bytes_per_pixel > Denoise().bytes_per_pixel
    assert Denoise(backend="bm3d").cpu_seconds > Denoise().cpu_seconds
