"""Rows of Parquet files by their number: each is read when it is asked for, and columns as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rssn.dataset.rows import iter_rows, own_parquet, read_footer
from rssn.storage.files import Row
from rssn.storage.location import Location

T = TypeVar("T")

_GROUPS = 8  # that a process holds of one plan; about a megabyte each


class StoredRows(Sequence[T]):
    """The rows of Parquet files of ours as objects, each read when it is asked for; the last few groups are held.

    Args:
        paths: The files, in order.
        parse: An object from its row.
    """

    def __init__(self, paths: Sequence[Location], parse: Callable[[Row], T]) -> None:
        self._paths, self._parse = paths, parse
        footers = [(path, read_footer(path)) for path in paths]
        self._groups = [(path, group) for path, footer in footers for group in range(footer.num_row_groups)]
        counts = [footer.row_group(group).num_rows for _, footer in footers for group in range(footer.num_row_groups)]
        self._starts = np.cumsum([0, *counts])  # of each group
        self.file_starts = [0, *np.cumsum([footer.num_rows for _, footer in footers]).tolist()]
        self._group = lru_cache(maxsize=_GROUPS)(self._read_group)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        group = int(np.searchsorted(self._starts, place, side="right")) - 1
        row = self._group(group).slice(place - int(self._starts[group]), 1).to_pylist()[0]
        return self._parse(row)

    def __iter__(self) -> Iterator[T]:
        return (self._parse(row) for path in self._paths for row in iter_rows(path))

    def column(self, name: str) -> Iterator[Any]:
        """The values of one column."""
        return (row[name] for path in self._paths for row in iter_rows(path, [name]))

    def columns(self, kinds: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Some columns as arrays of these types; of a list its length, 0 where it is null."""
        found = {name: np.zeros(len(self), kind) for name, kind in kinds.items()}
        start = 0
        for path in self._paths:
            with own_parquet(path) as file:
                for batch in file.iter_batches(columns=list(kinds)):
                    for name, values in found.items():
                        column = batch.column(name)
                        if pa.types.is_list(column.type):
                            column = column.value_lengths().fill_null(0)
                        values[start : start + len(batch)] = column.to_numpy(zero_copy_only=False)
                    start += len(batch)
        return found

    def _read_group(self, number: int) -> pa.Table:
        path, group = self._groups[number]
        with own_parquet(path) as file:
            return file.read_row_group(group)
