from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bg20k.embedding import load_embedder
from bg20k.onnx_model import OnnxModel
from bg20k.rules import CurationRules
from bg20k.saliency import OnnxSaliency, Saliency, find_salient, saliency_score
from rssn.errors import InputError
from rssn.storage.location import BucketPath
from tests.bg20k.networks import write_network
from tests.bucket import Store

RED = np.array([4.0, -4.0, -4.0], np.float32).reshape(1, 3, 1, 1)
RULES = CurationRules()


def disc(radius: int, centre: tuple[int, int] = (80, 80), value: float = 1.0) -> np.ndarray:
    mask = np.zeros((160, 160), np.float32)
    cv2.circle(mask, centre, radius, value, -1)
    return mask


def test_a_disc_is_compact() -> None:
    found = find_salient(disc(40, value=0.75))
    assert found.area == pytest.approx(np.pi * 40**2 / 160**2, rel=0.02)
    assert found.confidence == pytest.approx(0.75)
    assert found.compactness == pytest.approx(1.0, abs=0.02)


def test_a_cross_is_less_compact() -> None:
    mask = np.zeros((160, 160), np.float32)
    mask[70:90, 10:150] = mask[10:150, 70:90] = 1.0
    assert find_salient(mask).compactness == pytest.approx(5200 / 12_200, rel=0.05)


def test_the_largest_part_counts() -> None:
    both = np.maximum(disc(10, (20, 20)), disc(30, (110, 110), 0.6))
    assert find_salient(both).confidence == pytest.approx(0.6)
    assert find_salient(disc(0)[:1] * 0.4) == Saliency()


def test_the_score_counts_within_the_range_of_areas() -> None:
    def score(area: float) -> float:
        return saliency_score(Saliency(0.9, area, 0.5), RULES)

    assert score(0.02) == score(0.6) == pytest.approx(0.45)
    assert score(0.0199) == score(0.601) == 0.0


def test_a_network_marks_what_it_was_made_for(tmp_path: Path) -> None:
    model = OnnxSaliency(write_network(tmp_path / "red.onnx", RED, [-4.0], side=64))
    pixels = np.full((480, 640, 3), 128, np.uint8)
    cv2.rectangle(pixels, (160, 120), (479, 359), (250, 10, 10), -1)
    mask = model.mask(pixels)
    assert mask.shape == (64, 64)
    found = find_salient(mask)
    assert found.area == pytest.approx(0.25, abs=0.02)
    assert found.compactness == pytest.approx(1.0, abs=0.02)
    assert find_salient(model.mask(pixels[:100])) == Saliency()
    assert model.name.startswith("red.onnx@")


def test_logits_become_probabilities(tmp_path: Path) -> None:
    raw = OnnxSaliency(write_network(tmp_path / "raw.onnx", RED, [-4.0], sigmoid=False))
    made = OnnxSaliency(write_network(tmp_path / "made.onnx", RED, [-4.0]))
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    np.testing.assert_allclose(raw.mask(pixels), made.mask(pixels), atol=1e-5)


def test_what_is_no_such_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no network")
    (tmp_path / "page.onnx").write_text("<!DOCTYPE html><title>Sign in</title>")
    write_network(tmp_path / "two.onnx", np.concatenate([RED, RED]), [0.0, 0.0])
    write_network(tmp_path / "nan.onnx", RED, [float("nan")])
    for name, words in (
        ("none", "no such file; give the path of a model"),
        ("text", "not an ONNX network"),
        ("page", "a web page, not a"),
    ):
        with pytest.raises(InputError, match=words):
            OnnxSaliency(tmp_path / f"{name}.onnx")
    for name, words in (("two", "must give one mask"), ("nan", "not finite")):
        with pytest.raises(InputError, match=words):
            OnnxSaliency(tmp_path / f"{name}.onnx").mask(np.zeros((20, 20, 3), np.uint8))


def test_each_scaling_is_the_one_that_the_network_was_trained_with(tmp_path: Path) -> None:
    path = write_network(tmp_path / "red.onnx", RED, [0.0], sigmoid=False)
    pixels = np.full((16, 16, 3), (102, 51, 51), np.uint8)
    logits = {"imagenet": 4 * ((0.4 - 0.485) / 0.229 - (0.2 - 0.456) / 0.224 - (0.2 - 0.406) / 0.225)}
    logits["centred"] = 4 * (0.4 - 0.5 - 2 * (0.2 - 0.5))
    for scaling, logit in logits.items():
        model = OnnxSaliency(path, scaling)  # type: ignore[arg-type]
        assert model.mask(pixels) == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
    assert OnnxSaliency(path, "centred").name == OnnxSaliency(path).name + ", centred"


def test_a_network_whose_weights_lie_in_another_file_is_refused(tmp_path: Path) -> None:
    """Its name would not tell other weights from these."""
    onnx = pytest.importorskip("onnx")
    path = write_network(tmp_path / "tiny.onnx", np.ones((1, 3, 4, 4), np.float32), [0.0])
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    with pytest.raises(InputError, match=r"tiny\.onnx: not an ONNX network: its weights are in another file; save the"):
        OnnxModel(path, 16)


def test_networks_may_lie_in_a_bucket(s3: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    pixels = np.full((48, 64, 3), (250, 10, 10), np.uint8)
    file = write_network(tmp_path / "red.onnx", RED, [-4.0], side=64)
    s3.put(f"{bucket}/red.onnx", file.read_bytes())
    place = BucketPath(f"{bucket}/red.onnx")
    here = OnnxSaliency(file)
    for _ in range(2):
        there = OnnxSaliency(place)
        assert there.name == here.name
        assert np.array_equal(there.mask(pixels), here.mask(pixels))
    looks = 4  # at its first bytes, which are all; it is fetched once
    assert s3.sent["GET red.onnx"] == (looks + 1) * file.stat().st_size
    assert load_embedder(f"{bucket}/red.onnx").name == here.name
    s3.put(f"{bucket}/page.onnx", b"<!doctype html>" + b" " * 100)
    s3.put(f"{bucket}/other.onnx", bytes(100))
    for name, words in (("page", "a web page"), ("other", "not an ONNX network"), ("none", "no such file")):
        with pytest.raises(InputError, match=f"^{bucket}/{name}.onnx: {words}"):
            OnnxSaliency(BucketPath(f"{bucket}/{name}.onnx"))
