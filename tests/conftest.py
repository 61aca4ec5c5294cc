"""Fixtures that every test package shares."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("unhurried", deadline=None)  # shared machines stall; no test is timed
hypothesis.settings.load_profile("unhurried")


# A suite that was started in the background ignores Ctrl-C, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs, `../shared` or `RSSN_TEST_DATA`; skips where it is absent."""
    folder = Path(os.environ.get("RSSN_TEST_DATA") or Path(__file__).parents[2] / "shared").resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data: {folder}/data is absent (set RSSN_TEST_DATA)")
    return folder
