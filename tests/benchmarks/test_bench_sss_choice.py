from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rssn.image.arrays import encode_png, to_uint8, to_uint16
from tests.benchmarks.bench_sss_choice import RULES, errors, read_set, table
from train.soft_segments.settings import Settings


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A subject that stands at the lower border, in two layers, and what is behind it; 48 x 64 px."""
    head, body = np.zeros((2, 48, 64), np.float32)
    head[14:24, 26:38] = 1
    body[24:, 20:44] = 1
    return np.stack([head, body, 1 - head - body]), head + body


def test_errors_are_those_of_each_choice() -> None:
    layers, alpha = scene()
    found = errors(layers, alpha)
    assert list(found)[: len(RULES)] == list(RULES)
    assert found["oracle"] == found["without the lower border"] == 0
    assert found["as the sheet has it"] == pytest.approx(100 * layers[1].mean()), "the head alone"
    assert found["best single layer"] == pytest.approx(100 * layers[0].mean())
    assert found["empty matte"] == pytest.approx(100 * alpha.mean())
    heading, first, *_ = table({"one": [found], "two": [found, found]})
    assert heading.split() == ["one", "(1)", "two", "(2)"]
    assert first.split()[-2:] == [f"{found['as the sheet has it']:.1f}"] * 2


def test_layers_of_a_run_are_read(tmp_path: Path) -> None:
    layers, alpha = scene()
    for folder, pixels in (("original", np.zeros((48, 64, 3), np.uint8)), ("mask", to_uint8(alpha))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "a.png").write_bytes(encode_png(pixels))
    (tmp_path / "run" / "layers").mkdir(parents=True)
    (tmp_path / "run" / "layers" / "a.png").write_bytes(encode_png(to_uint16(layers.reshape(-1, 64))))
    assert read_set(tmp_path / "data", tmp_path / "run", Settings(64)) == [errors(layers, alpha)]
