"""What is odd about a matte but no reason to refuse it: nobody can be sure, so the row says it and a person looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from rssn.image.arrays import Pixels

TRIMAP: Final = "trimap"
INVERTED: Final = "inverted"
TWO_VALUES: Final = "two_values"
EMPTY: Final = "empty"
FULL: Final = "full"

FLAGS: Final[Mapping[str, str]] = {
    TRIMAP: "look like trimaps: nearly everything between black and white is one grey",
    INVERTED: "have more foreground along the border than inside: inverted?",
    TWO_VALUES: "have two values only, as masks have, while others of this set are soft",
    EMPTY: "are empty: the photograph has no foreground",
    FULL: "are full: the photograph has no background",
}
"""Every flag, as the end of a sentence about mattes; of two values is said only where others have more."""

_SOFT = slice(13, 243)  # 8-bit values between 5 and 95 %
_MIDDLE = slice(64, 192)  # between 25 and 75 %
_HARDLY = 0.05
_NEAR = 8  # 8-bit units to both sides: what a JPEG of high quality makes of one grey
_ONE_GREY = 0.9


def histogram(pixels: Pixels) -> npt.NDArray[np.float64]:
    """How often each of the 256 values occurs."""
    return np.asarray(cv2.calcHist([pixels], [0], None, [256], [0, 256]), dtype=np.float64).ravel()


def matte_flags(pixels: Pixels, counts: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """The flags of a matte, from its values alone.

    * `two_values`: there is foreground and background, at most 5 % lies between 5 and 95 %, and of that at most 5 %
      between 25 and 75 %, as JPEG of quality 40 or more leaves it of a mask. Of what is soft in the 31 mattes below at
      least 18 % lies there; the limit was chosen on all of them.
    * `trimap`: of what lies between 5 and 95 %, 90 % is within 8/255 of one value. Of the 22 mattes of AM-2k,
      photographic portraits and alphamatting.com that this was chosen on, at most 21 % is; of nine others of
      alphamatting.com at most 59 %, in one with a translucent flag.
    * `empty`, `full`: every value is 0, or every one is 255. What is composed has neither.
    * `inverted`: the mean along the border is above one half and above the mean of the whole. In none of those 22 it is
      (their borders have 0 to 44 %) nor of the nine (up to 33 %), in all 31 it is once they are inverted. A portrait
      that fills the bottom, or all but the top, is not flagged: it covers more inside than along the border.

    Args:
        pixels: H x W uint8.
        counts: Their `histogram`.
    """
    soft = np.zeros_like(counts)
    soft[_SOFT] = counts[_SOFT]
    found = []
    if counts[_MIDDLE].sum() <= _HARDLY * soft.sum() <= _HARDLY**2 * pixels.size:
        found += [TWO_VALUES] if counts[: _SOFT.start].any() and counts[_SOFT.stop :].any() else []
    elif np.convolve(soft, np.ones(2 * _NEAR + 1), "same").max() >= _ONE_GREY * soft.sum():
        found.append(TRIMAP)
    mean = float(counts @ np.arange(256.0) / pixels.size)
    border = float(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean())
    if border > 127.5 and border > mean:
        found.append(INVERTED)
    if pixels.size in (counts[0], counts[255]):
        found.append(EMPTY if counts[0] else FULL)
    return tuple(found)


def describe_flags(mattes: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """One sentence for each flag that was found, with an example.

    Args:
        mattes: The name of each matte of a set, and its flags.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    total = 0
    for name, flags in mattes:
        total += 1
        counts.update(flags)
        for flag in flags:
            examples.setdefault(flag, name)
    soft = total - counts[TWO_VALUES] - counts[EMPTY] - counts[FULL]
    said = [flag for flag in FLAGS if counts[flag] and (soft or flag != TWO_VALUES)]
    return [f"{counts[flag]} of {total} mattes {FLAGS[flag]}; for example {examples[flag]}" for flag in said]
