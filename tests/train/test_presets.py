from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from train.cli import main
from train.presets import PRESETS

SMALL = ["--backbone", "tiny", "--crop-size", "64", "--input-size", "64", "--workers", "0"]
PAPER = {"optimiser": "adam", "schedule": "constant", "warm_up": 0, "weight_decay": 0.0, "clip": 0.0, "ema": 0.0}


def settings(shards: Path, out: Path, *words: str) -> dict[str, object]:
    result = CliRunner().invoke(main, ["run", "--data", str(shards), "--out", str(out), *words])
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads((out / "config.json").read_text())
    return found


@pytest.mark.parametrize(("name", "rate", "epochs"), [("paper-comp", 1e-5, 100), ("paper-ori", 1e-4, 500)])
def test_the_papers_settings(name: str, rate: float, epochs: int) -> None:
    preset = PRESETS[name]
    assert {**PAPER, "learning_rate": rate}.items() <= preset.values.items()
    assert (preset.values["crop_sizes"], preset.values["input_size"]) == ((640, 960, 1280), 320)
    assert (preset.batch_size("r34"), preset.batch_size("d121")) == (32, 4)
    assert preset.steps(9000, 4) == epochs * 2250
    assert preset.steps(5, 4) == -(-epochs * 5 // 4)


@pytest.mark.slow
def test_a_preset_is_what_options_have_by_default(shards: Path, tmp_path: Path) -> None:
    """Four rows, a hundred epochs: two steps of 200."""
    found = settings(shards, tmp_path / "a", "--preset", "paper-comp", *SMALL, "--batch-size", "200")
    assert {**PAPER, "learning_rate": 1e-5, "max_steps": 2, "batch_size": 200}.items() <= found.items()
    assert found["crop_sizes"] == [64]


@pytest.mark.slow
def test_what_is_given_counts_more_wherever_it_stands(shards: Path, tmp_path: Path) -> None:
    for out, words in (("a", ["--preset", "paper-ori"]), ("b", [])):
        late = ["--preset", "paper-ori"] if not words else []
        given = [*words, "--max-steps", "2", "--warm-up", "1", *late]
        found = settings(shards, tmp_path / out, *SMALL, *given)
        assert (found["max_steps"], found["warm_up"], found["learning_rate"], found["batch_size"]) == (2, 1, 1e-4, 32)
