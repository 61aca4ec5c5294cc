from __future__ import annotations

import subprocess
import sys

import bm3d
import cv2
import numpy as np
import pytest

import rssn.route.denoise
from rssn.errors import DependencyError, InputError
from rssn.image.arrays import Image, to_uint8
from rssn.kernels.bm3d import native
from rssn.route.denoise import DenoiseBackend, denoise, require_backend
from rssn.storage.machine import picture_threads

_SIGMA = 10 / 255
_BACKENDS: list[DenoiseBackend] = ["native", "bm3d", "nlmeans"]


def _clean(height: int = 64, width: int = 72) -> Image:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    edge = (x > width / 2).astype(np.float32)
    return np.stack([0.2 + 0.5 * edge, 0.3 + 0.4 * y / height, 0.7 - 0.4 * edge], axis=2).astype(np.float32)


def _noisy(image: Image, sigma: float = _SIGMA) -> Image:
    noise = np.random.default_rng(5).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def _psnr(image: Image, reference: Image) -> float:
    return float(-10 * np.log10(np.mean((image - reference) ** 2)))


def _profile() -> bm3d.BM3DProfile:
    profile = bm3d.BM3DProfile()
    profile.num_threads = 1
    return profile


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "gain"), [("native", 8.0), ("bm3d", 8.0), ("nlmeans", 3.0)])
def test_noise_goes_and_the_picture_stays(backend: DenoiseBackend, gain: float) -> None:
    noisy = _noisy(_clean())
    cleaned = denoise(noisy, _SIGMA, backend)
    assert _psnr(cleaned, _clean()) >= _psnr(noisy, _clean()) + gain
    assert cleaned.dtype == np.float32
    assert np.array_equal(noisy, _noisy(_clean()))


def test_a_picture_takes_the_threads_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def watched(image: Image, sigma: float, threads: int) -> Image:
        taken.append(threads)
        return bm3d_native(image, sigma, threads)

    bm3d_native = native.bm3d
    monkeypatch.setattr(native, "bm3d", watched)
    noisy = _noisy(_clean(40, 36))
    with picture_threads(3):
        several = denoise(noisy, _SIGMA)
    assert several.tobytes() == denoise(noisy, _SIGMA).tobytes() == denoise(noisy, _SIGMA, threads=2).tobytes()
    assert taken == [3, 1, 2]


@pytest.mark.slow
def test_bm3d_is_the_package_with_one_thread() -> None:
    noisy = _noisy(_clean(40, 36))
    expected = np.clip(bm3d.bm3d_rgb(noisy.astype(np.float64), _SIGMA, _profile()), 0, 1)
    assert np.abs(denoise(noisy, _SIGMA, "bm3d") - expected).max() <= 1e-6


def test_bm3d_of_one_channel_is_the_package() -> None:
    noisy = _noisy(_clean(40, 36))[:, :, 1]
    expected = np.clip(bm3d.bm3d(noisy.astype(np.float64), _SIGMA, _profile()), 0, 1)
    found = denoise(noisy, _SIGMA, "bm3d")
    assert found.shape == (40, 36)
    assert np.abs(found - expected.reshape(40, 36)).max() <= 1e-6


@pytest.mark.parametrize("backend", ["native", "bm3d"])
def test_grey_in_three_channels_is_grey_in_one(backend: DenoiseBackend) -> None:
    grey = _noisy(_clean(32, 32))[:, :, 1]
    found = denoise(np.repeat(grey[:, :, None], 3, axis=2), _SIGMA, backend)
    for channel in range(3):
        assert np.array_equal(found[:, :, channel], denoise(grey, _SIGMA, backend))


@pytest.mark.parametrize("backend", _BACKENDS)
@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.2, 0.2), (0.8, 0.4, 0.2)])
def test_a_constant_picture_stays(backend: DenoiseBackend, colour: tuple[float, float, float]) -> None:
    image = np.broadcast_to(np.array(colour, np.float32), (16, 16, 3)).copy()
    assert (
        np.abs(denoise(image, _SIGMA, backend) - image).max()
        <= {"native": 0.05 / 255, "bm3d": 1e-6, "nlmeans": 2.5 / 255}[backend]
    )


