"""Contact sheets of a data set: what each sample looks like and what was done to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rssn.errors import Rejected
from rssn.images import Pixels, decode_pixels, read_bytes
from rssn.report import Tile, contact_sheet
from rssn.rows import place_of, read_row
from rssn.shards import DatasetFolder, Mark

_ROWS_PER_SHEET = 12
_TILES_PER_ROW = 6
_HEADING = ("original", "alpha", "foreground F", "background B", "composite", "what the draw did")


def composite_sheets(folder: DatasetFolder, marks: Sequence[Mark], originals: Path, samples: int) -> list[Pixels]:
    """Sheets with a row per sample: original, alpha, F, B, composite, and the draw in words.

    Args:
        folder: A data set of composites.
        marks: Its trusted marks.
        originals: Root of the matting data set, for the original photographs.
        samples: How many samples to show, spread evenly.
    """
    rows = [_composite_tiles(row, originals) for row in _spread(folder, marks, samples)]
    return [contact_sheet(part, _HEADING) for part in _parts(rows, _ROWS_PER_SHEET)]


def background_sheets(folder: DatasetFolder, marks: Sequence[Mark], samples: int) -> list[Pixels]:
    """Sheets of kept backgrounds, with their source, split and score."""
    tiles = [_background_tile(row) for row in _spread(folder, marks, samples)]
    return [contact_sheet(part) for part in _parts(_parts(tiles, _TILES_PER_ROW), _ROWS_PER_SHEET)]


def reject_sheets(folder: DatasetFolder, samples: int) -> list[Pixels]:
    """Sheets of what was refused, in order of reason, with the message; pictures where there is one."""
    files = sorted((folder.root / "rejects").glob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    rows.sort(key=lambda row: (row["reason"], row["source"]))
    step = max(1, -(-len(rows) // samples))
    tiles = [_reject_tile(row) for row in rows[::step]]
    return [contact_sheet(part) for part in _parts(_parts(tiles, _TILES_PER_ROW), _ROWS_PER_SHEET)]


def _composite_tiles(row: dict[str, Any], originals: Path) -> list[Tile]:
    pictures = [Tile(_pixels(row[name])) for name in ("alpha", "foreground", "background", "image")]
    return [_original(originals / row["foreground_source"]), *pictures, Tile(None, _words(row))]


def _words(row: dict[str, Any]) -> str:
    """What the draw did, line by line."""
    denoised = f"denoised: {row['denoiser']}, sigma {row['denoise_sigma']:g}" if row["denoised"] else "not denoised"
    blurred = f"background blurred: {row['blur_size']} px" if row["blur_size"] else "not blurred"
    noisy = f"noise added: sigma {row['noise_sigma']:g}" if row["noise_sigma"] else "no noise added"
    crop = row["background_crop"]
    lines = (
        f"{row['foreground_source']}, k = {row['k']}",
        f"{row['width']} x {row['height']} px, F by {row['foreground_method']}",
        denoised,
        blurred,
        noisy,
        f"background: {row['background_source'][-30:]}",
        f"crop at {crop['x']}, {crop['y']}",
    )
    return "\n".join(lines)


def _original(path: Path) -> Tile:
    try:
        return Tile(decode_pixels(read_bytes(path)))
    except Rejected:
        return Tile(None, f"not found:\n{path.name}")


def _background_tile(row: dict[str, Any]) -> Tile:
    screened = f"salience {row['salience']:.2f}" if row["salience"] is not None else "not screened"
    return Tile(_pixels(row["image"]), f"{row['source'][-34:]}\n{row['split']}, {screened}")


def _reject_tile(row: dict[str, Any]) -> Tile:
    thumbnail = row["thumbnail"] and _pixels(row["thumbnail"])
    message = _wrapped(row["message"], 36)
    return Tile(thumbnail if thumbnail is not None else None, f"{row['source'][-34:]}\n{row['reason']}\n{message}")


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:4])


def _pixels(picture: dict[str, Any]) -> Pixels:
    return decode_pixels(picture["bytes"])


def _spread(folder: DatasetFolder, marks: Sequence[Mark], samples: int) -> Iterator[dict[str, Any]]:
    """Rows spread evenly over a data set; reads the row groups of the chosen ones only."""
    total = sum(mark.rows for mark in marks)
    chosen = [number * total // min(samples, total) for number in range(min(samples, total))]
    before = 0
    for mark in marks:
        path = folder.data(mark.name)
        for number in chosen:
            if before <= number < before + mark.rows:
                yield read_row(path, place_of(path, number - before))
        before += mark.rows


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
