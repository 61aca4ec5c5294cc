from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bg20k.embedding import find_similar, load_embedder
from rssn.errors import InputError
from tests.bg20k.networks import write_network

COLOURS = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)

TORCHVISION = """
import sys
from pathlib import Path
import numpy as np, torch
from bg20k.embedding import load_embedder
from rssn.errors import InputError
from rssn.vision import torchvision_models
models = torchvision_models()
torch.manual_seed(0)
torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), "weights.pth")
embedder = load_embedder("squeezenet1_1=weights.pth")
wrapped = {"state_dict": {f"module.{name}": value.double() for name, value in torch.load("weights.pth").items()}}
torch.save(wrapped, "wrapped.pth")
Path("page.pth").write_text("<!DOCTYPE html><html>")
picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
one, other = embedder.embed(picture), embedder.embed(picture[:, ::-1])
assert embedder.name.startswith("squeezenet1_1=weights.pth@"), embedder.name
assert one.shape == other.shape and one.dtype == np.float32 and abs(float(one @ one) - 1) < 1e-5
assert not np.array_equal(one, other)
assert np.array_equal(one, load_embedder("squeezenet1_1=wrapped.pth").embed(picture))
flipped = bytearray(Path("weights.pth").read_bytes())
flipped[len(flipped) // 2] ^= 1
Path("flipped.pth").write_bytes(flipped)
for model, words in (
    ("resnet18=weights.pth", "weights.pth: not weights of resnet18, but of another network"),
    ("squeezenet1_1=flipped.pth", "differs from its checksum; take another copy"),
    ("squeezenet1_1=page.pth", "page.pth: a web page, not a network"),
    ("nonsense=weights.pth", "has no classification network of this name"),
):
    try:
        load_embedder(model)
    except InputError as error:
        assert words in str(error), error
    else:
        raise AssertionError(model)
"""


def test_a_feature_map_is_averaged_to_a_vector_of_length_1(tmp_path: Path) -> None:
    embedder = load_embedder(str(write_network(tmp_path / "mean.onnx", COLOURS, [0.0] * 3, sigmoid=False)))
    pixels = np.random.default_rng(1).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    expected = (pixels.reshape(-1, 3).mean(axis=0) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(embedder.embed(pixels), expected / np.linalg.norm(expected), atol=1e-3)
    assert embedder.name.startswith("mean.onnx@")


@pytest.mark.slow
def test_a_backbone_of_torchvision_with_a_file_of_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TORCHVISION], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("model", ["resnet18", "none.onnx"])
def test_a_model_without_a_file_is_named(model: str) -> None:
    with pytest.raises(InputError, match=model):
        load_embedder(model)


def slow_keepers(vectors: np.ndarray, cosine: float) -> list[int]:
    keepers: list[int] = []
    for row, vector in enumerate(vectors):
        near = [k for k in range(row) if keepers[k] == k and float(vectors[k] @ vector) >= cosine]
        keepers.append(near[0] if near else row)
    return keepers


def test_keepers_are_those_of_the_slow_definition_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bg20k.embedding._BLOCK", 7)
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(60, 4)).astype(np.float32)
    vectors[30:] = vectors[:30] + 0.2 * rng.normal(size=(30, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = find_similar(vectors, 0.95).tolist()
    assert found == slow_keepers(vectors, 0.95)
    assert sum(k != n for n, k in enumerate(found)) > 15
    assert find_similar(vectors[:0], 0.9).shape == (0,)


def test_a_chain_merges_no_strangers() -> None:
    angles = np.radians([0, 10, 20, 30])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert find_similar(vectors, float(np.cos(np.radians(12)))).tolist() == [0, 0, 2, 2]
