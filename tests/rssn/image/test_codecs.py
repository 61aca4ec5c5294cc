from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import InputError, Rejected
from rssn.image.arrays import to_uint8
from rssn.image.codecs import BYTES_PER_PIXEL, encode_picture, suffix
from rssn.image.decoding import decode_pixels
from rssn.synthetic import render_background

PIXELS = to_uint8(render_background(4, 240, 160))


@pytest.mark.parametrize("codec", ["png", "webp"])
def test_lossless_codecs_lose_nothing(codec: str) -> None:
    assert np.array_equal(decode_pixels(encode_picture(PIXELS, codec)), PIXELS)  # type: ignore[arg-type]


def test_jpeg_is_close() -> None:
    error = np.abs(decode_pixels(encode_picture(PIXELS, "jpeg")).astype(int) - PIXELS)
    assert 0 < error.mean() < 3


@pytest.mark.parametrize(
    ("codec", "kind", "ending"), [("jpeg", "JPEG", ".jpg"), ("png", "PNG", ".png"), ("webp", "WEBP", ".webp")]
)
def test_the_name_fits_the_bytes(codec: str, kind: str, ending: str) -> None:
    assert PillowImage.open(io.BytesIO(encode_picture(PIXELS, codec))).format == kind  # type: ignore[arg-type]
    assert suffix(codec) == ending  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", ["jpeg", "png", "webp"])
def test_planned_sizes_are_of_the_right_order(codec: str) -> None:
    pixels = to_uint8(render_background(6, 900, 600))
    found = len(encode_picture(pixels, codec)) / (900 * 600)  # type: ignore[arg-type]
    assert 0.4 < found / BYTES_PER_PIXEL[codec] < 2.5  # type: ignore[index]


def test_an_unknown_codec_names_the_choices() -> None:
    with pytest.raises(InputError, match="'gif' is unknown; choose one of jpeg, png, webp"):
        encode_picture(PIXELS, "gif")  # type: ignore[arg-type]


def test_what_a_codec_cannot_write_is_refused() -> None:
    with pytest.raises(Rejected, match="webp") as error:
        encode_picture(np.zeros((1, 20_000, 3), np.uint8), "webp")
    assert (error.value.stage, error.value.reason) == ("encode", "codec")
