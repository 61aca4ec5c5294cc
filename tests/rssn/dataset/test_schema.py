from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest

import rssn.dataset.schema
from bg20k.schema import PUBLISHED
from rssn.dataset.schema import COMPOSITES, IMAGE, picture, with_steps
from rssn.image.arrays import Pixels, encode_jpeg, encode_png
from rssn.route.steps.blur import Blur
from rssn.route.steps.noise import Noise
from rssn.storage.files import write_parquet


def _pixels(seed: int, channels: int = 3) -> Pixels:
    shape = (6, 8, 3) if channels == 3 else (6, 8)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    def opened(path: Path) -> datasets.Dataset:
        return datasets.load_dataset(
            "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"), keep_in_memory=True
        )

    return opened


def test_composites_open_in_datasets(tmp_path: Path, load: Any) -> None:
    row = dict.fromkeys(COMPOSITES.names) | {
        "sample_id": "f/0",
        "image": picture(encode_png(_pixels(0)), "f-0.png"),
        "alpha": picture(encode_png(_pixels(1, 1)), "f-0-alpha.png"),
        "foreground": picture(encode_jpeg(_pixels(2)), "f-0-foreground.jpg"),
        "background": picture(encode_png(_pixels(3)), "f-0-background.png"),
        "steps": {"noise": {"sigma": 7.5, "seed": 2**64 - 1}, "blur": None},
        "draw_seed": 2**63,
        "background_crop": {"x": 1, "y": 2, "width": 8, "height": 6},
    }
    path = tmp_path / "composites.parquet"
    schema = with_steps({step.name: step.struct() for step in (Blur(), Noise())})
    write_parquet(path, schema, [row, row | {"sample_id": "f/1", "steps": {"blur": {"size": 20}, "noise": None}}])
    opened = load(path)
    assert opened.num_rows == 2
    assert {name for name, kind in opened.features.items() if isinstance(kind, datasets.Image)} == {
        "image",
        "alpha",
        "foreground",
        "background",
    }
    sample = opened[0]
    assert np.array_equal(np.asarray(sample["image"]), _pixels(0))
    assert sample["alpha"].mode == "L"
    assert np.array_equal(np.asarray(sample["alpha"]), _pixels(1, 1))
    assert sample["foreground"].size == (8, 6)
    assert np.array_equal(np.asarray(sample["background"]), _pixels(3))
    assert sample["draw_seed"] == 2**63
    assert sample["steps"]["noise"] == {"sigma": 7.5, "seed": 2**64 - 1}
    assert sample["background_crop"] == {"x": 1, "y": 2, "width": 8, "height": 6}
    assert opened[1]["steps"]["blur"] == {"size": 20}


def test_backgrounds_open_in_datasets(tmp_path: Path, load: Any) -> None:
    row = dict.fromkeys(PUBLISHED.names) | {
        "background_id": "b",
        "image": picture(encode_png(_pixels(4)), "b.png"),
        "phash": 2**64 - 2,
    }
    path = tmp_path / "backgrounds.parquet"
    write_parquet(path, PUBLISHED, [row])
    sample = load(path)[0]
    assert np.array_equal(np.asarray(sample["image"]), _pixels(4))
    assert (sample["background_id"], sample["phash"], sample["object_score"]) == ("b", 2**64 - 2, None)


def test_every_picture_column_says_that_it_is_one() -> None:
    schemas = [value for value in vars(rssn.dataset.schema).values() if isinstance(value, pa.Schema)]
    assert len(schemas) >= 5
    for schema in schemas:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert features == {field.name: {"_type": "Image"} for field in schema if field.type == IMAGE}


def test_the_contract_has_the_columns_of_the_brief() -> None:
    wanted = "sample_id image alpha foreground background foreground_id background_id foreground_source " + (
        "background_source k width height recipe background_crop foreground_method draw_seed"
    )
    assert set(wanted.split()) <= set(COMPOSITES.names)
    assert COMPOSITES.field("draw_seed").type == pa.uint64()
