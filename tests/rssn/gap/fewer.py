"""Fewer fits than the meter makes, for tests of what does not depend on how many they are."""

from __future__ import annotations

import pytest

FITS = {"classifiers._TREES": 15, "measure._PATCH_DEALS": 1, "measure.PERMUTATIONS": 39, "measure._EXCHANGES": 39}


def fit_fewer(monkeypatch: pytest.MonkeyPatch, **others: int) -> None:
    """Set them in `rssn.gap`, and others of `rssn.gap.measure`."""
    for name, count in (FITS | {f"measure.{name}": count for name, count in others.items()}).items():
        monkeypatch.setattr(f"rssn.gap.{name}", count)
