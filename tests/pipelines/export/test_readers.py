"""Each export as its reader finds it: listing and pairing as the files named in `pipelines.export.formats` do them."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import datasets
import numpy as np
import pytest
import webdataset
from click.testing import CliRunner
from PIL import Image as PillowImage
from skimage import io as skimage_io

from pipelines.commands.export import export
from pipelines.export import formats
from pipelines.export.formats import FORMATS
from pipelines.export.job import ExportJob, run_export
from rssn.errors import InputError
from rssn.route.recipe import Recipe
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise
from tests.pipelines.composing import files, rows

Maker = Callable[..., Path]


def key(row: dict[str, Any]) -> str:
    return str(row["sample_id"]).replace("/", "-")


def stored_pixels(data: bytes) -> np.ndarray:
    return np.asarray(PillowImage.open(io.BytesIO(data)))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_birefnet_pairs_every_composite_with_its_matte(fake_composites: Maker, tmp_path: Path, suffix: str) -> None:
    dataset = fake_composites(suffix=suffix)
    task = tmp_path / "datasets" / "dis" / "Matting"
    run_export(ExportJob(dataset, task / "TR-RSSN", "birefnet"))
    extensions = (".png", ".jpg", ".PNG", ".JPG", ".JPEG")
    pairs = {}
    for name in [each.name for each in task.iterdir()]:  # all that lies there is a data set, and is trained on
        for image in (task / name / "im").iterdir():
            if image.name.endswith(extensions):
                stem = str(image).replace("/im/", "/gt/").rpartition(".")[0]
                pairs[image] = next(found for each in extensions if (found := Path(stem + each)).exists())
    expected = {key(row): row for row in rows(dataset)}
    assert {image.stem for image in pairs} == expected.keys()
    for image, matte in pairs.items():
        row = expected[image.stem]
        assert (image.read_bytes(), matte.read_bytes()) == (row["image"]["bytes"], row["alpha"]["bytes"])
        alpha = cv2.imread(str(matte), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(alpha, stored_pixels(row["alpha"]["bytes"]))
        assert len(np.unique(alpha)) == 24, "soft alpha stays soft"


def test_is_net_finds_its_training_set(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    run_export(ExportJob(dataset, tmp_path / "DIS5K" / "DIS-TR", "dis5k"))
    folder = tmp_path / "DIS5K" / "DIS-TR"
    expected = {key(row): row for row in rows(dataset)}
    images = sorted((folder / "im").glob("*.jpg"))
    assert [image.stem for image in images] == sorted(expected)
    for image in images:
        row, matte = expected[image.stem], skimage_io.imread(folder / "gt" / (image.name.split(".jpg")[0] + ".png"))
        assert matte.dtype == np.uint8
        assert np.array_equal(matte, stored_pixels(row["alpha"]["bytes"]))
        assert np.array_equal(skimage_io.imread(image), stored_pixels(row["image"]["bytes"]))


def video_matting_rows(fake_composites: Maker, write_composites: Maker, suffix: str) -> Path:
    """Composites whose F differs from row to row."""
    stored = [*rows(fake_composites(recipe=Recipe("fake", k=3, steps=(Denoise(), Noise())), suffix=suffix))]
    for row in stored:
        stream = io.BytesIO()
        shade = np.full((16, 24, 3), 40 * row["k"] + int(row["foreground_id"], 16), np.uint8)
        PillowImage.fromarray(shade).save(stream, {".jpg": "JPEG", ".png": "PNG"}[suffix])
        row["foreground"]["bytes"] = stream.getvalue()
    recipe = Recipe("fake", k=3, steps=(Denoise(), Noise()))
    return write_composites(stored, type("Plan", (), {"shards": 2, "recipe": recipe}))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_robust_video_matting_reads_each_foreground_once(
    fake_composites: Maker, write_composites: Maker, tmp_path: Path, suffix: str
) -> None:
    dataset = video_matting_rows(fake_composites, write_composites, suffix)
    folder = tmp_path / "ImageMatte" / "train"
    done = run_export(ExportJob(dataset, folder, "rvm"))
    names = [each.name for each in (folder / "fgr").iterdir()]
    stored = [*rows(dataset)]
    assert sorted(Path(name).stem for name in names) == sorted({row["foreground_id"] for row in stored})
    assert done.rows == len(names) == 4
    assert {Path(name).suffix for name in names} == {".png" if suffix == ".png" else ""}
    for name in names:
        same = [row for row in stored if row["foreground_id"] == Path(name).stem]
        plain = [row for row in same if row["steps"]["denoise"] is None] or same  # noise acts on composites alone
        row = min(plain, key=lambda each: each["k"])
        with PillowImage.open(folder / "fgr" / name) as fgr, PillowImage.open(folder / "pha" / name) as pha:
            assert np.array_equal(np.asarray(fgr.convert("RGB")), stored_pixels(row["foreground"]["bytes"]))
            assert np.array_equal(np.asarray(pha.convert("L")), stored_pixels(row["alpha"]["bytes"]))
    assert {(folder / "fgr" / name).read_bytes() for name in names} < {row["foreground"]["bytes"] for row in stored}
    denoised = {row["k"] for row in stored if row["steps"]["denoise"] is not None}
    assert 0 in denoised, "the first row is not always the one"


def test_robust_video_matting_takes_backgrounds_by_split(bg20k: Path, tmp_path: Path) -> None:
    run_export(ExportJob(bg20k, tmp_path / "Backgrounds", "rvm"))
    expected = {row["background_id"]: row for row in rows(bg20k)}
    found = {}
    for ours, theirs in (("train", "train"), ("validation", "valid")):
        for name in [each.name for each in (tmp_path / "Backgrounds" / theirs).iterdir()]:  # all that lies there
            with PillowImage.open(tmp_path / "Backgrounds" / theirs / name) as picture:
                found[Path(name).stem] = np.asarray(picture.convert("RGB"))
            assert expected[Path(name).stem]["split"] == ours
    assert found.keys() == expected.keys()
    for name, pixels in found.items():
        assert np.array_equal(pixels, stored_pixels(expected[name]["image"]["bytes"]))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_webdataset_reads_every_sample(fake_composites: Maker, tmp_path: Path, suffix: str) -> None:
    dataset = fake_composites(suffix=suffix)
    run_export(ExportJob(dataset, tmp_path / "tars", "webdataset"))
    tars = str(tmp_path / "tars" / "composites-{000000..000001}.tar")
    found = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
    stored = [*rows(dataset)]
    assert [sample["__key__"] for sample in found] == [key(row) for row in stored]
    plain = suffix[1:]
    for sample, row in zip(found, stored, strict=True):
        members = {"image": plain, "alpha": "alpha.png", "foreground": f"fg.{plain}", "background": f"bg.{plain}"}
        assert {column: sample[name] for column, name in members.items()} == {c: row[c]["bytes"] for c in members}
        light = json.loads(sample["json"])
        assert light == {name: value for name, value in row.items() if name not in members}
    if suffix != ".webp":  # which webdataset decodes not by itself
        first = next(iter(webdataset.WebDataset(tars, shardshuffle=False).decode("pil")))
        assert np.array_equal(np.asarray(first[plain]), stored_pixels(stored[0]["image"]["bytes"]))
        assert np.array_equal(np.asarray(first["alpha.png"])[..., 0], stored_pixels(stored[0]["alpha"]["bytes"]))


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """`datasets.load_dataset` of a folder, without a network."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
        monkeypatch.setattr(datasets.config, name, True)
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def test_hugging_face_loads_the_composites(fake_composites: Maker, tmp_path: Path, load: Any) -> None:
    dataset = fake_composites(recipe=Recipe("fake", k=2, steps=(Noise(),)))
    run_export(ExportJob(dataset, tmp_path / "hub", "hf"))
    loaded = load(tmp_path / "hub")
    assert loaded.keys() == {"train"}
    pictures = {name for name, kind in loaded["train"].features.items() if isinstance(kind, datasets.Image)}
    assert pictures == {"image", "alpha", "foreground", "background"}
    stored = [*rows(dataset)]
    assert loaded["train"]["sample_id"] == [row["sample_id"] for row in stored]
    for sample, row in zip(loaded["train"], stored, strict=True):
        for column in pictures:
            assert np.array_equal(np.asarray(sample[column]), stored_pixels(row[column]["bytes"]))
        assert (sample["steps"], sample["background_crop"]) == (row["steps"], row["background_crop"])
    exported = files(tmp_path / "hub")
    for index in range(2):  # the shards themselves
        name = f"composites-{index:05d}-of-00002"
        copy = exported[f"data/train-{index:05d}-of-00002.parquet"]
        assert copy == (dataset / "data" / f"{name}.parquet").read_bytes()
    assert exported.keys() - {"export.json", "README.md"} == {f"data/train-0000{n}-of-00002.parquet" for n in range(2)}


