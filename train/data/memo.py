"""Rows that later epochs need not read again, and what was decoded of them, as far as there is room in memory.

What came first stays: with an order that is new in each epoch, exchanging rows would find no more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from torch.utils.data import get_worker_info

_Array = TypeVar("_Array", bound=npt.NDArray[Any])


def loader_processes() -> int:
    """The processes that share the samples of a trainer with this one; each has its part of the memory."""
    return info.num_workers if (info := get_worker_info()) else 1


@dataclass
class Room:
    """Memory for what is kept."""

    most: int  # bytes, of all loader processes together
    used: int = 0

    def take(self, size: int) -> bool:
        """Use so many bytes, if they are left."""
        fits = self.used + size <= self.most // loader_processes()
        self.used += size * fits
        return fits


class Memo:
    """What was made of a row, by name; without a room nothing is kept."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = room
        self._arrays: dict[Hashable, npt.NDArray[Any]] = {}

    def of(self, name: Hashable, make: Callable[[], _Array]) -> _Array:
        """What is kept by this name, or what `make` makes, which is kept if there is room; nobody may change it."""
        if name in self._arrays:
            return cast(_Array, self._arrays[name])
        made = np.ascontiguousarray(make())
        if self._room and self._room.take(made.nbytes):
            self._arrays[name] = made
        return cast(_Array, made)


FORGETFUL = Memo()
"""That of rows that are not kept."""


class KnownRow(NamedTuple):
    """A row of the `COMPOSITES` schema, and what was made of it."""

    row: Mapping[str, Any]
    memo: Memo


class KnownRows:
    """Rows by their index among all.

    Args:
        most: Bytes that they and what was made of them may take, in all loader processes together.
    """

    def __init__(self, most: int) -> None:
        self._room = Room(most)
        self._rows: dict[int, KnownRow] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._rows

    def find(self, index: int, read: Callable[[], Mapping[str, Any]]) -> KnownRow:
        """The row that is kept, or what `read` gives, which is kept if there is room."""
        if index in self._rows:
            return self._rows[index]
        row = read()
        if not self._room.take(sum(len(each["bytes"]) for each in row.values() if isinstance(each, Mapping))):
            return KnownRow(row, FORGETFUL)
        return self._rows.setdefault(index, KnownRow(row, Memo(self._room)))
