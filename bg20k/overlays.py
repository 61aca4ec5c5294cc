"""Letters and drawings on a photograph: how much was drawn, and how long the clearest line of text is.

Watermarks, logos and captions are drawn with clean strokes; letters stand in lines besides, alike in brightness,
thickness and height. Signs that belong to the scene are found, too, where they are as clean.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bg20k.strokes import Strokes

_CLEAN = 0.85  # of `_cleanness`; photographs have hardly a stroke above it
_CLEAN_WEIGHTS = (6.0, 1.0)  # of what varies within a stroke, and around it
_LETTER = 0.5
_LETTER_WEIGHTS = (4.0, 1.0)
_CONTRAST = 40.0  # 8-bit units
_MOST = 800  # letters among which lines are looked for
_GAP = 1.0  # between neighbours, in heights of the taller one; a space between words is less
_OVERLAP = 0.25  # of slanted letters, likewise
_ALIKE = 14.0  # 8-bit units by which the brightness of neighbours differs at most
_OFF_LINE = 0.12  # of the height: what tops or bottoms may differ
_SMALLER = 0.45  # the lower neighbour's height as a share of the taller one's, at least
_THICKER = 1.8  # the thicker neighbour's thickness as a multiple of the thinner one's, at most

_Floats: TypeAlias = npt.NDArray[np.float64]


def drawn_length(strokes: Strokes, side: int) -> float:
    """How long all clean strokes of a picture are together.

    Args:
        strokes: Of `bg20k.strokes.find_strokes`.
        side: The picture's shorter side in px.

    Returns:
        Area over thickness, summed over the strokes that are clean and of high contrast, at the scale that has most of
        them; as a multiple of the shorter side, 0 or more.
    """
    clean = (_cleanness(strokes, _CLEAN_WEIGHTS) > _CLEAN) & (np.abs(strokes.contrast) >= _CONTRAST)
    found = strokes[clean]
    lengths = found.area / found.thickness / side
    return max((float(lengths[found.scale == scale].sum()) for scale in np.unique(found.scale)), default=0.0)


def letters_in_line(strokes: Strokes) -> float:
    """How many letters the clearest line of text has, each weighted by how clean it is.

    Args:
        strokes: Of `bg20k.strokes.find_strokes`.

    Returns:
        0 or more: a single clean stroke has up to 1, a word of six letters 5 to 6.
    """
    weights = _cleanness(strokes, _LETTER_WEIGHTS)
    letters = (weights > _LETTER) & (np.abs(strokes.contrast) >= _CONTRAST)
    return max(
        (_longest(strokes[letters & (strokes.scale == scale)]) for scale in np.unique(strokes.scale)), default=0.0
    )


def _cleanness(strokes: Strokes, weights: tuple[float, float]) -> _Floats:
    """Contrast against what varies within and around each stroke, 0 to 1."""
    contrast = np.abs(strokes.contrast)
    varying = weights[0] * strokes.unevenness + weights[1] * strokes.unrest
    return np.asarray(contrast / (contrast + varying + 1e-9))


def _longest(letters: Strokes) -> float:
    """The sum of the weights along the best chain of neighbours from left to right, among letters of one scale."""
    weights = _cleanness(letters, _LETTER_WEIGHTS)
    strongest = np.argsort(-weights * np.abs(letters.contrast), kind="stable")[:_MOST]
    chosen = strongest[np.argsort(letters.left[strongest], kind="stable")]
    letters, weights = letters[chosen], weights[chosen]
    follows = _follows(letters)
    sums = weights.copy()
    for one in range(len(letters)):
        before = sums[:one][follows[:one, one]]
        sums[one] += before.max(initial=0.0)
    return float(sums.max(initial=0.0))


def _follows(letters: Strokes) -> npt.NDArray[np.bool_]:
    """Whether the letter of the column may stand right after the letter of the row, in one line of text."""
    taller = np.maximum.outer(letters.height, letters.height)
    gap = letters.left[None] - (letters.left + letters.width)[:, None]
    bottom = letters.top + letters.height
    level = np.minimum(_differences(bottom), _differences(letters.top)) < _OFF_LINE * taller
    beside = (gap > -_OVERLAP * taller) & (gap < _GAP * taller) & (letters.left[None] > letters.left[:, None])
    alike = (_differences(letters.brightness) < _ALIKE) & (np.multiply.outer(letters.contrast, letters.contrast) > 0)
    sizes = np.minimum.outer(letters.height, letters.height) > _SMALLER * taller
    thin, thick = (pick.outer(letters.thickness, letters.thickness) for pick in (np.minimum, np.maximum))
    return np.asarray(level & beside & alike & sizes & (thick < _THICKER * thin))


def _differences(values: _Floats) -> _Floats:
    return np.abs(np.subtract.outer(values, values))
