from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg20k.schema import CANDIDATES
from pipelines.review import thumbnails as review_pictures
from pipelines.review.thumbnails import THUMBNAIL_SIDE, Pictures
from rssn.dataset.schema import picture
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.arrays import fit_inside
from rssn.image.decoding import decode_pixels
from rssn.storage.files import write_parquet
from tests.pipelines.reviewing import photograph, salient, small, verdict, write_set


def test_kept_photographs_are_made_small(tmp_path: Path) -> None:
    pictures = Pictures(write_set(tmp_path, [verdict(0), salient(1, 0.9)]))
    found = pictures.thumbnail("00000.jpg")
    assert found is not None
    pixels = decode_pixels(found)
    expected = fit_inside(decode_pixels(photograph(0)), THUMBNAIL_SIDE)
    assert pixels.shape == expected.shape == (341, 512, 3)
    assert np.abs(pixels.astype(int) - expected).mean() < 2.0
    assert pictures.picture("00000.jpg") == photograph(0)


def test_of_rejected_ones_the_thumbnail_is_shown_and_without_one_nothing(tmp_path: Path) -> None:
    pictures = Pictures(write_set(tmp_path, [salient(1, 0.9), small(2)]))
    found = pictures.thumbnail("00001.jpg")
    assert found is not None
    assert decode_pixels(found).shape == (171, 256, 3)
    assert pictures.thumbnail("00002.jpg") is None
    assert pictures.picture("nobody.jpg") is None


def test_the_working_folder_has_the_larger_pictures(tmp_path: Path) -> None:
    write_set(tmp_path, [verdict(0), salient(1, 0.9), small(2)])
    row = dict.fromkeys(CANDIDATES.names) | {"source": "00001.jpg", "image": picture(photograph(1), "1.jpg")}
    write_parquet(DatasetFolder(tmp_path / "candidates").data("candidates-00000-of-00001"), CANDIDATES, [row])
    pictures = Pictures(tmp_path)
    assert pictures.picture("00001.jpg") == photograph(1)


def test_the_memory_is_bounded_and_the_latest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [verdict(number) for number in range(6)]
    write_set(tmp_path, rows)
    sizes = [len(Pictures(tmp_path).thumbnail(row["source"]) or b"") for row in rows]
    monkeypatch.setattr(review_pictures, "CACHE_BYTES", sum(sizes[-3:]))
    pictures = Pictures(tmp_path)
    first = [pictures.thumbnail(row["source"]) for row in rows]
    made: list[str] = []
    monkeypatch.setattr(Pictures, "_make", lambda _, source: made.append(source))
    assert [pictures.thumbnail(row["source"]) for row in rows[3:]] == first[3:]
    assert made == []
    assert pictures.thumbnail("00000.jpg") is None
    assert made == ["00000.jpg"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, [verdict(0)])
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet: damaged: .*; run rssn build-bg20k again"):
        Pictures(tmp_path)
