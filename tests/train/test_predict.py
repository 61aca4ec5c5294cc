from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import InputError, Rejected
from rssn.image.arrays import Alpha, Pixels, encode_png, png_note, to_float, to_uint8, to_uint16
from rssn.route.compose import Crop, fit_background, fitted_size
from rssn.sources.mattes import read_matte
from rssn.sources.picture_ref import PictureRef
from rssn.storage.atomic import write_bytes
from tests.bucket import Store
from tests.rssn.sources.packing import uploaded
from tests.rssn.sources.test_archives import write_tar
from tests.train.seeded import seeded_gfm
from train.evaluation.inference import predict_alpha
from train.network.strategy import Strategy
from train.predict import Cutter, Wanted, composite, cut_all, find_photos, read_background
from train.targets.rosta import Rosta


def brightness(pixels: Pixels) -> Alpha:
    """A matte that is quick to predict."""
    return np.asarray(pixels.mean(axis=2) / 255, np.float32)


def cutter(out: Path, **wanted: object) -> Cutter:
    return Cutter(brightness, Wanted(out, "these networks", **wanted))  # type: ignore[arg-type]


@pytest.fixture
def photo(scenes: list, tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "cat.png"
    write_bytes(path, encode_png(scenes[0].image[:70, :90]))
    return path


def test_files_have_the_photographs_size_and_the_networks_alpha(photo: Path, scenes: list, tmp_path: Path) -> None:
    networks = [seeded_gfm("tiny", Rosta.BT, 0).eval()]
    wanted = Wanted(tmp_path / "out", "tiny", background=scenes[1].image)
    ask = Cutter(lambda pixels: predict_alpha(networks, to_float(pixels), Strategy()), wanted)
    files = ask.cut(PictureRef.of(photo), "pets/cat").files
    assert [str(path.relative_to(tmp_path / "out")) for path in files] == [
        f"pets/cat-{kind}.png" for kind in ("alpha", "cutout", "composite")
    ]
    pixels = scenes[0].image[:70, :90]
    expected = to_uint8(predict_alpha(networks, to_float(pixels), Strategy()))
    np.testing.assert_array_equal(to_uint8(read_matte(files[0].read_bytes(), 255.0).alpha), expected)
    cutout = cv2.imread(str(files[1]), cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (70, 90, 4)
    np.testing.assert_array_equal(cutout[..., 3], expected)
    assert cv2.imread(str(files[2])).shape == (70, 90, 3)


def test_the_matte_alone_and_with_16_bits(photo: Path, scenes: list, tmp_path: Path) -> None:
    files = cutter(tmp_path / "out", depth=16, alpha_only=True).cut(PictureRef.of(photo), "cat").files
    assert files == [tmp_path / "out" / "cat-alpha.png"] == list((tmp_path / "out").iterdir())
    found = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    expected = to_uint16(brightness(scenes[0].image[:70, :90]))
    np.testing.assert_array_equal(found, expected)
    assert (expected % 257 != 0).mean() > 0.5  # values that 8 bits cannot hold
    eight = cutter(tmp_path / "eight", alpha_only=True).cut(PictureRef.of(photo), "cat").files[0]
    np.testing.assert_array_equal(cv2.imread(str(eight), cv2.IMREAD_UNCHANGED), np.rint(expected / 257))


def killed_half_way(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data[: len(data) // 2])
    raise KeyboardInterrupt


def test_a_kill_leaves_no_half_picture_under_a_results_name(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat = cutter(tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", killed_half_way)
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # a kill tidies nothing up
        with pytest.raises(KeyboardInterrupt):
            cat.cut(PictureRef.of(photo), "cat")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".cat-alpha.png.tmp"]
    files = cat.cut(PictureRef.of(photo), "cat").files
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in files]


def test_results_stand_where_the_same_would_be_made(photo: Path, scenes: list, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = cutter(out).cut(PictureRef.of(photo), "cat")
    assert not first.stood
    before = [path.stat().st_ino for path in first.files]
    again = cutter(out).cut(PictureRef.of(photo), "cat")
    assert again.stood
    assert [path.stat().st_ino for path in again.files] == before
    (out / "cat-cutout.png").unlink()
    assert not cutter(out).cut(PictureRef.of(photo), "cat").stood
    other = Cutter(brightness, Wanted(out, "other networks"))
    assert not other.cut(PictureRef.of(photo), "cat").stood
    assert other.cut(PictureRef.of(photo), "cat").stood
    photo.write_bytes(encode_png(scenes[1].image))
    assert not other.cut(PictureRef.of(photo), "cat").stood
    assert cv2.imread(str(out / "cat-alpha.png"), cv2.IMREAD_UNCHANGED).shape == scenes[1].alpha.shape


def test_a_result_without_its_end_is_made_again(photo: Path, tmp_path: Path) -> None:
    """As after a power failure: the name was on the disk, the bytes were not."""
    files = cutter(tmp_path / "out").cut(PictureRef.of(photo), "cat").files
    whole = files[1].read_bytes()
    files[1].write_bytes(b"")
    assert not cutter(tmp_path / "out").cut(PictureRef.of(photo), "cat").stood
    assert files[1].read_bytes() == whole
    files[1].write_bytes(whole[:-1])
    assert png_note(files[1]) is None


@pytest.mark.parametrize("name", ["cat-alpha.png", "cat-cutout.png"])
def test_what_others_made_is_not_overwritten(photo: Path, tmp_path: Path, name: str) -> None:
    painted = encode_png(np.full((4, 4), 7, np.uint8))
    write_bytes(tmp_path / "out" / name, painted)
    with pytest.raises(Rejected, match=rf"not_ours: .*{name} is there, and does not say that train predict made it"):
        cutter(tmp_path / "out").cut(PictureRef.of(photo), "cat")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "out").iterdir()] == [(name, painted)]


def test_many_at_once_give_the_same_in_the_same_order(scenes: list, tmp_path: Path) -> None:
    photos = []
    for number, scene in enumerate(scenes * 3):
        path = tmp_path / f"{number:02}.png"
        path.write_bytes(encode_png(np.roll(scene.image, number, axis=0)))
        photos.append((PictureRef.of(path), path.stem))
    photos[4][0].location.write_bytes(b"\xff\xd8\xff nothing")
    asked, at_work = [], []

    def slow(pixels: Pixels) -> Alpha:
        asked.append(threading.get_ident())
        at_work.append(len([each for each in threading.enumerate() if each.name.startswith("ThreadPool")]))
        time.sleep(0.01 * (len(asked) % 3))
        return brightness(pixels)

    said = {}
    for workers in (1, 5):
        many = Cutter(slow, Wanted(tmp_path / f"out{workers}", "these", background=scenes[1].image))
        said[workers] = [
            (photo.location.stem, str(each) if isinstance(each, Rejected) else [path.name for path in each.files])
            for photo, each in cut_all(many, photos, workers)
        ]
    assert said[1] == said[5]
    assert [name for name, _ in said[1]] == [name for _, name in photos]
    assert "not_an_image" in said[1][4][1]
    assert len(set(asked)) == 2  # one thread in each run: a network sees one photograph after the other
    assert max(at_work) == 6
    one, many_files = ({path.name: path.read_bytes() for path in (tmp_path / f"out{n}").iterdir()} for n in (1, 5))
    assert one == many_files
    assert len(one) == 3 * (len(photos) - 1)


def test_whoever_ends_early_waits_for_what_has_begun_alone(scenes: list, tmp_path: Path) -> None:
    photos = [(PictureRef.of(tmp_path / f"{number}.png"), str(number)) for number in range(40)]
    for photo, _ in photos:
        photo.location.write_bytes(encode_png(scenes[0].image))
    asked = []

    def slow(pixels: Pixels) -> Alpha:
        asked.append(0)
        time.sleep(0.05)
        return brightness(pixels)

    outcomes = cut_all(Cutter(slow, Wanted(tmp_path / "out", "these")), photos, 3)
    next(outcomes)
    outcomes.close()
    assert len(asked) < 10
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name for name in left if name.startswith(".")] == []


@pytest.mark.parametrize("suffix", ["avif", "webp", "tiff", "bmp", "gif", "jp2", "jpg", "heic"])
def test_it_reads_what_everything_else_reads(suffix: str, scenes: list, tmp_path: Path) -> None:
    path = tmp_path / f"cat.{suffix}"
    picture = PillowImage.fromarray(scenes[0].image)
    (pytest.importorskip("pillow_heif").from_pillow(picture) if suffix == "heic" else picture).save(path)
    files = cutter(tmp_path / "out").cut(PictureRef.of(path), "cat").files
    found = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED).astype(float)
    assert np.abs(found - scenes[0].image.mean(axis=2)).mean() < 8


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_the_first_frame_of_a_moving_picture_counts(suffix: str, tmp_path: Path) -> None:
    frames = [PillowImage.fromarray(np.full((20, 30, 3), value, np.uint8)) for value in (40, 200, 120)]
    path = tmp_path / f"cat.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with PillowImage.open(path) as picture:
        assert picture.n_frames == 3
    files = cutter(tmp_path / "out").cut(PictureRef.of(path), "cat").files
    np.testing.assert_allclose(cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED), 40, atol=2)


