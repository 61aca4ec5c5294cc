from __future__ import annotations

import pytest

from bg20k.decide import split_of
from rssn.storage.files import content_id

IDS = [content_id(str(n).encode()) for n in range(20_000)]


@pytest.mark.parametrize("share", [0.75, 0.5, 0.9])
def test_the_share_of_training_backgrounds(share: float) -> None:
    found = sum(split_of(name, share) == "train" for name in IDS) / len(IDS)
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / len(IDS)) ** 0.5)


def test_the_ends_of_the_range() -> None:
    assert {split_of(name, 1.0) for name in IDS[:500]} == {"train"}
    assert {split_of(name, 0.0) for name in IDS[:500]} == {"validation"}


def test_a_larger_share_moves_none_out_of_training() -> None:
    small = {name for name in IDS if split_of(name, 0.6) == "train"}
    assert small < {name for name in IDS if split_of(name, 0.75) == "train"}


def test_the_side_of_an_id_is_fixed_for_ever() -> None:
    """Published data sets rely on these values."""
    sides = [split_of(f"{n:020x}", 0.75) for n in range(8)]
    assert sides == [
        "train",
        "validation",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
    ]
