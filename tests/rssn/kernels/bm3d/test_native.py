from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rssn.errors import InputError
from rssn.image.arrays import Image, to_float
from rssn.image.decoding import decode_pixels
from rssn.kernels.bm3d.matching import REFERENCES, STEP, offsets
from rssn.kernels.bm3d.native import Strength, bm3d
from rssn.kernels.bm3d.tiles import MARGIN, POSITIONS
from rssn.route.denoise import denoise
from tests.guards import assert_stays_inside
from tests.rssn.bm3d_reference import slow_bm3d

_SIGMA = 10 / 255
_MIXING = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def _picture(height: int, width: int, seed: int = 0) -> Image:
    """A smooth colour field with edges and stripes, and noise."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.random((height, width, 3), dtype=np.float32), (0, 0), 6) * 6 - 2.5
    y, x = np.mgrid[:height, :width].astype(np.float32)
    stripes = 0.15 * np.sin(0.9 * x + 0.4 * y)[..., None] * (y > height / 2)[..., None]
    picture = np.clip(field + stripes + 0.2 * (x > 0.6 * width)[..., None], 0.05, 0.95)
    return np.clip(picture + rng.normal(0, _SIGMA, picture.shape), 0, 1).astype(np.float32)


def _slow(image: Image, sigma: float) -> Image:
    """The direct implementation, on an image whose sides are 8 and a multiple of 3."""
    mixing = _MIXING if image.ndim == 3 else np.ones((1, 1))
    colour = image.reshape(*image.shape[:2], -1).astype(np.float64) * 255
    planes = slow_bm3d(np.moveaxis(colour @ mixing.T, 2, 0), sigma * 255, asdict(Strength()))
    return (np.moveaxis(planes, 0, 2) @ mixing / 255).reshape(image.shape).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "sigma"), [((44, 50, 3), 10), ((44, 50, 3), 40), ((32, 101), 10), ((11, 8, 3), 25)])
def test_it_is_the_algorithm_written_directly(shape: tuple[int, ...], sigma: float) -> None:
    image = _picture(*shape[:2])
    image = image if len(shape) == 3 else image[:, :, 1]
    apart = 255 * np.abs(bm3d(image, sigma / 255) - _slow(image, sigma / 255))
    assert np.median(apart) <= 0.02  # coefficients are held in sixteenths
    assert (
        np.quantile(apart, 0.99) <= 0.2
    )  # a coefficient at the threshold, or a block at the end of a list, fell differently
    assert apart.max() <= 1.5


@pytest.mark.slow
def test_many_tiles_are_one_image() -> None:
    """A seam would stand where a tile begins: every 90 px of references."""
    wide = _picture(29, 3 * REFERENCES * STEP + 11)[:, :, 1]
    apart = 255 * np.abs(bm3d(wide, _SIGMA) - _slow(wide, _SIGMA)).max(axis=0)
    assert apart.max() <= 1.5
    seams = [REFERENCES * STEP * n + shift for n in (1, 2) for shift in range(-2, 3)]
    assert apart[seams].mean() <= 1.3 * apart.mean()  # elsewhere, too, a block at the end of a list falls differently
    assert apart[seams].max() <= 0.5


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_byte(threads: int) -> None:
    image = _picture(60, 400)
    alone = denoise(image, _SIGMA)
    assert denoise(image, _SIGMA, threads=threads).tobytes() == alone.tobytes()
    assert denoise(image, _SIGMA).tobytes() == alone.tobytes()


@settings(max_examples=60)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 260),
    grey=st.booleans(),
    sigma=st.sampled_from([1e-6, 0.1, 1.0, 10.0, 60.0, 255.0]),
    kind=st.sampled_from(["noise", "black and white", "constant", "picture"]),
)
@example(height=8, width=8, grey=False, sigma=10.0, kind="noise")
@example(height=9, width=8 + 3 * REFERENCES, grey=False, sigma=255.0, kind="black and white")
@example(height=3, width=8 + 3 * REFERENCES + 1, grey=True, sigma=1.0, kind="black and white")
def test_any_size_and_content_gives_a_picture(height: int, width: int, grey: bool, sigma: float, kind: str) -> None:
    rng = np.random.default_rng(height * 1000 + width)
    values = {
        "noise": lambda: rng.random((height, width, 3), dtype=np.float32),
        "black and white": lambda: np.repeat(rng.integers(0, 2, (height, width, 1)), 3, axis=2).astype(np.float32),
        "constant": lambda: np.broadcast_to(rng.random(3, dtype=np.float32), (height, width, 3)).copy(),
        "picture": lambda: _picture(height, width),
    }
    image = values[kind]()[:, :, 0] if grey else values[kind]()
    found = denoise(image, sigma / 255)
    assert found.shape == image.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    if kind == "constant" and sigma <= 1:  # a faint colour is less than stronger noise
        assert np.abs(found - image).max() <= 0.2 / 255
    if sigma <= 0.1:
        assert np.abs(found - image).max() <= 1 / 255


def test_every_offset_of_the_search_has_a_label_of_its_own() -> None:
    labels, moves = offsets()
    assert sorted(labels) == list(range(39 * 39))
    assert {tuple(move) for move in moves} == {(y, x) for y in range(-19, 20) for x in range(-19, 20)}
    assert tuple(moves[0]) == (0, 0)
    assert tuple(moves[labels[19 * 3 + 1]]) == (0, 0)  # the search begins in the middle third
    nth, dy, r = 4, -5, 1  # the place in the search of dx = 3 * 2 - 1 + 1, dy = -5: thirds are 0, -1, 1, -2, 2, ...
    assert tuple(moves[labels[(nth * 39 + dy + 19) * 3 + r]]) == (-5, 6)


def test_a_tile_has_room_for_what_its_references_reach() -> None:
    assert POSITIONS >= 3 * (REFERENCES - 1) + 39
    assert MARGIN >= POSITIONS + 7 + 16


_GUARDED = """
import sys
import numpy as np
from rssn.kernels.bm3d import matching, native, tiles
from rssn.kernels.simd import aligned, aligned_together
from tests.guards import guard, guarded, release

