"""What people look at first: contact sheets as pictures, and one self-contained page around them."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from rssn.images import Pixels, encode_jpeg, fit_inside

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
class Section:
    """One part of a page: a heading, a paragraph, a table of facts, pictures."""

    title: str
    text: str = ""
    facts: Mapping[str, object] | None = None
    pictures: Sequence[Pixels] = ()


def contact_sheet(rows: Sequence[Sequence[Tile]], heading: Sequence[str] = (), side: int = 240) -> Pixels:
    """Lay tiles out in rows.

    Args:
        rows: Tiles, row by row; rows may differ in length.
        heading: One word above each column.
        side: The longer side of a tile's picture, px.

    Returns:
        H x W x 3 uint8.
    """
    columns = max((len(row) for row in rows), default=1)
    thumbnails = [[None if t.pixels is None else fit_inside(t.pixels, side) for t in row] for row in rows]
    heights = [_row_height(row, thumbs) for row, thumbs in zip(rows, thumbnails, strict=True)]
    top = _GAP + (_LINE + 4 if heading else 0)
    size = (_GAP + columns * (side + _GAP), top + sum(heights) + _GAP * len(heights))
    sheet = PillowImage.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, word in enumerate(heading):
        pen.text((_GAP + column * (side + _GAP), _GAP - 2), word, _INK, _font(14))
    for row, thumbs, height in zip(rows, thumbnails, heights, strict=True):
        for column, (tile, thumb) in enumerate(zip(row, thumbs, strict=True)):
            _draw_tile(sheet, (_GAP + column * (side + _GAP), top), tile, thumb)
        top += height + _GAP
    return np.asarray(sheet)


def page(title: str, sections: Sequence[Section]) -> str:
    """One HTML page that needs no other file: pictures are embedded, nothing is loaded from anywhere."""
    body = "\n".join(_section(section) for section in sections)
    return _PAGE.format(title=html.escape(title), body=body)


def _row_height(row: Sequence[Tile], thumbs: Sequence[Pixels | None]) -> int:
    heights = [
        (0 if thumb is None else thumb.shape[0]) + _caption_height(t) for t, thumb in zip(row, thumbs, strict=True)
    ]
    return max(heights, default=0)


def _caption_height(tile: Tile) -> int:
    return _LINE * len(tile.caption.splitlines()) + (4 if tile.caption else 0)


def _draw_tile(sheet: PillowImage.Image, corner: tuple[int, int], tile: Tile, thumb: Pixels | None) -> None:
    x, y = corner
    if thumb is not None:
        sheet.paste(PillowImage.fromarray(thumb).convert("RGB"), (x, y))
        y += thumb.shape[0] + 2
    pen = ImageDraw.Draw(sheet)
    for line in tile.caption.splitlines():
        pen.text((x, y), line, _INK if thumb is None else _FAINT, _font(13))
        y += _LINE


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.facts is not None:
        cells = "".join(
            f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in section.facts.items()
        )
        parts.append(f"<table>{cells}</table>")
    parts.extend(f'<img alt="{html.escape(section.title)}" src="{_embedded(p)}">' for p in section.pictures)
    return "\n".join(parts)


def _embedded(pixels: Pixels) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(pixels, 88)).decode("ascii")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #202024; background: #fafaf8; max-width: 80rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }} h2 {{ margin-top: 2.5rem; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .2rem .9rem .2rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid #e4e4e0; }} th {{ font-weight: 600; }}
td {{ font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
img {{ max-width: 100%; height: auto; display: block; margin: 1rem 0; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""
