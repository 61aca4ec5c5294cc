from __future__ import annotations

from pathlib import Path

import train.soft_segments.segment as steps
from tests.benchmarks.bench_sss import STEPS, measure
from tests.train.soft_segments.test_method import SMALL, save_gfm
from tests.train.soft_segments.test_segment import rendered
from train.soft_segments.encoder import FeatureSource


def test_every_step_is_timed(tmp_path: Path) -> None:
    save_gfm(tmp_path / "tiny.pt", 1)
    real = {name: getattr(steps, name) for name in STEPS}
    seconds = measure(rendered()[0], FeatureSource.of_checkpoint(tmp_path / "tiny.pt"), SMALL)
    assert list(seconds) == ["features", *STEPS.values()]
    assert all(each >= 0 for each in seconds.values())
    assert sum(seconds.values()) > 0
    assert {name: getattr(steps, name) for name in STEPS} == real