at_end = sys.argv[1] == "end"
native.bm3d(np.zeros((8, 8, 3), np.float32), 0.1)  # compiles or loads all of it
for module in (matching, native, tiles):
    guard(module, at_end)
for module in (matching, native):
    module.aligned = lambda *wanted: guarded(aligned(*wanted), at_end, 64)
tiles.aligned_together = lambda *wanted: [guarded(each, at_end, 64) for each in aligned_together(*wanted)]
SIZES = ((8, 8, 3), (9, 20, 1), (40, 97, 3), (31, 98, 1), (53, 190, 3), (8, 400, 1), (130, 11, 3))
for height, width, channels in SIZES:
    image = np.random.default_rng(0).random((height, width, channels), dtype=np.float32)
    found = native.bm3d(image if channels == 3 else image[:, :, 0], 0.1)
    assert np.isfinite(found).all()
    release()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages of memory by mprotect")
@pytest.mark.parametrize("side", ["start", "end"])
def test_compiled_code_stays_inside_its_buffers(side: str) -> None:
    """Each buffer ends, or starts, where memory is forbidden: a read or a write beyond it ends the process."""
    assert_stays_inside(_GUARDED, side)


@pytest.mark.parametrize(
    "image", [np.full((8, 8), 2, np.float32), np.full((8, 8, 3), np.nan, np.float32), np.zeros((7, 9))]
)
def test_what_would_break_compiled_code_is_refused(image: Image) -> None:
    with pytest.raises(InputError, match=r"expected sides of 8 or more, and values in \[0, 1\]"):
        bm3d(image, 0.1)


def test_noise_goes_from_a_photograph(shared: Path) -> None:
    data = (shared / "data" / "am2k" / "original" / "sample1.jpg").read_bytes()
    clean = to_float(decode_pixels(data))[400:656, 500:756]
    noisy = np.clip(clean + np.random.default_rng(1).normal(0, _SIGMA, clean.shape), 0, 1).astype(np.float32)
    psnr = -10 * np.log10(np.mean((denoise(noisy, _SIGMA) - clean) ** 2))
    assert psnr >= 33.35  # 33.45 when the factors were chosen
