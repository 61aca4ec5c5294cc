"""What people look at first: contact sheets as pictures, and one self-contained page around them.

Floor 1: arrays and words in, arrays and text out. The page has a hard limit in bytes, whatever is put into it.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rssn.image.arrays import Pixels, encode_jpeg, encode_png, fit_inside

PAGE_BYTES = 19_000_000
"""A page never grows beyond this, so that it stays under 20 MB for a data set of any size."""

_EMBEDDED_SIDE = 2400  # px; pictures on a page are shrunk to it
_CELL_CHARACTERS = 600  # of one cell of a table; the rest is cut
_TABLE_ROWS = 300
_ONE_LINE = 24  # characters
_CAPTION_LINES = 14
_INK = (32, 32, 36)
_FAINT = (120, 120, 128)
_PAPER = (250, 250, 248)
_GAP = 10
_LINE = 17


@dataclass(frozen=True)
class Tile:
    """One cell of a contact sheet: a picture, or words where there is none."""

    pixels: Pixels | None
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture among others on a page, with words below it that the page sets.

    Attributes:
        pixels: H x W x 3, 8-bit RGB.
        caption: Below it.
        density: Its px for each px of the page: above 1 it is sharp on a fine screen.
        drawn: A drawing, which is stored without loss; a photograph otherwise.
    """

    pixels: Pixels
    caption: str
    density: float = 1.0
    drawn: bool = False


@dataclass(frozen=True)
class Section:
    """One part of a page: heading, paragraph, table of facts, table with a heading row, pictures, figures in rows."""

    title: str
    text: str = ""
    facts: Mapping[str, object] | None = None
    pictures: Sequence[Pixels] = ()
    table: Sequence[Sequence[object]] = ()  # the first row names the columns
    figures: Sequence[Figure] = ()


def contact_sheet(rows: Sequence[Sequence[Tile]], heading: Sequence[str] = (), side: int = 240) -> Pixels:
    """Lay tiles out in rows.

    Args:
        rows: Tiles, row by row; rows may differ in length.
        heading: Words above each column; there may be more of them than a row has tiles.
        side: The longer side of a tile's picture, px. Captions and headings are wrapped to it; a caption of more than
            14 lines is cut.

    Returns:
        H x W x 3 uint8.
    """
    columns = max([len(heading), *(len(row) for row in rows)]) or 1
    above = [wrap(words, side, 14) for words in heading]
    thumbnails = [[None if t.pixels is None else fit_inside(t.pixels, side) for t in row] for row in rows]
    captions = [[_caption(tile.caption, side) for tile in row] for row in rows]
    heights = [_row_height(*row) for row in zip(thumbnails, captions, strict=True)]
    top = _GAP + (_LINE * max(len(lines) for lines in above) + 4 if above else 0)
    size = (_GAP + columns * (side + _GAP), top + sum(heights) + _GAP * len(heights))
    sheet = PillowImage.new("RGB", size, _PAPER)
    for column, lines in enumerate(above):
        _write(sheet, (_GAP + column * (side + _GAP), _GAP - 2), lines, _INK, 14)
    for row_thumbnails, row_captions, height in zip(thumbnails, captions, heights, strict=True):
        for column, (thumbnail, lines) in enumerate(zip(row_thumbnails, row_captions, strict=True)):
            _draw_tile(sheet, (_GAP + column * (side + _GAP), top), thumbnail, lines)
        top += height + _GAP
    return np.asarray(sheet)


