from __future__ import annotations

import cv2
import numpy as np
import pytest

from rssn.errors import Rejected
from train.soft_segments.features import principal_axes, semantic_features
from train.soft_segments.guided import GuidedFilter

DICE = np.random.default_rng(4)


def test_axes_are_those_of_the_singular_value_decomposition() -> None:
    samples = (DICE.normal(size=(50, 8)) * np.arange(1, 9) + 3).astype(np.float32)
    found = principal_axes(samples, 3)
    expected = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)[2][:3].T
    np.testing.assert_allclose(np.abs((found * expected).sum(axis=0)), 1, atol=1e-5)
    largest = found[np.abs(found).argmax(axis=0), range(3)]
    assert np.all(largest > 0)


def test_missing_dimensions_have_axes_of_zeros() -> None:
    line = np.outer(DICE.normal(size=20), np.ones(2)).astype(np.float32)
    assert np.count_nonzero(np.abs(principal_axes(line, 3)).sum(axis=0)) == 1
    assert not principal_axes(np.ones((9, 5), np.float32), 3).any()


def test_features_are_the_principal_components_of_filtered_ones() -> None:
    """The long way: all channels enlarged, filtered, and then projected."""
    image = cv2.resize(DICE.uniform(0, 1, (6, 8, 3)), (32, 24)).astype(np.float32)
    maps = [DICE.normal(size=(40, 12, 16)).astype(np.float32), DICE.normal(size=(7, 3, 4)).astype(np.float32) * 9]
    channels = []
    for stage in maps:
        centred = stage - stage.mean(axis=(1, 2), keepdims=True)
        balanced = np.clip(centred / centred.std(), -5, 5) / np.sqrt(len(stage))
        channels += [cv2.resize(each, (32, 24), interpolation=cv2.INTER_LINEAR) for each in balanced]
    smooth = GuidedFilter(image, 5, 0.01)
    filtered = np.dstack([smooth.apply(each[..., None]) for each in channels])
    axes = principal_axes(filtered[::4, ::4].reshape(-1, 47), 3)
    projected = filtered @ axes
    lowest, highest = projected.min(axis=(0, 1)), projected.max(axis=(0, 1))
    found = semantic_features(maps, image)
    np.testing.assert_allclose(found, (projected - lowest) / (highest - lowest), atol=1e-4)
    assert (found.min(), found.max()) == (0, 1)


def test_what_is_the_same_everywhere_is_0_and_what_is_no_number_is_refused() -> None:
    image = np.full((16, 20, 3), 0.5, np.float32)
    assert not semantic_features([np.ones((4, 4, 5), np.float32)], image).any()
    with pytest.raises(Rejected, match="not_finite"):
        semantic_features([np.full((4, 4, 5), np.nan, np.float32)], image)
