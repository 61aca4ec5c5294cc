from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from train.cli import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_options(shards: Path, out: Path, steps: int = 2) -> list[object]:
    options = {"data": shards, "out": out, "backbone": "tiny", "max-steps": steps, "batch-size": 2, "crop-size": 64}
    small = {"input-size": 64, "workers": 0, "learning-rate": 0.01}
    return ["run", *(word for name, value in (options | small).items() for word in (f"--{name}", value))]


def refused(result: Result) -> str:
    """The one line of an error; no traceback."""
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def test_run_eval_and_predict(shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained = call(*run_options(shards, out))
    assert trained.exit_code == 0, trained.output
    assert "step 2 of 2" in trained.stdout
    assert "samples/s" in trained.stderr
    resumed = call(*run_options(shards, out, steps=3))
    assert "step 3 of 3" in resumed.stdout

    judged = call("eval", "--checkpoint", out / "last.pt", "--data", photographs)
    assert judged.exit_code == 0, judged.output
    assert judged.stdout.splitlines()[0].split()[:2] == ["SAD", "MSE"]
    assert judged.stdout.splitlines()[1].startswith("mean of 4")
    assert {path.name for path in (out / "eval").iterdir()} == {"per_image.parquet", "summary.json", "worst.png"}

    photos = sorted((photographs / "original").iterdir())[:2]
    predicted = call("predict", "--checkpoint", out / "last.pt", *photos, "--out", tmp_path / "mattes")
    assert predicted.exit_code == 0, predicted.output
    assert {path.name for path in (tmp_path / "mattes").iterdir()} == {
        f"scene{n}-{kind}.png" for n in (0, 1) for kind in ("alpha", "cutout")
    }


def test_what_fails_is_named_the_rest_is_done_and_the_exit_code_tells(
    shards: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    call(*run_options(shards, out, steps=1))
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    (data / "original" / "scene1.png").write_bytes(b"junk")
    judged = call("eval", "--checkpoint", out / "last.pt", "--data", data)
    assert judged.exit_code == 1
    assert "mean of 3" in judged.stdout
    assert "1 could not be judged:\n  scene1: read: not_an_image" in judged.stderr
    predicted = call(
        "predict", "--checkpoint", out / "last.pt", *(data / "original").iterdir(), "--out", tmp_path / "mattes"
    )
    assert predicted.exit_code == 1
    assert "1 could not be predicted:" in predicted.stderr
    assert len(list((tmp_path / "mattes").iterdir())) == 6


def test_a_random_encoder_is_announced_with_the_remedy(tmp_path: Path) -> None:
    result = call("run", "--data", tmp_path, "--out", tmp_path / "run", "--backbone", "r34")
    assert "r34 starts from random values" in result.stderr
    assert "resnet34 weights yourself and give the file with --weights FILE" in result.stderr
    assert "no manifest.json" in refused(result)


def test_bad_input_is_one_line(shards: Path, tmp_path: Path) -> None:
    options = run_options(shards, tmp_path / "run")
    assert "--batch-size 0: must be 1 or more" in refused(call(*options, "--batch-size", 0))
    assert "no such folder" in refused(call(*options, "--data", tmp_path / "absent"))
    assert "'--backbone'" in refused(call(*options, "--backbone", "vgg"))
    assert "tiny has no published weights" in refused(call(*options, "--weights", tmp_path / "a.pth"))
    assert "last.pt: No such file" in refused(call("eval", "--checkpoint", tmp_path / "last.pt", "--data", tmp_path))
    torch.save({}, tmp_path / "last.pt")
    assert "not a checkpoint" in refused(call("predict", "--checkpoint", tmp_path / "last.pt", tmp_path / "a.jpg"))
    call(*options)
    assert "--seed was 0, now 3" in refused(call(*options, "--seed", 3))


@pytest.mark.parametrize("command", ["run", "eval", "predict"])
def test_help_shows_an_example(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"train {command} --" in result.stdout


def test_threads_wait_without_spinning_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    call("run", "--help")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    call("run", "--help")
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, train.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
