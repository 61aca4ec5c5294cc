"""One picture, several threads: what they gain in denoising and in the closed form, on each photograph of a data set.

`python -m tests.benchmarks.bench_threads DATA... --threads 2` prints wall times, so it needs as many idle CPUs as
threads: `chrt --rr 5` before it keeps others away. The results are compared, byte by byte. The last line says what the
machine's memory gives several threads: adding up arrays that no cache holds, which is all that can be had where it is
memory that a kernel waits for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rssn.image.arrays import Alpha, Image
from rssn.kernels.threads import sharing
from rssn.route import denoise, foreground
from rssn.sources.layouts import find_pairs
from rssn.storage.machine import keep_freed_memory
from tests.benchmarks.bench_levin import load

SIGMA = 10 / 255


def work(image: Image, alpha: Alpha) -> dict[str, Callable[[int], Any]]:
    """What is done by so many threads, by name."""
    return {
        "BM3D, sigma 10": lambda threads: denoise.denoise(image, SIGMA, threads=threads),
        "closed form": lambda threads: foreground.estimate_foreground(image, alpha, threads=threads),
    }


def stream() -> Callable[[int], Any]:
    """Adds arrays of 32 MB, a part of them by each thread, eight times."""
    first, second, total = (np.ones(1 << 23, np.float32) for _ in range(3))

    def add(threads: int) -> float:
        with sharing(threads) as each:
            for _ in range(8):
                parts = zip(*(np.array_split(array, threads) for array in (first, second, total)), strict=True)
                each(lambda part: np.add(part[0], part[1], out=part[2]), parts)
        return float(total[::4096].sum())

    return add


def seconds(job: Callable[[int], Any], threads: int, repeats: int) -> tuple[float, float]:
    """Median wall seconds of one thread and of several, by turns.

    Raises:
        RuntimeError: If their results differ.
    """
    taken: dict[int, list[float]] = {1: [], threads: []}
    found = {}
    for _ in range(repeats):
        for count, each in taken.items():
            start = time.perf_counter()
            found[count] = job(count)
            each.append(time.perf_counter() - start)
    if np.asarray(found[1]).tobytes() != np.asarray(found[threads]).tobytes():
        raise RuntimeError(f"{threads} threads give other bytes than one")
    return statistics.median(taken[1]), statistics.median(taken[threads])


def main() -> None:
    """Print a line for each photograph and kernel, and the medians of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="matting data sets with photographs")
    parser.add_argument("--threads", type=int, default=2, help="two or more")
    parser.add_argument("--repeats", type=int, default=5, help="each")
    options = parser.parse_args()
    if options.threads < 2:
        parser.error("--threads: two or more")
    keep_freed_memory()  # as the commands do
    denoise.warm_up("native")
    foreground.warm_up("levin")
    ratios: dict[str, list[float]] = {}
    print(f"| work | photograph | one thread | {options.threads} threads | ratio |\n| --- | --- | --- | --- | --- |")  # noqa: T201
    for pair in (pair for data in options.data for pair in find_pairs(data).pairs if pair.image is not None):
        image, alpha = load((Path(pair.image.path), Path(pair.alpha.path)))
        for name, job in work(image, alpha).items():
            alone, together = seconds(job, options.threads, options.repeats)
            ratios.setdefault(name, []).append(alone / together)
            times = f"{1000 * alone:.0f} ms | {1000 * together:.0f} ms"
            print(f"| {name} | {Path(pair.image.path).name} | {times} | {alone / together:.2f} |", flush=True)  # noqa: T201
    alone, together = seconds(stream(), options.threads, 5 * options.repeats)
    ratios["memory alone"] = [alone / together]
    for name, found in ratios.items():
        print(f"| {name} | median | | | {statistics.median(found):.2f} |")  # noqa: T201


if __name__ == "__main__":
    main()
