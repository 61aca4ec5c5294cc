"""What a file is that should hold a network and does not: mostly what a download left in its place."""

from __future__ import annotations

from typing import Final

HEAD: Final = 512
"""Bytes of a file that `foreign_kind` looks at."""

_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!\x1a\x07": "RAR",
}
_OTHERS: Final = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer, not the file it stands for; run git lfs pull",
    b"<": "a web page, not a network: its address needs a login or a confirmation; open it in a browser",
    b"\x89hdf": "an HDF5 file, as Keras writes; convert it to torch's format",
    b"gguf": "a GGUF file; convert it to torch's format",
    b"\x93numpy": "an array of numpy; convert it to torch's format",
}


def foreign_kind(head: bytes) -> str:
    """Say what a file is by its first `HEAD` bytes, with the remedy; empty where it may be a network."""
    if not head:
        return "empty; take another copy"
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            return f"compressed by {name}; unpack it"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for magic, words in _OTHERS.items() if text.startswith(magic)), "")
