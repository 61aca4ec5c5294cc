"""The gap meter's tables: every shipped recipe, and each step beyond the paper alone on top of `comp-rssn`.

`python -m tests.benchmarks.bench_gap --out FOLDER` curates, composes (K = 5, seed 0) and measures; what is in the
folder is made once. The tables of pipelines/README.md ("How far are composites from photographs?") come from here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from PIL import Image

from rssn.dataset.dataset import open_dataset
from rssn.route.recipe import load_recipe
from tests.benchmarks.table import command_cost

DATA = Path("../shared/data")
DETECTOR = Path("../shared/weights/yolov8n_int8_coco.onnx")

PAPER = ("comp-coco", "comp-bg20k", "rssn-denoise-only", "rssn-blur-only", "rssn-noise-only", "comp-rssn")
ALONE: dict[str, dict[str, Any]] = {
    "jpeg": {"probability": 0.5},
    "grain": {"probability": 0.5},
    "place": {"probability": 0.5},
    "harmonise": {"probability": 0.5},
    "bokeh": {"probability": 0.5},
    "match-grain": {"probability": 0.5},
    "match-sharpness": {"probability": 0.5},
}
_COMPOSITE = ("jpeg", "grain")
COCO_SIDE = 640

PHOTOGRAPHS = {"am2k": "*", "portraits": "*"}
UNSEEN = {"am2k": "sample[124].*", "portraits": "*"}
"""The three of AM-2k are the half that decided nothing when `comp-rssn-plus` was fitted."""


@click.command(help=__doc__)
@click.option("--out", "work", type=click.Path(path_type=Path), required=True)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
@click.option("--detector", type=click.Path(path_type=Path), default=DETECTOR, show_default=True)
def main(work: Path, data: Path, detector: Path) -> None:
    """Make what is missing, measure, and print."""
    everything, unseen = (_linked(data, work / name, parts) for name, parts in _SETS.items())
    curated = work / "bg20k"
    _run("build-bg20k", data / "photos", "--detector", detector, "--rule", "train_share=1", "--out", curated)
    coco = _shrunk(data / "photos", curated, work / "coco")
    for name in (*PAPER, "comp-rssn-plus", *ALONE):
        recipe = name if name not in ALONE else _with(name, work)
        behind = coco if name == "comp-coco" else curated
        words = ["--recipe", recipe, "--k", 5, "--cache-dir", work / "cache", "--out", work / "sets" / name]
        _run("compose", "--matting", everything, "--backgrounds", behind, *words)
    _gap(work, [*PAPER, *ALONE, "comp-rssn-plus"], "all", everything)
    _gap(work, ["comp-rssn", "comp-rssn-plus"], "portraits", data / "portraits")
    _gap(work, ["comp-rssn", "comp-rssn-plus"], "unseen", unseen)
    _gap(work, [*PAPER, "comp-rssn-plus"], "third", everything, "--at", "1/3")
    _gap(work, [*PAPER, "comp-rssn-plus"], "lossless", data / "alphamatting")
    _run("pack", "--matting", everything, "--out", work / "sets" / "packed")
    _gap(work, ["packed"], "packed", everything)
    words = ["gap", work / "sets" / "comp-rssn", "--real", everything, "--out", work / "gap-cost"]
    cost = command_cost(["-m", "pipelines.cli", *map(str, words)])
    click.echo(f"comp-rssn alone: {cost.seconds:.0f} CPU-s, {(cost.peak or 0) / 1e9:.2f} GB")


_SETS = {"photographs": PHOTOGRAPHS, "unseen": UNSEEN}


def _linked(data: Path, folder: Path, parts: Mapping[str, str]) -> Path:
    """A matting data set of links to the photographs whose names fit."""
    for part, pattern in parts.items():
        for photograph in sorted((data / part / "original").glob(pattern)):
            for kind in ("original", "mask"):
                [found] = (data / part / kind).glob(f"{photograph.stem}.*")
                link = folder / part / kind / found.name
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():
                    link.symlink_to(found.resolve())
    return folder


def _shrunk(photos: Path, curated: Path, out: Path) -> Path:
    """What the curation kept, at the size of COCO's photographs."""
    out.mkdir(exist_ok=True)
    for row in open_dataset(curated).rows(["source"]):
        if not (out / row["source"]).exists():
            picture = Image.open(photos / row["source"]).convert("RGB")
            picture.thumbnail((COCO_SIDE, COCO_SIDE), Image.Resampling.LANCZOS)
            picture.save(out / row["source"], quality=90)
    return out


def _with(step: str, work: Path) -> Path:
    """`comp-rssn` with one more step: `place` behind the denoiser, others last before the blending or behind it."""
    recipe = load_recipe("comp-rssn").to_dict()
    steps, one = recipe["steps"], {step: ALONE[step]}
    at = len(steps) if step in _COMPOSITE else 1 if step == "place" else steps.index("blend")
    path = work / f"rssn-{step}.yaml"
    path.write_text(yaml.safe_dump(recipe | {"name": f"rssn-{step}", "steps": [*steps[:at], one, *steps[at:]]}))
    return path


def _gap(work: Path, names: Sequence[str], title: str, photographs: Path, *options: str) -> None:
    out = work / f"gap-{title}"
    said = _run("gap", *(work / "sets" / name for name in names), "--real", photographs, "--out", out, *options)
    click.echo(f"== {title}\n{said}")
    for one in json.loads((out / "gap.json").read_text())["differences"]:
        if one["first"] == "comp-rssn" or one["second"] == "comp-rssn":
            words = "{first} to {second}, {figure}: {value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**one)
            click.echo(f"{words}{' differs' if one['differs'] else ''}")


def _run(*words: object) -> str:
    """What a command of ours says; what it has made before, it does not make again."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
