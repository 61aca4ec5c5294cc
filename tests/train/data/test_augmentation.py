from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rssn.dataset.schema import picture
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, encode_jpeg, encode_png, to_uint8
from rssn.image.decoding import decode_pixels
from train.data.augmentation import Augmentation, Crop, draw_context, draw_crop, make_sample
from train.network.gfm import fuse
from train.targets.rosta import Rosta

SIDES = st.integers(1, 90)


@given(SIDES, SIDES, st.integers(1, 120), st.integers(0, 10_000))
def test_crops_are_squares_inside_the_picture(height: int, width: int, side: int, seed: int) -> None:
    alpha = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    crop = draw_crop(alpha, Augmentation(Rosta.TT, (side,), 64), np.random.default_rng(seed))
    least = min(side, height, width)
    scale = crop.scale_for(64)
    assert least - scale < crop.size <= least
    assert (crop.top % scale, crop.left % scale, crop.size % scale) == (0, 0, 0)
    assert 0 <= crop.top <= height - crop.size
    assert 0 <= crop.left <= width - crop.size
    assert crop.cut(alpha).shape == (crop.size, crop.size)


@given(st.integers(0, 79), st.integers(0, 119), st.integers(0, 1000))
def test_a_centred_crop_has_its_transition_pixel_in_the_middle(y: int, x: int, seed: int) -> None:
    alpha = np.zeros((80, 120), np.float32)
    alpha[y, x] = 0.5
    augmentation = Augmentation(Rosta.TT, (40,), 64, centred=1.0)
    crop = draw_crop(alpha, augmentation, np.random.default_rng(seed))
    chosen = (crop.top + 20, crop.left + 20)
    inside = 20 + 1 <= y < 60 - 1 and 20 + 1 <= x < 100 - 1
    if inside:  # one pixel of slack: the neighbours of a change belong to the transition too
        assert abs(chosen[0] - y) <= 1
        assert abs(chosen[1] - x) <= 1
    assert crop.top <= y < crop.top + 40
    assert crop.left <= x < crop.left + 40


