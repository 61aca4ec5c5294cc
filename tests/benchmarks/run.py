"""`make bench`: what the project's kernels and its whole route cost against the libraries, in one table."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from shutil import rmtree, which

from rssn.storage.atomic import write_bytes
from rssn.storage.files import content_id
from tests.benchmarks import (
    bench_bm3d,
    bench_kernels,
    bench_levin,
    bench_loader,
    bench_metrics,
    bench_predict,
    bench_route,
)
from tests.benchmarks.inputs import CROP_SIDE, Pair, Pictures, open_pictures
from tests.benchmarks.ledger import Ledger
from tests.benchmarks.table import HEAD, Cost, Row, table_line, table_lines

_ROOMS = ("rssn", "bg20k", "train", "pipelines", "tests/benchmarks", "tests/train")
_LIBRARIES = ("bm3d", "pymatting", "numba", "numpy", "opencv-python", "pillow")
_ALSO = ("pyarrow", "torch", "scikit-image", "scipy")
_OUT = Path("build/bench")
_CODE = (".py", ".yaml", ".json")


def all_rows(
    pictures: Pictures, work: Path, side: int | None, large: int = bench_predict.LARGE, ledger: Ledger | None = None
) -> Iterator[Row]:
    """Every row of the table but those of compilation, each as it is measured.

    Args:
        pictures: What to work on.
        work: A folder for what is made here.
        side: BM3D and the single composite take so many px of the middle; None takes whole pictures, and measures how
            far both closed forms are from the converged one.
        large: Pixels of the photograph that is predicted.
        ledger: What is measured already.
    """
    ledger = Ledger() if ledger is None else ledger
    pairs, background = pictures.pairs, pictures.one_background(work)
    [bm3d] = ledger.rows("bm3d", lambda: [bench_bm3d.measure(pairs[0][0], side)])
    yield bm3d
    solved = _solved(pairs, ledger)
    yield from ledger.rows("closed form", lambda: [bench_levin.row(pairs, solved, exact=side is None)])
    yield from ledger.rows("composite", lambda: [bench_route.composite_row(pairs[0], background, side)])
    run = bench_route.compose(pictures, work, ledger)
    parts = bench_route.Parts(
        bm3d=(bm3d.reference or bm3d.ours).seconds / bench_bm3d.px(pairs[0][0], side),
        levin=sum(theirs.seconds for theirs, _ in solved),
        rest=ledger.figure("rest", lambda: bench_route.rest_seconds(pairs[0], background)),
    )
    yield bench_route.route_row(run, parts)
    for name, number in bench_kernels.times(run).items():
        share = number / run.seconds
        yield from ledger.rows(name, partial(_step, name, pairs[0], background, share))
    yield from ledger.rows("loader", lambda: bench_loader.rows(pictures.matting, work))
    yield from ledger.rows("metrics", lambda: [bench_metrics.row(pairs[0][1])])
    yield from ledger.rows("predict", lambda: bench_predict.rows(pairs[0], work, large))


def _solved(pairs: Sequence[Pair], ledger: Ledger) -> list[tuple[Cost, Cost]]:
    """See `bench_levin.costs`."""

    def measure() -> list[list[float | int | None]]:
        return [[cost.seconds, cost.peak] for both in bench_levin.costs(pairs) for cost in both]

    found = [Cost(*each) for each in ledger.figure("closed form", measure)]
    return list(zip(found[::2], found[1::2], strict=True))


def _step(name: str, pair: Pair, background: Path, share: float) -> list[Row]:
    return [bench_kernels.row(name, pair, background, share)]


def notes(pictures: Pictures, side: int | None) -> list[str]:
    """What the figures were measured on and how, in lines."""
    bm3d = "a whole photograph" if side is None else f"{side} x {side} px"
    return [
        f"Commit {_commit()}. Pictures: {pictures.words}.",
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
    """Measure and print; what an earlier attempt on the same code, machine and pictures has measured stays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--am2k", type=Path, default=Path("../shared/data/am2k"), help="a matting data set")
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"), help="backgrounds to be curated")
    parser.add_argument("--full", action="store_true", help="whole photographs, and distances to F*, B*: half an hour")
    options = parser.parse_args()
    side = None if options.full else CROP_SIDE
    work = (_OUT / _stamp(options.am2k, options.photos, side)).absolute()
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(work / "tmp")
    ledger, rows = Ledger(work / "measured.json"), list[Row]()
    if "compilation" in ledger:
        _say(f"measured before, on the same code: {work}; remove it to measure again")
    for line in [table_line(HEAD), table_line("-" * len(word) for word in HEAD)]:
        _say(line)
    pictures = open_pictures(options.am2k, options.photos, work)
    compilation = ledger.rows("compilation", bench_kernels.compile_rows)
    for row in chain(compilation, all_rows(pictures, work, side, ledger=ledger)):
        _say(table_line(row.cells()))
        rows.append(row)
    words = notes(pictures, side)
    write_bytes(work / "table.md", "\n".join([*table_lines(rows), "", *words, ""]).encode())
    for line in ["", *words, f"The table, aligned: {work / 'table.md'}"]:
        _say(line)
    rmtree(work / "tmp")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _stamp(*asked: object) -> str:
    """A name for what figures depend on: code, processor, libraries, and what is asked for; folders by their files."""
    code = [path for room in _ROOMS for path in sorted(Path(room).rglob("*")) if path.suffix in _CODE]
    facts = [_processor(), platform.python_version(), *map(version, (*_LIBRARIES, *_ALSO))]
    for each in asked:
        found = sorted(each.rglob("*")) if isinstance(each, Path) else []
        facts += [str(each), *(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in found)]
    return content_id(*(path.read_bytes() for path in code), *(fact.encode() for fact in facts))[:8]


def _commit() -> str:
    git = which("git")
    words = [git, "describe", "--always", "--dirty"] if git else ["true"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    text = facts.read_text(encoding="utf-8") if facts.is_file() else ""
    found = re.search(r"model name\s*: (.*)", text)
    widest = next((words for flag, words in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in text), "no AVX2")
    asked = " ".join(os.environ[name] for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES") if name in os.environ)
    compiled = f"; kernels for {asked}" if asked else ""
    return f"{found[1] if found else platform.processor()}, {widest}{compiled}"


if __name__ == "__main__":
    main()
