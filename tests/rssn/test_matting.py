from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rssn.errors import InputError, Rejected
from rssn.images import encode_png, to_float
from rssn.matting import Pair, find_pairs, load_pair, pair_id
from rssn.shards import content_id

_COLOUR = encode_png(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
_MATTE = encode_png(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)


def _write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_MATTE if name.startswith(("mask", "alpha")) else _COLOUR)


def _pair(root: Path, matte: bytes = _MATTE, colour: bytes = _COLOUR) -> Pair:
    (root / "a.png").write_bytes(colour)
    (root / "m.png").write_bytes(matte)
    return Pair("a", root / "a.png", root / "m.png", None)


def _refusal(pair: Pair) -> Rejected:
    with pytest.raises(Rejected) as caught:
        load_pair(pair)
    assert caught.value.stage == "read"
    return caught.value


def test_photographs_with_masks(tmp_path: Path) -> None:
    _write(tmp_path, "original/b.jpg", "original/a.png", "mask/a.png", "mask/b.png", "trimap/a.png")
    pairs, problems = find_pairs(tmp_path)
    assert problems == []
    assert [pair.name for pair in pairs] == ["a", "b"]
    assert pairs[1] == Pair("b", tmp_path / "original/b.jpg", tmp_path / "mask/b.png", None)
    assert pairs[1].picture == tmp_path / "original/b.jpg"


def test_ready_foregrounds_with_alphas(tmp_path: Path) -> None:
    _write(tmp_path, "fg/a.png", "alpha/a.png")
    (pair,), problems = find_pairs(tmp_path)
    assert problems == []
    assert pair == Pair("a", None, tmp_path / "alpha/a.png", tmp_path / "fg/a.png")
    assert pair.picture == tmp_path / "fg/a.png"


def test_partners_share_their_folder_and_stem(tmp_path: Path) -> None:
    _write(tmp_path, "original/cats/a.b.jpg", "mask/cats/a.b.png", "original/dogs/a.jpg", "mask/dogs/a.png")
    _write(tmp_path, "original/x/only.jpg", "mask/y/only.png")
    pairs, problems = find_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["cats/a.b", "dogs/a"]
    assert {(p.source.relative_to(tmp_path).as_posix(), p.reason, p.message) for p in problems} == {
        ("original/x/only.jpg", "missing_partner", "mask/ has no file of this name"),
        ("mask/y/only.png", "missing_partner", "original/ has no file of this name"),
    }


def test_two_candidates_are_never_guessed_between(tmp_path: Path) -> None:
    _write(tmp_path, "original/a.jpg", "original/a.png", "mask/a.png", "original/b.jpg", "mask/b.png")
    pairs, problems = find_pairs(tmp_path)
    assert [pair.name for pair in pairs] == ["b"]
    assert len(problems) == 3
    assert {p.reason for p in problems} == {"two_candidates"}
    assert "a.jpg, a.png, a.png" in problems[0].message


def test_every_file_is_in_a_pair_or_a_problem(tmp_path: Path) -> None:
    names = ["original/a.jpg", "mask/a.png", "original/b.jpg", "mask/c.png", "mask/d.png", "mask/d.webp"]
    _write(tmp_path, *names)
    pairs, problems = find_pairs(tmp_path)
    named = [p.alpha for p in pairs] + [p.picture for p in pairs] + [p.source for p in problems]
    assert sorted(named) == sorted(tmp_path / name for name in names)


def test_an_unknown_layout_says_what_was_expected(tmp_path: Path) -> None:
    _write(tmp_path, "images/a.png", "mask/a.png")
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="expected the folders original/ and mask/ or fg/ and alpha/"):
            find_pairs(root)
    _write(tmp_path, "original/b.png")
    with pytest.raises(InputError, match="no picture in original/ has a partner of the same name in mask/"):
        find_pairs(tmp_path)


def test_a_pair_is_decoded_and_named_by_its_bytes(tmp_path: Path) -> None:
    pair = _pair(tmp_path)
    sample = load_pair(pair)
    assert sample.foreground_id == pair_id(pair) == content_id(_COLOUR, _MATTE)
    assert sample.picture.shape == (6, 8, 3)
    assert np.array_equal(sample.alpha, to_float(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5))


def test_the_same_content_has_one_name_wherever_it_lies(tmp_path: Path) -> None:
    _write(tmp_path, "original/a.png", "mask/a.png", "original/b.png", "mask/b.png")
    first, second = find_pairs(tmp_path)[0]
    assert pair_id(first) == pair_id(second)


def test_what_a_pair_can_lack(tmp_path: Path) -> None:
    assert _refusal(_pair(tmp_path, encode_png(np.zeros((6, 8), np.uint8)))).reason == "alpha_empty"
    assert _refusal(_pair(tmp_path, encode_png(np.full((6, 8), 255, np.uint8)))).reason == "alpha_full"
    assert load_pair(_pair(tmp_path, encode_png(np.full((6, 8), 254, np.uint8)))).alpha.max() < 1
    mismatch = _refusal(_pair(tmp_path, encode_png(np.full((8, 6), 9, np.uint8))))
    assert (mismatch.reason, mismatch.message) == ("size_mismatch", "the picture has 8 x 6 px, its alpha 6 x 8 px")
    assert _refusal(_pair(tmp_path, _MATTE[:40])).reason in ("truncated", "not_an_image")
    assert _refusal(_pair(tmp_path, colour=b"")).reason == "empty"
    absent = Pair("a", tmp_path / "absent.png", tmp_path / "m.png", None)
    assert _refusal(absent).reason == "unreadable"


def test_am2k(shared: Path) -> None:
    pairs, problems = find_pairs(shared / "data" / "am2k")
    assert problems == []
    assert len(pairs) == 7
    assert len({pair_id(pair) for pair in pairs}) == 7
    sample = load_pair(pairs[0])
    assert sample.picture.shape[:2] == sample.alpha.shape
    assert (sample.alpha.min(), sample.alpha.max()) == (0, 1)
