"""What listing takes: a tar file of a million photographs, a matting set of as many in one, a large curated set.

python -m tests.benchmarks.bench_listing --members 1000000 --rows 1000000

CPU seconds and peak memory, each of a process of its own: the headers by `tarfile` and by us; the listing that
`rssn build-bg20k` makes of them, with its digest and its plan; the pairs of half as many photographs with their mattes;
one pass over the light columns of a curated set; the same backgrounds found in order of their ids, planned for a
composition, and the plan loaded. Members and pictures are of a few bytes.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from pipelines.compose.plan import PlannedForeground, load_plan, write_batch
from pipelines.compose.resume import plan_backgrounds
from pipelines.curate.listing import list_crawl
from rssn.dataset.dataset import open_dataset
from rssn.dataset.schema import BACKGROUNDS, picture
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.sources.archives import list_members
from rssn.sources.backgrounds import find_backgrounds
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import Pair
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tar_headers import read_members
from rssn.storage.files import write_json, write_parquet
from tests.benchmarks.table import Cost, command_cost

_BODY = b"\xff\xd8\xff" + bytes(509)
_LIGHT = ("background_id", "source", "licence", "width", "height")
_SHARD_ROWS = 100_000
_SPREAD = 0x9E3779B97F4A7C15  # odd: no two numbers meet


def write_tar(path: Path, names: Iterable[str]) -> Path:
    """A tar file of tiny members."""
    with path.open("wb", 1 << 20) as stream:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(_BODY)
            stream.write(info.tobuf(tarfile.USTAR_FORMAT))
            stream.write(_BODY)
        stream.write(bytes(10240))
    return path


def crawl_names(count: int) -> Iterator[str]:
    """As of photographs in a thousand folders."""
    return (f"crawl/{number % 1000:03d}/photo-{number:08d}.jpg" for number in range(count))


def matting_names(count: int) -> Iterator[str]:
    """As of so many pictures, half of them photographs and half mattes."""
    for side, suffix in (("original", "jpg"), ("mask", "png")):
        yield from (f"train/{side}/photo-{number:08d}.{suffix}" for number in range(count // 2))


def write_curated(root: Path, rows: int) -> Path:
    """A curated set of tiny pictures."""
    folder = DatasetFolder(root, "")
    starts = range(0, rows, _SHARD_ROWS)
    for number, start in enumerate(starts):
        name = f"train-{number:05d}-of-{len(starts):05d}"
        data = write_parquet(folder.data(name), BACKGROUNDS, _rows(start, min(rows, start + _SHARD_ROWS)))
        write_json(folder.mark(name), asdict(Mark(name, data.rows, data.bytes, data.sha256)))
    write_json(folder.manifest_path, {"plan": {"kind": "backgrounds"}, "totals": {"train": rows}})
    return root


def _rows(start: int, stop: int) -> Iterator[dict[str, object]]:
    row = dict.fromkeys(BACKGROUNDS.names) | {"image": picture(b"x", "a.jpg"), "split": "train"}
    row |= {"width": 1620, "height": 1080}
    for number in range(start, stop):
        name = number * _SPREAD % (1 << 64)  # in no order, as content ids are
        yield row | {"background_id": f"{name:020x}", "source": f"photos/{number % 1000:03d}/{number}.jpg"}


def _tarfile(path: Path) -> int:
    count = 0
    with tarfile.open(path, "r:") as archive:
        for _ in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # or it keeps every header
            count += 1
    return count


def _headers(path: Path) -> int:
    with path.open("rb") as stream:
        return _counted(read_members(stream))


def _crawl(path: Path) -> int:
    with list_crawl(path, path.parent / "out") as found:
        return found.count


def _planned(path: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found, _ = find_backgrounds(path)
        plan_backgrounds(None, found, Path(folder))
        write_batch(
            Path(folder), 0, [PlannedForeground("f", Pair("f", PictureRef("f"), PictureRef("f"), None, "f"), 1, 1)]
        )
        return len(load_plan(Path(folder), 1).backgrounds)


def _counted(found: Iterable[object]) -> int:
    return sum(1 for _ in found)


WORK: dict[str, tuple[str, Callable[[Path], int]]] = {
    "tarfile": ("headers, by tarfile", _tarfile),
    "headers": ("headers, by us", _headers),
    "members": (
        "members with their kind and what is wrong with them",
        lambda path: _counted(list_members(path, "tar")),
    ),
    "crawl": ("photographs listed with digest and plan", _crawl),
    "pairs": ("pairs of a matting set in a tar", lambda path: len(find_pairs(path).pairs)),
    "found": ("backgrounds of a curated set, found in order", lambda path: len(find_backgrounds(path)[0])),
    "planned": ("backgrounds of a curated set, found, planned and loaded", _planned),
    "curated": ("rows of a curated set, passed once", lambda path: _counted(open_dataset(path).rows(_LIGHT))),
}
"""What is measured: in words, and how it counts what it finds."""


def line(name: str, count: int, cost: Cost) -> str:
    """One measurement."""
    return f"{count:>10,} {WORK[name][0]}: {cost.seconds:8.1f} CPU-s, {(cost.peak or 0) / 1e6:8.0f} MB"


def inputs(folder: Path, members: int, rows: int) -> Iterator[tuple[str, int, Path]]:
    """What each measurement works on, and how much it should find; made when it is asked for."""
    archive = write_tar(folder / "crawl.tar", crawl_names(members))
    yield from ((name, members, archive) for name in ("tarfile", "headers", "members", "crawl"))
    archive.unlink()
    yield "pairs", members // 2, write_tar(folder / "matting.tar", matting_names(members))
    curated = write_curated(folder / "curated", rows)
    yield from ((name, rows, curated) for name in ("curated", "found", "planned"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--do", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        name, count, path = options.do
        if WORK[name][1](Path(path)) != int(count):
            raise SystemExit(f"{name}: not {count} found")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, count, path in inputs(Path(folder), options.members, options.rows):
            if not count:
                continue
            done = command_cost(["-m", "tests.benchmarks.bench_listing", "--do", name, str(count), str(path)])
            sys.stdout.write(line(name, count, done) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