def test_the_card_says_what_it_is_and_names_no_place_of_this_machine(fake_composites: Maker, tmp_path: Path) -> None:
    run_export(ExportJob(fake_composites(licences=("CC0", "<b>\nmine")), tmp_path / "hub", "hf"))
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "\n# Composites: fake\n" in card
    assert "8 rows" in card
    assert "* `foreground_licence`: CC0 (4 rows), &lt;b> mine (4 rows)" in card
    assert "* `background_licence`: unknown (8 rows)" in card
    assert "name: fake" in card
    assert str(tmp_path) not in card
    assert "/nowhere" not in card


def test_the_card_of_packed_photographs_calls_them_so(fake_composites: Maker, tmp_path: Path) -> None:
    dataset = fake_composites()
    manifest = json.loads((dataset / "manifest.json").read_text())
    del manifest["sources"]["backgrounds"]
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    run_export(ExportJob(dataset, tmp_path / "hub", "hf"))
    assert "\n# Photographs: fake\n" in (tmp_path / "hub" / "README.md").read_text()


def test_hugging_face_loads_the_backgrounds_by_split(bg20k: Path, tmp_path: Path, load: Any) -> None:
    run_export(ExportJob(bg20k, tmp_path / "hub", "hf"))
    loaded = load(tmp_path / "hub")
    stored = [*rows(bg20k)]
    for split in ("train", "validation"):
        expected = {row["background_id"]: row["image"]["bytes"] for row in stored if row["split"] == split}
        found = {row["background_id"]: np.asarray(row["image"]) for row in loaded[split]}
        assert found.keys() == expected.keys()
        for name, pixels in found.items():
            assert np.array_equal(pixels, stored_pixels(expected[name]))


