"""The cues: what of a patch may tell F from B without knowing what is seen. A cue is a row of `CUES`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.fft import dctn

from rssn.gap.patches import SIDE, Patches, Values

Letter: TypeAlias = Literal["resolution", "sharpness", "noise", "compression", "light and colour"]
LETTERS: tuple[Letter, ...] = get_args(Letter)

_LUMA, _RED, _BLUE = range(3)
_FINE, _MEDIUM, _COARSE, _SHAPE = range(4)
_BLOCK = 8  # px, of JPEG
_LEAST = np.float32(0.1)  # 8-bit units; keeps logarithms finite


@dataclass(frozen=True)
class Act:
    """What acts on a cue: a setting of a step; or, without a step, words that stand as they are."""

    setting: str
    step: str = ""
    way: Literal["", "more", "less"] = ""

    @property
    def named(self) -> str:
        """Step and setting."""
        return f"{self.step}({self.setting})" if self.step else self.setting

    def words(self, steps: Collection[str]) -> str:
        """What to do with a recipe that draws these steps; empty where nothing can be done with it."""
        if not self.step:
            return self.setting
        if self.step in steps:
            return f"{self.way} of {self.named}" if self.way else f"other values of {self.named}"
        return "" if self.way == "less" else f"add {self.named}"


@dataclass(frozen=True)
class Cue:
    """One cue.

    Attributes:
        name: A stable word, in `gap.parquet` and on the page.
        letter: The kind of discrepancy that it belongs to.
        meaning: What it is, with its unit.
        compute: Gives a value for each patch.
        above: What brings F minus B down, where it is larger in composites than in photographs.
        below: What brings it up.
        on_grid: It reads JPEG's grid of 8 px, and tells nothing where photographs have none.
    """

    name: str
    letter: Letter
    meaning: str
    compute: Callable[[Patches], Values]
    above: Sequence[Act]
    below: Sequence[Act]
    on_grid: bool = False


def _cut_off(patches: Patches) -> Values:
    """Natural spectra fall evenly; that of an enlarged picture falls off a cliff."""
    bands = patches.bands[_LUMA]
    return np.asarray(bands[:, _FINE] - 2 * bands[:, _MEDIUM] + bands[:, _COARSE])


def _kurtosis(patches: Patches) -> Values:
    squares = patches.residuals[_LUMA].reshape(len(patches), -1) ** 2
    spread = squares.mean(1) + _LEAST**2
    return np.asarray(np.log(((squares**2).mean(1) + _LEAST**4) / spread**2))


def _noise(plane: int, patches: Patches) -> Values:
    sizes = np.abs(patches.residuals[plane].reshape(len(patches), -1))
    return np.asarray(np.log(np.median(sizes, axis=1) / np.float32(0.6745) + _LEAST))


def _blocks(patches: Patches) -> Values:
    """Steps from one column to the next, and from one row to the next, on and off the grid of 8 px."""
    on, off = np.float32(0), np.float32(0)
    at = np.arange(1, SIDE) % _BLOCK == 0
    for axis in (1, 2):
        step = np.abs(np.diff(patches.luma, axis=axis)).mean(axis=3 - axis)
        on, off = on + step[:, at].mean(1), off + step[:, ~at].mean(1)
    return np.asarray(np.log((on + _LEAST) / (off + _LEAST)))


def _quantised(patches: Patches) -> Values:
    """Coefficients that JPEG's rounding made small, on its grid more than on one half a block away."""
    return _coefficients(patches, _BLOCK // 2) - _coefficients(patches, 0)


def _coefficients(patches: Patches, shift: int) -> Values:
    end = SIDE - _BLOCK if shift else SIDE
    part = patches.luma[:, shift : shift + end, shift : shift + end]
    count = end // _BLOCK
    blocks = part.reshape(-1, count, _BLOCK, count, _BLOCK).swapaxes(2, 3)
    sizes = np.abs(dctn(blocks, axes=(3, 4), norm="ortho"))
    return np.asarray(np.log(sizes + np.float32(0.5))[..., _UPPER].mean(axis=(1, 2, 3)))


_UPPER = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) >= _BLOCK // 2
"""The coefficients that JPEG rounds coarsely."""


def _band(plane: int, band: int, patches: Patches) -> Values:
    return np.asarray(patches.bands[plane, :, band])


