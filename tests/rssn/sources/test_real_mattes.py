"""What `rssn.image.matte_flags` says of real mattes, and the figures that its limits come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rssn.image.arrays import Pixels, to_uint8
from rssn.image.matte_flags import histogram, matte_flags
from rssn.sources.mattes import read_matte

CHOSEN_ON = {"am2k": 7, "portraits": 6, "alphamatting": 9}
HELD_OUT = {"alphamatting2": 9}


def mattes_of(data: Path, sets: dict[str, int]) -> list[Pixels]:
    paths = [path for name in sets for path in sorted((data / name / "mask").iterdir())]
    assert len(paths) == sum(sets.values())
    return [to_uint8(read_matte(path.read_bytes()).alpha) for path in paths]


@pytest.fixture(scope="module")
def chosen_on(shared: Path) -> list[Pixels]:
    return mattes_of(shared / "data", CHOSEN_ON)


@pytest.fixture(scope="module")
def held_out(shared: Path) -> list[Pixels]:
    return mattes_of(shared / "data", HELD_OUT)


def border_of(matte: Pixels) -> float:
    return float(np.concatenate([matte[0], matte[-1], matte[:, 0], matte[:, -1]]).mean() / 255)


def soft_of(matte: Pixels) -> np.ndarray:
    """How often each value between 5 and 95 % occurs."""
    return np.where((np.arange(256) >= 13) & (np.arange(256) < 243), histogram(matte), 0)


def share_of_one_grey(matte: Pixels) -> float:
    soft = soft_of(matte)
    return float(np.convolve(soft, np.ones(17), "same").max() / soft.sum())


def share_of_the_middle(matte: Pixels) -> float:
    soft = soft_of(matte)
    return float(soft[64:192].sum() / soft.sum())


def test_no_real_matte_has_a_flag_and_each_has_one_once_it_is_inverted(
    chosen_on: list[Pixels], held_out: list[Pixels]
) -> None:
    for matte in (*chosen_on, *held_out):
        assert matte_flags(matte, histogram(matte)) == ()
        assert matte_flags(255 - matte, histogram(255 - matte)) == ("inverted",)


def test_the_figures_of_the_limits(chosen_on: list[Pixels], held_out: list[Pixels]) -> None:
    """As the docstring of `matte_flags` states them, in whole per cent."""
    assert [round(100 * figure(map(border_of, chosen_on))) for figure in (min, max)] == [0, 44]
    assert round(100 * max(map(border_of, held_out))) == 33
    assert round(100 * max(map(share_of_one_grey, chosen_on))) == 21
    assert round(100 * max(map(share_of_one_grey, held_out))) == 59
    assert int(100 * min(map(share_of_the_middle, (*chosen_on, *held_out)))) == 18
