from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bg20k.decide import decide
from bg20k.onnx_model import Floats
from bg20k.records import Crawl
from bg20k.rules import CurationRules
from rssn.image.arrays import Pixels, encode_png
from tests.benchmarks.bench_curation import Screened, embedding_lines, screening_lines
from tests.bg20k.test_decide import record


def test_errors_are_counted_by_kind_and_named() -> None:
    truth = {"cat": ("salient", 0.9), "lizard": ("salient", 0.05), "rock": ("clean", 0.6), "sea": ("clean", 0.0)}
    records = [
        replace(record(name, 0xFF << (12 * n)), object_score=score)
        for n, (name, (_, score)) in enumerate(truth.items())
    ]
    labels = {f"{name}.jpg": {"label": label, "duplicate_group": ""} for name, (label, _) in truth.items()}
    found = Screened(labels, records, {})
    assert found.errors() == {
        "hits": ["cat.jpg (0.90)"], "misses": ["lizard.jpg (0.05)"], "false alarms": ["rock.jpg (0.60)"]
    }  # fmt: skip
    assert next(screening_lines(found)) == "salient screening: precision 0.500, recall 0.500 on 4 photographs"


class MeanColour:
    name = "mean colour"

    def embed(self, pixels: Pixels) -> Floats:
        colour = pixels.mean(axis=(0, 1))
        return np.asarray(colour / np.linalg.norm(colour), dtype=np.float32)


def test_copies_and_strangers_are_compared_by_their_embeddings(tmp_path: Path) -> None:
    for name, colour in (("red", (200, 0, 0)), ("yellow", (120, 120, 0))):
        (tmp_path / f"{name}.png").write_bytes(encode_png(np.full((1080, 1080, 3), colour, np.uint8)))
    said = list(embedding_lines(sorted(tmp_path.iterdir()), MeanColour()))
    assert said[0] == "embeddings of mean colour: of 2 photographs the two most alike reach 0.71"
    assert "  mirrored: 1.00 and more, median 1.00; 100% reach 0.85" in said
    assert "  grey: 0.58 and more, median 0.70; 0% reach 0.85" in said


def test_groups_that_do_not_keep_exactly_one_are_named() -> None:
    records = [record("a", 0), record("b", 1), record("c", 0xFFFF << 20), record("d", 0xFFFF << 40)]
    labels = {
        f"{name}.jpg": {"label": "clean", "duplicate_group": group}
        for name, group in (("a", "g1"), ("b", "g1"), ("c", "g2"), ("d", "g2"))
    }
    verdicts = {r.source: v for r, v in zip(records, decide(Crawl.of(records), CurationRules()), strict=True)}
    assert Screened(labels, records, verdicts).groups() == (2, ["g2"])
