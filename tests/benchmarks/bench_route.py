"""One composite, and the whole route at K = 5, against Pipeline 1 as printed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.compose.plan import Plan, load_plan
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from tests.benchmarks import pipeline1
from tests.benchmarks.bench_bm3d import psnr
from tests.benchmarks.inputs import Pair, Pictures, extent
from tests.benchmarks.ledger import Ledger
from tests.benchmarks.table import Cost, Row, command_cost, measured

K = 5


@dataclass(frozen=True)
class Composed:
    """What `rssn compose` made, and what it took."""

    cost: Cost
    rows: list[dict[str, Any]]  # without pictures
    plan: Plan

    @property
    def seconds(self) -> float:
        """CPU seconds of a composite, the mean over all draws."""
        return self.cost.seconds / len(self.rows)

    def of(self, step: str) -> int:
        """How many composites drew a step."""
        return sum(row["steps"][step] is not None for row in self.rows)

    def distinct(self, column: str, *, denoised: bool) -> int:
        """How many different values a column has among the composites that are denoised, or are not."""
        return len({row[column] for row in self.rows if (row["steps"]["denoise"] is not None) == denoised})


def compose(pictures: Pictures, work: Path, ledger: Ledger) -> Composed:
    """Run `rssn compose` on everything, without Ray and with an empty cache of layers; kernels are compiled already."""
    out = work / "shards"

    def run() -> list[float | int | None]:
        for place in (out, work / "cache"):  # of an attempt that was stopped
            shutil.rmtree(place, ignore_errors=True)
        command = ["-m", "pipelines.cli", "compose", "--matting", str(pictures.matting)]
        command += ["--backgrounds", str(pictures.backgrounds), "--out", str(out), "--k", str(K), "--workers", "0"]
        cost = command_cost([*command, "--cache-dir", str(work / "cache")])
        return [cost.seconds, cost.peak]

    cost = Cost(*ledger.figure("rssn compose", run))
    columns = ["foreground_id", "background_id", "steps", "width", "height"]
    folder = DatasetFolder(out)
    rows = [row for mark in folder.marks() for row in iter_rows(folder.data(mark.name), columns)]
    return Composed(cost, rows, load_plan(out))


def composite_row(pair: Pair, background: Path, side: int | None) -> Row:
    """One composite with every step drawn, from files to encoded pictures."""
    theirs = measured(pipeline1.prepare, "printed", pair, background, side)
    ours = measured(pipeline1.prepare, "ours", pair, background, side, repeats=3)
    quality = f"{psnr(ours.kept, theirs.kept):.1f} dB between the two, before noise"
    return Row(f"one composite, every step, {pair[0].name}, {extent(side)}", theirs, ours, quality=quality)


@dataclass(frozen=True)
class Parts:
    """Measured parts of Pipeline 1 as printed."""

    bm3d: float  # CPU seconds a px
    levin: float  # CPU seconds of all foregrounds
    rest: float  # CPU seconds of a composite without both, and without blur and noise

    def total(self, run: Composed, *, once: bool) -> float:
        """CPU seconds for the same draws.

        Levin once a photograph; BM3D on F and on B, at its own size, for each composite that drew it, as the loop over
        k has it, or (`once`) for each layer that some composite wants so; the rest once a composite.
        """
        sizes = {b.background_id: b.width * b.height for b in run.plan.backgrounds}
        denoised = [row for row in run.rows if row["steps"]["denoise"]]
        layers = [(row["foreground_id"], row["width"] * row["height"]) for row in denoised]
        layers += [(row["background_id"], sizes[row["background_id"]]) for row in denoised]
        px = float(sum(size for _, size in (set(layers) if once else layers)))
        return self.bm3d * px + self.levin + self.rest * len(run.rows)


def route_row(run: Composed, parts: Parts) -> Row:
    """The whole route; the reference is summed, see `Parts`."""
    theirs, once = (Cost(parts.total(run, once=which)) for which in (False, True))
    ratio, count = once.seconds / run.cost.seconds, len(run.rows)
    each = f"{count} composites at {theirs.seconds / count:.0f} and {run.seconds:.2f} s"
    quality = f"{each}; ratio {ratio:.0f} to one that denoises a layer once"
    return Row(f"whole route, K = {K}", theirs, run.cost, quality=quality)


def rest_seconds(pair: Pair, background: Path) -> float:
    """CPU seconds of a composite of Pipeline 1 as printed, on whole pictures, without its dear steps."""
    return measured(pipeline1.prepare, "rest", pair, background, None, repeats=3).seconds
