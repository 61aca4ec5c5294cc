from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tests.benchmarks.bench_training import PARTS, SETTINGS, lines, measure
from tests.train.conftest import render_scene, write_shards
from train.config import TrainConfig
from train.loop.learner import ActiveUpdate


def test_each_part_of_each_step_is_timed(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [render_scene(number) for number in range(4)])
    config = TrainConfig((str(shards),), shards / "run", backbone="tiny", crop_sizes=(64,), input_size=64, workers=0)
    step, backward = ActiveUpdate.step, torch.autograd.backward
    names = ("plain", "decoded kept")
    found = measure(replace(config, max_steps=9), {name: SETTINGS[name] for name in names}, 2)
    assert (ActiveUpdate.step, torch.autograd.backward) == (step, backward)
    assert [[len(found[name][part]) for part in PARTS] for name in names] == [[2] * len(PARTS)] * 2
    assert all(sum(found[name][part]) > 0 for name in names for part in PARTS)
    table = list(lines(found, config))
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {name}" for name in names]
