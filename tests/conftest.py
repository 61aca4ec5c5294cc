"""Fixtures that every test package shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest

from rssn.storage.urls import Url
from tests.bucket import Store

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


_NUMBERS = count()


@pytest.fixture(scope="session")
def _running_store() -> Iterator[Store]:
    running = Store()
    yield running
    running.close()


@pytest.fixture
def s3(_running_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store, which the environment leads to."""
    for name, value in _running_store.environment.items():
        monkeypatch.setenv(name, value)
    yield _running_store
    _running_store.faults = []


@pytest.fixture
def bucket(s3: Store) -> Url:
    """A new bucket."""
    return s3.bucket(f"bucket-{next(_NUMBERS)}")
