"""What a composition costs into a bucket, against one into a folder: CPU time, and what it asks of the store.

`python -m tests.benchmarks.bench_bucket [--am2k FOLDER] [--photos FOLDER] [--k 5] [--repeats 3] [--recipe cheap]`

The store is moto's S3 server in this process, whose own time does not count; the command runs in a process of its own,
with one thread. Inputs are folders. `cheap` is a recipe without steps and with an F that costs nothing, so that writing
is most of the work; `default` is what `rssn compose` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.inputs import Pictures, open_pictures
from tests.benchmarks.table import command_cost
from tests.stores.s3 import S3Store

RECIPES = {"cheap": ("--recipe", "comp-bg20k", "--foreground", "multiply"), "default": ()}


def compose(pictures: Pictures, out: str, k: int, recipe: Sequence[str]) -> float:
    """CPU seconds of one run, nothing being kept for the next one."""
    places = ["--matting", str(pictures.matting), "--backgrounds", str(pictures.backgrounds), "--out", out]
    settings = ["--k", str(k), "--workers", "0", "--cache-size", "0", *recipe]
    return command_cost(["-m", "pipelines.cli", "compose", *places, *settings]).seconds


def measure(pictures: Pictures, work: Path, given: argparse.Namespace) -> Iterator[str]:
    """For each recipe: seconds into a folder and into the bucket, their ratio, and requests by kind."""
    store = S3Store()
    os.environ |= store.environment
    bucket = store.bucket("benchmark")
    for name in given.recipe or RECIPES:
        here, there = [], []
        for number in range(given.repeats):
            here.append(compose(pictures, str(work / f"{name}-{number}"), given.k, RECIPES[name]))
            store.asked.clear()
            there.append(compose(pictures, f"{bucket}/{name}-{number}", given.k, RECIPES[name]))
        folder, remote = statistics.median(here), statistics.median(there)
        ratio = statistics.median(far / near for far, near in zip(there, here, strict=True))
        yield f"{name}: folder {folder:.1f} s, bucket {remote:.1f} s, {ratio:.3f} times; requests: {kinds(store.asked)}"
        made, data = work / f"{name}-0" / "data", f"{bucket}/{name}-0/data"
        if {path.name: path.read_bytes() for path in made.iterdir()} != store.stored(data):
            raise RuntimeError(f"{data}: other bytes than in {made}")
    store.close()


def kinds(asked: Counter[str]) -> str:
    """Requests by method; a listing is a GET of the bucket itself."""
    found: Counter[str] = Counter()
    for what, count in asked.items():
        method, _, name = what.partition(" ")
        found["LIST" if method == "GET" and "." not in name else method] += count
    return ", ".join(f"{count} {method}" for method, count in sorted(found.items()))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--am2k", type=Path, default=Path("../shared/data/am2k"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--recipe", choices=[*RECIPES], action="append")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in measure(open_pictures(given.am2k, given.photos, Path(folder)), Path(folder), given):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
