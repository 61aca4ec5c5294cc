from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from rssn.storage.files import sha256
from tests.train.network.released import random_state, shapes
from train.cli import main


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_options(shards: Path, out: Path, steps: int = 2) -> list[object]:
    options = {"data": shards, "out": out, "backbone": "tiny", "max-steps": steps, "batch-size": 2, "crop-size": 64}
    small = {"input-size": 64, "workers": 0, "learning-rate": 0.01, "schedule": "constant", "ema": 0}
    return ["run", *(word for name, value in (options | small).items() for word in (f"--{name}", value))]


def refused(result: Result) -> str:
    """The one line of an error; no traceback."""
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit)
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    return line


def without_notes(said: str) -> str:
    return "\n".join(line for line in said.splitlines() if not line.startswith("NOTE"))


def test_run_eval_and_predict(shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained = call(*run_options(shards, out))
    assert trained.exit_code == 0, trained.output
    assert "step 2 of 2" in trained.stdout
    assert re.fullmatch(
        r"1 of 2 steps .*\n2 of 2 steps \(100 %\), .*loss .*samples/s, .*in all", without_notes(trained.stderr)
    )
    resumed = call(*run_options(shards, out, steps=3))
    assert "step 3 of 3" in resumed.stdout

    judged = call("eval", "--checkpoint", out / "last.pt", "--data", photographs)
    assert judged.exit_code == 0, judged.output
    assert judged.stdout.splitlines()[0].split()[:2] == ["SAD", "MSE"]
    assert judged.stdout.splitlines()[1].startswith("GFM-TT(tiny) ")
    assert judged.stdout.splitlines()[2].startswith("mean of 4 photographs; whole picture")
    assert {path.name for path in (out / "eval").iterdir()} == {"per_image.parquet", "summary.json", "worst.png"}

    photos = sorted((photographs / "original").iterdir())[:2]
    predicted = call("predict", "--checkpoint", out / "last.pt", *photos, "--out", tmp_path / "mattes")
    assert predicted.exit_code == 0, predicted.output
    assert {path.name for path in (tmp_path / "mattes").iterdir()} == {
        f"scene{n}-{kind}.png" for n in (0, 1) for kind in ("alpha", "cutout")
    }


def test_the_speed_of_a_resumed_run_is_that_of_its_own_steps(shards: Path, tmp_path: Path) -> None:
    call(*run_options(shards, tmp_path / "run", steps=4))
    resumed = call(*run_options(shards, tmp_path / "run", steps=6)).stderr
    assert re.fullmatch(r"5 of 6 steps \(83 %\), .*\n6 of 6 steps .*", without_notes(resumed))


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
    assert "1 could not be evaluated:\n  scene1: read: not_an_image" in judged.stderr
    predicted = call(
        "predict", "--checkpoint", out / "last.pt", *(data / "original").iterdir(), "--out", tmp_path / "mattes"
    )
    assert predicted.exit_code == 1
    assert "1 could not be predicted:" in predicted.stderr
    assert len(list((tmp_path / "mattes").iterdir())) == 6


def test_every_option_of_a_run_is_reachable(shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--data", shards, "--mix", 1, "--mix", 2, "--optimiser", "adamw", "--weight-decay", 0.01, "--clip", 1]
    words += ["--ema", 0.9, "--loss-weight", "composition=0", "--precision", "BF16", "--channels-last", "--keep", 1]
    words += ["--validation", photographs, "--validate-every", 2, "--validation-side", 64, "--ablation", "no-bb"]
    words += ["--accumulate", 2]
    result = call(*run_options(shards, out), *words, "--checkpoint-every", 1, "--rosta", "bt")
    assert result.exit_code == 0, result.output
    assert "waiting for data" in result.stderr
    config = json.loads((out / "config.json").read_text())
    expected = {
        "mixture": [1.0, 2.0], "optimiser": "adamw", "weight_decay": 0.01, "clip": 1.0, "ema": 0.9, "keep": 1,
        "precision": "bf16", "channels_last": True, "validate_every": 2, "validation_side": 64, "rosta": "BT",
        "ablations": ["no-bb"], "checkpoint_every": 1, "accumulate": 2, "step_size": 4,
        "data": [str(shards), str(shards)],
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected
    assert config["losses"]["composition"] == 0.0
    assert (out / "step-00000002.pt").is_file()
    assert (out / "validation" / photographs.name / "step-00000002.png").is_file()
    assert call("eval", "--checkpoint", out / "last.pt", "--data", photographs).exit_code == 0


@pytest.mark.slow
def test_the_last_lines_say_which_step_was_the_best_and_whether_patience_ended_the_run(
    shards: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("--validation", f"real={photographs}", "--validate-every", 1, "--validation-side", 64)
    learning = ("--learning-rate", 0.1, "--workers", 0, "--seed", 1)
    whole = call(*run_options(shards, out, steps=8), *words, *learning)
    assert whole.exit_code == 0, whole.output
    record = json.loads((out / "best.json").read_text())
    best = f"best: {out / 'best.pt'}, step {record['step']}, sad {record['value']:.5g} on real"
    assert best in whole.stdout.splitlines()
    assert 1 < record["step"] < 7
    patient = call(*run_options(shards, tmp_path / "short", steps=8), *words, *learning, "--patience", 1)
    assert patient.exit_code == 0, patient.output
    assert patient.stdout.splitlines()[-1].startswith("stopped early: 1 validations since, none better: a larger")
    judged = call("eval", "--checkpoint", out / "best.pt", "--data", photographs, "--max-side", 64)
    assert judged.stdout.splitlines()[1].split()[1] == f"{record['value']:.2f}"
    none = call(*run_options(shards, tmp_path / "none", steps=1), "--validation", tmp_path / "absent")
    assert "absent" in refused(none)


def test_several_sets_and_scales_by_name(shards: Path, photographs: Path, tmp_path: Path) -> None:
    words = (
        "--validation",
        photographs,
        "--validation",
        f"packed={shards}",
        "--alpha-scale",
        f"{photographs.name}=255",
    )
    out = tmp_path / "run"
    trained = call(*run_options(shards, out), *words)
    assert trained.exit_code == 0, trained.output
    sets = json.loads((out / "config.json").read_text())["validation"]
    assert sets == [
        {"name": photographs.name, "path": str(photographs), "alpha_scale": 255.0},
        {"name": "packed", "path": str(shards), "alpha_scale": None},
    ]
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert last[f"validation/{photographs.name}/sad"] == pytest.approx(last["validation/packed/sad"])
    assert {path.name for path in (out / "validation").iterdir()} == {photographs.name, "packed"}
    both = refused(call(*run_options(shards, tmp_path / "both"), *words[:4], "--alpha-scale", 255))
    assert f"--alpha-scale 255: {shards} holds shards, whose mattes need none; leave it out for them" in both


def test_a_random_encoder_is_announced_with_the_remedy(tmp_path: Path) -> None:
    result = call("run", "--data", tmp_path, "--out", tmp_path / "run", "--backbone", "r34")
    assert "r34 starts from random values" in result.stderr
    assert "resnet34 weights yourself and give the file with --weights FILE" in result.stderr
    assert "manifest.json is missing" in refused(result)


@pytest.mark.slow
def test_bad_input_is_one_line(shards: Path, tmp_path: Path) -> None:
    options = run_options(shards, tmp_path / "run")
    assert "--batch-size is 0; expected 1 or more" in refused(call(*options, "--batch-size", 0))
    assert "absent: no data set here" in refused(call(*options, "--data", tmp_path / "absent"))
    assert "--backbone vgg: unknown" in refused(call(*options, "--backbone", "vgg"))
    assert "tiny has no published weights" in refused(call(*options, "--weights", tmp_path / "a.pth"))
    assert "last.pt: No such file" in refused(call("eval", "--checkpoint", tmp_path / "last.pt", "--data", tmp_path))
    torch.save({}, tmp_path / "last.pt")
    assert "not a checkpoint" in refused(call("predict", "--checkpoint", tmp_path / "last.pt", tmp_path / "a.jpg"))
    call(*options)
    assert "--seed was 0, now 3" in refused(call(*options, "--seed", 3))
    overridden = call(*options, "--seed", 3, "--precision", "fp16", "--max-steps", 3, "--override")
    assert overridden.exit_code == 0, overridden.output
    for words in ("--precision was fp32, now fp16", "--seed was 0, now 3", "the order of the samples starts again"):
        assert f"--override: {words}\n" in overridden.stderr
    assert "fp16 on a CPU takes ten times as long" in overridden.stderr


def test_a_run_is_tuned_from_another_and_the_same_command_goes_on(shards: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    call(*run_options(shards, start))
    tuned = [*run_options(shards, tmp_path / "run"), "--init", start / "last.pt", "--freeze", "norms"]
    first = call(*tuned, "--encoder-rate", 0.1)
    assert first.exit_code == 0, first.output
    assert f"--init {start / 'last.pt'}: 291 of 291 tensors taken\n" in first.stderr
    again = call(*tuned, "--encoder-rate", 0.1, "--max-steps", 3)
    assert "step 3 of 3" in again.stdout
    assert "tensors taken" not in again.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["init"] == {"path": str(start / "last.pt"), "digest": sha256(start / "last.pt")}
    assert (config["freeze"], config["encoder_rate"]) == (["norms"], 0.1)
    idle = ["--freeze", "encoder", "--encoder-rate", 0.1]
    assert "--encoder-rate has no effect here: --freeze encoder" in refused(call(*tuned, *idle))
    assert "--weights has no effect here: --init" in refused(call(*tuned, "--weights", tmp_path / "a.pth"))
    fresh = call(*run_options(shards, tmp_path / "absent"), "--override")
    assert "--override has no effect here" in refused(fresh)


def test_describe_shows_the_papers_figures_beside_ours() -> None:
    shown = call("describe", "--backbone", "r34", "--rosta", "TT", "--no-time")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[1].split() == ["GFM-TT(r34)", "54.77", "55.29", "55.29", "131.81", "132.28"]
    timed = call("describe", "--backbone", "tiny", "--rosta", "BT").stdout.splitlines()[1].split()
    assert timed[0] == "GFM-BT(tiny)"
    assert float(timed[-1]) > 0


@pytest.mark.slow
def test_import_turns_a_released_file_into_a_checkpoint_that_predicts(
    shared: Path, photographs: Path, tmp_path: Path
) -> None:
    torch.save(random_state(shapes(shared, "r34", "TT"), 1), tmp_path / "gfm_r34_tt.pth")
    options = ("--backbone", "r34", "--out", tmp_path / "ours.pt")
    imported = call("import", tmp_path / "gfm_r34_tt.pth", *options, "--rosta", "TT")
    assert imported.exit_code == 0, imported.output
    assert "GFM-TT(r34), 54,773,316 parameters" in imported.stdout
    out = tmp_path / "mattes"
    predicted = call("predict", "--checkpoint", tmp_path / "ours.pt", photographs / "original", "--out", out)
    assert predicted.exit_code == 0, predicted.output
    assert len(list(out.iterdir())) == 8
    assert "not the released GFM-FT(r34)" in refused(
        call("import", tmp_path / "gfm_r34_tt.pth", *options, "--rosta", "FT")
    )


def test_ensemble_hybrid_and_background_are_reachable(shards: Path, photographs: Path, tmp_path: Path) -> None:
    for rosta in ("TT", "FT"):
        call(*run_options(shards, tmp_path / rosta, 1), "--rosta", rosta)
    ensemble = [word for rosta in ("TT", "FT") for word in ("--checkpoint", tmp_path / rosta / "last.pt")]
    out = tmp_path / "out"
    options = ["--data", shards, "--out", out, "--hybrid", "1/2", "1", "--max-side", 0, "--protocol", "dim"]
    judged = call("eval", *ensemble, *options)
    assert judged.exit_code == 0, judged.output
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["networks"], summary["strategy"]) == (2, "whole, hybrid d1 0.5, d2 1")
    assert summary["row"].split()[:2] == ["GFM-ENS(GFM-TT(tiny),", "GFM-FT(tiny))"]
    photo = photographs / "original" / "scene0.png"
    predicted = call("predict", *ensemble, photo, "--out", out, "--background", photo, "--hybrid", "1/2", "1")
    assert predicted.exit_code == 0, predicted.output
    assert (out / "scene0-composite.png").is_file()
    assert "two shares" in refused(call("predict", *ensemble, photo, "--hybrid", "half", "1"))


@pytest.mark.slow
def test_export_says_how_well_it_agrees(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call(*run_options(shards, out, 1))
    exported = call("export", "--checkpoint", out / "last.pt", "--format", "TorchScript")
    assert exported.exit_code == 0, exported.output
    assert exported.stdout.startswith(f"{out / 'last.ts'}: differs from the network by at most ")
    assert exported.stdout.splitlines()[0].endswith("; longer side at most 96 px")  # 96 px, and crops of 96 as they are
    assert (out / "last.ts").is_file()
    assert "| `max_side` | 96 |" in (out / "last.ts.md").read_text()
    call("export", "--checkpoint", out / "last.pt", "--format", "onnx", "--max-side", 64)
    assert "| `max_side` | 64 |" in (out / "last.onnx.md").read_text()


def test_a_disk_that_refuses_is_one_line(shards: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call(*run_options(shards, out, 1))
    (tmp_path / "file").touch()
    photo = photographs / "original" / "scene0.png"
    failed = call("predict", "--checkpoint", out / "last.pt", photo, "--out", tmp_path / "file" / "below")
    assert "Not a directory" in refused(failed)


@pytest.mark.parametrize("command", ["run", "eval", "predict", "export"])
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("eval", "the same command starts over"),
        ("predict", "run the same command again to resume"),
        ("run", "run the same command again to resume"),
    ],
)
def test_every_command_says_by_what_it_was_stopped(
    monkeypatch: pytest.MonkeyPatch, name: str, again: str, number: signal.Signals
) -> None:
    stopped = click.Command(name, callback=lambda: os.kill(os.getpid(), number))
    monkeypatch.setitem(main.commands, name, stopped)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    done = CliRunner().invoke(main, [name])
    assert done.exit_code == 128 + number
    assert done.stderr == f"\nstopped by {number.name}; {again}\n"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_predict_refuses_what_would_do_nothing(shards: Path, photographs: Path, tmp_path: Path) -> None:
    words = ["predict", "--checkpoint", tmp_path / "last.pt", photographs / "original", "--alpha-only"]
    line = refused(call(*words, "--background", photographs / "original" / "scene0.png"))
    assert line == "Error: --background has no effect here: --alpha-only composes nothing; leave out one of the two"


@pytest.mark.slow
def test_a_stopped_prediction_goes_on_where_it_was(shards: Path, photographs: Path, tmp_path: Path) -> None:
    call(*run_options(shards, tmp_path / "run", steps=1))
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(200):
        shutil.copy(photographs / "original" / "scene0.png", photos / f"{number:03}.png")
    (photos / "017.png").write_bytes(b"no picture")
    words = [
        "predict",
        "--checkpoint",
        tmp_path / "run" / "last.pt",
        photos,
        "--out",
        tmp_path / "mattes",
        "--alpha-only",
    ]
    command = [sys.executable, "-m", "train.cli", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    names = [number for number in range(21) if number != 17]
    assert first == [str(tmp_path / "mattes" / f"{number:03}-alpha.png") for number in names]
    line = re.search(r"stopped by SIGINT: (\d+) of 200 photographs done; run the same command again to resume", said)
    assert line is not None, said
    made = {path.name for path in (tmp_path / "mattes").glob("*.png")}
    assert int(line[1]) - 1 <= len(made) < 199

    again = call(*words)
    assert again.exit_code == 1
    assert f"{len(made)} of 200 photographs already had these results, made in the same way" in again.stderr
    assert "017.png: read: not_an_image" in again.stderr
    assert len(list((tmp_path / "mattes").glob("*.png"))) == 199
    for path in sorted(photos.iterdir())[9:]:
        path.unlink()
    deeper = call(*words, "--depth", "16")
    assert "already had these results" not in deeper.stderr
