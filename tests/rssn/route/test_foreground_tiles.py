from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.image.arrays import Pixels, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.route.foreground import estimate_foreground
from rssn.route.foreground_tiles import Tiling, _waves, foreground_colours
from rssn.sources.mattes import read_matte

SMALL = Tiling(whole=1 << 15, side=192, margin=64)


def _apart(pixels: Pixels, matte: Pixels, tiling: Tiling = SMALL) -> np.ndarray:
    """How far the tiles' colours are from the whole solution's, weighted by alpha, in 8-bit units."""
    whole, _ = estimate_foreground(to_float(pixels), to_float(matte))
    found = foreground_colours(pixels, matte, tiling)
    return np.asarray(np.abs(found - 255 * whole).max(axis=2) * to_float(matte))


def _scene(height: int, width: int) -> tuple[Pixels, Pixels]:
    """A noisy photograph and a body with long hairs of its own colour that reach over several tiles."""
    rng = np.random.default_rng(height)
    matte = np.zeros((height, width), np.uint8)
    centre = width // 4, height // 2
    cv2.circle(matte, centre, height // 4, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(-0.6, 0.6, 24):
        tip = round(centre[0] + 0.7 * width * np.cos(angle)), round(centre[1] + 0.7 * width * np.sin(angle))
        cv2.line(matte, centre, tip, 255, 1, cv2.LINE_AA)
    matte = cv2.GaussianBlur(matte, (0, 0), 1.2)
    texture = cv2.GaussianBlur(rng.random((height, width, 3), dtype=np.float32), (0, 0), 3)
    body = np.array([0.8, 0.3, 0.1], np.float32) + 0.5 * (texture - 0.5)
    behind = np.array([0.1, 0.5, 0.8], np.float32) + 0.8 * (texture[::-1] - 0.5)
    alpha = to_float(matte)[..., None]
    return to_uint8(alpha * body + (1 - alpha) * behind), matte


def test_tiles_give_what_the_whole_solution_gives() -> None:
    apart = _apart(*_scene(501, 803))
    assert apart.max() < 1


def test_the_same_bytes_by_any_number_of_threads() -> None:
    pixels, matte = _scene(501, 803)
    tiling = Tiling(whole=1 << 13, side=64, margin=30)
    once = foreground_colours(pixels, matte, tiling)
    for threads in (2, 5):
        assert foreground_colours(pixels, matte, tiling, threads=threads).tobytes() == once.tobytes()


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_tiles_at_one_time_are_two_columns_apart_and_come_after_those_in_reading_order(
    tiles: set[tuple[int, int]],
) -> None:
    waves = _waves(tiles)
    assert sorted(tile for wave in waves for tile in wave) == sorted(tiles)
    when = {tile: number for number, wave in enumerate(waves) for tile in wave}
    for (row, column), (other_row, other_column) in product(tiles, tiles):
        if (row, column) < (other_row, other_column) and max(abs(row - other_row), abs(column - other_column)) == 1:
            assert when[row, column] < when[other_row, other_column]


@pytest.mark.slow
def test_a_real_photograph_has_no_seams(shared: Path) -> None:
    folder = shared / "data" / "am2k"
    pixels = decode_pixels((folder / "original" / "sample2.jpg").read_bytes())[:1000]
    matte = to_uint8(read_matte((folder / "mask" / "sample2.png").read_bytes()).alpha)[:1000]
    apart = _apart(pixels, matte, Tiling(whole=1 << 15, side=300, margin=100))
    assert apart.max() < 1
    assert _apart(pixels, matte, Tiling(whole=1 << 15, side=300, margin=2)).max() > 10
    fractional = (matte > 0) & (matte < 255)
    assert apart[fractional].mean() < 0.4  # rounding alone makes 0.25


def test_no_seam_where_the_matte_hardly_tells_what_the_foreground_is() -> None:
    """Nearly even and soft all over, as a network in doubt has it: tiles alone find foregrounds that are far apart."""
    y, x = np.mgrid[:400, :800].astype(np.float32)
    matte = to_uint8(0.5 + 0.02 * np.sin(x / 1000) * np.sin(y / 770))
    rough = np.random.default_rng(2).random((5, 9, 3), dtype=np.float32)
    pixels = to_uint8(cv2.resize(rough, (800, 400), interpolation=cv2.INTER_CUBIC))
    found = foreground_colours(pixels, matte, SMALL).astype(int)
    steps = np.abs(np.diff(found, axis=1)).max(axis=2).mean(axis=0)
    assert steps.max() < 3 * np.median(steps)


def test_the_photograph_where_it_is_opaque_and_smooth_where_nothing_is_seen() -> None:
    pixels, matte = _scene(300, 420)
    found = foreground_colours(pixels, matte, SMALL)
    np.testing.assert_array_equal(found[matte == 255], pixels[matte == 255])
    hidden = cv2.erode((matte == 0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    steps = np.abs(np.diff(found.astype(int), axis=1)).max(axis=2)[hidden[:, 1:]]
    assert steps.max() <= 6


@pytest.mark.parametrize("value", [90, 255])
def test_a_matte_of_one_value_keeps_the_photograph(value: int) -> None:
    pixels, matte = _scene(250, 260)
    np.testing.assert_array_equal(foreground_colours(pixels, np.full_like(matte, value), SMALL), pixels)


def test_it_ends_where_it_is_told_to() -> None:
    pixels, matte = _scene(501, 803)
    calls = []

    def go_on() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        foreground_colours(pixels, matte, SMALL, go_on)
    assert len(calls) == 4


_MEMORY = """
import re, numpy as np
from pathlib import Path
from rssn.route.foreground import warm_up
from rssn.route.foreground_tiles import foreground_colours
warm_up("levin")
rng = np.random.default_rng(0)
pixels, matte = np.zeros((4000, 6000, 3), np.uint8), np.zeros((4000, 6000), np.uint8)
pixels[:] = rng.integers(0, 256, (4000, 6000, 1), np.uint8)
matte[:, 3000:] = 255
matte[900:2200, 900:2200] = rng.integers(1, 255, (1300, 1300), np.uint8)
foreground_colours(pixels, matte)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_24_megapixels_take_less_than_1500_megabytes() -> None:
    """With a tile that is fractional all over, as the worst of mattes has them: the others take no more.

    Not by getrusage: what a process had before it became another one counts there.
    """
    done = subprocess.run([sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 1.5e9
