"""Folds over foregrounds: a photograph and all composites of its foreground are in one fold."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

FOLDS = 5


def deal_folds(
    groups: Sequence[str], kinds: Sequence[bool] | npt.NDArray[np.bool_], deal: int = 0
) -> npt.NDArray[np.int64]:
    """The fold of each picture, by its group alone.

    Groups that hold both kinds, those of one and those of the other are dealt out each for themselves, in the order of
    a hash of the group, so that every fold has its share of each. The order of pictures does not matter.

    Args:
        groups: P names.
        kinds: P, which of two kinds each picture is.
        deal: Another number deals in another way.
    """
    held: defaultdict[str, set[bool]] = defaultdict(set)
    for group, kind in zip(groups, kinds, strict=True):
        held[group].add(bool(kind))
    fold: dict[str, int] = {}
    for stratum in ({True, False}, {True}, {False}):
        chosen = [group for group, found in held.items() if found == stratum]
        for number, group in enumerate(by_hash(chosen, f"deal {deal}")):
            fold[group] = number % FOLDS
    return np.array([fold[group] for group in groups])


def by_hash(names: Iterable[str], salt: str) -> list[str]:
    """Names in an order that nobody chose, the same on every machine."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{salt}\n{name}".encode()).digest())
