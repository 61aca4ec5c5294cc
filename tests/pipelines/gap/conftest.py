from __future__ import annotations

import pytest

from tests.rssn.gap.fewer import fit_fewer


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """How sure the figures are is tested in `tests/rssn/gap`."""
    fit_fewer(monkeypatch, DEALS=5)
