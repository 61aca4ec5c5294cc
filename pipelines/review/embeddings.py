"""The embeddings of a set under review as few numbers each, which its model learns from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from rssn.dataset.rows import iter_rows
from rssn.storage.location import Location

COMPONENTS: Final = 8
"""Numbers of an embedding: as many as some decisions can be learnt from."""

_SAMPLE = 2000  # embeddings that the components are those of, so that memory is bounded
_LEAST = 4 * COMPONENTS  # fewer have no components


def principal_components(root: Location) -> dict[str, npt.NDArray[np.float64]]:
    """The first principal components of the embeddings in the working folder of a set, by source.

    Args:
        root: The curated set.

    Returns:
        8 numbers each; nothing where no network made embeddings, or the working folder is gone.
    """
    found: list[Location] = [*(root / "candidates" / "data").glob("*.parquet")]
    shards = sorted(found, key=str)
    sample = np.array([vector for _, vector in islice(_embeddings(shards), _SAMPLE)])
    if len(sample) < _LEAST or sample.shape[1] < COMPONENTS:
        return {}
    mean = sample.mean(axis=0)
    _, _, axes = np.linalg.svd(sample - mean, full_matrices=False)
    return {source: axes[:COMPONENTS] @ (vector - mean) for source, vector in _embeddings(shards)}


def _embeddings(shards: list[Location]) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    for shard in shards:
        for row in iter_rows(shard, ["source", "embedding"]):
            if row["embedding"] is not None:
                yield row["source"], np.array(row["embedding"], np.float64)