def test_pages_are_no_frames(tmp_path: Path) -> None:
    pages = [PillowImage.fromarray(np.full((20, 30, 3), value, np.uint8)) for value in (40, 200)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    (tmp_path / "cat.tif").write_bytes(stream.getvalue())
    with pytest.raises(Rejected, match="animated: a moving picture, or several pages"):
        cutter(tmp_path / "out").cut(PictureRef.of(tmp_path / "cat.tif"), "cat")


def test_a_cut_out_is_no_photograph(tmp_path: Path) -> None:
    """What is stored where it is transparent is not meant to be seen."""
    pixels = np.full((20, 30, 4), 255, np.uint8)
    (tmp_path / "cat.png").write_bytes(encode_png(pixels))
    assert cutter(tmp_path / "out").cut(PictureRef.of(tmp_path / "cat.png"), "cat").files
    pixels[:5, :, 3] = 0
    (tmp_path / "cat.png").write_bytes(encode_png(pixels))
    with pytest.raises(Rejected, match=r"transparent: 25\.0% of it is transparent"):
        cutter(tmp_path / "out").cut(PictureRef.of(tmp_path / "cat.png"), "cat")


def test_a_photograph_of_16_bits_and_one_in_cmyk(scenes: list, tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    cv2.imwrite(str(deep), scenes[0].image[..., ::-1].astype(np.uint16) * 257)
    PillowImage.fromarray(scenes[0].image).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    for path in (deep, tmp_path / "print.jpg"):
        matte = cutter(tmp_path / "out").cut(PictureRef.of(path), path.stem).files[0]
        found = cv2.imread(str(matte), cv2.IMREAD_UNCHANGED)
        assert np.abs(found.astype(float) - scenes[0].image.mean(axis=2)).mean() < 3


def test_a_cut_out_shows_the_foreground_not_the_mixture(scenes: list, tmp_path: Path) -> None:
    scene = scenes[1]
    path = tmp_path / "cat.png"
    path.write_bytes(encode_png(scene.image))
    known = Cutter(lambda _: to_float(scene.alpha), Wanted(tmp_path / "out", "the truth"))
    cutout = cv2.imread(str(known.cut(PictureRef.of(path), "cat").files[1]), cv2.IMREAD_UNCHANGED)
    rim = (scene.alpha > 60) & (scene.alpha < 200)
    truth = scene.foreground.astype(int)
    error = np.abs(cutout[..., 2::-1].astype(int) - truth)[rim].mean()
    mixture = np.abs(scene.image.astype(int) - truth)[rim].mean()
    assert mixture > 40
    assert error < 0.2 * mixture


def test_a_background_covers_the_frame_and_is_not_distorted() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, :10] = 1.0
    background = np.tile(np.linspace(0, 1, 240, dtype=np.float32)[None, :, None], (80, 1, 3))
    found = composite(np.full((40, 60, 3), 255, np.uint8), alpha, to_uint8(background))
    assert (found[:, :10] == 255).all()
    ramp = background[0, 60:180, 0].reshape(60, 2).mean(axis=1)  # half the size, then the middle
    assert np.abs(found[5, 10:, 0] / 255 - ramp[10:]).max() < 0.005


@pytest.mark.parametrize("size", [(31, 90), (200, 70), (400, 500)])
def test_a_background_is_fitted_as_composition_fits_it(size: tuple[int, int]) -> None:
    background = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame = (120, 80)
    width, height = fitted_size((size[1], size[0]), frame, "cover")
    middle = Crop((width - frame[0]) // 2, (height - frame[1]) // 2, *frame)
    expected = to_uint8(fit_background(to_float(background), (width, height), middle))
    clear = np.zeros((80, 120), np.float32)
    found = composite(np.zeros((80, 120, 3), np.uint8), clear, background)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_strips_do_not_show() -> None:
    """A picture of more rows than are blended at a time is blended as a whole one is."""
    rng = np.random.default_rng(0)
    foreground, alpha = rng.integers(0, 256, (600, 20, 3), np.uint8), rng.random((600, 20), np.float32)
    background = rng.integers(0, 256, (600, 20, 3), np.uint8)
    expected = to_uint8(alpha[..., None] * to_float(foreground) + (1 - alpha[..., None]) * to_float(background))
    assert np.abs(composite(foreground, alpha, background).astype(int) - expected).max() <= 1


def test_a_broken_photograph_is_rejected_with_its_reason(tmp_path: Path) -> None:
    photo = tmp_path / "broken.jpg"
    photo.write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(Rejected, match="not_an_image"):
        cutter(tmp_path / "out").cut(PictureRef.of(photo), "broken")
    with pytest.raises(InputError, match=r"--background .*broken\.jpg: read: not_an_image"):
        read_background(photo)


def test_a_background_is_seen_all_over(tmp_path: Path) -> None:
    """What is stored where it is transparent is not meant to be seen, as in `rssn compose`."""
    pixels, path = np.full((8, 10, 4), 255, np.uint8), tmp_path / "scene.png"
    pixels[..., :3] = 200
    path.write_bytes(encode_png(pixels))
    np.testing.assert_array_equal(read_background(path), np.full((8, 10, 3), 200, np.uint8))
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


def test_an_archive_is_looked_into_wherever_it_lies(tmp_path: Path, s3: Store, bucket: str) -> None:
    plain = write_tar(tmp_path / "a.tar", {"deep/cat.png": encode_png(np.zeros((4, 4, 3), np.uint8)), "notes.txt": b""})
    there = uploaded(s3, str(bucket), tmp_path) / "a.tar"
    for place in (plain, there):
        [(ref, name)] = find_photos([place], tmp_path / "out").found
        assert (ref.kind, name) == ("tar", "deep/cat")


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
    with pytest.raises(InputError, match="results would be written among the pictures"):
        find_photos([tmp_path], tmp_path)
    with pytest.raises(InputError, match=r"no pictures in there; the first of 1: .*c\\xff.jpg: unsafe_path"):
        find_photos([odd], tmp_path / "out")
