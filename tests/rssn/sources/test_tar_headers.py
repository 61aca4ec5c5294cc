"""The headers of a tar file, against what Python's `tarfile` reads of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rssn.sources.tar_headers import SwollenError, TarError, TarMember, read_members

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
         tarfile.CHRTYPE, tarfile.FIFOTYPE, b"V")  # fmt: skip


class Watched:
    """Remembers the last block: tarfile takes a broken header for the end."""

    def __init__(self, data: bytes) -> None:
        self.last = b""
        self._stream = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        self.last = self._stream.read(size)
        return self.last

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def members(data: bytes) -> tuple[list[TarMember], bool]:
    """The members of an archive, and whether it was whole."""
    return collected(read_members(io.BytesIO(data)))


def expected(data: bytes) -> tuple[list[TarMember], bool]:
    """The same by tarfile."""
    return collected(_by_tarfile(data))


def collected(found: Iterator[TarMember]) -> tuple[list[TarMember], bool]:
    some: list[TarMember] = []
    try:
        some.extend(found)
    except (TarError, tarfile.TarError):
        return some, False
    return some, True


def _by_tarfile(data: bytes) -> Iterator[TarMember]:
    watched = Watched(data)
    with tarfile.open(fileobj=watched, mode="r:") as archive:  # type: ignore[call-overload]
        for info in archive:
            regular = info.isreg() and info.sparse is None
            yield TarMember(info.name, info.offset_data, info.size, info.isdir(), regular)
        if watched.last != bytes(512):
            raise tarfile.ReadError("no end")


def archive(infos: list[tuple[tarfile.TarInfo, bytes]], kind: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=kind) as made:
        for info, data in infos:
            made.addfile(info, io.BytesIO(data) if data else None)
    return stream.getvalue()


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(FORMATS))
    letters = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"])
    part = st.text(st.sampled_from("ab. ü") | letters, min_size=1, max_size=60)
    infos = []
    for _ in range(draw(st.integers(0, 4))):
        name = "/".join(draw(st.lists(part, min_size=1, max_size=4))).strip("/") or "x"
        info = tarfile.TarInfo(name)
        info.type = draw(st.sampled_from(KINDS))
        info.linkname = draw(st.text("ab/", max_size=120))
        data = draw(st.binary(max_size=1300)) if info.type in (*KINDS[:3], b"V") else b""
        info.size = len(data)
        info.pax_headers = draw(st.dictionaries(st.sampled_from(["comment", "mtime"]), st.text("1", min_size=1)))
        infos.append((info, data))
    try:
        return archive(infos, kind)
    except ValueError:  # a name that this format cannot hold
        return archive([], kind)


@given(archives())
def test_members_are_those_that_tarfile_reads(data: bytes) -> None:
    assert members(data) == expected(data)


@given(data=archives(), where=st.integers(0, 1 << 30), value=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_archive_ends_where_tarfile_ends(data: bytes, where: int, value: int, *, cut: bool) -> None:
    where %= len(data)
    damaged = data[:where] if cut else data[:where] + bytes([data[where] ^ value]) + data[where + 1 :]
    ours, theirs = members(damaged), expected(damaged)
    names = [one[:2] for one in theirs[0]]
    assert [one[:2] for one in ours[0]] == names[: len(ours[0])]
    assert ours[1] <= theirs[1], "what is damaged is said by us, if by anybody"
    assert ours == theirs or not ours[1]


def _sized(size: int, kind: int) -> bytes:
    info = tarfile.TarInfo("a.jpg")
    info.size = size
    return info.tobuf(kind)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_beyond_eight_gigabytes(kind: int) -> None:
    """Base-256 numbers of GNU's, and pax records."""
    found = read_members(io.BytesIO(_sized(9 << 30, kind) + bytes(1024)))
    first = next(found)
    assert (first.name, first.size, first.regular) == ("a.jpg", 9 << 30, True)
    with pytest.raises(TarError, match="without an end-of-archive mark"):
        next(found)


