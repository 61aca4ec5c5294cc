"""What `make wheel` makes: built, installed without extras into an empty environment, and composing there."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rssn.synthetic import SyntheticPlan, write_synthetic

ROOT = Path(__file__).parents[1]
PACKAGES = ("rssn", "bg20k", "train", "pipelines")
PLAN = SyntheticPlan(foregrounds=1, evaluation=1, backgrounds=2, copies=0, small=0, shot_size=(96, 64), photo_side=128)

_WITHOUT_EXTRAS = """
from importlib.util import find_spec
import numpy as np, rssn
from bg20k.hamming import near_pairs
assert not [name for name in ("torch", "ultralytics", "bm3d", "onnxruntime", "timm", "s3fs") if find_spec(name)]
grey = np.full((32, 32, 3), 128, np.uint8)
sample = rssn.compose(image=grey, alpha=grey[..., 0], background=grey, recipe="comp-bg20k")
assert near_pairs(np.arange(2, dtype=np.uint64), 1).tolist() == [[0, 1]], "what numba compiles"
[row] = rssn.open_dataset("out").rows(columns=["width", "height"])
print(sample.image.shape, row, rssn.__file__)
"""


def run(*words: object, folder: Path) -> str:
    """A command in an environment without this checkout."""
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
    done = subprocess.run(list(map(str, words)), cwd=folder, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, folder=folder)
    [built] = folder.glob("rssn-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_packages_hold(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    found = [path for path in found if path.suffix not in (".md", ".jpg") and path.parent.name != "__pycache__"]
    files = {path.relative_to(ROOT).as_posix() for path in found}
    assert {"rssn/py.typed", "rssn/route/recipes/comp-rssn.yaml", "pipelines/studies/demo.yaml"} <= files
    assert "pipelines/review/page/index.html" in files
    assert files - held == set()
    assert {name.partition("/")[0] for name in held if ".dist-info/" not in name} == set(PACKAGES)


@pytest.mark.slow
def test_it_composes_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wheel)
    run(sys.executable, *install, folder=tmp_path)
    write_synthetic(tmp_path / "pictures", PLAN)
    words = "compose --matting pictures/matting --backgrounds pictures/photos --out out --recipe rssn-blur-only"
    words += " --k 1 --workers 0 --cache-size 0 --foreground multiply"  # Levin's kernels would have to be compiled
    said = run(python.with_name("rssn"), *words.split(), folder=tmp_path)
    assert "1 composite written, 0 reused, 0 rejected: out" in said
    said = run(python, "-c", _WITHOUT_EXTRAS, folder=tmp_path)
    assert said.startswith("(32, 32, 3) {'width': 96, 'height': 64} ")
    assert Path(said.split()[-1]).is_relative_to(tmp_path / "env")
