"""A small synthetic set on disk, curated once, and one Ray for all tests that need it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from bg20k.rules import CurationRules
from pipelines.compose.rows import composite_schema
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.dataset.schema import picture
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.image.arrays import Pixels, encode_png
from rssn.route.draw import draw
from rssn.route.recipe import Recipe
from rssn.storage.files import write_json
from rssn.synthetic import SyntheticPlan, write_synthetic
from tests.conftest import Once

MIN_SIDE = 120
PLAN = SyntheticPlan(
    foregrounds=3, evaluation=1, backgrounds=7, copies=1, small=1, shot_size=(144, 96), photo_side=MIN_SIDE + 8, seed=3
)


@pytest.fixture(scope="session")
def synthetic(once: Once) -> Path:
    """Three shots of 144 x 96 px, and photographs of which 12 are good."""
    return once("synthetic", lambda folder: write_synthetic(folder, PLAN))


@pytest.fixture(scope="session")
def bg20k(synthetic: Path, once: Once) -> Path:
    """The synthetic photographs, curated."""

    def curate(folder: Path) -> None:
        rules = CurationRules(min_side=MIN_SIDE)
        run_curation(CurationJob(synthetic / "photos", folder / "bg20k", rules, None, ErrorBudget()), LocalRunner())

    return once("curated", curate) / "bg20k"


@pytest.fixture(scope="module")  # a Ray that idles until the session ends takes more time than to start one
def ray_runner() -> Iterator[RayRunner]:
    """Two workers on a Ray that the tests of a file share."""
    runner = RayRunner(2)
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def rssn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a user runs it, in a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@dataclass(frozen=True)
class FakeSet:
    """What a data set of made-up composites is made of; the draws are real ones."""

    foregrounds: int = 4
    shards: int = 2
    recipe: Recipe = field(default_factory=lambda: Recipe("fake", k=2))
    size: tuple[int, int] = (24, 16)  # width, height
    suffix: str = ".jpg"
    licences: tuple[str | None, ...] = (None, "CC0")


@pytest.fixture
def write_composites(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows of the contract as a data set without a plan or sources; returns its folder."""

    def write(rows: Sequence[dict[str, Any]], plan: FakeSet = FakeSet()) -> Path:
        folder = DatasetFolder(tmp_path / "fake")
        size = -(-len(rows) // plan.shards)
        for index in range(plan.shards):
            part = rows[index * size : (index + 1) * size]
            write_shard(folder, shard_name("composites", index, plan.shards), composite_schema(plan.recipe), part, [])
        planned = {"kind": "composites", "recipe": plan.recipe.to_dict(), "seed": 0}
        sources = {"matting": "/nowhere", "backgrounds": "/nowhere"}
        totals = {"rows": len(rows), "rejected": 0}
        facts = {"plan": planned, "sources": sources, "versions": {"rssn": "0"}, "totals": totals}
        write_json(folder.manifest_path, facts)
        return folder.root

    return write


@pytest.fixture
def fake_composites(write_composites: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a data set of composites in milliseconds, see `FakeSet` for what may be asked for.

    F is red, B is blue, alpha rises from left to right.
    """

    def write(**settings: Any) -> Path:
        plan = FakeSet(**settings)
        rows = [_fake_row(plan, number, k) for number in range(plan.foregrounds) for k in range(plan.recipe.k)]
        return write_composites(rows, plan)

    return write


def _fake_row(plan: FakeSet, number: int, k: int) -> dict[str, Any]:
    width, height = plan.size
    alpha = np.tile(np.linspace(0, 255, width).round().astype(np.uint8), (height, 1))
    share = alpha[..., None].astype(np.float32) / 255
    red, blue = (np.full((height, width, 3), colour, np.uint8) for colour in ((200, number % 256, 0), (0, k, 200)))
    drawn = draw(plan.recipe, 0, f"{number:020x}", k)
    stem = f"{number:020x}-{k}"
    blend = np.rint(share * red + (1 - share) * blue).astype(np.uint8)
    return {
        "sample_id": f"{number:020x}/{k}",
        "image": picture(_encoded(blend, plan.suffix), f"{stem}{plan.suffix}"),
        "alpha": picture(encode_png(alpha), f"{stem}-alpha.png"),
        "foreground": picture(_encoded(red, plan.suffix), f"{stem}-foreground{plan.suffix}"),
        "background": picture(_encoded(blue, plan.suffix), f"{stem}-background{plan.suffix}"),
        "foreground_id": f"{number:020x}",
        "background_id": f"{k:020x}",
        "foreground_source": f"original/{number}.jpg",
        "background_source": f"{k}.jpg",
        "foreground_licence": plan.licences[number % len(plan.licences)],
        "k": k,
        "width": width,
        "height": height,
        "recipe": plan.recipe.label,
        "background_crop": {"x": number, "y": k, "width": width, "height": height},
        "foreground_method": "levin",
        "draw_seed": drawn.seed,
    } | ({"steps": drawn.steps} if plan.recipe.steps else {})


def _encoded(pixels: Pixels, suffix: str) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix])
    return stream.getvalue()
