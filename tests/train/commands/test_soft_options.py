from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import train.soft_segments.store as store_module
from rssn.image.arrays import encode_png, to_uint8
from tests.train.soft_segments.test_method import save_gfm
from tests.train.soft_segments.test_segment import rendered
from train.cli import main


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["eval", *(str(word) for word in words)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The rendered disc, and the same picture mirrored, 128 x 96 px, as a matting data set."""
    image, _, alpha = rendered()
    for folder, pixels in (("original", image), ("mask", alpha)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        large = to_uint8(cv2.resize(pixels, (128, 96), interpolation=cv2.INTER_LINEAR))
        for name, turned in (("disc", large), ("mirrored", np.ascontiguousarray(large[:, ::-1]))):
            (tmp_path / "data" / folder / f"{name}.png").write_bytes(encode_png(turned))
    return tmp_path / "data"


@pytest.mark.slow
def test_both_choices_are_evaluated_and_shown(data: Path, tmp_path: Path) -> None:
    save_gfm(tmp_path / "tiny.pt", 1)
    words = ("--method", "sss", "--checkpoint", tmp_path / "tiny.pt", "--sss-side", 64, "--data", data, "--mattes")
    done = call(*words)
    assert done.exit_code == 0, done.output
    out = tmp_path / "sss"
    assert {path.name for path in out.iterdir()} == {
        *("layers", "sheets", "mattes", "oracle", "per_image.parquet", "summary.json", "worst.png")
    }
    rows = done.stdout.splitlines()
    assert [row[:15].strip() for row in rows[1:3]] == ["SSS (automatic)", "SSS (oracle)"]
    assert "longer side at most 64 px; features of the encoder of GFM-TT(tiny), tiny.pt" in rows[3]
    automatic, oracle = (json.loads((each / "summary.json").read_text()) for each in (out, out / "oracle"))
    assert (automatic["name"], oracle["name"]) == ("SSS (automatic)", "SSS (oracle)")
    assert oracle["mean"]["sad"] <= automatic["mean"]["sad"]
    tables = [pq.read_table(each / "per_image.parquet").to_pylist() for each in (out, out / "oracle")]
    assert all(best["sad"] <= chosen["sad"] + 1e-3 for chosen, best in zip(*tables, strict=True))
    assert {path.name for path in (out / "sheets").iterdir()} == {"disc.png", "mirrored.png"}

    made = {path: path.stat().st_mtime_ns for path in (out / "layers").iterdir()}
    again = call(*words)
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in (out / "layers").iterdir()} == made, "layers are not made again"


@pytest.mark.slow
def test_one_that_is_stopped_says_that_it_resumes_and_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_gfm(tmp_path / "tiny.pt", 1)
    words = ("--method", "sss", "--checkpoint", tmp_path / "tiny.pt", "--sss-side", 64, "--data", data)
    made: list[int] = []
    real = store_module.segment

    def stopped_at_the_second(*given: Any) -> Any:
        made.append(1)
        if len(made) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr(store_module, "segment", stopped_at_the_second)
    done = call(*words)
    assert (done.exit_code, len(made)) == (130, 2), done.output
    assert done.stderr.splitlines()[-1] == "stopped by SIGINT; run the same command again to resume"
    assert call(*words).exit_code == 0
    assert len(made) == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--method", "sss"], "--out is missing: a folder for the results"),
        ([], "--checkpoint is missing: last.pt or best.pt of a run"),
        (["--method", "sss", "--out", "o"], "--method sss: it needs an encoder that has learned: features of random"),
        (["--method", "sss", "--out", "o", "--backbone", "r34"], "--method sss: it needs an encoder that has learned"),
        (["--method", "sss", "--out", "o", "--encoder-weights", "w.pth"],
         "--encoder-weights has no effect here: there is no --backbone that they are of"),
        (["--method", "sss", "--checkpoint", "a.pt", "--backbone", "r34"],
         "--backbone has no effect here: --checkpoint brings its encoder"),
        (["--method", "sss", "--checkpoint", "a.pt", "--checkpoint", "b.pt"], "--method sss takes the encoder of one"),
        (["--method", "sss", "--out", "o", "--backbone", "r34", "--weights", "raw"],
         "--weights has no effect here: there is no --checkpoint"),
        (["--method", "sss", "--checkpoint", "a.pt", "--max-side", "320"],
         "--max-side has no effect here: --method sss reduces photographs to --sss-side"),
        (["--method", "sss", "--checkpoint", "a.pt", "--hybrid", "1/3", "1/2"], "--hybrid has no effect here"),
        (["--method", "sss", "--checkpoint", "a.pt", "--sss-side", "20"], "--sss-side 20: must be from 64 to 1024"),
        (["--checkpoint", "a.pt", "--sss-side", "320"], "--sss-side has no effect here: it is for --method sss"),
        (["--checkpoint", "a.pt", "--backbone", "r34"], "--backbone has no effect here: it is for --method sss"),
        (["--checkpoint", "a.pt", "--encoder-weights", "w.pth"], "--encoder-weights has no effect here"),
        (["--checkpoint", "a.pt", "--seed", "0"], "--seed has no effect here: it is for --method sss"),
    ],
)  # fmt: skip
def test_options_without_effect_and_missing_ones_are_refused(words: list[str], line: str) -> None:
    done = call("--data", "nowhere", *words)
    assert done.exit_code == 1
    assert line in done.stderr
    assert done.stderr.startswith("Error: ")
