"""What a file is that should hold a network and does not: mostly what a download left in its place."""

from __future__ import annotations

from typing import Final

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.remote import opened

_HEAD: Final = 512

_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_PAGE: Final = "a web page, not a network: its address needs a login or a confirmation; open it in a browser"
_OTHERS: Final = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer, not the file it stands for; run git lfs pull",
    b"\x89HDF": "an HDF5 file, as Keras writes; convert it to torch's format",
    b"GGUF": "a GGUF file; convert it to torch's format",
    b"\x93NUMPY": "an array of numpy; convert it to torch's format",
}


def read_head(path: Location) -> bytes:
    """The first bytes of a file or object that should hold a network.

    Raises:
        InputError: If they show that it is something else; says what, and the remedy.
    """
    with opened(path) as stream:
        head = stream.read(_HEAD)
    kind = _foreign_kind(head)
    if kind:
        raise InputError(f"{path}: {kind}")
    return head


def _foreign_kind(head: bytes) -> str:
    if not head:
        return "empty; take another copy"
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            return f"compressed by {name}; unpack it"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    if b"\0" not in head and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return _PAGE
    return next((words for magic, words in _OTHERS.items() if head.startswith(magic)), "")
