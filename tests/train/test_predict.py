from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rssn.errors import InputError, Rejected
from rssn.images import decode_alpha, encode_png, to_float, to_uint8
from train.inference import predict_alpha
from train.network.gfm import seeded_gfm
from train.predict import check_photos, cut_out, predict_photo
from train.rosta import Rosta


def test_files_have_the_photographs_size_and_the_networks_alpha(scenes: list, tmp_path: Path) -> None:
    network = seeded_gfm("tiny", Rosta.BT, 0).eval()
    photo = tmp_path / "cat.png"
    pixels = scenes[0].image[:70, :90]
    photo.write_bytes(encode_png(pixels))
    files = predict_photo(network, photo, tmp_path / "out", 1600)
    assert (files.alpha.name, files.cutout.name) == ("cat-alpha.png", "cat-cutout.png")
    expected = to_uint8(predict_alpha(network, to_float(pixels), 1600))
    np.testing.assert_array_equal(to_uint8(decode_alpha(files.alpha.read_bytes())), expected)
    cutout = cv2.imread(str(files.cutout), cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (70, 90, 4)
    np.testing.assert_array_equal(cutout[..., 3], expected)


def test_a_cut_out_shows_the_foreground_not_the_mixture(scenes: list) -> None:
    scene = scenes[1]
    cutout = cut_out(to_float(scene.image), to_float(scene.alpha))
    rim = (scene.alpha > 60) & (scene.alpha < 200)
    truth = scene.foreground.astype(int)
    error = np.abs(cutout[..., :3].astype(int) - truth)[rim].mean()
    mixture = np.abs(scene.image.astype(int) - truth)[rim].mean()
    assert mixture > 40
    assert error < 0.2 * mixture
    np.testing.assert_array_equal(cutout[..., 3], scene.alpha)


def test_a_broken_photograph_is_rejected_with_its_reason(tmp_path: Path) -> None:
    photo = tmp_path / "broken.jpg"
    photo.write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(Rejected, match="not_an_image"):
        predict_photo(seeded_gfm("tiny", Rosta.TT, 0).eval(), photo, tmp_path / "out", 1600)


def test_photographs_of_one_name_are_refused() -> None:
    check_photos([Path("a/cat.jpg"), Path("a/dog.jpg")])
    with pytest.raises(InputError, match="cat: several photos have this name"):
        check_photos([Path("a/cat.jpg"), Path("b/cat.png")])