def test_a_size_in_an_extended_header_leads_to_the_next_member() -> None:
    info = tarfile.TarInfo("a.jpg")
    info.size, info.pax_headers = 0, {"size": "700"}
    first = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    other = archive([(tarfile.TarInfo("b.jpg"), b"")], tarfile.PAX_FORMAT)
    assert members(first + other) == expected(first + other)
    assert [(one.name, one.size) for one in members(first + other)[0]] == [("a.jpg", 700), ("b.jpg", 0)]


@pytest.mark.parametrize("records", [{"path": "longer.jpg", "comment": "x"}, {"comment": "ü" * 900}])
def test_headers_for_all_members(records: dict[str, str]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers=records) as made:
        for name in ("a.jpg", "b.jpg"):
            made.addfile(tarfile.TarInfo(name))
    assert members(stream.getvalue()) == expected(stream.getvalue())
    assert len(members(stream.getvalue())[0]) == 2


def _sparse(more: int) -> bytes:
    """An old sparse file of GNU's with further headers of its parts, and a file behind it."""
    header = bytearray(tarfile.TarInfo("s.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[124:136], header[482] = b"S", b"00000001000\0", int(more > 0)
    header[483:495] = b"00000002000\0"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 256)
    parts = [bytearray(512) for _ in range(more)]
    for part in parts[:-1]:
        part[504] = 1
    return bytes(header) + b"".join(map(bytes, parts)) + bytes(512) + _sized(0, tarfile.GNU_FORMAT) + bytes(1024)


@pytest.mark.parametrize("more", [0, 1, 3])
def test_a_sparse_file_is_no_whole_file(more: int) -> None:
    found, whole = members(_sparse(more))
    assert ([(one.name, one.regular) for one in found], whole) == ([("s.jpg", False), ("a.jpg", True)], True)
    assert [one.name for one in expected(_sparse(more))[0]] == ["s.jpg", "a.jpg"]


def test_a_sum_of_signed_bytes_is_one_too() -> None:
    header = bytearray(tarfile.TarInfo("ü.jpg").tobuf(tarfile.GNU_FORMAT))
    signed = sum(byte - 256 * (byte > 127) for byte in (*header[:148], *header[156:])) + 256
    header[148:156] = b"%06o\0 " % signed
    assert members(bytes(header) + bytes(1024)) == expected(bytes(header) + bytes(1024)) != ([], False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: b"x" * 600, "no tar header at byte 0"),
        (lambda data: data[:700], "ends without an end-of-archive mark"),
        (lambda data: data[:1024] + b"x" * 512, "broken header at byte 1024"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[bytes], bytes], words: str) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.size = 3
    with pytest.raises(TarError, match=words):
        list(read_members(io.BytesIO(change(archive([(info, b"abc")], tarfile.GNU_FORMAT)))))


def test_an_archive_may_not_swell() -> None:
    info = tarfile.TarInfo("a.jpg")
    info.size = 4000
    stream: BinaryIO = io.BytesIO(archive([(info, bytes(4000))], tarfile.GNU_FORMAT))
    found = read_members(stream, most=4000)
    assert next(found).name == "a.jpg"
    with pytest.raises(SwollenError):
        next(found)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize(
    "field",
    [
        b"-0000001000\0",
        b"+0000000003\0",
        b"0000000_003\0",
        b"\x80" + (1 << 80).to_bytes(11, "big"),
        b"\x80\0\0" + b"\xff" * 9,
    ],
)
def test_a_size_that_no_file_has_ends_the_archive(field: bytes, kind: bytes) -> None:
    """A negative one would lead back to the same header again and again."""
    with pytest.raises(TarError, match=r"no number|a size of "):
        next(read_members(io.BytesIO(with_size(field, kind))))
    at_most = b"\x80\0\0\0" + (2**63 - 1).to_bytes(8, "big")
    assert next(read_members(io.BytesIO(with_size(at_most, tarfile.REGTYPE)))).size == 2**63 - 1


def with_size(field: bytes, kind: bytes) -> bytes:
    """An archive whose one member says that it has a size."""
    info = tarfile.TarInfo("a")
    info.type = kind
    data = bytearray(archive([(info, b"")], tarfile.USTAR_FORMAT))
    data[124:136], data[148:156] = field, b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)
