"""What rssn/README.md says, done: the step of its example as a package of its own, composed, inspected and replayed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.image.arrays import to_float
from rssn.image.decoding import decode_pixels

README = Path(__file__).parents[3] / "rssn" / "README.md"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _block(kind: str, word: str) -> str:
    return next(text for text in re.findall(rf"```{kind}\n(.*?)```", README.read_text(), re.S) if word in text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of commands that find the README's step in a package of its own."""
    root = tmp_path_factory.mktemp("package")
    wheel = root / "my_steps-1.0-py3-none-any.whl"
    entry = _block("toml", "rssn.steps").partition('"]\n')[2]
    files = {
        "my_steps/__init__.py": "",
        "my_steps/brightness.py": _block("python", "class Brightness"),
        "my_steps-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-steps\nVersion: 1.0\n",
        "my_steps-1.0.dist-info/WHEEL": _WHEEL,
        "my_steps-1.0.dist-info/entry_points.txt": f"[rssn.steps]\n{entry}".replace('"', ""),
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("my_steps-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        root / "site",
        wheel,
    ]
    subprocess.run(pip, check=True)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "site"), str(README.parents[1])])}


def _rssn(environment: Mapping[str, str], *words: object) -> str:
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment))
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_step_of_another_package_composes_inspects_and_replays(
    installed: Mapping[str, str], synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    (tmp_path / "bright.yaml").write_text(_block("yaml", "brightness"))
    out = tmp_path / "out"
    pictures = ("--matting", synthetic / "matting", "--backgrounds", bg20k)
    settings = ("--recipe", tmp_path / "bright.yaml", "--k", 2, "--foreground", "multiply", "--image-codec", "png")
    run = ("compose", *pictures, *settings, "--out", out, "--workers", 0, "--cache-size", 0)
    assert "brightness: " in _rssn(installed, *run, "--dry-run")
    _rssn(installed, *run)
    rows = [row for mark in DatasetFolder(out).marks() for row in iter_rows(DatasetFolder(out).data(mark.name))]
    drawn = [row for row in rows if row["steps"]["brightness"] is not None]
    assert drawn
    assert read_manifest(out).plan["steps"]["brightness"] == "my-steps 1.0"
    assert all(0.7 <= row["steps"]["brightness"]["factor"] <= 1.3 for row in drawn)
    assert "every row is as the recipe and the seed draw it" in _rssn(installed, "inspect", out)
    assert "the same bytes" in _rssn(installed, "replay", out, drawn[0]["sample_id"])
    photograph = decode_pixels((synthetic / "matting" / drawn[0]["foreground_source"]).read_bytes())
    expected = np.clip(to_float(photograph) * np.float32(drawn[0]["steps"]["brightness"]["factor"]), 0, 1)
    stored = to_float(decode_pixels(drawn[0]["foreground"]["bytes"]))
    inside = to_float(decode_pixels(drawn[0]["alpha"]["bytes"])) == 1
    assert np.abs(stored - expected)[inside].max() <= 1 / 255


def test_a_step_of_another_package_is_listed_with_its_settings(installed: Mapping[str, str]) -> None:
    listed = _rssn(installed, "steps")
    assert "brightness: Brightens or darkens F.\n" in listed
    assert "common augmentation, not in the paper (package my_steps)" in listed
    assert "most: 0.2  # 0 to 1, largest change, as a share" in listed


def test_a_recipe_whose_step_is_not_installed_says_so(tmp_path: Path) -> None:
    (tmp_path / "bright.yaml").write_text(_block("yaml", "brightness"))
    words = ["compose", "--recipe", str(tmp_path / "bright.yaml"), "--matting", "a", "--backgrounds", "b", "--out", "c"]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *words], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(README.parents[1])},
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search("no step is called 'brightness'; there are denoise, .*, noise, and blend", done.stderr)
