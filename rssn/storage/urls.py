"""Names of objects in buckets: URLs, and texts without the secrets that may be in them."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from rssn.errors import InputError
from rssn.storage.stores import STORES

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


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL."""
    return "://" in text


def checked_url(text: str) -> str:
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
    return f"{protocol}://{place}"


def is_plain(key: str) -> bool:
    """Whether an object's name can be a file's, below a folder that it does not leave."""
    parts = key.split("/")
    return all(part not in ("", ".", "..") and len(part.encode()) < 256 and "\0" not in part for part in parts)


def scrub(text: str) -> str:
    """A text without users, passwords, keys and signatures in URLs, and without the secrets of the environment."""
    text = _QUERY.sub(r"\1***", _USER.sub("***@", text))
    for name, value in os.environ.items():
        if _SECRET.search(name):
            for secret in (value, *_INNER_SECRET.findall(value)):
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return text
