"""What `rssn build-bg20k` asks of its driver: CPU time and memory, by the number of photographs.

python -m tests.benchmarks.bench_driver 50000 200000

The photographs are made up: rows of a table whose candidates lie there already, with random fingerprints and edges, one
in ten a copy of another, and pictures of a few bytes. So nothing is examined, no altered copies are looked for (see
`bench_duplicates`), and everything else runs as it does in earnest: listing, checking what is done, judging, marks of
one source, writing the verdicts, publishing (in this process, as with `--workers 0`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bg20k.decide import NOTHING_KNOWN
from bg20k.edges import COLUMNS, DIRECTIONS, ROWS, pack_edges
from bg20k.rules import CurationRules
from bg20k.schema import CANDIDATES
from bg20k.sketch import CODES
from bg20k.views import VIEWS
from pipelines.curate.job import PHOTOS_PER_SHARD, CurationJob, plan_facts, run_curation
from pipelines.curate.listing import list_crawl
from pipelines.curate.rows import candidates_folder, photos_plan
from pipelines.executor.runner import LocalRunner, shard_ranges
from pipelines.executor.work import ErrorBudget
from pipelines.output.writer import open_dataset
from rssn.dataset.schema import PLANNED_PHOTOS, picture
from rssn.dataset.shards import shard_name, write_shard
from rssn.sources.crawl import Photograph, list_photographs
from rssn.storage.files import write_parquet
from tests.benchmarks.table import Cost, command_cost

_BLOCK = 4096
_PICTURE = picture(b"picture", "a.jpg")
_PRINT = bytes(8 * (VIEWS + CODES))  # looks like nothing
_EDGES = 0.015  # of all that a photograph may have
_AMONG = 10_000_000  # photographs, to which the figures are continued


def prepare(count: int, root: Path) -> Path:
    """Lay a table of photographs below a folder, and a set whose candidates are examined; returns the table."""
    table = root / "photos.parquet"
    schema = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))])
    with pq.ParquetWriter(table, schema) as writer:
        for start in range(0, count, _BLOCK):
            some = [{"image": _PICTURE}] * min(_BLOCK, count - start)
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
    hashes = np.random.default_rng(0).integers(0, 1 << 63, count, np.int64).astype(np.uint64)
    copies = np.arange(9, count, 10)
    hashes[copies] = hashes[copies - 5]
    places = list_photographs(table)
    job = _job(table)
    with list_crawl(table, job.out) as crawl:
        folder = open_dataset(job.out, "backgrounds", plan_facts(job, NOTHING_KNOWN, crawl), {})
        write_parquet(photos_plan(job.out), PLANNED_PHOTOS, crawl.rows())
    candidates = candidates_folder(folder)
    candidates.root.mkdir()
    ranges = shard_ranges([1] * count, PHOTOS_PER_SHARD)
    for index, (start, stop) in enumerate(ranges):
        name = shard_name("candidates", index, len(ranges))
        write_shard(candidates, name, CANDIDATES, _rows(places, hashes, start, stop), [])
    return table


def curate(table: Path) -> None:
    """Run the command's work; for a process of its own."""
    run_curation(_job(table), LocalRunner())


def _job(table: Path) -> CurationJob:
    return CurationJob(table, table.parent / "out", CurationRules(), None, ErrorBudget())


def _rows(places: Iterator[Photograph], hashes: Any, start: int, stop: int) -> Iterator[dict[str, Any]]:
    for number in range(start, stop):
        rng = np.random.default_rng(number)
        edges = np.flatnonzero(rng.random(ROWS * COLUMNS * DIRECTIONS, np.float32) < _EDGES)
        yield {
            "background_id": f"{number:020x}",
            "source": next(places).source,
            "image": _PICTURE,
            "thumbnail": _PICTURE,
            "width": 1620,
            "height": 1080,
            "source_width": 4000,
            "source_height": 3000,
            "phash": int(hashes[number]),
            "sharpness": float(number % 1000),
            "low_texture": False,
            "bits_per_pixel": 2.0,
            "grey": False,
            "aspect_ratio": 4 / 3,
            "upscaling_score": 0.2,
            "drawn_length": 0.0,
            "letters_in_line": 1.0,
            "border_share": 0.0,
            "seam_share": 0.3,
            "flat_share": 0.1,
            "format": "JPEG",
            "converted": [],
            "prints": _PRINT,
            "edges": pack_edges(edges),
            "boxes": [{"label": "bird", "confidence": 0.2, "x": 0.1, "y": 0.1, "width": 0.1, "height": 0.1}],
        }


def lines(costs: dict[int, Cost]) -> Iterator[str]:
    """A line for each number of photographs, and what each further photograph adds."""
    for count, cost in costs.items():
        yield f"{count:>10,} photographs: {cost.seconds:8.1f} CPU-s, {(cost.peak or 0) / 1e6:8.0f} MB"
    for (few, first), (many, second) in pairwise(costs.items()):
        seconds = (second.seconds - first.seconds) / (many - few)
        size = ((second.peak or 0) - (first.peak or 0)) / (many - few)
        yield f"each further photograph: {1e3 * seconds:.2f} CPU-ms, {size:.0f} bytes"
        at = f"{_AMONG / 1e6:.0f} million"
        yield f"so {at}: {_AMONG * seconds / 3600:.1f} CPU-hours, {(_AMONG * size + (first.peak or 0)) / 1e9:.1f} GB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=[50_000, 200_000])
    parser.add_argument("--curate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.curate:
        return curate(options.curate)
    costs = {}
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            table = prepare(count, Path(folder))
            costs[count] = command_cost(["-m", "tests.benchmarks.bench_driver", "--curate", str(table)])
    sys.stdout.write("\n".join([*lines(costs), ""]))
    return None


if __name__ == "__main__":
    main()
