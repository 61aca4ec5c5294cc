from __future__ import annotations

import numpy as np
import pytest

from rssn.errors import InputError, Rejected
from train.soft_segments.choice import CentreRule, choose_by_truth, unite
from train.soft_segments.segment import group_layers, segment
from train.soft_segments.settings import Settings

SMALL = Settings(side=64, superpixels=100, eigenvectors=30, clusters=12)


def rendered() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc with a soft rim before a sky and a ground, 48 x 64 px; each has features of its own, blurred."""
    dice = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    alpha = np.clip((13 - np.hypot(y - 25, x - 31)) / 2 + 0.5, 0, 1).astype(np.float32)
    sky = (y < 24)[..., None]
    behind = np.where(sky, (0.3, 0.5, 0.9), (0.2, 0.5, 0.2))
    image = alpha[..., None] * (0.9, 0.6, 0.2) + (1 - alpha[..., None]) * behind
    image = np.clip(image + dice.normal(0, 0.01, image.shape), 0, 1).astype(np.float32)
    features = alpha[..., None] * (1, 0, 0) + (1 - alpha[..., None]) * np.where(sky, (0, 1, 0), (0, 0, 1))
    return image, features.astype(np.float32), alpha


def test_a_subject_with_features_of_its_own_becomes_the_foreground() -> None:
    image, features, alpha = rendered()
    layers = segment(image, features, SMALL)
    assert layers.shape[1:] == (48, 64)
    assert 2 <= len(layers) <= 5
    assert (layers.min() >= 0, layers.max() <= 1) == (True, True)
    np.testing.assert_allclose(layers.sum(axis=0), 1, atol=1e-5)
    empty = np.abs(alpha).mean()
    for chosen in (CentreRule().choose(layers), choose_by_truth(layers, alpha)):
        assert np.abs(unite(layers, chosen) - alpha).mean() < 0.1 * empty
    np.testing.assert_array_equal(layers, segment(image, features, SMALL))


def test_groups_add_up_layers_of_like_features() -> None:
    labels = np.repeat(np.arange(4), 10)
    points = np.array([(0.0, 0, 0), (0.02, 0, 0), (1, 1, 1), (0.98, 1, 1)])[labels].astype(np.float32)
    found = group_layers(np.eye(4)[labels], points, Settings(layers=2))
    assert sorted(found.sum(axis=0)) == [20, 20]
    np.testing.assert_array_equal(found[:20], np.tile(found[0], (20, 1)))


def test_what_cannot_be_segmented_is_refused() -> None:
    image, features, _ = rendered()
    with pytest.raises(Rejected, match="no_features"):
        segment(image, np.zeros_like(features), SMALL)
    with pytest.raises(Rejected, match=r"too_narrow: 64 x 8 px are left of it; give a larger --sss-side"):
        segment(image[:8], features[:8], SMALL)
    with pytest.raises(InputError, match="--sss-side 20: must be from 64 to 1024"):
        Settings(side=20)


def test_photographs_are_reduced_and_never_enlarged() -> None:
    assert Settings(320).reduced(1920, 1440) == (320, 240)
    assert Settings(320).reduced(1080, 1620) == (213, 320)
    assert Settings(320).reduced(100, 80) == (100, 80)