def _chroma(band: int, patches: Patches) -> Values:
    return np.asarray((patches.bands[_RED, :, band] + patches.bands[_BLUE, :, band]) / 2)


def _chroma_cut_off(patches: Patches) -> Values:
    return _chroma(_FINE, patches) - _chroma(_MEDIUM, patches)


def _mean(plane: int, patches: Patches) -> Values:
    return np.asarray(patches.planes[plane].mean(axis=(1, 2)))


_SPREADS = Act("spreads", "match-sharpness")
_SHARPER = (Act("sizes", "blur", "less"), Act("radii", "bokeh", "less"), _SPREADS)
_SOFTER = (Act("sizes", "blur", "more"), Act("radii", "bokeh", "more"), _SPREADS)
_NOISE = (Act("sigma", "match-grain"), Act("sigma", "denoise"))
_QUALITY = (Act("quality", "jpeg"),)
_SUBSAMPLING = (Act("subsampling", "jpeg"),)
_HARMONISE = (Act("strengths", "harmonise"),)

CUES = (
    Cue(
        "cut-off",
        "resolution",
        "bend of the spectrum at its fine end, log: 0 as in nature, below it where a picture was enlarged",
        _cut_off,
        (Act("backgrounds that are enlarged less (the recipe's max_upscale)"), _SPREADS),
        (Act("foregrounds from larger photographs"), _SPREADS),
    ),
    Cue("detail", "sharpness", "standard deviation at 2 to 4 px, log", partial(_band, _LUMA, _FINE), _SHARPER, _SOFTER),
    Cue(
        "texture",
        "sharpness",
        "standard deviation at 4 to 8 px, log",
        partial(_band, _LUMA, _MEDIUM),
        _SHARPER,
        _SOFTER,
    ),
    Cue(
        "structure",
        "sharpness",
        "standard deviation at 8 to 16 px, log",
        partial(_band, _LUMA, _COARSE),
        _SHARPER,
        _SOFTER,
    ),
    Cue(
        "edges",
        "sharpness",
        "kurtosis of the noise filter's response, log: edges are rare and large",
        _kurtosis,
        _SHARPER,
        _SOFTER,
    ),
    Cue("noise", "noise", "sigma of luma's noise, 8-bit units, log", partial(_noise, 0), _NOISE, _NOISE),
    Cue("chroma noise", "noise", "sigma of Cr's noise, 8-bit units, log", partial(_noise, 1), _NOISE, _NOISE),
    Cue(
        "chroma grain",
        "noise",
        "standard deviation of Cr and Cb at 4 to 8 px, log",
        partial(_chroma, _MEDIUM),
        _NOISE,
        _NOISE,
    ),
    Cue(
        "blocks",
        "compression",
        "steps on JPEG's grid over those off it, log",
        _blocks,
        _QUALITY,
        _QUALITY,
        on_grid=True,
    ),
    Cue(
        "rounding",
        "compression",
        "coefficients that JPEG's grid rounded, against one half a block away, log",
        _quantised,
        _QUALITY,
        _QUALITY,
        on_grid=True,
    ),
    Cue(
        "chroma cut-off",
        "compression",
        "Cr and Cb at 2 to 4 px over 4 to 8 px, log: what 4:2:0 leaves",
        _chroma_cut_off,
        _SUBSAMPLING,
        _SUBSAMPLING,
    ),
    Cue("light", "light and colour", "mean luma, 8-bit units", partial(_mean, _LUMA), _HARMONISE, _HARMONISE),
    Cue(
        "contrast",
        "light and colour",
        "standard deviation of luma at 16 to 32 px, log",
        partial(_band, _LUMA, _SHAPE),
        _HARMONISE,
        _HARMONISE,
    ),
    Cue("mean Cr", "light and colour", "redness: mean Cr, 8-bit units", partial(_mean, _RED), _HARMONISE, _HARMONISE),
    Cue("mean Cb", "light and colour", "blueness: mean Cb, 8-bit units", partial(_mean, _BLUE), _HARMONISE, _HARMONISE),
)
"""Every cue, by letter."""

LOW_LEVEL = tuple(number for number, cue in enumerate(CUES) if cue.letter != "light and colour")
"""What cue strength and distance go by. Light and colour tell what is seen, too, and have their own distance."""


def of_letter(letter: Letter) -> tuple[int, ...]:
    """The numbers of a letter's cues."""
    return tuple(number for number, cue in enumerate(CUES) if cue.letter == letter)