def wrap(text: str, width: int, size: int) -> list[str]:
    """Break text into lines of at most `width` px in the sheet's font of `size` px; words that are too long are cut."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in _short_words(paragraph, width, size):
            longer = f"{line} {word}" if line else word
            if line and _length(longer, size) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def page(title: str, sections: Sequence[Section], limit: int = PAGE_BYTES) -> str:
    """One HTML page that needs no other file: pictures are embedded, nothing is loaded from anywhere.

    Args:
        title: The page's heading.
        sections: Its parts, the most important first.
        limit: Size in bytes that the page never passes. A picture or table that does not fit any more is left out,
            and the page's last line counts what is missing.
    """
    parts: list[str] = []
    room = limit - len(_PAGE.format(title=html.escape(title), body="").encode()) - 200
    left_out = 0
    for part in (part for section in sections for part in _section(section)):
        size = len(part.encode()) + 1
        if size <= room:
            parts.append(part)
            room -= size
        else:
            left_out += 1
    if left_out:
        parts.append(f"<p>{left_out} parts are left out here: a page stays under {limit / 1e6:.3g} MB.</p>")
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def _short_words(paragraph: str, width: int, size: int) -> Iterator[str]:
    for whole in paragraph.split():
        word = whole
        while _length(word, size) > width and len(word) > 1:
            fits = next(n for n in range(1, len(word)) if _length(word[: n + 1], size) > width)
            yield word[:fits]
            word = word[fits:]
        yield word


def _caption(text: str, side: int) -> list[str]:
    lines = wrap(text[: 100 * _CAPTION_LINES], side, 13)
    return lines if len(lines) <= _CAPTION_LINES else [*lines[: _CAPTION_LINES - 1], "..."]


def _row_height(thumbnails: Sequence[Pixels | None], captions: Sequence[Sequence[str]]) -> int:
    cells = zip(thumbnails, captions, strict=True)
    heights = ((0 if t is None else t.shape[0]) + _LINE * len(lines) + (4 if lines else 0) for t, lines in cells)
    return max(heights, default=0)


def _draw_tile(
    sheet: PillowImage.Image, corner: tuple[int, int], thumbnail: Pixels | None, lines: Sequence[str]
) -> None:
    x, y = corner
    if thumbnail is not None:
        sheet.paste(PillowImage.fromarray(thumbnail).convert("RGB"), (x, y))
        y += thumbnail.shape[0] + 2
    _write(sheet, (x, y), lines, _INK if thumbnail is None else _FAINT, 13)


def _write(
    sheet: PillowImage.Image, corner: tuple[int, int], lines: Sequence[str], colour: tuple[int, int, int], size: int
) -> None:
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((corner[0], corner[1] + number * _LINE), line, colour, font(size))


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font of sheets and charts, which Pillow brings along."""
    return ImageFont.load_default(size)


def _length(text: str, size: int) -> float:
    return font(size).getlength(text)


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{html.escape(_cut(section.title))}</h2>"
    if section.text:
        yield f"<p>{html.escape(section.text[: 10 * _CELL_CHARACTERS])}</p>"
    if section.facts is not None:
        yield _table([_cell("th", key) + _cell("td", value) for key, value in section.facts.items()])
    if section.table:
        head = "".join(_cell("th", word) for word in section.table[0])
        yield _table([head, *("".join(_cell("td", value) for value in row) for row in section.table[1:])])
    for pixels in section.pictures:
        yield f'<img alt="{html.escape(_cut(section.title))}" src="{_embedded(pixels)}">'
    for figure in section.figures:
        words, width = html.escape(_cut(figure.caption)), round(figure.pixels.shape[1] / figure.density)
        source = _embedded(figure.pixels, drawn=figure.drawn)
        yield f'<figure><img alt="{words}" width="{width}" src="{source}"><figcaption>{words}</figcaption></figure>'


def _table(rows: Sequence[str]) -> str:
    more = f"<tr><td>and {len(rows) - _TABLE_ROWS} more</td></tr>" if len(rows) > _TABLE_ROWS else ""
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows[:_TABLE_ROWS]) + more + "</table>"


def _cell(tag: str, value: object) -> str:
    """Short words stay in one line, as a name or a figure with its interval does; long ones break where they must."""
    text = str(value)
    name = ' class="long"' if len(text) > _ONE_LINE else ""
    return f"<{tag}{name}>{html.escape(_cut(text))}</{tag}>"


def _cut(text: str) -> str:
    return text if len(text) <= _CELL_CHARACTERS else text[:_CELL_CHARACTERS] + "..."


def _embedded(pixels: Pixels, *, drawn: bool = False) -> str:
    fitted = fit_inside(pixels, _EMBEDDED_SIDE)
    kind, data = ("png", encode_png(fitted)) if drawn else ("jpeg", encode_jpeg(fitted, 86))
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #202024; background: #fafaf8; max-width: 96rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }} h2 {{ margin-top: 2.5rem; }}
p {{ max-width: 60rem; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .2rem .9rem .2rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid #e4e4e0; }} th {{ font-weight: 600; }}
td {{ font-variant-numeric: tabular-nums; }} td, th:first-child {{ white-space: nowrap; }}
td.long, th.long {{ white-space: normal; overflow-wrap: anywhere; }}
figure {{ display: inline-table; margin: 0 1.2rem 1rem 0; vertical-align: top; max-width: 100%; }}
figure img {{ margin: 0 0 .2rem; }} figcaption {{ display: table-caption; caption-side: bottom; color: #5a5a62;
  font-size: .8rem; line-height: 1.35; overflow-wrap: anywhere; }}
img {{ max-width: 100%; height: auto; display: block; margin: 1rem 0; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
