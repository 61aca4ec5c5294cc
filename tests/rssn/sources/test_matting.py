from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rssn.errors import Rejected
from rssn.image.arrays import encode_png, to_float
from rssn.sources.matting import Pair, load_foreground, load_pair, measure_pair
from rssn.sources.picture_ref import PictureRef
from rssn.storage.files import content_id

_PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
_VALUES = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
_COLOUR, _MATTE = encode_png(_PIXELS), encode_png(_VALUES)
_CUTOUT = encode_png(np.dstack([_PIXELS, _VALUES]))


def at(root: Path, name: str) -> PictureRef:
    return PictureRef.of(root / name)


def _pair(root: Path, matte: bytes = _MATTE, colour: bytes = _COLOUR) -> Pair:
    (root / "a.png").write_bytes(colour)
    (root / "m.png").write_bytes(matte)
    return Pair("a", at(root, "a.png"), at(root, "m.png"), None, "a.png")


def _cutout(root: Path, data: bytes = _CUTOUT) -> Pair:
    (root / "c.png").write_bytes(data)
    return Pair("c", None, at(root, "c.png"), at(root, "c.png"), "c.png")


def _refusal(pair: Pair) -> Rejected:
    with pytest.raises(Rejected) as caught:
        load_foreground(pair)
    assert caught.value.stage == "read"
    return caught.value


def test_a_photograph_is_decoded_and_named_by_its_bytes(tmp_path: Path) -> None:
    pair = _pair(tmp_path)
    sample = load_pair(pair)
    assert sample.foreground_id == measure_pair(pair)[0] == content_id(_COLOUR, _MATTE)
    assert np.array_equal(sample.picture, to_float(_PIXELS))
    assert np.array_equal(sample.alpha, to_float(_VALUES))
    assert sample.foreground is None
    assert pair.picture == at(tmp_path, "a.png")


def test_a_ready_foreground_is_its_own_picture(tmp_path: Path) -> None:
    _pair(tmp_path)
    pair = Pair("a", None, at(tmp_path, "m.png"), at(tmp_path, "a.png"), "a.png")
    sample = load_pair(pair)
    assert sample.foreground is sample.picture
    assert np.array_equal(sample.picture, to_float(_PIXELS))
    assert sample.foreground_id == content_id(_COLOUR, _MATTE)
    assert pair.picture == at(tmp_path, "a.png")


def test_a_photograph_may_bring_its_foreground(tmp_path: Path) -> None:
    _pair(tmp_path)
    ready = encode_png(255 - _PIXELS)
    (tmp_path / "f.png").write_bytes(ready)
    pair = Pair("a", at(tmp_path, "a.png"), at(tmp_path, "m.png"), at(tmp_path, "f.png"), "a.png")
    sample = load_pair(pair)
    assert np.array_equal(sample.picture, to_float(_PIXELS))
    assert sample.foreground is not None
    assert np.array_equal(sample.foreground, to_float(255 - _PIXELS))
    assert sample.foreground_id == measure_pair(pair)[0] == content_id(_COLOUR, ready, _MATTE)
    (tmp_path / "f.png").write_bytes(encode_png(_PIXELS[:5]))
    assert _refusal(pair).reason == "size_mismatch"


def test_a_cutout_is_foreground_and_alpha_in_one(tmp_path: Path) -> None:
    pair = _cutout(tmp_path)
    sample = load_pair(pair)
    assert sample.foreground is sample.picture
    assert np.array_equal(sample.picture, to_float(_PIXELS))
    assert np.array_equal(sample.alpha, to_float(_VALUES))
    assert sample.foreground_id == measure_pair(pair)[0] == content_id(_CUTOUT, _CUTOUT)


def test_a_photograph_may_carry_its_matte(tmp_path: Path) -> None:
    ref = _cutout(tmp_path).alpha
    sample = load_pair(Pair("c", ref, ref, None, "c.png"))
    assert sample.foreground is None
    assert np.array_equal(sample.alpha, to_float(_VALUES))


def test_the_same_content_has_one_name_wherever_it_lies(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    assert measure_pair(_pair(tmp_path / "one")) == measure_pair(_pair(tmp_path / "two"))


def test_what_a_pair_can_lack(tmp_path: Path) -> None:
    assert _refusal(_pair(tmp_path, encode_png(np.zeros((6, 8), np.uint8)))).reason == "alpha_empty"
    assert _refusal(_pair(tmp_path, encode_png(np.full((6, 8), 255, np.uint8)))).reason == "alpha_full"
    for value, flag in ((0, "empty"), (255, "full")):
        sample = load_pair(_pair(tmp_path, encode_png(np.full((6, 8), value, np.uint8))))  # to be judged on
        assert (np.unique(sample.alpha).tolist(), sample.flags) == ([value / 255], (flag,))
    nearly = np.full((6, 8), 254, np.uint8)
    full = _refusal(_pair(tmp_path, encode_png(nearly)))
    assert (full.reason, full.message) == (
        "alpha_full",
        "alpha is nowhere below 0.996: no background would show",
    )
    nearly[0, 0] = 200
    assert load_foreground(_pair(tmp_path, encode_png(nearly))).alpha.max() < 1
    mismatch = _refusal(_pair(tmp_path, encode_png(np.full((8, 6), 250, np.uint8))))
    assert (mismatch.reason, mismatch.message) == ("size_mismatch", "the picture has 8 x 6 px, its alpha 6 x 8 px")
    assert _refusal(_pair(tmp_path, _MATTE[:40])).reason in ("truncated", "not_an_image")
    assert _refusal(_pair(tmp_path, colour=b"")).reason == "empty"
    absent = Pair("a", at(tmp_path, "absent.png"), at(tmp_path, "m.png"), None, "absent.png")
    assert _refusal(absent).reason == "unreadable"


def test_what_a_cutout_can_lack(tmp_path: Path) -> None:
    for alpha, reason in ((np.zeros_like(_VALUES), "alpha_empty"), (np.full_like(_VALUES, 255), "alpha_full")):
        assert _refusal(_cutout(tmp_path, encode_png(np.dstack([_PIXELS, alpha])))).reason == reason
    opaque = _refusal(_cutout(tmp_path, _COLOUR))
    assert (opaque.reason, opaque.message) == (
        "no_alpha_channel",
        "a cut-out needs an alpha channel; this picture is RGB",
    )
    assert _refusal(_cutout(tmp_path, b"no picture")).reason == "not_an_image"
