"""Which versions make a step: they stand beside its result, and our own is in its key."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

from rssn.versions import version

_PACKAGES = ("rssn", "torch")


def made_by() -> dict[str, str]:
    """Versions of the packages that are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # curating and composing need no torch
            continue
    return found
