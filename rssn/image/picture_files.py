"""Which files are pictures, by name and by first bytes: the one definition, for folders, archives and buckets.

A suffix that says what a file is, is believed until its bytes are decoded; of other files the first bytes count. What
the system hides among a user's files (sidecars, thumbnails, folders' settings) is no file of theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Literal, TypeAlias

ArchiveFormat: TypeAlias = Literal["tar", "tgz", "zip"]
FileKind: TypeAlias = Literal["hidden", "picture", "archive", "other"]

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
}
"""Pillow's names of the formats that are read, and the suffixes that promise them, in lower case."""

SUFFIX_FORMATS: Mapping[str, str] = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}
"""The format that a suffix promises."""

HEAD_BYTES = 64
"""So many bytes from the beginning of a file say what it is."""

_ARCHIVES: Mapping[str, ArchiveFormat] = {".tar": "tar", ".tar.gz": "tgz", ".tgz": "tgz", ".zip": "zip"}
_PACKED = frozenset({".rar", ".7z", ".gz", ".bz2", ".xz", ".zst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst"})

_HIDDEN = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin",
        "system volume information", "lost+found",
    }
)  # fmt: skip
"""Names, in lower case, that systems give to files of their own; those that begin with a dot are hidden too."""

_OTHERS = _PACKED | {
    # cameras' own formats, many of which begin as a TIFF does
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    # what lies beside pictures
    ".aae", ".avi", ".csv", ".doc", ".docx", ".exr", ".hdr", ".htm", ".html", ".jsonl", ".json", ".jxl", ".log",
    ".m4v", ".mat", ".md", ".mkv", ".mov", ".mp3", ".mp4", ".npy", ".npz", ".parquet", ".pdf", ".pkl", ".pt", ".pth",
    ".psd", ".py", ".sh", ".svg", ".tsv", ".txt", ".wav", ".xlsx", ".xml", ".xmp", ".yaml", ".yml",
}  # fmt: skip
"""Suffixes, in lower case, that say that a file is no picture that we read: it is not opened to see."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
)
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of the kinds of headers that there are
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def file_kind(name: str, head: Callable[[], bytes]) -> FileKind:
    """What a file is for those who look for pictures.

    Args:
        name: The file's own name, without its folders.
        head: Gives its first `HEAD_BYTES` bytes; asked only where `kind_by_name` says nothing.
    """
    if kind := kind_by_name(name):
        return kind
    found = format_of(head())
    tiff = found == "TIFF" and suffix_of(name)  # cameras' formats begin as TIFFs do
    return "other" if found is None or tiff else "picture"


def kind_by_name(name: str) -> FileKind | None:
    """The same where a file's own name says it."""
    suffix = suffix_of(name).lower()
    if is_hidden(name):
        return "hidden"
    if suffix in _ARCHIVES:
        return "archive"
    if suffix in SUFFIX_FORMATS:
        return "picture"
    if suffix in _OTHERS:
        return "other"
    return None


def is_hidden(name: str) -> bool:
    """Whether the system, or a tool, keeps a file or folder of this name for itself, beside the user's."""
    return name.startswith(".") or name.lower() in _HIDDEN


def archive_format(path: PurePath) -> ArchiveFormat | None:
    """The kind of archive that a file is named as; None for those that are not read."""
    return _ARCHIVES.get(suffix_of(path.name).lower())


def suffix_of(name: str) -> str:
    """The suffix of a file's name as it is written, `.tar.gz` in one."""
    own = name.rpartition("/")[2]
    parts = own.lstrip(".").split(".")[1:] if not own.endswith(".") else []
    packed = len(parts) > 1 and parts[-2].lower() == "tar"
    return "".join(f".{part}" for part in parts[-2 if packed else -1 :])


def format_of(head: bytes) -> str | None:
    """Pillow's name of the format that a file's first bytes are of, one of `FORMATS`; None for any other file."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in range(8, min(int.from_bytes(head[:4], "big"), len(head)), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIF" if head[8:12] in _HEIF_BRANDS else None
    return None


def unread_words(unread: Mapping[str, int]) -> str:
    """`7 files are no pictures we read: 2 .NEF, 1 .rar, 4 without a suffix`.

    Args:
        unread: Counts by suffix, see `suffix_of`.
    """
    total = sum(unread.values())
    kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in Counter(unread).most_common())
    packed = sorted(suffix for suffix in unread if suffix.lower() in {*_PACKED, *_ARCHIVES})
    remedy = f"; unpack {', '.join(packed)} first" if packed else ""
    return f"{total} {'file is no picture' if total == 1 else 'files are no pictures'} we read: {kinds}{remedy}"
