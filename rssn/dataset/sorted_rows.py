"""Rows in order of a key, more than fit into memory: sorted runs in files that are merged (external merge sort)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rssn.storage.files import Row

_BLOCK_ROWS = 8192  # of a table, a row group and what is read of a run at a time
_RUN_ROWS = 32 * _BLOCK_ROWS  # that are sorted in memory


@dataclass(frozen=True)
class Sorted:
    """What was sorted.

    Attributes:
        path: A Parquet file: of each key one row, in order of key; absent where there is none.
        count: How many rows it has.
    """

    path: Path
    count: int


class RowSorter:
    """Takes rows in any order, and writes them in order of a key; of equal keys the row that came first counts.

    Args:
        schema: Of the rows.
        key: The column of text by which they are sorted, as bytes are.
        folder: Where runs and result go; nobody else's, and removed by who made it.
        run_rows: How many rows are sorted in memory.
    """

    def __init__(self, schema: pa.Schema, key: str, folder: Path, run_rows: int = _RUN_ROWS) -> None:
        self._schema, self._key, self._folder, self._run_rows = schema, key, folder, run_rows
        self._rows: list[Row] = []
        self._tables: list[pa.Table] = []
        self._runs: list[Path] = []

    def add(self, row: Row) -> None:
        """Take a row."""
        self._rows.append(row)
        if len(self._rows) == min(_BLOCK_ROWS, self._run_rows):
            self._pack()
            if sum(map(len, self._tables)) >= self._run_rows:
                self._end_run()

    def sorted(self, on_duplicate: Callable[[dict[str, Any], dict[str, Any]], None]) -> Sorted:
        """Write what was taken; called once.

        Args:
            on_duplicate: Is told the first row of a key and each other one, in order of key and then as they came.
        """
        self._pack()
        if self._tables:
            self._end_run()
        path, count = self._folder / "sorted.parquet", 0
        if self._runs:
            with pq.ParquetWriter(path, self._schema, compression="none", write_page_checksum=True) as writer:
                for table in self._unique(on_duplicate):
                    writer.write_table(table, row_group_size=_BLOCK_ROWS)
                    count += len(table)
        for run in self._runs:
            run.unlink()
        return Sorted(path, count)

    def _pack(self) -> None:
        """Columns take a tenth of what objects take."""
        if self._rows:
            self._tables.append(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _end_run(self) -> None:
        path = self._folder / f"run-{len(self._runs):05d}.parquet"
        run = pa.concat_tables(self._tables)
        self._tables = []
        pq.write_table(run.sort_by(self._key), path, row_group_size=_BLOCK_ROWS)
        self._runs.append(path)

    def _unique(self, on_duplicate: Callable[[dict[str, Any], dict[str, Any]], None]) -> Iterator[pa.Table]:
        last: pa.Table | None = None  # the row that counts of the last key
        for merged in self._merged():
            table = merged if last is None else pa.concat_tables([last, merged])
            keys = table[self._key].combine_chunks()
            fresh = np.ones(len(keys), bool)
            fresh[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
            first_of = np.maximum.accumulate(np.where(fresh, np.arange(len(keys)), 0))
            for number in np.flatnonzero(~fresh).tolist():
                first, other = table.take([int(first_of[number]), number]).to_pylist()
                on_duplicate(first, other)
            last = table.slice(int(first_of[-1]), 1)
            fresh[0] = fresh[0] and len(table) == len(merged)  # it was given before
            yield table.filter(pa.array(fresh))

    def _merged(self) -> Iterator[pa.Table]:
        """Everything in order; of equal keys those of an earlier run come first, but for the end of a block."""
        runs = [_blocks(path) for path in self._runs]
        heads = [head for run in runs if (head := next(run, None)) is not None]
        while heads:
            bound = min(head[self._key][-1].as_py() for head in heads)  # what comes up to there is in memory
            counts = [pc.sum(pc.less_equal(head[self._key], bound)).as_py() for head in heads]
            some = pa.concat_tables(head.slice(0, count) for head, count in zip(heads, counts, strict=True) if count)
            yield some.sort_by(self._key)
            rests = [head.slice(count) for head, count in zip(heads, counts, strict=True)]
            refilled = [(run, rest if len(rest) else next(run, None)) for run, rest in zip(runs, rests, strict=True)]
            runs, heads = (
                [run for run, head in refilled if head is not None],
                [head for _, head in refilled if head is not None],
            )


def _blocks(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)
