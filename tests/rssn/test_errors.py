from __future__ import annotations

import pickle

import pytest

from rssn.errors import DependencyError, InputError, Rejected, RssnError


def test_a_refusal_says_stage_reason_and_message() -> None:
    refused = Rejected("read", "truncated", "the data ends early")
    assert (refused.stage, refused.reason, refused.message) == ("read", "truncated", "the data ends early")
    assert str(refused) == "read: truncated: the data ends early"


def test_a_refusal_survives_the_way_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(Rejected("read", "empty", "no bytes")))  # noqa: S301  (its own bytes)
    assert (copy.stage, copy.reason, copy.message) == ("read", "empty", "no bytes")


@pytest.mark.parametrize("kind", [InputError, DependencyError, Rejected])
def test_one_family(kind: type[Exception]) -> None:
    assert issubclass(kind, RssnError)
