from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from rssn.errors import InputError
from rssn.image.arrays import encode_jpeg, encode_png, to_uint8
from rssn.sources.layouts import LAYOUT_NAMES, find_pairs
from rssn.sources.matting import load_pair, measure_pair
from rssn.sources.picture_ref import PictureRef
from rssn.synthetic import SyntheticShot, render_shot

SHOT = render_shot(0, 64, 48)
_ALPHA = encode_png(to_uint8(SHOT.alpha))
_DOT = encode_png(np.full((1, 1, 3), 9, np.uint8))
_CLEAR_DOT = encode_png(np.full((1, 1, 4), 9, np.uint8))

# For each layout as it is published: files, and which of them are (colour, alpha) under which name.
PUBLISHED = {
    "am2k": {
        "train/m_1": ("train/original/m_1.jpg", "train/mask/m_1.png"),
        "train/m_2": ("train/original/m_2.jpg", "train/mask/m_2.png"),
        "validation/m_3": ("validation/original/m_3.jpg", "validation/mask/m_3.png"),
    },
    "p3m10k": {
        "train/p_1": ("train/blurred_image/p_1.jpg", "train/mask/p_1.png"),
        "validation/P3M-500-NP/p_2": (
            "validation/P3M-500-NP/original_image/p_2.jpg",
            "validation/P3M-500-NP/mask/p_2.png",
        ),
        "validation/P3M-500-P/p_3": (
            "validation/P3M-500-P/blurred_image/p_3.jpg",
            "validation/P3M-500-P/mask/p_3.png",
        ),
    },
    "dim": {
        "Combined_Dataset/Test_set/Adobe-licensed images/c": (
            "Combined_Dataset/Test_set/Adobe-licensed images/fg/c.png",
            "Combined_Dataset/Test_set/Adobe-licensed images/alpha/c.png",
        ),
        "Combined_Dataset/Training_set/Adobe-licensed images/a": (
            "Combined_Dataset/Training_set/Adobe-licensed images/fg/a.jpg",
            "Combined_Dataset/Training_set/Adobe-licensed images/alpha/a.jpg",
        ),
        "Combined_Dataset/Training_set/Other/b": (
            "Combined_Dataset/Training_set/Other/fg/b.jpg",
            "Combined_Dataset/Training_set/Other/alpha/b.png",
        ),
    },
    "distinctions646": {
        "Test/13(2)": ("Test/FG/13(2).png", "Test/GT/13(2).png"),
        "Train/1": ("Train/FG/1.png", "Train/GT/1.png"),
    },
    "aisegment": {
        "18031/00000/18031-1": (
            "clip_img/18031/clip_00000/18031-1.jpg",
            "matting/18031/matting_00000/18031-1.png",
        ),
        "18031/00001/18031-2": (
            "clip_img/18031/clip_00001/18031-2.jpg",
            "matting/18031/matting_00001/18031-2.png",
        ),
    },
    "ppm100": {"1": ("image/1.jpg", "matte/1.png")},
    "fgr-pha": {
        "train/0001/00000": ("train/fgr/0001/00000.jpg", "train/pha/0001/00000.jpg"),
        "train/0001/00001": ("train/fgr/0001/00001.jpg", "train/pha/0001/00001.jpg"),
        "train/0002/00000": ("train/fgr/0002/00000.jpg", "train/pha/0002/00000.jpg"),
        "PhotoMatte85/a_0041": ("PhotoMatte85/fgr/a_0041.png", "PhotoMatte85/pha/a_0041.png"),
    },
    "image-alpha": {"02_0030_input": ("image/02_0030_input.jpg", "alpha/02_0030_input.png")},
    "image-mask": {"UHRSD_TR_2K/a": ("UHRSD_TR_2K/image/a.jpg", "UHRSD_TR_2K/mask/a.png")},
    "images-masks": {"train/a": ("train/images/a.jpg", "train/masks/a.png")},
    "dis5k": {
        "DIS-TR/2#Aircraft#7#UAV#3": (
            "DIS-TR/im/2#Aircraft#7#UAV#3.jpg",
            "DIS-TR/gt/2#Aircraft#7#UAV#3.png",
        ),
        "DIS-VD/b": ("DIS-VD/im/b.jpg", "DIS-VD/gt/b.png"),
    },
    "him2k": {
        "comp/x/00": ("images/comp/x.jpg", "alphas/comp/x/00.png"),
        "comp/x/01": ("images/comp/x.jpg", "alphas/comp/x/01.png"),
        "natural/z/00": ("images/natural/z.jpg", "alphas/natural/z/00.png"),
    },
    "refmatte": {
        "RefMatte/train/h_1_2_0": ("RefMatte/train/img/h_1_2.jpg", "RefMatte/train/mask/h_1_2_0.png"),
        "RefMatte/train/h_1_2_1": ("RefMatte/train/img/h_1_2.jpg", "RefMatte/train/mask/h_1_2_1.png"),
        "RefMatte_RW_100/p_0": ("RefMatte_RW_100/image/p.jpg", "RefMatte_RW_100/mask/p_0.png"),
    },
    "flat": {
        "00001": ("00001.png", "00001_matte.png"),
        "00002": ("00002.jpg", "00002_alpha.png"),
        "sub/00003": ("sub/00003.jpg", "sub/00003-mask.png"),
        "v1.5": ("v1.5.png", "v1.5_MATTE.png"),
    },
    "rgba": {
        "birds/a.webp": ("birds/a.webp", "birds/a.webp"),
        "b.png": ("b.png", "b.png"),
        "c.tif": ("c.tif", "c.tif"),
    },
}
IGNORED = {
    "am2k": ("train/fg/m_1.jpg", "train/bg/m_1.jpg", "validation/trimap/m_3.png", "cover.png"),
    "p3m10k": ("train/facemask/p_1.png", "validation/P3M-500-P/trimap/p_3.png"),
    "dim": ("Combined_Dataset/Test_set/Adobe-licensed images/trimaps/c_0.png",),
    "distinctions646": ("Train/notes/1.png",),
    "aisegment": ("matting/18031/._matting_00000/18031-1.png", "notes/cover.png"),
    "ppm100": ("fg/1.jpg",),
    "fgr-pha": ("backgrounds/0001/00000.png",),
    "image-alpha": ("trimap/02_0030_input.png",),
    "image-mask": ("UHRSD_TR_2K/edge/a.png",),
    "images-masks": ("train/trimaps/a.png",),
    "dis5k": ("DIS-TR/mask/2#Aircraft#7#UAV#3.png",),
    "him2k": ("masks_matched_r50_fpn_3x/comp/x/00.png",),
    "refmatte": (),
    "flat": (),
    "rgba": (),
}


