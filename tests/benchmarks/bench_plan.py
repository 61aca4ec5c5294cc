"""What planning a composition takes: CPU time and memory of the driver and of a worker, by the number of pictures.

python -m tests.benchmarks.bench_plan --foregrounds 100000 --backgrounds 50000
python -m tests.benchmarks.bench_plan --stored 10000000      # what a plan of so many backgrounds takes in a process

The pictures are files of a kilobyte whose headers say 1620 x 1080 px and 1920 x 1280 px, no two alike: they are listed,
read, named by their content and planned as in earnest, and no pixel is decoded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipelines.compose.dry_run import forecast
from pipelines.compose.job import ComposeJob, plan_tasks, prepare
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.plan import PlannedForeground, load_plan, write_backgrounds, write_batch
from pipelines.compose.resume import plan_dataset
from pipelines.compose.shard import DrawnBackgrounds
from pipelines.executor.work import ErrorBudget
from rssn.image.arrays import encode_jpeg, encode_png
from rssn.route.recipe import load_recipe
from rssn.sources.backgrounds import Background
from rssn.sources.matting import Pair
from rssn.sources.picture_ref import PictureRef
from tests.benchmarks.table import Cost, command_cost

_DRAWN = 200  # foregrounds whose backgrounds a worker draws, in one shard of the default size


def write_pictures(root: Path, foregrounds: int, backgrounds: int) -> None:
    """Lay pairs below `matting/` and pictures below `backgrounds/`."""
    grey = np.full((16, 16, 3), 127, np.uint8)
    matte = encode_png(grey[..., 0])
    for folder in ("matting/original", "matting/mask", "backgrounds"):
        (root / folder).mkdir(parents=True)
    for number in range(foregrounds):
        _write(root / f"matting/original/{number:07d}.jpg", encode_jpeg(grey), (1620, 1080), number)
        (root / f"matting/mask/{number:07d}.png").write_bytes(matte)
    for number in range(backgrounds):
        _write(root / f"backgrounds/{number:07d}.jpg", encode_jpeg(grey), (1920, 1280), number)


def _write(path: Path, jpeg: bytes, size: tuple[int, int], number: int) -> None:
    """A JPEG whose header says another size, and whose end is like no other's."""
    frame = jpeg.index(b"\xff\xc0") + 5
    width, height = (side.to_bytes(2, "big") for side in size)
    path.write_bytes(jpeg[:frame] + height + width + jpeg[frame + 4 :] + b"%d" % number)


def write_stored(root: Path, count: int) -> None:
    """A plan of so many backgrounds that were never there."""
    nowhere = PictureRef("/nowhere")
    write_batch(root, 0, [PlannedForeground("f" * 20, Pair("f", nowhere, nowhere, None, "f"), 1620, 1080)])
    pictures = (
        PictureRef(f"/data/bg20k/data/train-{n % 997:05d}.parquet", "row", n, 7, "image.bytes") for n in range(count)
    )
    write_backgrounds(
        root,
        (Background(f"{n:020x}", f"photos/{n:08d}.jpg", "CC0", 1920, 1280, one) for n, one in enumerate(pictures)),
    )


def job_of(root: Path) -> ComposeJob:
    """The default recipe, K = 5."""
    cache = LayerCache(root / "cache", 0)
    return ComposeJob(
        root / "matting", root / "backgrounds", root / "out", load_recipe("comp-rssn"), 0, ErrorBudget(), cache
    )


def _plan(root: Path) -> None:
    """All that the driver does before the first shard."""
    job = job_of(root)
    job.out.mkdir(exist_ok=True)
    with prepare(job) as prepared:
        folder = plan_dataset(job.out, prepared.facts, prepared.reconciled, prepared.scratch, {})
        plan_tasks(job, prepared.plan, folder)


def _draw(root: Path) -> None:
    """What a worker does of the plan for one shard."""
    job, plan = job_of(root), load_plan(root / "out")
    for planned in plan.foregrounds[:_DRAWN]:
        drawn = DrawnBackgrounds(plan, plan.eligible(planned, job.recipe), job.recipe, job.seed, planned)
        for k in range(job.recipe.k):
            drawn[k]


def _forecast(root: Path) -> None:
    forecast(job_of(root))


def _load(root: Path) -> None:
    plan = load_plan(root, 1)
    plan.backgrounds[len(plan.backgrounds) // 2]


def _nothing(_: Path) -> None:
    """The imports alone."""


_STEPS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "imports": ("the imports alone", _nothing),
    "plan": ("planned", _plan),
    "again": ("planned again, as a run that resumes does", _plan),
    "draw": (f"a worker loads the plan and draws for {_DRAWN} foregrounds", _draw),
    "forecast": ("--dry-run: every composite drawn", _forecast),
}


def measured(root: Path, step: str) -> Cost:
    """CPU seconds and peak memory of a step in a process of its own."""
    return command_cost(["-m", "tests.benchmarks.bench_plan", "--step", step, str(root)])


def lines(root: Path, foregrounds: int, backgrounds: int) -> Iterator[str]:
    """A line for each step."""
    write_pictures(root, foregrounds, backgrounds)
    yield f"{foregrounds:,} foregrounds, {backgrounds:,} backgrounds, K = 5"
    for name, (words, _) in _STEPS.items():
        cost = measured(root, name)
        yield f"{cost.seconds:8.1f} CPU-s {(cost.peak or 0) / 1e6:8.0f} MB  {words}"
    plans = [path.stat().st_size for path in (root / "out" / "plan").iterdir()]
    yield f"{sum(plans) / 1e6:.0f} MB of plan on disk"


def stored_lines(root: Path, count: int) -> Iterator[str]:
    """What a loaded plan takes for each of its backgrounds."""
    measured(root, f"write {count}")  # a process of its own: who starts one lends it the size that he has
    few, many = measured(root, "imports"), measured(root, "load")
    each = ((many.peak or 0) - (few.peak or 0)) / count
    yield f"{count:,} planned backgrounds, loaded: {many.seconds:.1f} CPU-s, {(many.peak or 0) / 1e6:.0f} MB"
    plan = load_plan(root, 1)
    kept = (plan.background_keys.nbytes + plan.background_sizes.nbytes) / count
    yield f"{each:.0f} bytes of a process for each at its peak, {kept:.0f} bytes kept"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--foregrounds", type=int, default=100_000)
    parser.add_argument("--backgrounds", type=int, default=50_000)
    parser.add_argument("--stored", type=int, help="measure a stored plan of so many backgrounds instead")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        (name, _, count), root = options.step[0].partition(" "), Path(options.step[1])
        if name == "write":
            write_stored(root, int(count))
        else:
            (_load if name == "load" else _STEPS[name][1])(root)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for line in (
            stored_lines(root, options.stored)
            if options.stored
            else lines(root, options.foregrounds, options.backgrounds)
        ):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
