from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.errors import InputError, Rejected, RemoteError
from rssn.image.arrays import encode_png, to_uint8
from rssn.sources.embedded import read_beside
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import Pair, load_pair
from rssn.sources.pair_tables import table_pairs
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tables import read_table
from rssn.storage.location import BucketPath
from rssn.synthetic import render_shot
from tests.bucket import Fault, Store
from tests.rssn.sources.packing import uploaded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shot = render_shot(0, 64, 48)
    for name, values in (
        ("a.png", shot.image),
        ("b ü.png", shot.image),
        ("m.png", shot.alpha),
        ("f.png", shot.foreground),
    ):
        (tmp_path / name).write_bytes(encode_png(to_uint8(values)))
    return tmp_path


def _csv(root: Path, text: str, encoding: str = "utf-8") -> Path:
    path = root / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


def _parquet(root: Path, columns: dict[str, Any]) -> Path:
    path = root / "pairs.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def _error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        table_pairs(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def test_a_csv_of_pairs(root: Path) -> None:
    text = (
        "name,image,alpha,foreground,license,note\nfirst,a.png,m.png,,CC0,x\n,,m.png,f.png,,\n,a.png,m.png,f.png,MIT,\n"
    )
    pairs, problems = table_pairs(_csv(root, text))
    image, alpha, foreground = (PictureRef.of(root / name) for name in ("a.png", "m.png", "f.png"))
    assert problems == []
    assert pairs == [
        Pair("first", image, alpha, None, "a.png", "CC0", "pairs.csv, row 1", files=("a.png", "m.png")),
        Pair("f", None, alpha, foreground, "f.png", "", "pairs.csv, row 2", files=("m.png", "f.png")),
        Pair("a", image, alpha, foreground, "a.png", "MIT", "pairs.csv, row 3", files=("a.png", "m.png", "f.png")),
    ]
    assert load_pair(pairs[0]).picture.shape == (48, 64, 3)


def test_a_parquet_of_pairs(root: Path) -> None:
    columns = {
        "image": ["a.png", None, "a.png"],
        "alpha": pa.array(["m.png"] * 3).dictionary_encode(),
        "foreground": pa.array([None, "f.png", None], pa.large_string()),
        "score": [0.5, 0.25, 0.0],
    }
    pairs, problems = table_pairs(_parquet(root, columns))
    assert problems == []
    assert [(pair.source, pair.foreground) for pair in pairs] == [
        ("a.png", None),
        ("f.png", PictureRef.of(root / "f.png")),
        ("a.png", None),
    ]


def test_one_file_may_be_foreground_and_alpha(root: Path) -> None:
    (pair,), _ = table_pairs(_csv(root, "foreground,alpha\nf.png,f.png\n"))
    assert (pair.foreground, pair.alpha, pair.image) == (*[PictureRef.of(root / "f.png")] * 2, None)


def test_paths_may_lead_elsewhere(root: Path) -> None:
    folder = root / "lists"
    folder.mkdir()
    pairs, problems = table_pairs(_csv(folder, f"image,alpha\n../a.png,{root / 'm.png'}\n{root / 'a.png'},../m.png\n"))
    assert problems == []
    assert [pair.source for pair in pairs] == ["../a.png", (root / "a.png").as_posix()]
    assert [pair.picture.read() for pair in pairs] == [(root / "a.png").read_bytes()] * 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends(root: Path, encoding: str, newline: str) -> None:
    text = newline.join(
        ['image, alpha ,"name"', '"b ü.png",m.png,"two ""words"", one comma"', "", "  ", 'a.png, "m.png"']
    )
    pairs, problems = table_pairs(_csv(root, text, encoding))
    assert problems == []
    assert [(pair.source, pair.name) for pair in pairs] == [("b ü.png", 'two "words", one comma'), ("a.png", "a")]


def test_another_encoding_is_named_with_its_line(root: Path) -> None:
    path = _csv(root, "image,alpha\na.png,m.png\nb ü.png,m.png\n", "latin-1")
    assert "line 3 is not UTF-8; save the table as UTF-8" in _error(path)


