"""Headers of a tar file, one after the other: names, places and sizes of its members, and nothing else.

`tarfile` does the same at several times the cost for each member. Read are the formats of POSIX (ustar, pax) and GNU
(long names, base-256 numbers, sparse files); see POSIX.1-2017, pax, "ustar Interchange Format", and GNU tar's manual,
"Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

BLOCK = 512
_LARGEST = 1 << 20  # bytes of a header, names and comments included
_LARGEST_FILE = 2**63 - 1
_END = bytes(BLOCK)
_REGULAR, _FOLDER = (b"\0", b"0", b"7", b"S"), b"5"
_WITHOUT_DATA = tuple(b"%d" % kind for kind in range(1, 7))  # links, devices, folders, pipes: their sizes do not count
_GNU = (b"L", b"K", b"S")


class TarError(ValueError):
    """Not a tar file, or a damaged one; the message says what was found."""


class SwollenError(TarError):
    """It has more bytes than it may."""


class TarMember(NamedTuple):
    """What a header says of a member.

    Attributes:
        name: As in the archive; bytes that are no UTF-8 are surrogates, as in names of files.
        place: Where its bytes begin in the archive, unpacked.
        size: Its bytes.
        folder: Whether it is a folder.
        regular: Whether its bytes are all of a file's: no link, device, pipe or sparse file.
    """

    name: str
    place: int
    size: int
    folder: bool
    regular: bool


def read_members(stream: BinaryIO, most: float = float("inf")) -> Iterator[TarMember]:
    """The members of a tar file, in their order, up to its end mark.

    Args:
        stream: It, unpacked, from its beginning; it is sought forwards only, but for what a caller seeks in between.
        most: Bytes that it may have.

    Raises:
        TarError: If it is damaged or no tar file, or has a header of more than 1 MiB.
        SwollenError: If it has more bytes than it may.
        OSError: If it cannot be read.
    """
    place = 0
    common: dict[str, str] = {}  # of a pax header for all members that follow
    own: dict[str, str] = {}  # of headers for the next member
    while True:
        if place > most:
            raise SwollenError(f"more than {most:.0f} bytes")
        stream.seek(place)
        header = stream.read(BLOCK)
        if header == _END:
            if own:
                raise TarError("a header for a member that is missing")
            return
        _check(header, place)
        kind, size = header[156:157], _number(header[124:136])
        place += BLOCK
        if kind in (b"L", b"K", b"x", b"X", b"g"):
            data = _extension(stream, size)
            if kind == b"L":
                own["path"] = _text(data)
            elif kind != b"K":
                (common if kind == b"g" else own).update(_records(data))
            place += _blocks(size)
            continue
        sparse = kind == b"S"
        if sparse:
            place += _sparse_blocks(stream, header)
        said = {**common, **own} if common or own else own
        name = said.get("GNU.sparse.name") or said.get("path") or _name(header, kind)
        size = _decimal(said["size"]) if "size" in own else size
        folder = kind == _FOLDER or (kind == b"\0" and _name(header, kind).endswith("/"))
        sparse = sparse or any(key.startswith("GNU.sparse.") for key in said)
        yield TarMember(name.rstrip("/") if folder else name, place, size, folder, kind in _REGULAR and not sparse)
        if kind not in _WITHOUT_DATA and not (folder and kind == b"\0"):
            place += _blocks(size)
        own = {}


def _check(header: bytes, place: int) -> None:
    """Refuse what is no header: the sum of its bytes is in it, those of the sum as blanks."""
    if len(header) < BLOCK:
        words = "it is empty" if not header and not place else "it ends without an end-of-archive mark"
        raise TarError(words)
    field, found = header[148:156], sum(header) - sum(header[148:156]) + 8 * ord(" ")
    try:
        said = _number(field)
    except TarError:
        said = -1
    if said not in (found, found - 256 * (_high(header) - _high(field))):  # old tars sum signed bytes
        words = "no end-of-archive mark after the last member, but a broken header" if place else "no tar header"
        raise TarError(f"{words} at byte {place}")


def _high(data: bytes) -> int:
    return sum(byte > 127 for byte in data)


def _number(field: bytes) -> int:
    """Octal digits, or where the first bit is set the other bits of all bytes, as GNU tar writes large sizes."""
    if field[0] == 0x80:
        return _possible(int.from_bytes(field[1:], "big"))
    digits = field.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):  # `int` would take signs and underscores
        raise TarError(f"no number: {field!r}")
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise TarError(f"no size: {text[:40]!r}")
    return _possible(int(text.lstrip("0")[:40] or "0"))


def _possible(size: int) -> int:
    if size > _LARGEST_FILE:
        raise TarError(f"a size of {size} bytes")
    return size


def _name(header: bytes, kind: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0]
    return _text(b"%s/%s" % (prefix, name) if prefix and kind not in _GNU else name)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _extension(stream: BinaryIO, size: int) -> bytes:
    if size > _LARGEST:
        raise TarError(f"a header of {size} bytes")
    data = stream.read(size)
    if len(data) < size:
        raise TarError("it ends inside a header")
    return data


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """The records of a pax header, each `<its own length> <key>=<value>` and a line end."""
    while data.strip(b"\0"):
        said, blank, _ = data[:24].partition(b" ")
        length = int(said) if said.isdigit() and blank else 0
        key, equals, value = data[len(said) + 1 : length].partition(b"=")
        if not equals or length > len(data) or value[-1:] != b"\n":
            raise TarError("a broken extended header")
        yield key.decode("utf-8", "surrogateescape"), value[:-1].decode("utf-8", "surrogateescape")
        data = data[length:]


def _sparse_blocks(stream: BinaryIO, header: bytes) -> int:
    """Bytes of the headers that an old sparse file of GNU's has beside its first one."""
    more, count = header[482], 0
    while more:
        block = _extension(stream, BLOCK)
        more, count = block[504], count + BLOCK
        if count > _LARGEST:
            raise TarError("a header of more than 1 MiB")
    return count
