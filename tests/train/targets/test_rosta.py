from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import binary_dilation, binary_erosion

from rssn.errors import InputError
from rssn.image.arrays import to_uint8
from train.network.gfm import fuse
from train.targets.rosta import Rosta, focus_target, glance_and_transition, make_trimap

MATTES = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=40),
    elements=st.sampled_from([0, 0, 0, 1, 90, 254, 255, 255, 255]),
)


@given(MATTES, st.sampled_from([3, 5, 9, 25]))
def test_trimap_equals_binary_morphology(alpha: np.ndarray, kernel_size: int) -> None:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel_size, kernel_size))
    expected = np.full(alpha.shape, 128, np.uint8)
    expected[~binary_dilation(alpha > 0, ellipse)] = 0
    expected[binary_erosion(alpha == 255, ellipse, border_value=1)] = 255
    np.testing.assert_array_equal(make_trimap(alpha, kernel_size), expected)


@given(MATTES)
def test_trimap_of_floats_and_bytes_agree(alpha: np.ndarray) -> None:
    np.testing.assert_array_equal(make_trimap(alpha.astype(np.float32) / np.float32(255), 5), make_trimap(alpha, 5))


def test_trimap_band_of_a_straight_edge_is_half_a_kernel_on_each_side() -> None:
    alpha = np.zeros((60, 200), np.float32)
    alpha[:, 100:] = 1.0
    row = make_trimap(alpha, 25)[30]
    assert [int((row == value).sum()) for value in (0, 128, 255)] == [88, 24, 88]


@pytest.mark.parametrize(("rosta", "first_one", "transition"), [(Rosta.FT, 125, 25), (Rosta.BT, 76, 24)])
def test_kernel_of_50_moves_a_straight_edge(rosta: Rosta, first_one: int, transition: int) -> None:
    alpha = np.zeros((120, 200), np.float32)
    alpha[:, 100:] = 1.0
    glance, unknown = glance_and_transition(alpha, rosta)
    assert int(np.argmax(glance[60])) == first_one
    assert int(unknown[60].sum()) == transition


@given(MATTES, st.sampled_from(list(Rosta)))
def test_perfect_glance_and_focus_fuse_to_exactly_alpha(matte: np.ndarray, rosta: Rosta) -> None:
    alpha = matte.astype(np.float32) / np.float32(255)
    glance, _ = glance_and_transition(alpha, rosta)
    focus = torch.from_numpy(focus_target(glance, alpha, rosta))[None, None]
    fused = fuse(torch.from_numpy(glance)[None, None], focus, rosta)[0, 0].numpy()
    rounding = 2**-24 if rosta is Rosta.BT else 0.0  # of 1 - (1 - alpha) in float32
    np.testing.assert_allclose(fused, alpha, rtol=0, atol=rounding)
    np.testing.assert_array_equal(to_uint8(fused), matte)


@given(MATTES, st.sampled_from(list(Rosta)))
def test_the_focus_decoder_is_asked_wherever_the_glance_cannot_know(matte: np.ndarray, rosta: Rosta) -> None:
    alpha = matte.astype(np.float32) / np.float32(255)
    glance, transition = glance_and_transition(alpha, rosta)
    certain = (glance > 0).astype(np.float32) if rosta is not Rosta.TT else glance / np.float32(2)
    outside = ~transition
    np.testing.assert_array_equal(certain[outside], alpha[outside])


@given(MATTES, st.sampled_from(list(Rosta)))
def test_labels_are_classes(matte: np.ndarray, rosta: Rosta) -> None:
    assert glance_and_transition(matte, rosta)[0].max() < rosta.classes


def test_names_are_taken_in_any_case_and_unknown_ones_refused() -> None:
    alpha = np.zeros((60, 60), np.uint8)
    alpha[20:40, 20:40] = 255
    assert Rosta("tt") is Rosta("TT") is Rosta.TT
    for name, rosta in (("tt", Rosta.TT), ("Ft", Rosta.FT), ("bt", Rosta.BT), ("FT", Rosta.FT)):
        glance, transition = glance_and_transition(alpha, name)
        expected, unknown = glance_and_transition(alpha, rosta)
        np.testing.assert_array_equal(glance, expected)
        np.testing.assert_array_equal(transition, unknown)
        matte = alpha.astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(focus_target(glance, matte, name), focus_target(glance, matte, rosta))
    with pytest.raises(InputError, match=r"RoSTa 'xt': unknown; there are TT, FT, BT"):
        Rosta("xt")