@pytest.mark.parametrize(
    ("form", "suffix", "words"),
    [
        (
            "birefnet",
            ".webp",
            r"image is stored as \.webp, .* takes \.jpg and \.png alone; .* --image-codec jpeg or png$",
        ),
        ("dis5k", ".webp", r"image is stored as \.webp, .* takes \.jpg alone; .* --image-codec jpeg$"),
        ("dis5k", ".png", r"image is stored as \.png, .* takes \.jpg alone; .* --image-codec jpeg$"),
    ],
)
def test_what_a_reader_would_pass_over_is_refused(
    fake_composites: Maker, tmp_path: Path, form: str, suffix: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        run_export(ExportJob(fake_composites(suffix=suffix), tmp_path / "out", form))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["birefnet", "dis5k"])
def test_backgrounds_have_no_mattes(bg20k: Path, tmp_path: Path, form: str) -> None:
    words = f"--format {form} takes composites, not backgrounds; choose one of folder, rvm, webdataset, hf"
    with pytest.raises(InputError, match=words):
        run_export(ExportJob(bg20k, tmp_path / "out", form))
    assert not (tmp_path / "out").exists()


def test_a_row_without_a_picture_is_refused(fake_composites: Maker, write_composites: Maker, tmp_path: Path) -> None:
    stored = [*rows(fake_composites(foregrounds=1))]
    stored[1]["alpha"] = None
    with pytest.raises(InputError, match="the row has no alpha"):
        run_export(ExportJob(write_composites(stored), tmp_path / "out", "birefnet"))
    assert not (tmp_path / "out").exists()


def test_the_page_and_the_help_name_every_format_and_what_it_follows() -> None:
    page = (Path(__file__).parents[3] / "pipelines" / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page, re.MULTILINE))
    assert {name: rows.get(name) for name in FORMATS} == {name: form.followed for name, form in FORMATS.items()}
    words = "".join(CliRunner().invoke(export, ["--help"]).output.split())
    for name, form in FORMATS.items():
        assert "".join(f"{name}: {form.what}. Follows {form.followed}.".split()) in words


def test_a_format_is_added_by_the_row_that_the_page_shows(
    fake_composites: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[3] / "pipelines" / "README.md").read_text()
    [code] = [
        each for each in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "Format(" in each
    ]
    monkeypatch.setitem(FORMATS, "mine", eval(code, vars(formats)))  # type: ignore[arg-type]  # noqa: S307
    dataset = fake_composites(suffix=".png")
    run_export(ExportJob(dataset, tmp_path / "out", "mine"))
    expected = {f"{c}/{key(row)}.png": row[c]["bytes"] for row in rows(dataset) for c in ("image", "alpha")}
    assert {name: data for name, data in files(tmp_path / "out").items() if "/" in name} == expected
    shutil.rmtree(dataset)
    with pytest.raises(InputError, match=r"image is stored as \.jpg, .* takes \.png alone"):
        run_export(ExportJob(fake_composites(), tmp_path / "two", "mine"))
