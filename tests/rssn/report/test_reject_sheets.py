from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rssn.dataset.schema import REJECTS, picture
from rssn.dataset.statistics import count_rejects
from rssn.image.arrays import encode_png
from rssn.report import reject_sheets as module
from rssn.report.reject_sheets import RejectSheet, reject_sheets
from rssn.storage.files import write_parquet


def _reject(number: int, reason: str, colour: tuple[int, int, int] | None) -> dict[str, Any]:
    pixels = None if colour is None else encode_png(np.full((30, 60, 3), colour, np.uint8))
    return {
        "item_id": str(number),
        "source": f"{number}.jpg",
        "stage": "read",
        "reason": reason,
        "message": "too small by far",
        "thumbnail": pixels and picture(pixels, "thumbnail.png"),
    }


def _sheets(path: Path, rows: Sequence[dict[str, Any]], samples: int) -> list[RejectSheet]:
    """The sheets of rows that lie in two files."""
    files = [path / "a.parquet", path / "b.parquet"]
    write_parquet(files[0], REJECTS, rows[: len(rows) // 2])
    write_parquet(files[1], REJECTS, rows[len(rows) // 2 :])
    return list(reject_sheets(files, count_rejects(files), samples))


def test_each_reason_has_its_sheet_the_most_frequent_first(tmp_path: Path) -> None:
    reasons = ["rare", "often", "often", "often", "middle", "middle"]
    sheets = _sheets(tmp_path, [_reject(n, reason, (200, 0, 0)) for n, reason in enumerate(reasons)], 12)
    assert [(s.reason, s.count, s.shown) for s in sheets] == [("often", 3, 3), ("middle", 2, 2), ("rare", 1, 1)]
    widths = [int((sheet.pixels == (200, 0, 0)).all(axis=2)[20].sum()) for sheet in sheets]
    assert widths == [180, 120, 60]


def test_examples_are_spread_over_all_files(tmp_path: Path) -> None:
    rows = [_reject(n, "small", (n, 255 - n, 0)) for n in range(200)]
    (sheet,) = _sheets(tmp_path, rows, 5)
    assert (sheet.count, sheet.shown) == (200, 5)
    reds = [int(sheet.pixels[15, 15 + 250 * column, 0]) for column in range(5)]
    assert reds == [0, 40, 80, 120, 160]


def test_examples_are_limited_however_many_are_asked_for(tmp_path: Path) -> None:
    rows = [_reject(n, f"reason_{n % 60:02d}", None) for n in range(1800)]
    sheets = _sheets(tmp_path, rows, 10**6)
    assert len(sheets) == 40
    assert {sheet.shown for sheet in sheets} == {24}


@pytest.mark.parametrize("broken", [None, picture(b"", "x.jpg"), picture(b"no picture", "x.jpg")])
def test_without_a_usable_thumbnail_there_are_words(tmp_path: Path, broken: dict[str, bytes | str] | None) -> None:
    row = _reject(1, "small", None) | {"thumbnail": broken}
    (sheet,) = _sheets(tmp_path, [row, row], 5)
    assert (sheet.pixels[10:44, 10:250] != (250, 250, 248)).any()


def test_only_the_thumbnails_of_examples_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = module.read_row
    monkeypatch.setattr(module, "read_row", lambda *asked: (read.append(asked), original(*asked))[1])
    _sheets(tmp_path, [_reject(n, "small", (1, 2, 3)) for n in range(50)], 4)
    assert len(read) == 4


def test_no_rejects_no_sheets() -> None:
    assert list(reject_sheets([], count_rejects([]), 5)) == []
