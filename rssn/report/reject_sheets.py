"""What was refused, reason by reason: a few examples of each, with thumbnail and message.

Floor 3. Rejects are counted and chosen by light columns; only the chosen ones' thumbnails are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rssn.dataset.batches import NOTHING_LATER, Superseded, iter_rejects
from rssn.dataset.rows import place_of, read_row
from rssn.errors import Rejected
from rssn.image.arrays import Pixels
from rssn.image.decoding import decode_pixels
from rssn.report.contact_sheets import TILES_PER_ROW, parts, small_tile
from rssn.report.page import Tile, contact_sheet
from rssn.storage.location import Location

_MOST_REASONS = 40
_MOST_EXAMPLES = 24  # of one reason: four rows of a sheet


@dataclass(frozen=True)
class RejectSheet:
    """Examples of one reason."""

    reason: str
    count: int
    shown: int
    pixels: Pixels


def reject_sheets(
    files: Sequence[Location], reasons: Counter[str], samples: int, without: Superseded = NOTHING_LATER
) -> Iterator[RejectSheet]:
    """One sheet for each reason, the most frequent first.

    Args:
        files: Parquet files of rejects.
        reasons: How many rejects have each reason, see `count_rejects`.
        samples: How many examples to show of all reasons together; each reason shows at least one, at most 24.
        without: Rejects that count no more.
    """
    shown = [reason for reason, _ in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))][:_MOST_REASONS]
    if not shown:
        return
    most = min(_MOST_EXAMPLES, max(1, samples // len(shown)))
    chosen = _choose(files, without, {reason: reasons[reason] for reason in shown}, most)
    for reason in shown:
        tiles = [_tile(*place) for place in chosen[reason]]
        sheet = contact_sheet(list(parts(tiles, TILES_PER_ROW)))
        yield RejectSheet(reason, reasons[reason], len(tiles), sheet)


def _choose(
    files: Sequence[Location], without: Superseded, counts: dict[str, int], most: int
) -> dict[str, list[tuple[Location, int]]]:
    """Places of examples spread evenly over the rejects of each reason: the file, and the row's number in it."""
    chosen: dict[str, list[tuple[Location, int]]] = {reason: [] for reason in counts}
    seen: Counter[str] = Counter()
    for path, number, row in iter_rejects(files, without, ["item_id", "reason"]):
        reason = row["reason"]
        if reason not in counts:
            continue
        wanted = min(most, counts[reason])
        if seen[reason] == len(chosen[reason]) * counts[reason] // wanted and len(chosen[reason]) < wanted:
            chosen[reason].append((path, number))
        seen[reason] += 1
    return chosen


def _tile(path: Location, number: int) -> Tile:
    row = read_row(path, place_of(path, number), ["source", "stage", "message", "thumbnail"])
    return small_tile(_thumbnail(row["thumbnail"]), f"{row['source']}\n{row['stage']}: {row['message']}")


def _thumbnail(stored: dict[str, Any] | None) -> Pixels | None:
    if not stored or not stored["bytes"]:
        return None
    try:
        return decode_pixels(stored["bytes"])
    except Rejected:
        return None