def _cutout(shot: SyntheticShot, kind: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.dstack([to_uint8(shot.foreground), to_uint8(shot.alpha)])
    PillowImage.fromarray(pixels).save(stream, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    return stream.getvalue()


def _write(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _publish(root: Path, layout: str) -> None:
    given = layout in ("dim", "distinctions646", "fgr-pha")
    for colour, alpha in PUBLISHED[layout].values():
        if layout == "rgba":
            _write(root, colour, _cutout(SHOT, {".webp": "WEBP", ".png": "PNG", ".tif": "TIFF"}[Path(colour).suffix]))
            continue
        pixels = to_uint8(SHOT.foreground if given else SHOT.image)
        _write(root, colour, encode_jpeg(pixels) if colour.endswith(".jpg") else encode_png(pixels))
        _write(root, alpha, _ALPHA)
    for name in IGNORED[layout]:
        _write(root, name, _CLEAR_DOT if name == "cover.png" else _ALPHA)


def _touch(root: Path, *names: str) -> None:
    for name in names:
        _write(root, name, _DOT)


def _problems(root: Path, layout: str | None = None) -> list[tuple[str, str, str]]:
    return [(p.source, p.reason, p.message) for p in find_pairs(root, layout).problems]


@pytest.mark.parametrize("layout", PUBLISHED)
def test_a_published_layout_is_detected_and_read(layout: str, tmp_path: Path) -> None:
    _publish(tmp_path, layout)
    found = find_pairs(tmp_path)
    assert found.layout == layout
    assert found.problems == []
    assert found == find_pairs(tmp_path, layout)
    expected = PUBLISHED[layout]
    assert [pair.name for pair in found.pairs] == sorted(expected)
    given = layout in ("dim", "distinctions646", "fgr-pha", "rgba")
    for pair in found.pairs:
        colour, alpha = expected[pair.name]
        assert pair.picture == PictureRef.of(tmp_path / colour)
        assert pair.alpha == PictureRef.of(tmp_path / alpha)
        assert (pair.image is None, pair.foreground is not None) == (given, given)
        assert (pair.source, pair.licence) == (colour, "")
        sample = load_pair(pair)
        truth = to_uint8(SHOT.foreground if given else SHOT.image)
        assert np.abs(to_uint8(sample.picture).astype(int) - truth).mean() < 3
        assert np.array_equal(to_uint8(sample.alpha), to_uint8(SHOT.alpha))


def test_every_layout_is_published_here() -> None:
    assert set(LAYOUT_NAMES) == {*PUBLISHED, "fg-photographs", "table"}


def test_photographs_in_fg_are_read_as_such_if_asked_for(tmp_path: Path) -> None:
    _publish(tmp_path, "dim")
    assert {(pair.image is None) for pair in find_pairs(tmp_path).pairs} == {True}
    asked = find_pairs(tmp_path, "fg-photographs").pairs
    assert [pair.name for pair in asked] == sorted(PUBLISHED["dim"])
    assert {(pair.foreground is None) for pair in asked} == {True}


def test_the_sides_may_lie_at_the_root_and_be_written_in_any_case(tmp_path: Path) -> None:
    _touch(tmp_path, "Original/b.JPG", "Original/a.png", "MASK/a.png", "MASK/b.png")
    found = find_pairs(tmp_path)
    assert found.layout == "am2k"
    assert [(pair.name, pair.source) for pair in found.pairs] == [("a", "Original/a.png"), ("b", "Original/b.JPG")]


def test_sides_may_be_linked_from_elsewhere(tmp_path: Path) -> None:
    _touch(tmp_path, "store/photos/a.png", "store/mattes/a.png")
    (tmp_path / "set" / "train").mkdir(parents=True)
    (tmp_path / "set/train/original").symlink_to(tmp_path / "store/photos")
    (tmp_path / "set/train/mask").symlink_to(tmp_path / "store/mattes")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    found = find_pairs(tmp_path / "set")
    assert [pair.name for pair in found.pairs] == ["train/a"]
    assert [(one.source, one.reason) for one in found.problems] == [("loop", "loop")]


def test_a_part_that_is_reached_twice_counts_once(tmp_path: Path) -> None:
    _touch(tmp_path, "train/original/a.png", "train/mask/a.png")
    (tmp_path / "zweite").symlink_to(tmp_path / "train")
    found = find_pairs(tmp_path)
    assert ([pair.name for pair in found.pairs], found.problems) == (["train/a"], [])


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    for layout, (colour, alpha) in {
        "am2k": ("original/{}.png", "mask/{}.png"),
        "flat": ("{}.png", "{}_matte.png"),
    }.items():
        root = tmp_path / layout
        _touch(root, colour.format("caf\u00e9"), alpha.format("cafe\u0301"))
        [pair] = find_pairs(root).pairs
        assert pair.name == "caf\u00e9"
        assert (pair.picture.read(), pair.alpha.read()) == (_DOT, _DOT)


def test_sidecars_are_neither_pairs_nor_problems(tmp_path: Path) -> None:
    _publish(tmp_path / "cut", "rgba")
    for path in list((tmp_path / "cut").rglob("*.*")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(60))
    for number in range(9):
        _write(tmp_path / "cut", f"._gone_{number}.png", b"\0\5\x16\7")
    found = find_pairs(tmp_path / "cut")
    assert (found.layout, len(found.pairs), found.problems) == ("rgba", 3, [])


def test_what_lies_in_a_side_and_is_no_picture_is_counted(tmp_path: Path) -> None:
    _touch(tmp_path, "original/a.png", "mask/a.png")
    _write(tmp_path, "original/b.NEF", b"II*\0")
    _write(tmp_path, "mask/a.json", b"{}")
    _write(tmp_path, "mask/.DS_Store", b"x")
    _write(tmp_path, "notes/b.txt", b"x")
    assert find_pairs(tmp_path).unread == {".NEF": 1, ".json": 1}


def test_what_cannot_be_looked_at_is_a_problem(tmp_path: Path) -> None:
    _touch(tmp_path, "train/original/a.png", "train/mask/a.png", "train/original/pipe.png")
    (tmp_path / "train/original/pipe.png").unlink()
    os.mkfifo(tmp_path / "train/original/pipe.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/train/mask/b\xff.png")).write_bytes(_DOT)
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ["train/a"]
    assert [(one.source, one.reason) for one in found.problems] == [
        ("train/mask/b\\xff.png", "unsafe_path"),
        ("train/original/pipe.png", "not_a_file"),
    ]


def test_results_are_no_pairs(tmp_path: Path) -> None:
    _touch(tmp_path, "original/a.png", "mask/a.png", "out/original/b.png", "out/mask/b.png")
    assert [pair.name for pair in find_pairs(tmp_path, without=tmp_path / "out").pairs] == ["a"]
    with pytest.raises(InputError, match="results would be written among the pictures"):
        find_pairs(tmp_path, without=tmp_path)


def test_folders_inside_a_side_may_be_called_like_sides(tmp_path: Path) -> None:
    _touch(tmp_path, "original/original/a.png", "original/mask/a.png", "mask/original/a.png", "mask/mask/a.png")
    found = find_pairs(tmp_path)
    assert [(pair.name, pair.source) for pair in found.pairs] == [
        ("mask/a", "original/mask/a.png"),
        ("original/a", "original/original/a.png"),
    ]
    assert found.problems == []


def test_partners_share_split_folder_and_stem(tmp_path: Path) -> None:
    _touch(tmp_path, "train/original/cats/a.b.jpg", "train/mask/cats/a.b.png")
    _touch(tmp_path, "train/original/x/only.jpg", "validation/mask/x/only.png", "validation/original/y.png")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found.pairs] == ["train/cats/a.b"]
    assert set(_problems(tmp_path)) == {
        ("train/original/x/only.jpg", "missing_partner", "mask/ has no file of this name"),
        ("validation/mask/x/only.png", "missing_partner", "original/ has no file of this name"),
        ("validation/original/y.png", "missing_partner", "mask/ has no file of this name"),
    }


def test_two_candidates_are_never_guessed_between(tmp_path: Path) -> None:
    _touch(tmp_path, "original/a.jpg", "original/a.png", "mask/a.png", "original/b.jpg", "mask/b.png")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["b"]
    message = "more than one partner among original/a.jpg, original/a.png, mask/a.png"
    assert _problems(tmp_path) == [
        (name, "two_candidates", message) for name in ("original/a.jpg", "original/a.png", "mask/a.png")
    ]


def test_a_blurred_and_an_unblurred_photograph_are_two_candidates(tmp_path: Path) -> None:
    _touch(tmp_path, "blurred_image/a.jpg", "original_image/a.jpg", "mask/a.png", "blurred_image/b.jpg", "mask/b.png")
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["b"]
    assert {problem[:2] for problem in _problems(tmp_path)} == {
        ("blurred_image/a.jpg", "two_candidates"),
        ("original_image/a.jpg", "two_candidates"),
        ("mask/a.png", "two_candidates"),
    }


def test_what_flat_pairs_can_lack(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "a_alpha.png", "b.jpg", "c_matte.png", "d.jpg", "d_matte.png", "d-alpha.png")
    candidates = "more than one partner among d.jpg, d-alpha.png, d_matte.png"
    assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["a"]
    assert _problems(tmp_path) == [
        ("b.jpg", "missing_partner", "no file of this name with _matte, _alpha or _mask"),
        ("c_matte.png", "missing_partner", "no file of this name without the ending"),
        ("d.jpg", "two_candidates", candidates),
        ("d-alpha.png", "two_candidates", candidates),
        ("d_matte.png", "two_candidates", candidates),
    ]


@pytest.mark.parametrize("dressed", [True, False])
def test_cutouts_are_detected_if_most_pictures_have_an_alpha_channel(tmp_path: Path, *, dressed: bool) -> None:
    _write(tmp_path, "a.png", _CLEAR_DOT)
    _touch(tmp_path, "b.png", *([] if dressed else ["c.png"]))
    if dressed:
        assert [pair.name for pair in find_pairs(tmp_path).pairs] == ["a.png", "b.png"]
    else:
        with pytest.raises(InputError, match="no matting data set found"):
            find_pairs(tmp_path)
        assert len(find_pairs(tmp_path, "rgba").pairs) == 3


def test_named_folders_win_over_loose_files(tmp_path: Path) -> None:
    _write(tmp_path, "logo.png", _CLEAR_DOT)
    _touch(tmp_path, "fg/a.png", "alpha/a.png", "preview/a.jpg", "preview/a_mask.png")
    assert find_pairs(tmp_path).layout == "dim"
    assert [pair.name for pair in find_pairs(tmp_path, "flat").pairs] == ["preview/a"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("original/a.png", "mask/a.png", "fg/a.png", "alpha/a.png"), "am2k or dim"),
        (("train/original/a.png", "train/mask/a.png", "p3m/blurred_image/a.png", "p3m/mask/a.png"), "am2k or p3m10k"),
        (("fg/a.png", "alpha/a.png", "GT/a.png"), "dim or distinctions646"),
    ],
)
def test_two_layouts_that_fit_are_an_error_that_names_both(tmp_path: Path, files: tuple[str, ...], names: str) -> None:
    _touch(tmp_path, *files)
    with pytest.raises(InputError, match=rf"can be read as .* and as .*; choose with --matting-format {names}$"):
        find_pairs(tmp_path)
    for name in names.split(" or "):
        assert find_pairs(tmp_path, name).layout == name