def test_half_of_the_crops_are_centred_and_half_are_flipped() -> None:
    alpha = np.zeros((200, 200), np.float32)
    alpha[100, 100] = 0.5
    rng = np.random.default_rng(0)
    crops = [draw_crop(alpha, Augmentation(Rosta.TT, (40, 60), 64), rng) for _ in range(400)]
    middle = [abs(c.top + c.size // 2 - 100) <= 1 and abs(c.left + c.size // 2 - 100) <= 1 for c in crops]
    assert 160 < sum(middle) < 240
    assert 160 < sum(c.flip for c in crops) < 240
    assert 160 < sum(c.size == 40 for c in crops) < 240


def test_a_matte_without_transition_gets_a_uniform_crop() -> None:
    rng = np.random.default_rng(0)
    augmentation = Augmentation(Rosta.TT, (10,), 64, centred=1.0)
    corners = {draw_crop(np.ones((12, 12), np.float32), augmentation, rng).top for _ in range(60)}
    assert corners == {0, 1, 2}


def test_a_flip_mirrors_columns() -> None:
    array = np.arange(12).reshape(3, 4)
    crop = Crop(0, 1, 3, flip=True)
    np.testing.assert_array_equal(crop.turn(crop.cut(array)), [[3, 2, 1], [7, 6, 5], [11, 10, 9]])


def row(size: tuple[int, int] = (150, 170)) -> dict[str, object]:
    """F is white and B black, so that the image is alpha in three colours."""
    y, x = np.mgrid[: size[0], : size[1]]
    alpha = to_uint8(np.clip((60 - np.hypot(y - 70, x - 90)) / 12, 0, 1).astype(np.float32))
    grey = np.dstack([alpha] * 3)
    pictures = {"image": grey, "foreground": np.full_like(grey, 255), "background": np.zeros_like(grey)}
    columns = {name: picture(encode_png(pixels), f"{name}.png") for name, pixels in pictures.items()}
    return {"sample_id": "a/0", "alpha": picture(encode_png(alpha), "alpha.png"), **columns}


@pytest.mark.parametrize("crop_size", [40, 64, 120, 150])
@pytest.mark.parametrize("rosta", list(Rosta))
def test_pictures_alpha_and_targets_stay_aligned(rosta: Rosta, crop_size: int) -> None:
    for seed in range(6):
        sample = make_sample(row(), Augmentation(rosta, (crop_size,), 64), np.random.default_rng(seed))
        assert torch.equal(sample.image[:1], sample.alpha)
        assert torch.equal(sample.foreground, torch.ones(3, 64, 64))
        assert torch.equal(sample.background, torch.zeros(3, 64, 64))
        fused = fuse(sample.glance[None, None], sample.focus[None], rosta)[0]
        torch.testing.assert_close(fused, sample.alpha, atol=2**-24, rtol=0)
        assert sample.glance.dtype == torch.int64
        assert set(sample.transition.unique().tolist()) <= {0.0, 1.0}


def test_a_crop_of_the_input_size_is_not_resampled() -> None:
    source = row()
    augmentation = Augmentation(Rosta.TT, (64,), 64)
    crop = draw_crop(np.zeros((150, 170), np.float32), augmentation, np.random.default_rng(2))
    rng = np.random.default_rng(2)
    sample = make_sample(
        {**source, "alpha": picture(encode_png(np.zeros((150, 170), np.uint8)), "a")}, augmentation, rng
    )
    y, x = np.mgrid[:150, :170]
    alpha = to_uint8(np.clip((60 - np.hypot(y - 70, x - 90)) / 12, 0, 1).astype(np.float32))
    np.testing.assert_array_equal(sample.image[0].numpy() * 255, crop.turn(crop.cut(alpha)))


@pytest.mark.parametrize(("size", "scale"), [(127, 1), (128, 2), (255, 2), (256, 4), (1280, 4)])
def test_a_crop_says_how_much_smaller_its_picture_may_be(size: int, scale: int) -> None:
    assert Crop(0, 0, size, flip=False).scale_for(64) == scale


@pytest.mark.parametrize("side", [64, 128, 200, 256])
@pytest.mark.parametrize(("height", "width"), [(400, 600), (401, 602), (402, 603), (403, 601)])
def test_a_scaled_decode_shows_the_same_crop(side: int, height: int, width: int, shared: Path) -> None:
    pixels = decode_pixels((shared / "data/am2k/original/sample1.jpg").read_bytes())[300:, 200:][:height, :width]
    assert pixels[:, :300].std() > 40 < pixels[:, 300:].std()  # a clear sky would look the same anywhere
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[100:300, 150:450] = 255
    coded, whole = ({name: picture(encode(pixels), name) for name in ("image", "foreground", "background")}
                    for encode in (encode_jpeg, encode_png))  # fmt: skip
    augmentation = Augmentation(Rosta.TT, (side,), 64)
    for seed in range(4):
        samples = [
            make_sample(
                {"sample_id": "a", "alpha": picture(encode_png(alpha), "a"), **row},
                augmentation,
                np.random.default_rng(seed),
            )
            for row in (coded, whole)
        ]
        error = 255 * (samples[0].image - samples[1].image)
        assert float(error.square().mean()) < 255**2 / 10**3.2  # 32 dB or more
        assert torch.equal(samples[0].glance, samples[1].glance)


@given(SIDES, SIDES, st.integers(1, 90), st.booleans(), st.integers(0, 10_000))
def test_a_context_is_a_largest_square_that_holds_the_crop(
    height: int, width: int, side: int, flip: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    size = min(side, height, width)
    top, left = (int(rng.integers(each - size + 1)) for each in (height, width))
    crop = Crop(top, left, size, flip)
    wide = draw_context(crop, (height, width), 128, rng)
    assert wide.size == min(height, width)
    assert 0 <= wide.top <= crop.top <= crop.top + size <= wide.top + wide.size <= height
    assert 0 <= wide.left <= crop.left <= crop.left + size <= wide.left + wide.size <= width
    mirrored, straight = (Crop(*place, each).within(Crop(wide.top, wide.left, wide.size, each))
                          for each, place in ((True, (top, left, size)), (False, (top, left, size))))  # fmt: skip
    assert np.allclose(mirrored, (1 - straight[2], straight[1], 1 - straight[0], straight[3]))
    assert np.allclose(straight, np.array([left - wide.left, top - wide.top, left - wide.left + size,
                                           top - wide.top + size]) / wide.size)  # fmt: skip


@pytest.mark.parametrize("encode", [encode_jpeg, encode_png])
def test_a_window_says_where_in_the_context_the_crop_is(encode: Callable[[Pixels], bytes]) -> None:
    """Of a picture whose colours say where they are."""
    y, x = np.mgrid[:512, :700]
    pixels = np.dstack([x * 255 / 699, y * 255 / 511, 0 * x]).round().astype(np.uint8)
    source = {
        "sample_id": "a",
        "image": picture(encode(pixels), "i"),
        "alpha": picture(encode_png(pixels[..., 0]), "a"),
    }
    augmentation = Augmentation(Rosta.TT, (200,), 64, colours=False, context=True)
    for seed in range(8):
        sample = make_sample(source, augmentation, np.random.default_rng(seed))
        assert sample.context.shape == (3, 64, 64)
        left, top, right, bottom = sample.window
        wide = float(sample.context[0, 32].diff().mean()) * 64  # change over the whole context
        across = sample.context[0, 32, 0] + wide * ((left + right) / 2 - 1 / 128)
        down = sample.context[1, 0, 32] + sample.context[1, :, 32].diff().mean() * 64 * ((top + bottom) / 2 - 1 / 128)
        middle = sample.image[:2, 31:33, 31:33].mean((1, 2))
        assert torch.allclose(middle, torch.stack([across, down]), atol=3 / 255)
        assert abs(float(right - left) - 200 / 512) < 0.01
    plain = make_sample(source, replace(augmentation, context=False), np.random.default_rng(0))
    assert plain.context.shape == (3, 0, 0)
    assert torch.equal(plain.image, make_sample(source, augmentation, np.random.default_rng(0)).image)


def test_layers_are_not_decoded_where_they_are_not_needed() -> None:
    source = {**row(), "foreground": None, "background": None}
    augmentation = Augmentation(Rosta.TT, (64,), 64, colours=False)
    sample = make_sample(source, augmentation, np.random.default_rng(0))
    assert sample.foreground.shape == sample.background.shape == (3, 0, 0)


@pytest.mark.parametrize("crop_size", [64, 128, 256])
def test_a_damaged_picture_is_no_sample_at_any_scale(crop_size: int, shared: Path) -> None:
    photos = shared / "cases/07-corrupt-jpeg/photos"
    whole = decode_pixels((photos / "a_whole.jpg").read_bytes())
    alpha = np.zeros(whole.shape[:2], np.uint8)
    alpha[:100] = 255
    kept = set()
    for path in sorted(photos.iterdir()):
        source = {"sample_id": "a", "image": picture(path.read_bytes(), "i"), "alpha": picture(encode_png(alpha), "a")}
        augmentation = Augmentation(Rosta.TT, (crop_size,), 64, colours=False)
        try:
            make_sample(source, augmentation, np.random.default_rng(0))
        except Rejected:
            continue
        kept.add(path.stem[0])
    assert kept == {"a", "e", "i"}
