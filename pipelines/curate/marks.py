"""The edges of all candidates on this disk, from which `bg20k.marks` reads those of one source after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from bg20k.edges import Edges, unpack_edges
from pipelines.curate.rows import candidates_folder
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.storage.location import BucketPath


@dataclass(frozen=True, eq=False)
class StoredEdges:
    """The edges of n photographs, 4 KB each on disk, by row.

    Attributes:
        file: Descriptor of a file that holds all of them, one after the other, as they are stored.
        ends: n + 1 places in it.
    """

    file: int
    ends: npt.NDArray[np.int64]

    def __getitem__(self, row: int, /) -> Edges:
        start, stop = self.ends[row : row + 2].tolist()
        return unpack_edges(os.pread(self.file, stop - start, start))


@contextmanager
def stored_edges(folder: DatasetFolder) -> Iterator[StoredEdges]:
    """The edges of all candidates of a set, in their order; the scratch file is removed at the end."""
    candidates = candidates_folder(folder)
    rows = (row for mark in candidates.marks() for row in iter_rows(candidates.data(mark.name), ["edges"]))
    beside = None if isinstance(folder.root, BucketPath) else folder.root  # /tmp may be memory
    with TemporaryFile(prefix=".edges-", dir=beside) as scratch:
        sizes = [scratch.write(row["edges"]) for row in rows]
        scratch.flush()
        yield StoredEdges(scratch.fileno(), np.cumsum([0, *sizes], dtype=np.int64))
