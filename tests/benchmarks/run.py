"""`make bench`: what the project's kernels and its whole route cost against the libraries, in one table."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from tests.benchmarks import (
    bench_bm3d,
    bench_kernels,
    bench_levin,
    bench_loader,
    bench_metrics,
    bench_predict,
    bench_route,
)
from tests.benchmarks.inputs import CROP_SIDE, Pictures, open_pictures
from tests.benchmarks.table import Row, table_lines

_LIBRARIES = ("bm3d", "pymatting", "numba", "numpy", "opencv-python", "pillow")


def all_rows(pictures: Pictures, work: Path, side: int | None, large: int = bench_predict.LARGE) -> Iterator[Row]:
    """Every row of the table but those of compilation.

    Args:
        pictures: What to work on.
        work: A folder for what is made here.
        side: BM3D and the single composite take so many px of the middle; None takes whole pictures, and measures how
            far both closed forms are from the converged one.
        large: Pixels of the photograph that is predicted.
    """
    pairs, background = pictures.pairs, pictures.one_background(work)
    bm3d = bench_bm3d.measure(pairs[0][0], side)
    yield bm3d.row
    levin = bench_levin.costs(pairs)
    yield bench_levin.row(pairs, levin, exact=side is None)
    yield bench_route.composite_row(pairs[0], background, side)
    run = bench_route.compose(pictures, work)
    parts = bench_route.Parts(
        bm3d=bm3d.theirs.seconds / bm3d.px,
        levin=sum(theirs.seconds for theirs, _ in levin),
        rest=bench_route.rest_seconds(pairs[0], background),
    )
    yield bench_route.route_row(run, parts)
    yield from bench_kernels.rows(pairs[0], background, run)
    yield from bench_loader.rows(pictures.matting, work)
    yield bench_metrics.row(pairs[0][1])
    yield from bench_predict.rows(pairs[0], work, large)


def notes(pictures: Pictures, side: int | None) -> list[str]:
    """What the figures were measured on and how, in lines."""
    bm3d = "a whole photograph" if side is None else f"{side} x {side} px"
    return [
        f"Pictures: {pictures.words}.",
        f"Machine: {os.cpu_count()} CPUs, {_processor()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
        + ".",
        "CPU seconds of one thread; peak memory (reference / ours) above the inputs, for commands of the process.",
        "Whole route, ours: `rssn compose --workers 0` with an empty cache of layers, kernels compiled before.",
        "Whole route, reference: Pipeline 1 as printed with the same draws, summed from its parts: Levin once a "
        f"photograph (each measured), BM3D on F and B of each composite that drew it (a px as on {bm3d}), and for "
        "every composite decoding, fitting, blending and encoding (measured once).",
        "Training sample: crops of 640, 960 and 1280 px resized to 320, read from packed shards; reference: "
        "the work of the published loader, which decodes five pictures whole.",
        "Prediction: the first photograph, enlarged; random weights, one photograph at a time.",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--am2k", type=Path, default=Path("../shared/data/am2k"), help="a matting data set")
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"), help="backgrounds to be curated")
    parser.add_argument("--full", action="store_true", help="whole photographs, and distances to F*, B*: half an hour")
    options = parser.parse_args()
    side = None if options.full else CROP_SIDE
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder
        pictures = open_pictures(options.am2k, options.photos, Path(folder))
        rows = []
        for row in chain(bench_kernels.compile_rows(), all_rows(pictures, Path(folder), side)):
            print(f"measured: {row.work}", file=sys.stderr, flush=True)  # noqa: T201
            rows.append(row)
        print("\n".join([*table_lines(rows), "", *notes(pictures, side)]))  # noqa: T201


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    text = facts.read_text(encoding="utf-8") if facts.is_file() else ""
    found = re.search(r"model name\s*: (.*)", text)
    widest = next((words for flag, words in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in text), "no AVX2")
    return f"{found[1] if found else platform.processor()}, {widest}"


if __name__ == "__main__":
    main()
