from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from bg20k.overlays import drawn_length, letters_in_line
from bg20k.strokes import find_strokes
from rssn.image.arrays import Pixels, to_uint8
from rssn.synthetic.backgrounds import render_background


def written(words: str, ink: int = 240, ground: int = 120, size: int = 50, step: float = 0.0) -> Pixels:
    """A grey picture of 540 px with a line of text; each letter is `step` px lower than the one before."""
    picture = PillowImage.new("L", (810, 540), ground)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=size)
    left = 60.0
    for number, letter in enumerate(words):
        pen.text((left, 200 + step * number), letter, font=font, fill=ink)
        left += pen.textlength(letter, font=font)
    return np.asarray(picture)


@pytest.mark.parametrize(("ink", "ground"), [(240, 120), (20, 120)])
def test_a_word_has_as_many_letters_as_it_has(ink: int, ground: int) -> None:
    found = letters_in_line(find_strokes(written("PREVIEW", ink, ground)))
    assert 6.0 < found <= 7.0


def test_letters_that_climb_or_differ_are_no_line() -> None:
    assert letters_in_line(find_strokes(written("PREVIEW", step=40))) <= 2.0
    assert letters_in_line(find_strokes(written("H"))) == pytest.approx(1.0, abs=0.2)
    assert letters_in_line(find_strokes(written(""))) == 0.0


def test_faint_text_is_not_seen() -> None:
    assert letters_in_line(find_strokes(written("PREVIEW", ink=145))) == 0.0


def test_drawn_length_is_area_over_thickness() -> None:
    picture = np.full((540, 810), 100, np.uint8)
    for left in (100, 300, 500):
        picture[100:208, left : left + 12] = 230
    assert drawn_length(find_strokes(picture), 540) == pytest.approx(3 * 108 / 540, rel=0.1)
    assert drawn_length(find_strokes(picture[:, :90]), 540) == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_photographs_have_nothing_drawn_on_them(seed: int) -> None:
    pixels = to_uint8(render_background(seed, 810, 540))
    strokes = find_strokes(np.asarray(PillowImage.fromarray(pixels).convert("L")))
    assert drawn_length(strokes, 540) < 0.05
