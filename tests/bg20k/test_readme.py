"""The README's measure and verdict, added to the two files that it names, in a curation by the command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import bg20k
from rssn.dataset.rows import iter_rows
from rssn.image.arrays import encode_png
from rssn.image.decoding import decode_pixels
from rssn.sources.backgrounds import find_backgrounds

PACKAGE = Path(bg20k.__file__).parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder whose `bg20k` is ours, but for the files that the README adds a row to."""
    package = tmp_path / "scratch" / "bg20k"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__.append({str(PACKAGE)!r})\n")
    rows = re.findall(r"```python\n# bg20k/(\w+\.py), a row of (\w+)\n(.*?)```", README, re.DOTALL)
    assert [name for name, _, _ in rows] == ["measures.py", "verdict.py"]
    for name, table, row in rows:
        text = (PACKAGE / name).read_text(encoding="utf-8")
        start = re.search(rf"^{table}: Final", text, re.MULTILINE)
        assert start
        end = re.compile(r"^ *\)$", re.MULTILINE).search(text, start.end())
        assert end
        (package / name).write_text(text[: end.start()] + f"{row.strip()},\n" + text[end.start() :], encoding="utf-8")
    return package.parent


@pytest.mark.slow
def test_a_measure_with_its_verdict_is_a_row_in_each_of_two_files(scratch: Path, tmp_path: Path, render) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name, seed, colour in (("bright", 1, 1.0), ("other", 2, 1.0), ("pale", 3, 0.1)):
        pixels = render(seed, 160, 120)
        mean = pixels.mean(axis=2, keepdims=True)
        (photos / f"{name}.png").write_bytes(encode_png(np.rint(mean + colour * (pixels - mean)).astype(np.uint8)))
    options = ("--min-side", "120", "--workers", "0", "--reject-flag", "colourless", "--rule", "colourless=0.2")
    command = [sys.executable, "-m", "pipelines.cli", "build-bg20k", str(photos), "--out", str(out), *options]
    paths = os.pathsep.join([str(scratch), str(PACKAGE.parent)])
    run = subprocess.run(
        command, cwd=scratch, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "1  colourless: hardly any colour in it" in run.stdout

    verdicts = {Path(row["source"]).stem: row for row in iter_rows(out / "verdicts.parquet")}
    for name, row in verdicts.items():
        pixels = decode_pixels((photos / f"{name}.png").read_bytes())
        saturation = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1].mean() / 255
        assert row["saturation"] == pytest.approx(saturation, abs=1e-12)
        assert (row["saturation"] < 0.2) == (name == "pale")
    pale = verdicts["pale"]
    assert (pale["keep"], pale["stage"], pale["reason"]) == (False, "resolution", "colourless")
    assert (pale["flags"], pale["score"]) == (["colourless"], pale["saturation"])

    published = [row for path in sorted((out / "data").iterdir()) for row in iter_rows(path)]
    kept = {row["source"]: row["saturation"] for row in published}
    assert kept == {f"{name}.png": verdicts[name]["saturation"] for name in ("bright", "other")}
    card, page = (out / "README.md").read_text(), (out / "report" / "index.html").read_text()
    assert "| saturation | mean saturation of the picture, 0 to 1 |" in card
    assert "colourless: 0.2" in card
    assert "hardly any colour in it" in page
    found = [*find_backgrounds(out)[0], *find_backgrounds(out, "validation")[0]]  # where nobody knows the measure
    assert {one.source for one in found} == set(kept)
