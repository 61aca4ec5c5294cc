"""Mattes as people have them, through whole commands: right, or refused by name; what is odd stands in the row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from rssn.image.arrays import Pixels, encode_png, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.sources.mattes import read_matte, stored_matte
from tests.pictures import write_masks
from tests.pipelines.composing import rejects, rows
from train.evaluation.examples import find_examples

_QUICK = ("--recipe", "comp-bg20k", "--k", 1, "--foreground", "multiply", "--cache-size", 0, "--workers", 0)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _compose(matting: Path, backgrounds: Path, out: Path, *more: object) -> Result:
    return call("compose", "--matting", matting, "--backgrounds", backgrounds, "--out", out, *_QUICK, *more)


def _alphas(out: Path) -> dict[str, Pixels]:
    return {Path(row["foreground_source"]).stem: stored_matte(row["alpha"]["bytes"]) for row in rows(out)}


def _flags(out: Path) -> dict[str, list[str]]:
    return {Path(row["foreground_source"]).stem: row["matte_flags"] for row in rows(out)}


def _truth(shared: Path) -> Pixels:
    return to_uint8(read_matte((shared / "cases/02-mask-values/set/mask/f_ok_8bit.png").read_bytes()).alpha)


@pytest.mark.parametrize(
    ("folder", "count"),
    [("01-rgba-matte/am2k", 3), ("01-rgba-matte/flat", 3), ("21-aisegment/aisegment", 2)],
)
def test_mattes_in_alpha_channels_are_composed(shared: Path, tmp_path: Path, folder: str, count: int) -> None:
    truth = _truth(shared)
    found = _compose(shared / "cases" / folder, shared / "cases/01-rgba-matte/bg", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert f"{count} composites written, 0 reused, 0 rejected" in found.stdout
    assert "NOTE" not in found.stderr
    for row in rows(tmp_path / "out"):
        alpha = stored_matte(row["alpha"]["bytes"])
        assert np.array_equal(alpha, truth)
        composite, background = (decode_pixels(row[name]["bytes"]).astype(int) for name in ("image", "background"))
        foreground = decode_pixels(row["foreground"]["bytes"]).astype(int)
        assert np.abs(composite - background)[alpha == 0].mean() < 3
        assert np.abs(composite - foreground)[alpha == 255].mean() < 3


def test_masks_as_people_have_them_are_right_refused_or_flagged(shared: Path, tmp_path: Path) -> None:
    matting, backgrounds, out = shared / "cases/02-mask-values/set", shared / "cases/01-rgba-matte/bg", tmp_path / "out"
    truth = _truth(shared).astype(int)
    found = _compose(matting, backgrounds, out)
    assert found.exit_code == 1
    assert "7 composites written, 0 reused, 3 rejected" in found.stdout
    refused = {Path(row["source"]).stem: (row["stage"], row["reason"]) for row in rejects(out)}
    assert refused == {
        "a_zero_one_8bit": ("read", "never_white"),
        "b_voc_palette": ("read", "never_white"),
        "d_float_tif_0_255": ("read", "out_of_range"),
    }
    alphas = _alphas(out)
    for name in ("e_float_tif_0_1", "f_ok_8bit", "j_16bit_full"):
        assert np.abs(alphas[name] - truth).max() <= 1, name
    assert np.abs(alphas["l_inverted"] - (255 - truth)).max() <= 1
    assert np.abs(alphas["h_jpeg"] - truth).mean() < 1
    assert _flags(out) == {
        "e_float_tif_0_1": [], "f_ok_8bit": [], "h_jpeg": [], "j_16bit_full": [],
        "g_bool_1bit": ["two_values"], "k_trimap_0_128_255": ["trimap"], "l_inverted": ["inverted"],
    }  # fmt: skip
    notes = [line for line in found.stderr.splitlines() if line.startswith("NOTE: ")]
    assert [note.partition("; for example ")[2] for note in notes] == [
        "original/k_trimap_0_128_255.jpg", "original/l_inverted.jpg", "original/g_bool_1bit.jpg",
    ]  # fmt: skip
    assert all(note.startswith("NOTE: 1 of 7 mattes ") for note in notes)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "## Mattes to look at" in card
    inspected = call("inspect", out, "--strips", 0)
    assert "1 of 7 mattes look like trimaps" in inspected.stdout
    assert "1 of 7 mattes have more foreground along the border" in (out / "report/index.html").read_text()


def test_a_scale_belongs_to_the_run(bg20k: Path, tmp_path: Path) -> None:
    matting, out = write_masks(tmp_path / "masks"), tmp_path / "out"
    refused = _compose(matting, bg20k, out)
    assert refused.exit_code == 1
    assert {row["reason"] for row in rejects(out)} == {"never_white"}
    assert "give --alpha-scale 1" in rejects(out)[0]["message"]
    other = _compose(matting, bg20k, out, "--alpha-scale", 1)
    assert other.exit_code == 1
    assert "alpha_scale was None, is now 1.0" in other.stderr
    assert len(other.stderr.strip().splitlines()[-1]) < 400

    again = tmp_path / "again"
    composed = _compose(matting, bg20k, again, "--alpha-scale", 1)
    assert composed.exit_code == 0, composed.output
    assert "NOTE" not in composed.stderr  # a set of masks: none is soft
    for alpha in _alphas(again).values():
        assert np.array_equal(alpha, np.pad(np.full((30, 30), 255), ((18, 0), (17, 17))))
    assert json.loads((again / "manifest.json").read_text())["plan"]["alpha_scale"] == 1.0
    assert "2 reused" in _compose(matting, bg20k, again, "--alpha-scale", 1).stdout
    assert "alpha_scale was 1.0, is now None" in _compose(matting, bg20k, again).stderr
    sample = next(iter(rows(again)))["sample_id"]
    assert "the same bytes" in call("replay", again, sample).stdout


def test_layers_of_another_scale_are_not_taken_from_the_cache(bg20k: Path, tmp_path: Path) -> None:
    matting = write_masks(tmp_path / "masks", (200, 200))
    more = ("--cache-dir", tmp_path / "cache", "--cache-size", "1G")
    stored = []
    for scale in (200, 255):
        out = tmp_path / str(scale)
        assert _compose(matting, bg20k, out, "--alpha-scale", scale, *more).exit_code == 0
        stored.append([decode_pixels(row["foreground"]["bytes"]) for row in rows(out)])
        assert {alpha.max() for alpha in _alphas(out).values()} == {round(255 * 200 / scale)}
    fresh = tmp_path / "fresh"
    assert _compose(matting, bg20k, fresh, "--alpha-scale", 255).exit_code == 0
    for cached, row in zip(stored[1], rows(fresh), strict=True):
        assert np.array_equal(cached, decode_pixels(row["foreground"]["bytes"]))


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf"])
def test_what_is_no_scale_is_refused_before_anything_is_written(bg20k: Path, tmp_path: Path, scale: str) -> None:
    found = _compose(write_masks(tmp_path / "masks"), bg20k, tmp_path / "out", f"--alpha-scale={scale}")
    assert found.exit_code == 1
    assert "give the value that means opaque, such as 1 or 255" in found.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_photographs_are_packed_with_their_flags(shared: Path, tmp_path: Path) -> None:
    matting = tmp_path / "set"
    for name in ("f_ok_8bit.png", "l_inverted.png", "a_zero_one_8bit.png"):
        for folder, suffix in (("mask", ".png"), ("original", ".jpg")):
            (matting / folder).mkdir(parents=True, exist_ok=True)
            source = (shared / "cases/02-mask-values/set" / folder / name).with_suffix(suffix)
            shutil.copyfile(source, matting / folder / source.name)
    found = call("pack", "--matting", matting, "--out", tmp_path / "out", "--workers", 0)
    assert "2 photographs written, 0 reused, 1 rejected" in found.stdout
    assert "NOTE: 1 of 2 mattes have more foreground along the border than inside: inverted?" in found.stderr
    assert _flags(tmp_path / "out") == {"f_ok_8bit": [], "l_inverted": ["inverted"]}
    scaled = call("pack", "--matting", matting, "--out", tmp_path / "one", "--workers", 0, "--alpha-scale", 1)
    assert "1 photograph written, 0 reused, 2 rejected" in scaled.stdout
    assert "alpha_scale was 1.0, is now 255.0" in (
        call("pack", "--matting", matting, "--out", tmp_path / "one", "--workers", 0, "--alpha-scale", 255).stderr
    )


def test_empty_and_full_mattes_are_not_composed_though_they_are_judged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soft = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    for name, matte in (("black", np.zeros_like(soft)), ("soft", soft), ("white", np.full_like(soft, 255))):
        for folder, pixels in (("original", rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)), ("mask", matte)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"{name}.png").write_bytes(encode_png(pixels))
    (tmp_path / "bg").mkdir()
    (tmp_path / "bg" / "b.png").write_bytes(encode_png(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)))
    found = _compose(tmp_path / "set", tmp_path / "bg", tmp_path / "out")
    assert found.exit_code == 1, found.output
    assert list(_alphas(tmp_path / "out")) == ["soft"]
    assert {Path(row["source"]).stem: row["reason"] for row in rejects(tmp_path / "out")} == {
        "black": "alpha_empty", "white": "alpha_full",
    }  # fmt: skip
    judged = [example.load().flags for example in find_examples(tmp_path / "set").examples]
    assert judged == [("empty",), (), ("full",)]
