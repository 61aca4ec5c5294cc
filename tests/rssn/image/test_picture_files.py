from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from rssn.image.picture_files import (
    FORMATS,
    SUFFIX_FORMATS,
    archive_format,
    file_kind,
    format_of,
    suffix_of,
    unread_words,
)


def never() -> bytes:
    raise AssertionError("the suffix says it: the file must not be opened")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"a{suffix}", "picture") for suffix in SUFFIX_FORMATS),
        ("B.JPG", "picture"),
        ("a.b.Heic", "picture"),
        ("a.tar", "archive"),
        ("a.TGZ", "archive"),
        ("2019.tar.gz", "archive"),
        ("a.zip", "archive"),
        ("a.rar", "other"),
        ("a.7z", "other"),
        ("a.gz", "other"),
        ("a.tar.xz", "other"),
        ("DSC_1.NEF", "other"),
        ("a.txt", "other"),
        ("._a.jpg", "hidden"),
        (".DS_Store", "hidden"),
        ("Thumbs.db", "hidden"),
        ("thumbs.DB", "hidden"),
        ("__MACOSX", "hidden"),
        (".hidden.png", "hidden"),
    ],
)
def test_a_suffix_says_what_a_file_is(name: str, kind: str) -> None:
    assert file_kind(name, never) == kind


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("MPO", "HEIF")])
def test_without_a_suffix_the_first_bytes_say_it(name: str) -> None:
    stream = io.BytesIO()
    PillowImage.new("RGB", (8, 6)).save(stream, name)
    assert format_of(stream.getvalue()[:64]) == name
    assert file_kind("photo", stream.getvalue) == "picture"
    assert file_kind("photo.jpg_large", stream.getvalue) == ("other" if name == "TIFF" else "picture")


def test_heic_is_told_from_other_files_of_its_container() -> None:
    brands = {b"heic": "HEIF", b"mif1": "HEIF", b"avif": "AVIF", b"crx ": None, b"isom": None, b"qt  ": None}
    for brand, name in brands.items():
        assert format_of(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1xxxx") == name
    assert format_of(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") == "AVIF"


@pytest.mark.parametrize("head", [b"", b"BM", b"BMW is a car, and this a text.", b"%PDF-1.7", b"\x1f\x8b\x08"])
def test_other_bytes_are_no_picture(head: bytes) -> None:
    assert format_of(head) is None
    assert file_kind("photo", lambda: head) == "other"


def test_archives_by_name() -> None:
    kinds = {"a.tar": "tar", "a.b.tar.gz": "tgz", "a.tgz": "tgz", "a.zip": "zip", "a.tar.bz2": None, "tar.gz": None}
    assert {name: archive_format(Path(name)) for name in kinds} == kinds
    assert [suffix_of(name) for name in ("a.Tar.GZ", "a.b.jpg", "a", "v1.2.tar")] == [".Tar.GZ", ".jpg", "", ".tar"]


def test_what_is_not_read_is_counted_in_words() -> None:
    assert unread_words(Counter({".NEF": 2, "": 4, ".txt": 1})) == (
        "7 files are no pictures we read: 4 without a suffix, 2 .NEF, 1 .txt"
    )
    assert unread_words(Counter({".rar": 1})) == "1 file is no picture we read: 1 .rar; unpack .rar first"
