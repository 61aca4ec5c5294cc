from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from rssn.errors import InputError, Rejected
from rssn.images import encode_png, to_float, to_uint8
from rssn.mattes import read_matte
from train.inference import Strategy, predict_alpha
from train.network.gfm import seeded_gfm
from train.predict import Cutter, composite, find_photos, own_colours, read_background
from train.rosta import Rosta


def test_files_have_the_photographs_size_and_the_networks_alpha(scenes: list, tmp_path: Path) -> None:
    networks = [seeded_gfm("tiny", Rosta.BT, 0).eval()]
    photo = tmp_path / "cat.png"
    pixels = scenes[0].image[:70, :90]
    photo.write_bytes(encode_png(pixels))
    files = Cutter(networks, Strategy(), tmp_path / "out", to_float(scenes[1].image)).cut(photo, "pets/cat")
    assert [str(path.relative_to(tmp_path / "out")) for path in files] == [
        f"pets/cat-{kind}.png" for kind in ("alpha", "cutout", "composite")
    ]
    expected = to_uint8(predict_alpha(networks, to_float(pixels), Strategy()))
    np.testing.assert_array_equal(to_uint8(read_matte(files[0].read_bytes(), 255.0).alpha), expected)
    cutout = cv2.imread(str(files[1]), cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (70, 90, 4)
    np.testing.assert_array_equal(cutout[..., 3], expected)
    assert cv2.imread(str(files[2])).shape == (70, 90, 3)


def killed_half_way(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data[: len(data) // 2])
    raise KeyboardInterrupt


def test_a_kill_leaves_no_half_picture_under_a_results_name(
    scenes: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat.png").write_bytes(encode_png(scenes[0].image))
    cutter = Cutter([seeded_gfm("tiny", Rosta.TT, 0).eval()], Strategy(), tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", killed_half_way)
        with pytest.raises(KeyboardInterrupt):
            cutter.cut(tmp_path / "cat.png", "cat")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".cat-alpha.png.tmp"]
    files = cutter.cut(tmp_path / "cat.png", "cat")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in files]


def test_a_cut_out_shows_the_foreground_not_the_mixture(scenes: list) -> None:
    scene = scenes[1]
    colours = to_uint8(own_colours(to_float(scene.image), to_float(scene.alpha)))
    rim = (scene.alpha > 60) & (scene.alpha < 200)
    truth = scene.foreground.astype(int)
    error = np.abs(colours.astype(int) - truth)[rim].mean()
    mixture = np.abs(scene.image.astype(int) - truth)[rim].mean()
    assert mixture > 40
    assert error < 0.2 * mixture


def test_a_background_covers_the_frame_and_is_not_distorted() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, :10] = 1.0
    background = np.tile(np.linspace(0, 1, 240, dtype=np.float32)[None, :, None], (80, 1, 3))
    found = composite(np.ones((40, 60, 3), np.float32), alpha, background)
    assert (found[:, :10] == 255).all()
    ramp = background[0, 60:180, 0].reshape(60, 2).mean(axis=1)  # half the size, then the middle
    assert np.abs(found[5, 10:, 0] / 255 - ramp[10:]).max() < 0.005


def test_a_broken_photograph_is_rejected_with_its_reason(tmp_path: Path) -> None:
    photo = tmp_path / "broken.jpg"
    photo.write_bytes(b"\xff\xd8\xff nothing")
    network = seeded_gfm("tiny", Rosta.TT, 0).eval()
    with pytest.raises(Rejected, match="not_an_image"):
        Cutter([network], Strategy(), tmp_path / "out").cut(photo, "broken")
    with pytest.raises(InputError, match=r"--background .*broken\.jpg: read: not_an_image"):
        read_background(photo)


def test_a_background_is_seen_all_over(tmp_path: Path) -> None:
    """What is stored where it is transparent is not meant to be seen, as in `rssn compose`."""
    pixels, path = np.full((8, 10, 4), 255, np.uint8), tmp_path / "scene.png"
    pixels[..., :3] = 200
    path.write_bytes(encode_png(pixels))
    np.testing.assert_array_equal(read_background(path), np.full((8, 10, 3), 200 / 255, np.float32))
    pixels[:2, :, 3] = 0
    path.write_bytes(encode_png(pixels))
    with pytest.raises(InputError, match=r"--background .*scene\.png: read: transparent: 25\.0% of it is transparent"):
        read_background(path)


def test_folders_are_searched_and_names_may_not_meet(tmp_path: Path) -> None:
    for name in ("a/cat.jpg", "a/deep/cat.png", "b/cat.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/notes.txt").touch()
    found = find_photos([tmp_path / "a", Path("dog.jpg")], tmp_path / "out").found
    assert [name for _, name in found] == ["cat", "deep/cat", "dog"]
    with pytest.raises(InputError, match="cat: several photos have this name"):
        find_photos([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures in there"):
        find_photos([tmp_path / "empty"], tmp_path / "out")


def test_results_sidecars_and_odd_names_are_no_photographs(tmp_path: Path) -> None:
    for name in ("a.jpg", "._a.jpg", "b.NEF", "out/a-alpha.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff.jpg"))
    odd.touch()
    os.mkfifo(tmp_path / "d.jpg")
    photos = find_photos([tmp_path], tmp_path / "out")
    assert [name for _, name in photos.found] == ["a"]
    assert photos.unread == {".NEF": 1}
    assert [failure.removeprefix(f"{tmp_path}/").partition(": ")[0] for failure in photos.failures] == [
        "c\\xff.jpg",
        "d.jpg",
    ]
    with pytest.raises(InputError, match="results would lie among the pictures"):
        find_photos([tmp_path], tmp_path)
    with pytest.raises(InputError, match=r"no pictures in there; the first of 1: .*c\\xff.jpg: unsafe_path"):
        find_photos([odd], tmp_path / "out")
