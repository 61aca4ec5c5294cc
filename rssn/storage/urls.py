"""Names of objects in buckets: URLs without secrets, and the paths that stand for them.

`s3://bucket/key` as a `Path` is `s3:/bucket/key`; it stands for the object, and its name, suffix and parents are right.
So does a path below `bucket-sources/s3/` or `bucket-outputs/s3/` of some folder: the first are listings of what lies in
a bucket, as empty files; in the second a data set is made that goes to a bucket. Both are the same on every machine.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from rssn.errors import InputError
from rssn.storage.stores import STORES

SOURCES, OUTPUTS = "bucket-sources", "bucket-outputs"

_WORD = re.compile(r"[^\s'\"]+")
_TREE = re.compile(rf"\b(?:{SOURCES}|{OUTPUTS})/(s3|gs|az)/")
_COLLAPSED = re.compile(r"(s3|gs|az):/([^/].*)")
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(
    r"(?<=[?&])(?=[\w.-]*+=[^&\s'\"])"  # a name and a value; without it a long name would be tried at each of its words
    r"([\w.-]*?(?:credential|signature|token|key|sig|secret|password)[\w.-]*+=)[^&\s'\"]+",
    re.I,
)
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|CONNECTION_STRING|(ACCESS|ACCOUNT|STORAGE)_KEY", re.I)
_INNER_SECRET = re.compile(r"(?:AccountKey|SharedAccessSignature)=([^;]+)", re.I)  # of a connection string
_SHORTEST_SECRET = 8
_REMEDY = "give s3://bucket/folder, gs://... or az://... alone; credentials are taken from the environment"


class Url(str):
    """A URL that was checked, see `checked_url`."""

    __slots__ = ()


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL."""
    return "://" in text


def checked_url(text: str) -> Url:
    """A URL of a bucket, or of something in it, without a slash at its end.

    Raises:
        InputError: If it is of no store that we know, holds a user, a password, a key or a signature, or cannot be the
            name of a file.
    """
    protocol, _, place = text.partition("://")
    if "?" in text or "@" in place.partition("/")[0]:
        raise InputError(f"{scrub(text.partition('?')[0])}: no user, key or signature belongs in a URL; {_REMEDY}")
    if protocol not in STORES:
        raise InputError(f"{text}: unknown storage; {_REMEDY}")
    place = place.rstrip("/")
    if not is_plain(place):
        raise InputError(f"{text}: not a valid name of a bucket or an object; {_REMEDY}")
    return Url(f"{protocol}://{place}")


def is_plain(key: str) -> bool:
    """Whether an object's name can be a file's, below a folder that it does not leave."""
    parts = key.split("/")
    return all(part not in ("", ".", "..") and len(part.encode()) < 256 and "\0" not in part for part in parts)


def path_of(url: str, root: Path, tree: str) -> Path:
    """The path below `root/tree`, `tree` being `SOURCES` or `OUTPUTS`, that stands for an object."""
    return root / tree / url.replace("://", "/", 1)


def url_of(path: Path) -> str | None:
    """The URL that a path stands for; None for a file that is nothing but a file."""
    collapsed = _COLLAPSED.fullmatch(str(path))
    if collapsed:
        return f"{collapsed[1]}://{collapsed[2]}"
    parts = path.parts
    for number, part in enumerate(parts[:-2]):
        if part in (SOURCES, OUTPUTS) and parts[number + 1] in STORES:
            return f"{parts[number + 1]}://{PurePosixPath(*parts[number + 2 :])}"
    return None


def is_listed(path: object) -> bool:
    """Whether a path is in a listing of a bucket: what it holds is not there, small JSON files apart."""
    return isinstance(path, Path) and SOURCES in path.parts and path.suffix != ".json" and url_of(path) is not None


def shown(text: str) -> str:
    """A text in which objects are called by their URLs, not by the paths that stand for them."""
    return _WORD.sub(_shown_word, text)


def _shown_word(word: re.Match[str]) -> str:
    found = list(_TREE.finditer(word[0]))
    return "".join(f"{place[1]}://" for place in found) + word[0][found[-1].end() :] if found else word[0]


def scrub(text: str) -> str:
    """A text without users, passwords, keys and signatures in URLs, and without the secrets of the environment."""
    text = _QUERY.sub(r"\1***", _USER.sub("***@", text))
    for name, value in os.environ.items():
        if _SECRET.search(name):
            for secret in (value, *_INNER_SECRET.findall(value)):
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return text
