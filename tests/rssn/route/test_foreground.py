from __future__ import annotations

import numpy as np
import pymatting
import pytest

from rssn.errors import InputError
from rssn.image.arrays import Alpha, Image
from rssn.kernels.closed_form import native as closed_form
from rssn.route.foreground import REGULARIZATION, ForegroundMethod, estimate_foreground, estimate_layers
from rssn.storage.machine import picture_threads

_METHODS: list[ForegroundMethod] = ["levin", "multilevel"]


def _blend(foreground: Image, background: Image, alpha: Alpha) -> Image:
    share = alpha[:, :, None]
    return np.asarray(share * foreground + (1 - share) * background, np.float32)


def _scene(height: int = 80, width: int = 96) -> tuple[Image, Alpha, Image, Image]:
    """Photograph, alpha, F, B: smooth layers of different colour and a soft disc between them."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    foreground = np.stack([0.8 - 0.1 * x / width, 0.25 + 0.1 * y / height, np.full_like(x, 0.2)], axis=2)
    background = np.stack([np.full_like(x, 0.1), 0.4 + 0.2 * x / width, 0.75 - 0.2 * y / height], axis=2)
    radius = np.hypot(x - width / 2, y - height / 2)
    alpha = np.clip((30 - radius) / 16, 0, 1).astype(np.float32)
    return _blend(foreground, background, alpha), alpha, foreground, background


@pytest.mark.parametrize("method", _METHODS)
def test_known_pixels_are_the_photograph(method: ForegroundMethod) -> None:
    image, alpha, _, _ = _scene()
    foreground, background = estimate_foreground(image, alpha, method)
    assert np.array_equal(foreground[alpha == 1], image[alpha == 1])
    assert np.array_equal(background[alpha == 0], image[alpha == 0])
    for layer in (foreground, background):
        assert layer.dtype == np.float32
        assert layer.shape == image.shape
        assert layer.min() >= 0
        assert layer.max() <= 1


@pytest.mark.parametrize(("method", "worst", "mean"), [("levin", 0.01, 0.001), ("multilevel", 0.06, 0.01)])
def test_the_layers_blend_back_to_the_photograph(method: ForegroundMethod, worst: float, mean: float) -> None:
    image, alpha, _, _ = _scene()
    residual = np.abs(_blend(*estimate_foreground(image, alpha, method), alpha) - image)
    assert residual.max() <= worst
    assert residual.mean() <= mean


@pytest.mark.parametrize(("method", "bound"), [("levin", 0.025), ("multilevel", 0.08)])
def test_exact_layers_are_recovered(method: ForegroundMethod, bound: float) -> None:
    image, alpha, foreground, background = _scene()
    found_f, found_b = estimate_foreground(image, alpha, method)
    assert np.abs(found_f - foreground)[alpha > 0.1].max() <= bound
    assert np.abs(found_b - background)[alpha < 0.9].max() <= bound


def test_threads_of_a_picture_change_no_byte_and_are_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    image, alpha, _, _ = _scene(300, 260)
    real, taken = closed_form.solve, list[int]()

    def watched(image: Image, alpha: Alpha, regularization: float, threads: int) -> closed_form.Solution:
        taken.append(threads)
        return real(image, alpha, regularization, threads)

    monkeypatch.setattr(closed_form, "solve", watched)
    once = estimate_foreground(image, alpha)
    with picture_threads(3):
        several = estimate_foreground(image, alpha)
    for found in (several, estimate_foreground(image, alpha, threads=2)):
        assert [layer.tobytes() for layer in found] == [layer.tobytes() for layer in once]
    assert taken == [1, 3, 2]
    with pytest.raises(InputError, match="threads is 0; expected 1 or more"):
        estimate_foreground(image, alpha, threads=0)


def test_levin_is_pymattings_closed_form_solved_to_the_end() -> None:
    image, alpha, _, _ = _scene()
    expected = pymatting.estimate_foreground_cf(
        image.astype(np.float64), alpha.astype(np.float64), REGULARIZATION, rtol=1e-9, return_background=True
    )
    band = (alpha > 0) & (alpha < 1)
    for found, reference, share in zip(estimate_foreground(image, alpha), expected, (alpha, 1 - alpha), strict=True):
        assert (share[:, :, None] * np.abs(found - reference))[band].max() <= 0.5 / 255


def test_the_original_background_does_not_stay_in_the_foreground() -> None:
    image, alpha, foreground, _ = _scene()
    band = (alpha > 0.1) & (alpha < 0.9)
    found, _ = estimate_foreground(image, alpha)
    assert np.abs(found - foreground)[band].mean() < 0.05 * np.abs(image - foreground)[band].mean()


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_constant_alpha_keeps_the_photograph(method: ForegroundMethod, share: float) -> None:
    image, alpha, _, _ = _scene(12, 10)
    foreground, background = estimate_foreground(image, np.full_like(alpha, share), method)
    assert np.array_equal(foreground, image)
    assert np.array_equal(background, image)
    assert not np.shares_memory(foreground, background)
    assert not np.shares_memory(foreground, image)


def test_a_grey_photograph_has_grey_layers() -> None:
    image, alpha, _, _ = _scene(40, 40)
    grey = np.repeat(image[:, :, :1], 3, axis=2)
    for layer in estimate_foreground(grey, alpha):
        assert np.abs(layer - layer[:, :, :1]).max() <= 1e-4


@pytest.mark.parametrize("method", _METHODS)
def test_a_hard_edge(method: ForegroundMethod) -> None:
    image, alpha, _, _ = _scene(40, 48)
    hard = (alpha > 0.5).astype(np.float32)
    foreground, background = estimate_foreground(image, hard, method)
    assert np.array_equal(_blend(foreground, background, hard), image)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("size", [(1, 9), (2, 2), (5, 7)])
def test_tiny_pictures(method: ForegroundMethod, size: tuple[int, int]) -> None:
    dice = np.random.default_rng(2)
    image, alpha = dice.random((*size, 3), np.float32), dice.random(size, np.float32)
    for layer in estimate_foreground(image, alpha, method):
        assert layer.shape == (*size, 3)
        assert np.isfinite(layer).all()


def test_views_and_doubles_give_the_same_layers() -> None:
    image, alpha, _, _ = _scene(24, 30)
    expected = estimate_foreground(np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(alpha[:, ::-1]))
    for found, layer in zip(estimate_foreground(image[:, ::-1], alpha[:, ::-1]), expected, strict=True):
        assert np.array_equal(found, layer)
    doubles = estimate_foreground(image.astype(np.float64), alpha.astype(np.float64))
    for found, layer in zip(doubles, estimate_foreground(image, alpha), strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - layer).max() <= 1e-6


def test_the_inputs_stay_as_they_are() -> None:
    image, alpha, _, _ = _scene(20, 20)
    before = image.copy(), alpha.copy()
    estimate_foreground(image, alpha)
    assert np.array_equal(image, before[0])
    assert np.array_equal(alpha, before[1])


@pytest.mark.parametrize(
    ("image", "alpha", "words"),
    [
        (np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32), "expected H x W x 3"),
        (np.zeros((4, 5, 4), np.float32), np.zeros((4, 5), np.float32), "expected H x W x 3"),
        (np.zeros((4, 5, 3), np.float32), np.zeros((5, 4), np.float32), r"alpha has the shape \(5, 4\)"),
        (np.zeros((4, 5, 3), np.float32), np.zeros((4, 5, 1), np.float32), "alpha has the shape"),
        (np.zeros((0, 5, 3), np.float32), np.zeros((0, 5), np.float32), "no pixels"),
        (
            np.full((4, 5, 3), 255, np.uint8),
            np.zeros((4, 5), np.float32),
            r"^image has values in \[255, 255\]; expected floats in \[0, 1\] without NaN; divide 8-bit values by 255$",
        ),
        (np.zeros((4, 5, 3), np.float32), np.full((4, 5), 2, np.float32), "alpha has values"),
        (np.full((4, 5, 3), np.nan, np.float32), np.zeros((4, 5), np.float32), "without NaN"),
        (np.zeros((4, 5, 3), np.float32), np.full((4, 5), np.nan, np.float32), "alpha .* without NaN"),
    ],
)
def test_what_does_not_fit_is_refused(image: np.ndarray, alpha: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        estimate_foreground(image, alpha)


def test_an_unknown_method_is_refused() -> None:
    image, alpha, _, _ = _scene(8, 8)
    with pytest.raises(InputError, match=r"'matting'.*levin or multilevel"):
        estimate_foreground(image, alpha, "matting")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failures", "method"), [(0, "levin-fallback-library"), (1, "levin-fallback-shift"), (2, "levin-fallback-ml")]
)
def test_a_solver_that_gives_up_is_replaced_step_by_step(
    monkeypatch: pytest.MonkeyPatch, failures: int, method: str
) -> None:
    real, asked = pymatting.estimate_foreground_cf, []

    def give_up(*arguments: object, **settings: object) -> object:
        asked.append(settings["ichol_kwargs"])
        if len(asked) <= failures:
            raise ValueError("did not converge")
        return real(*arguments, **settings)

    monkeypatch.setattr(pymatting, "estimate_foreground_cf", give_up)
    monkeypatch.setattr(closed_form, "LIMITS", closed_form.Limits(change=0.0, steps=5))  # never reached
    image, alpha, _, _ = _scene(8, 96)
    found = estimate_layers(image, alpha)
    assert found.method == method
    assert asked[0] == {}
    monkeypatch.undo()
    expected = estimate_layers(image, alpha, "levin" if failures < 2 else "multilevel")
    visible = alpha[:, :, None] * np.abs(found.foreground - expected.foreground)
    assert visible.max() < (0.06 if failures < 2 else 1e-6)  # pymatting's stopping rule depends on the preconditioner


def test_multiply_is_the_papers_figure_3c() -> None:
    image, alpha, _, _ = _scene(8, 96)
    found = estimate_layers(image, alpha, "multiply")
    assert np.array_equal(found.foreground, alpha[:, :, None] * image)
    assert np.array_equal(found.background, (1 - alpha[:, :, None]) * image)
    assert np.abs(found.foreground + found.background - image).max() <= 1e-6