def test_a_row_that_cannot_be_used_is_a_problem_with_its_number(root: Path) -> None:
    lines = [
        "a.png,m.png,",
        "absent.png,m.png,",
        "a.png,,",
        ",m.png,",
        "a,b.png,m.png,",
        ".,m.png,",
        f"{'x' * 300}.png,m.png,",
        "a.png",
        "a.png,m.png,absent.png",
    ]
    pairs, problems = table_pairs(_csv(root, "\n".join(["image,alpha,foreground", *lines])))
    assert len(pairs) == 1
    assert [(problem.source, problem.reason) for problem in problems] == [
        ("pairs.csv, row 2", "missing_file"),
        ("pairs.csv, row 3", "missing_value"),
        ("pairs.csv, row 4", "missing_value"),
        ("pairs.csv, row 5", "surplus_cells"),
        ("pairs.csv, row 6", "missing_file"),
        ("pairs.csv, row 7", "unreadable"),
        ("pairs.csv, row 8", "missing_value"),
        ("pairs.csv, row 9", "missing_file"),
    ]
    assert problems[0].message == f"image: {root / 'absent.png'}: no such file"
    assert problems[1].message == "the column alpha is empty"
    assert problems[2].message == "the columns image and foreground are both empty"
    assert problems[3].message.startswith("1 more cells than columns")
    assert "File name too long" in problems[5].message
    assert problems[7].message == f"foreground: {root / 'absent.png'}: no such file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the table is empty; its first line has to name the columns"),
        ("image,alpha\n", "the table has no rows"),
        ("image;alpha\na.png;m.png\n", "needs the columns alpha and image or foreground; it has image;alpha"),
        ("alpha\nm.png\n", "needs the columns alpha and image or foreground; it has alpha"),
        ("image\na.png\n", "needs the columns alpha and image or foreground; it has image"),
        ("image,alpha,image\n", "the column image occurs twice"),
        ("image,alpha,license,licence\n", "the column licence occurs twice"),
        ('image,alpha\na.png,"m.png\n', "line 2 is not CSV: unexpected end of data"),
        ("image,alpha\nx.png,m.png\n", "none of its 1 rows can be used; pairs.csv, row 1: image: "),
    ],
)
def test_what_is_no_csv_of_pairs(root: Path, text: str, words: str) -> None:
    assert words in _error(_csv(root, text))


def test_what_is_no_parquet_of_pairs(root: Path) -> None:
    path = root / "pairs.parquet"
    path.write_bytes(b"image,alpha\n")
    assert "not a Parquet file" in _error(path)
    assert "the column image holds int64, not text" in _error(_parquet(root, {"image": [1], "alpha": ["m.png"]}))
    assert "it has image" in _error(_parquet(root, {"image": ["a.png"]}))
    data = bytearray(_parquet(root, {"image": ["a.png"], "alpha": ["m.png"]}).read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(bytes(data))
    assert "the table is damaged" in _error(path)


_CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.strip)


@given(rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6))
def test_any_text_survives_a_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("path", "source"), *rows])
    table = read_table(_csv(tmp_path_factory.mktemp("table"), stream.getvalue()), ("path", "source"))
    assert [(row.number, row.text("path"), row.text("source")) for row in table.rows] == [
        (number, *row) for number, row in enumerate(rows, 1)
    ]


def test_a_table_that_a_store_refuses_is_not_called_damaged(root: Path, s3: Store, bucket: str) -> None:
    uploaded(s3, str(bucket), root)
    s3.put(f"{bucket}/t.csv", b"foreground,alpha\n")
    place = BucketPath(f"{bucket}/t.csv")
    s3.faults = [Fault("refuse", "GET", r"t\.csv", times=9)]
    with pytest.raises(RemoteError, match=r"t\.csv: access is refused"):
        read_table(place, ("alpha",))


def test_a_store_that_refuses_a_text_beside_a_picture_is_a_reason(tmp_path: Path, s3: Store, bucket: str) -> None:
    pq.write_table(pa.table({"image": [b"a"], "background_id": ["b"]}), tmp_path / "t.parquet")
    s3.put(f"{bucket}/t.parquet", (tmp_path / "t.parquet").read_bytes())
    s3.faults = [Fault("refuse", "GET", r"t\.parquet", times=99)]
    with pytest.raises(Rejected, match="unreadable"):
        read_beside(BucketPath(f"{bucket}/t.parquet"), "image", (0, 0), "background_id")


def test_a_store_that_refuses_pictures_does_not_make_cut_outs_another_layout(s3: Store, bucket: str) -> None:
    picture = encode_png(np.zeros((8, 8, 4), np.uint8))
    for name in ("a.png", "b.png"):
        s3.put(f"{bucket}/set/{name}", picture)
    assert find_pairs(BucketPath(f"{bucket}/set")).layout == "rgba"
    s3.faults = [Fault("refuse", "GET", r"[ab]\.png", times=99)]
    with pytest.raises(RemoteError, match="access is refused"):
        find_pairs(BucketPath(f"{bucket}/set"))
