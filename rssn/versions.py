"""Versions of installed packages; asking for one reads files, and every layer's name holds several."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version(package: str) -> str:
    """The version of an installed package.

    Raises:
        PackageNotFoundError: If it is not installed.
    """
    return metadata.version(package)
