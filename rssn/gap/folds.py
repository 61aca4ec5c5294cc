"""Folds over foregrounds: a photograph and all composites of its foreground are in one fold.

A background that several foregrounds share would leak as well: the model of a fold sees no picture whose background
is in the fold.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FOLDS = 5

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Deal:
    """One way to deal P pictures into folds.

    Attributes:
        folds: P.
        seen: F x P: which pictures the model of each fold may see.
    """

    folds: Numbers
    seen: Flags

    @classmethod
    def of(cls, groups: Sequence[str], kinds: Sequence[bool] | Flags, backgrounds: Numbers, number: int) -> Deal:
        """Deal by groups; `backgrounds` has a number for each picture, below 0 where nothing shares it."""
        folds = deal(groups, kinds, f"deal {number}")
        seen = []
        for fold in range(FOLDS):
            held = folds == fold
            shared = np.isin(backgrounds, backgrounds[held & (backgrounds >= 0)])
            seen.append(~held & ~shared)
        return cls(folds, np.array(seen))


def deal(groups: Sequence[str], kinds: Sequence[bool] | Flags, salt: str, count: int = FOLDS) -> Numbers:
    """The part, of `count`, of each picture, by its group alone.

    Groups that hold both kinds, those of one and those of the other are dealt out each for themselves, in the order of
    a hash of the group, so that every part has its share of each. The order of pictures does not matter.

    Args:
        groups: P names.
        kinds: P, which of two kinds each picture is.
        salt: Another one deals in another way.
        count: How many parts.
    """
    held: defaultdict[str, set[bool]] = defaultdict(set)
    for group, kind in zip(groups, kinds, strict=True):
        held[group].add(bool(kind))
    part: dict[str, int] = {}
    for stratum in ({True, False}, {True}, {False}):
        chosen = [group for group, found in held.items() if found == stratum]
        for number, group in enumerate(by_hash(chosen, salt)):
            part[group] = number % count
    return np.array([part[group] for group in groups])


def by_hash(names: Iterable[str], salt: str) -> list[str]:
    """Names in an order that nobody chose, the same on every machine."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{salt}\n{name}".encode()).digest())
