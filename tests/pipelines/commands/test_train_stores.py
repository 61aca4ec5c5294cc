"""Training, evaluating and predicting in each store."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from rssn.image.arrays import encode_png
from tests.bucket import Store
from tests.train.conftest import render_scene, write_shards
from train.cli import main

pytestmark = pytest.mark.slow


def call(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_resumes_is_evaluated_and_predicts_in_a_store(
    store: Store, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scenes = [render_scene(number) for number in range(2)]
    shards = write_shards(tmp_path / "shards", scenes)
    for each in shards.rglob("*"):
        if each.is_file():
            store.put(f"{place}/shards/{each.relative_to(shards).as_posix()}", each.read_bytes())
    for scene in scenes:
        store.put(f"{place}/real/original/{scene.name}.png", encode_png(scene.image))
        store.put(f"{place}/real/mask/{scene.name}.png", encode_png(scene.alpha))
    words = ["run", "--data", f"{place}/shards", "--backbone", "tiny", "--batch-size", 2, "--input-size", 64]
    words += ["--crop-size", 64, "--workers", 0, "--schedule", "constant", "--validation", f"real={place}/real"]
    words += ["--validate-every", 2, "--checkpoint-every", 1, "--keep", 1, "--tensorboard"]
    for steps in (2, 4):
        call(*words, "--max-steps", steps, "--out", f"{place}/run")
    call(*words, "--max-steps", 4, "--out", tmp_path / "here")
    record, here = store.get(f"{place}/run/metrics.jsonl"), (tmp_path / "here" / "metrics.jsonl").read_bytes()
    one, other = ([{**json.loads(line), "seconds": 0} for line in each.splitlines()] for each in (record, here))
    assert one == other
    assert torch.load(io.BytesIO(store.get(f"{place}/run/last.pt")), weights_only=True)["step"] == 4
    names = {name for name in store.names(f"{place}/run") if "/" not in name}
    written = {"last.pt", "metrics.jsonl", "config.json", "curve.png", "best.pt", "best.json", "step-00000004.pt"}
    assert names == written
    network = f"{place}/run/best.pt"
    call("eval", "--checkpoint", network, "--data", f"{place}/real", "--out", f"{place}/eval")
    assert store.names(f"{place}/eval") == {"summary.json", "per_image.parquet", "worst.png"}
    photos = ["predict", "--checkpoint", network, f"{place}/real/original", "--alpha-only", "--out", f"{place}/mattes"]
    call(*photos)
    assert store.names(f"{place}/mattes") == {"scene0-alpha.png", "scene1-alpha.png"}
    assert "2 of 2 photographs already had these results" in call(*photos)
