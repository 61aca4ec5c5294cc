"""Small scenes with exact alpha, F and B, as shards and as a folder of photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from rssn.dataset.schema import COMPOSITES, picture
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.image.arrays import Pixels, encode_png, to_uint8
from rssn.storage.files import write_json
from train.config import TrainConfig
from train.targets.rosta import Rosta

SIDE = 96


@dataclass(frozen=True)
class Scene:
    name: str
    image: Pixels
    alpha: Pixels
    foreground: Pixels
    background: Pixels


def render_scene(number: int) -> Scene:
    """A bright disc with a soft rim on a dark, noisy background."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre = rng.uniform(36, 60, size=2)
    distance = np.hypot(y - centre[0], x - centre[1])
    alpha = to_uint8(np.clip((30 - distance) / 6, 0, 1).astype(np.float32))
    foreground = to_uint8((rng.uniform(0.6, 1.0, 3) * np.ones((SIDE, SIDE, 1))).astype(np.float32))
    background = to_uint8((rng.uniform(0.0, 0.4, 3) * rng.uniform(0.5, 1, (SIDE, SIDE, 1))).astype(np.float32))
    a = (alpha / 255.0)[..., None]
    image = to_uint8(((a * foreground + (1 - a) * background) / 255).astype(np.float32))
    return Scene(f"scene{number}", image, alpha, foreground, background)


def write_shards(root: Path, scenes: list[Scene], per_shard: int = 2) -> Path:
    folder = DatasetFolder(root)
    groups = [scenes[i : i + per_shard] for i in range(0, len(scenes), per_shard)]
    for index, group in enumerate(groups):
        rows = [_row(scene) for scene in group]
        write_shard(folder, shard_name("composites", index, len(groups)), COMPOSITES, rows, [])
    write_json(folder.manifest_path, {"plan": {"kind": "composites"}})
    return root


def _row(scene: Scene) -> dict[str, object]:
    names = ("image", "alpha", "foreground", "background")
    pictures = {name: picture(encode_png(getattr(scene, name)), f"{name}.png") for name in names}
    return {"sample_id": f"{scene.name}/0", **pictures, "width": SIDE, "height": SIDE, "k": 0}


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """What processes talk through, for one alone."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    return [render_scene(number) for number in range(4)]


@pytest.fixture(scope="session")
def store() -> Callable[..., Path]:
    """`store(root, scenes, per_shard=2)`: scenes as a finished data set."""
    return write_shards


@pytest.fixture(scope="session")
def shards(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), scenes)


@pytest.fixture(scope="session")
def photographs(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes as a matting data set with `original/` and `mask/`."""
    root = tmp_path_factory.mktemp("photographs")
    for folder, field in (("original", "image"), ("mask", "alpha")):
        (root / folder).mkdir()
        for scene in scenes:
            (root / folder / f"{scene.name}.png").write_bytes(encode_png(getattr(scene, field)))
    return root


@pytest.fixture
def config(shards: Path, tmp_path: Path) -> TrainConfig:
    """A run of seconds."""
    return TrainConfig(
        data=(str(shards),),
        out=tmp_path / "run",
        backbone="tiny",
        rosta=Rosta.TT,
        max_steps=6,
        batch_size=4,
        optimiser="adam",
        learning_rate=1e-2,
        schedule="constant",
        weight_decay=0.0,
        ema=0.0,
        crop_sizes=(64, 96),
        input_size=64,
        workers=0,
    )