def test_cutouts_that_bring_mattes_are_an_error_too(tmp_path: Path) -> None:
    _write(tmp_path, "a.png", _CLEAR_DOT)
    _touch(tmp_path, "a_matte.png")
    with pytest.raises(InputError, match="choose with --matting-format flat or rgba"):
        find_pairs(tmp_path)


def test_a_matte_with_an_alpha_channel_is_no_cutout(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png")
    _write(tmp_path, "a_matte.png", _CLEAR_DOT)
    assert find_pairs(tmp_path).layout == "flat"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("original/a.png", "original/ is there without mask/ beside it"),
        ("FG/a.png", "FG/ is there without alpha/ or gt/ beside it"),
    ],
)
def test_photographs_without_mattes_are_said_in_a_few_words(tmp_path: Path, file: str, words: str) -> None:
    _touch(tmp_path, file)
    with pytest.raises(InputError) as caught:
        find_pairs(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no matting data set found: {words}"


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    _touch(tmp_path, "pictures/a.png", "mask/a.png")
    with pytest.raises(InputError, match="no matting data set found") as caught:
        find_pairs(tmp_path)
    for words in (
        "original/ and mask/ (AM-2k, PM-10k, AIM-500)",
        "blurred_image/ or original_image/ and mask/ (P3M-10k)",
        "fg/ and alpha/ (Deep Image Matting, Composition-1k)",
        "fg/ and gt/ (Distinctions-646)",
        "name_matte.png",
        "alpha channel",
        "a table is given as its file",
    ):
        assert words in str(caught.value)


def test_what_cannot_be_a_data_set(tmp_path: Path) -> None:
    _touch(tmp_path, "original/b.png", "mask/c.png")
    (tmp_path / "pairs.csv").write_text("image,alpha\noriginal/b.png,mask/c.png\n")
    for root, layout, words in (
        (tmp_path, None, "layout am2k, but no pair is complete; the first file: original/b.png: mask/ has no file"),
        (tmp_path, "dim", r"nothing of layout dim in it; it has fg/ and alpha/"),
        (tmp_path, "dam", "--matting-format dam: no such layout; choose one of am2k, .*, table"),
        (tmp_path, "table", "is no table; give the .csv or .parquet file itself"),
        (tmp_path / "absent", None, r"no such folder, archive \(.tar, .tar.gz, .zip\) or table"),
        (tmp_path / "original/b.png", None, "no such folder, archive .* or table"),
        (tmp_path / "set.rar", None, "no such folder, archive .* or table"),
        (tmp_path / "pairs.csv", "dim", "is a table, not a folder of layout dim"),
    ):
        with pytest.raises(InputError, match=words):
            find_pairs(root, layout)


def test_a_table_is_known_by_its_name(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "m.png")
    (tmp_path / "pairs.CSV").write_text("image,alpha\na.png,m.png\n")
    found = find_pairs(tmp_path / "pairs.CSV")
    assert found == find_pairs(tmp_path / "pairs.CSV", "table")
    assert (found.layout, [pair.name for pair in found.pairs]) == ("table", ["a"])


_STEMS = st.lists(st.sampled_from(["a", "b", "sub/a", "a.b"]), max_size=5, unique=True)


@given(photos=_STEMS, doubled=_STEMS, mattes=_STEMS)
def test_every_file_is_in_a_pair_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, photos: list[str], doubled: list[str], mattes: list[str]
) -> None:
    root = tmp_path_factory.mktemp("set")
    names = {f"original/{s}.jpg" for s in photos} | {f"original/{s}.png" for s in doubled}
    names |= {f"mask/{s}.png" for s in mattes} | {"original/z.jpg", "mask/z.png"}
    _touch(root, *names)
    found = find_pairs(root)
    used = [name for pair in found.pairs for name in pair.files]
    assert sorted(used + [problem.source for problem in found.problems]) == sorted(names)
    assert {pair.name for pair in found.pairs} == {"z"} | ({*photos} ^ {*doubled}) & {*mattes}


@pytest.mark.parametrize(("name", "count"), [("am2k", 7), ("portraits", 6), ("alphamatting", 9)])
def test_real_data_sets(shared: Path, name: str, count: int) -> None:
    found = find_pairs(shared / "data" / name)
    assert (found.layout, found.problems, len(found.pairs)) == ("am2k", [], count)
    assert len({measure_pair(pair)[0] for pair in found.pairs}) == count
    sample = load_pair(found.pairs[0])
    assert sample.picture.shape[:2] == sample.alpha.shape
    assert (sample.alpha.min(), sample.alpha.max()) == (0, 1)


def test_real_photographs_are_no_matting_data_set(shared: Path) -> None:
    with pytest.raises(InputError, match="no matting data set found"):
        find_pairs(shared / "data" / "photos")
