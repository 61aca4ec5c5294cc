from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few trees and deals: how sure the figures are is tested in `tests/rssn/gap`."""
    monkeypatch.setattr("rssn.gap.classifiers._TREES", 10)
    monkeypatch.setattr("rssn.gap.measure._PATCH_DEALS", 1)
    monkeypatch.setattr("rssn.gap.measure.DEALS", 5)
    monkeypatch.setattr("rssn.gap.measure._EXCHANGES", 39)
    monkeypatch.setattr("rssn.gap.measure.PERMUTATIONS", 19)
