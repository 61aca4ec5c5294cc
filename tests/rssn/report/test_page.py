from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.image.arrays import Pixels
from rssn.image.decoding import decode_pixels
from rssn.report.page import PAGE_BYTES, Figure, Section, Tile, contact_sheet, font, page, wrap

_GAP, _LINE = 10, 17
_PAPER = (250, 250, 248)


def _plain(height: int, width: int, colour: tuple[int, int, int]) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def test_each_picture_lies_in_its_cell() -> None:
    red, green, blue = _plain(30, 40, (200, 0, 0)), _plain(20, 40, (0, 200, 0)), _plain(10, 10, (0, 0, 200))
    sheet = contact_sheet([[Tile(red), Tile(green)], [Tile(blue)]], side=40)
    assert sheet.shape == (3 * _GAP + 30 + 10, 3 * _GAP + 2 * 40, 3)
    expected = np.full(sheet.shape, _PAPER, np.uint8)
    expected[10:40, 10:50] = (200, 0, 0)
    expected[10:30, 60:100] = (0, 200, 0)
    expected[50:60, 10:20] = (0, 0, 200)
    assert np.array_equal(sheet, expected)


def test_pictures_shrink_to_the_side_and_keep_their_shape() -> None:
    sheet = contact_sheet([[Tile(_plain(50, 100, (1, 2, 3)))]], side=40)
    rows, columns = np.nonzero((sheet == (1, 2, 3)).all(axis=2))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (10, 30, 10, 50)


@pytest.mark.parametrize("pixels", [np.full((8, 8), 90, np.uint8), np.full((8, 8, 4), 90, np.uint8)])
def test_grey_and_rgba_tiles(pixels: Pixels) -> None:
    assert np.array_equal(contact_sheet([[Tile(pixels)]], side=8)[10:18, 10:18], _plain(8, 8, (90, 90, 90)))


def test_a_caption_makes_room_below_its_picture_and_not_on_it() -> None:
    picture = _plain(20, 40, (0, 200, 0))
    sheet = contact_sheet([[Tile(picture, "one\ntwo")]], side=40)
    assert sheet.shape[0] == 2 * _GAP + 20 + 2 * _LINE + 4
    assert np.array_equal(sheet[10:30, 10:50], picture)
    assert (sheet[32:49] != _PAPER).any()
    assert (sheet[49:66] != _PAPER).any()


def test_words_and_heading_without_pictures() -> None:
    sheet = contact_sheet([[Tile(None, "nothing here")]], heading=["alpha"], side=90)
    assert sheet.shape == (_GAP + _LINE + 4 + _LINE + 4 + _GAP, 110, 3)
    assert (sheet[8:27] != _PAPER).any()
    assert (sheet[31:48] != _PAPER).any()


def test_a_long_caption_is_wrapped_and_stays_in_its_column() -> None:
    words = "composites/of/animals/0123456789abcdef0123456789abcdef.jpg was refused because it is too small"
    sheet = contact_sheet([[Tile(_plain(20, 60, (0, 200, 0)), words), Tile(_plain(20, 60, (0, 0, 200)))]], side=60)
    assert (sheet[30:, 70:] == _PAPER).all()
    lines = wrap(words, 60, 13)
    assert sheet.shape[0] == 2 * _GAP + 20 + _LINE * len(lines) + 4
    assert len(lines) > 5


def test_a_caption_without_end_is_cut() -> None:
    sheet = contact_sheet([[Tile(None, "word " * 100_000)]], side=60)
    assert sheet.shape[0] == 2 * _GAP + 14 * _LINE + 4


def test_a_heading_may_have_more_words_than_the_rows_have_tiles() -> None:
    sheet = contact_sheet([[Tile(_plain(20, 60, (0, 200, 0)))]], heading=["one", "two", "three"], side=60)
    assert sheet.shape[1] == _GAP + 3 * (60 + _GAP)
    for left in (10, 80, 150):
        assert (sheet[8:27, left : left + 60] != _PAPER).any()


def test_a_long_heading_makes_room_and_stays_in_its_column() -> None:
    sheet = contact_sheet([[Tile(None)] * 2], heading=["background B, as blended", ""], side=60)
    assert (sheet[:, 70:] == _PAPER).all()
    assert sheet.shape[0] > _GAP + 2 * _LINE