@pytest.mark.parametrize("mixture", ["red is blue", "green between", "offset grey", "almost grey", "one channel"])
@pytest.mark.parametrize("backend", ["native", "bm3d"])
def test_flat_chroma_stays_finite(mixture: str, backend: DenoiseBackend) -> None:
    grey = _noisy(_clean(24, 24))[:, :, 1] * 0.5 + 0.2
    other = _noisy(_clean(24, 24))[:, :, 0] * 0.5 + 0.2
    channels = {
        "red is blue": (grey, other, grey),
        "green between": (grey, (grey + other) / 2, other),
        "offset grey": (grey, grey + 0.1, grey + 0.2),
        "almost grey": (grey, grey + np.float32(1e-7), grey),
        "one channel": (np.zeros_like(grey), grey, np.ones_like(grey)),
    }
    image = np.stack(channels[mixture], axis=2).astype(np.float32)
    found = denoise(image, _SIGMA, backend)
    assert np.isfinite(found).all()
    assert np.abs(found - image).max() <= 6 * _SIGMA
    assert np.abs(found.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() <= 0.01


_SMALL = """
import numpy as np
from rssn.route.denoise import denoise
for shape in ((1, 1, 3), (5, 7, 3), (5, 7), (8, 8, 3)):
    for backend in ("native", "bm3d", "nlmeans"):
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        found = denoise(image, 10 / 255, backend)
        assert found.shape == shape and np.isfinite(found).all(), (shape, backend)
        assert abs(found - image).max() < 0.35, (shape, backend)
"""


@pytest.mark.slow
def test_small_pictures_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", _SMALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_sigma_0_gives_a_copy() -> None:
    image = _noisy(_clean(8, 9))
    found = denoise(image, 0)
    assert np.array_equal(found, image)
    assert not np.shares_memory(found, image)
    assert denoise(image.astype(np.float64), 0).dtype == np.float32


def test_more_sigma_removes_more() -> None:
    noisy = _noisy(_clean(24, 24))[:, :, 0]
    moved = [float(np.abs(denoise(noisy, sigma / 255) - noisy).mean()) for sigma in (2, 10, 25)]
    assert moved == sorted(moved)
    assert moved[0] < moved[2] / 2


def test_nlmeans_hands_opencv_its_own_channel_order() -> None:
    noisy = _noisy(_clean(40, 40))
    blue_first = np.ascontiguousarray(to_uint8(noisy)[:, :, ::-1])
    expected = cv2.fastNlMeansDenoisingColored(blue_first, None, 10.0, 10.0, 7, 21)[:, :, ::-1]
    assert np.array_equal(to_uint8(denoise(noisy, _SIGMA, "nlmeans")), expected)


@pytest.mark.parametrize("backend", _BACKENDS)
@pytest.mark.parametrize(
    ("image", "sigma", "words"),
    [
        (np.full((9, 9, 3), np.nan, np.float32), _SIGMA, "without NaN"),
        (np.full((9, 9, 3), 128, np.float32), _SIGMA, r"values in \[0, 128\]"),
        (np.full((9, 9, 3), -0.5, np.float32), _SIGMA, r"values in \[-0.5, 0\]"),
        (np.zeros((9, 9, 3), np.uint8), _SIGMA, "uint8; expected float32"),
        (np.zeros((9, 9, 4), np.float32), _SIGMA, "expected H x W or H x W x 3"),
        (np.zeros((9,), np.float32), _SIGMA, "expected H x W or H x W x 3"),
        (np.zeros((0, 9, 3), np.float32), _SIGMA, "no pixels"),
        (np.zeros((9, 9, 3), np.float32), -1.0, "sigma is -1"),
        (np.zeros((9, 9, 3), np.float32), np.nan, "sigma is nan"),
        (np.zeros((9, 9, 3), np.float32), np.inf, "sigma is inf"),
        (np.zeros((9, 9, 3), np.float32), 10.0, r"sigma is 10.*10 in 8-bit units is 10 / 255"),
    ],
)
def test_what_is_out_of_range_is_refused(image: np.ndarray, sigma: float, words: str, backend: DenoiseBackend) -> None:
    with pytest.raises(InputError, match=words):
        denoise(image, sigma, backend)


@pytest.mark.parametrize("sigma", [0.0, _SIGMA])
def test_an_unknown_backend_is_refused(sigma: float) -> None:
    with pytest.raises(InputError, match=r"'dncnn'.*native or bm3d or nlmeans"):
        denoise(_clean(), sigma, "dncnn")  # type: ignore[arg-type]


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rssn.route.denoise, "find_spec", lambda _: None)
    for call in (lambda: require_backend("bm3d"), lambda: denoise(_clean(9, 9), _SIGMA, "bm3d")):
        with pytest.raises(DependencyError, match=r"pip install 'rssn\[bm3d\]'.*--denoiser native"):
            call()
    require_backend("native")
    require_backend("nlmeans")
    assert denoise(_clean(9, 9), _SIGMA, "nlmeans").shape == (9, 9, 3)
