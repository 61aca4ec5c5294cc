"""Names of files as tables can hold them."""

from __future__ import annotations

import os
import unicodedata


def printable(name: str) -> str:
    """A name that every table can hold; bytes that are no UTF-8 are escaped."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def is_utf8(name: str) -> bool:
    """Whether a name can stand in a table as it is."""
    return printable(name) == name


def composed(name: str) -> str:
    """A name in the form in which letters with accents are one character each (NFC): macOS writes the other one."""
    return unicodedata.normalize("NFC", name)