@given(st.text(alphabet="abW .-", max_size=200), st.integers(30, 300))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    lines = wrap(text, width, 13)
    assert all(font(13).getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wrapping_keeps_the_lines_that_are_given() -> None:
    assert wrap("one\n\ntwo three", 300, 13) == ["one", "", "two three"]


def test_an_empty_sheet_is_paper() -> None:
    assert (contact_sheet([], side=40) == _PAPER).all()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.words += data


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    return reader


def test_a_page_escapes_whatever_comes_in() -> None:
    evil = "<script>alert('&\"{x}')</script><img src=http://evil>"
    text = page(evil, [Section(evil, evil, {evil: evil}, [_plain(4, 4, (9, 9, 9))])])
    reader = _read(text)
    assert "script" not in reader.tags
    assert reader.tags.count("img") == 1
    assert reader.words.count(evil) == 6
    assert "<script" not in text


def test_a_page_needs_no_other_file() -> None:
    picture = _plain(12, 20, (10, 120, 200))
    text = page("Report", [Section("A", "words", {"rows": 35}, [picture, picture]), Section("B")])
    reader = _read(text)
    assert set(reader.tags).isdisjoint({"script", "link", "iframe", "object", "base"})
    assert len(reader.sources) == 2
    for source in reader.sources:
        head, body = source.split(",")
        assert head == "data:image/jpeg;base64"
        assert np.abs(decode_pixels(base64.b64decode(body)).astype(int) - picture).max() <= 3
    assert not re.search(r"https?:|url\(|@import", text)
    assert re.search(r"<th>rows</th><td>35</td>", text)
    assert text.index("<h2>A</h2>") < text.index("<h2>B</h2>")


def test_a_page_never_passes_its_limit_and_says_what_is_missing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    whole = page("R", [Section("A", pictures=[noise])])
    limit = len(whole) + 500
    text = page("R", [Section("A", pictures=[noise] * 9), Section("last words")], limit)
    assert len(text.encode()) <= limit
    assert text.count("<img") == 1
    assert "8 parts are left out here" in text
    assert "last words" in text


def test_pictures_on_a_page_are_shrunk() -> None:
    (source,) = _read(page("R", [Section("A", pictures=[_plain(100, 5000, (9, 9, 9))])])).sources
    assert decode_pixels(base64.b64decode(source.split(",")[1])).shape == (48, 2400, 3)


def test_tables_and_words_are_bounded() -> None:
    facts = {str(number): "x" * 100_000 for number in range(10_000)}
    text = page("R" * 10, [Section("A", "y" * 10**7, facts=facts, table=[("step", "p"), *[("blur", 0.5)] * 10_000])])
    assert len(text) < PAGE_BYTES / 10
    assert "and 9700 more" in text
    assert text.index("<th>step</th><th>p</th>") < text.index("<td>blur</td><td>0.5</td>")


def test_the_limit_of_a_page_is_below_20_mb() -> None:
    assert PAGE_BYTES < 20e6


def test_a_figure_has_its_words_and_the_width_that_it_is_to_be_seen_at() -> None:
    pixels = _plain(40, 90, (10, 200, 30))
    text = page("R", [Section("A", figures=[Figure(pixels, "of a & b", 1.5, drawn=True), Figure(pixels, "c")])])
    first, second = re.findall(r"<figure>(.*?)</figure>", text)
    assert first.startswith('<img alt="of a &amp; b" width="60" src="data:image/png;base64,')
    assert first.endswith("<figcaption>of a &amp; b</figcaption>")
    data = re.search(r"base64,([^\"]+)", first)
    assert data is not None
    assert np.array_equal(decode_pixels(base64.b64decode(data[1])), pixels), "a drawing loses nothing"
    assert second.startswith('<img alt="c" width="90" src="data:image/jpeg;base64,')


def test_short_words_of_a_table_stay_in_one_line() -> None:
    words = "a remedy that takes more than one line"
    text = page("R", [Section("A", table=[("letter", "acts"), ("light and colour", words)])])
    assert f'<td>light and colour</td><td class="long">{words}</td>' in text
    assert "td, th:first-child { white-space: nowrap; }" in text
    assert ".long { white-space: normal;" in text
