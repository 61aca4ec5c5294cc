"""Rendered pictures for the meter: foregrounds with layers that are known, so that a discrepancy can be made."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from rssn.gap.pictures import Measured, Named, Pictures, measure_picture
from rssn.image.arrays import Image, to_uint8
from rssn.synthetic import SyntheticShot, render_background, render_shot

SIZE = (480, 360)
SHOTS = 10

Change = Callable[[Image, Image], tuple[Image, Image]]


@cache
def shot(number: int) -> SyntheticShot:
    """An animal: what has patches of 32 x 32 px of its own."""
    return render_shot(2 * number, *SIZE)


@cache
def background(number: int) -> Image:
    return render_background(100 + number, *SIZE)


def measured(number: int, behind: Image, name: str = "", change: Change = lambda f, b: (f, b)) -> Measured:
    """Foreground `number` on a background, after a change of both."""
    one = shot(number)
    foreground, behind = change(one.foreground, behind)
    share = one.alpha[..., None]
    pixels = to_uint8(share * foreground + (1 - share) * behind)
    return measure_picture(pixels, to_uint8(one.alpha), Named(f"{number:02d}/{name}", f"{number:02d}"), 50)


def pictures(change: Change = lambda f, b: (f, b), count: int = SHOTS, name: str = "") -> Pictures:
    """Each foreground on its own background, after the same change."""
    return Pictures.of(measured(number, background(number), name, change) for number in range(count))
