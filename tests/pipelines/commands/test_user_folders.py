"""Whole commands on folders as people have them: odd formats, sidecars, links, pipes, names, and results in them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image as PillowImage

from pipelines.cli import main
from rssn.image.arrays import encode_jpeg, encode_png
from rssn.image.decoding import decode_pixels
from tests.pipelines.composing import rejects, rows

QUICK = ("--recipe", "comp-coco", "--foreground", "multiply", "--k", "2", "--workers", "0", "--cache-size", "0")


@pytest.fixture
def cases(shared: Path) -> Path:
    return shared / "cases"


def curate(photos: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["build-bg20k", str(photos), "--out", str(out), "--workers", "0", *more])


def compose(matting: Path, backgrounds: Path, out: Path, *more: str) -> Result:
    places = ["--matting", str(matting), "--backgrounds", str(backgrounds), "--out", str(out)]
    return CliRunner().invoke(main, ["compose", *places, *QUICK, *more])


def verdicts(out: Path) -> dict[str, str]:
    return {row["source"]: row["reason"] for row in pq.read_table(out / "verdicts.parquet").to_pylist()}


def unread(out: Path) -> Any:
    return json.loads((out / "manifest.json").read_text())["totals"]["unread"]


def photo(path: Path, seed: int, side: int = 120) -> Path:
    """A smooth picture: other seeds give other hashes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = PillowImage.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    path.write_bytes(encode_jpeg(np.asarray(small.resize((side * 4 // 3, side), PillowImage.Resampling.BICUBIC))))
    return path


def pair(root: Path, name: str, seed: int) -> None:
    photo(root / "original" / f"{name}.jpg", seed)
    matte = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    (root / "mask").mkdir(exist_ok=True)
    (root / "mask" / f"{name}.png").write_bytes(encode_png(matte))


def test_a_crawl_of_odd_formats_and_archives(cases: Path, tmp_path: Path) -> None:
    run = curate(cases / "09-skipped-formats/crawl", tmp_path / "out", "--min-side", "200")
    assert run.exit_code == 0, run.output
    kept = {"nosuffix", "one.jpg", "part1.tar/x1.jpg", "part1.tar/x2.jpg"}
    kept |= {"part2.tar.gz/y1.jpg", "part2.tar.gz/y2.jpg", "part3.tgz/z1.jpg"}
    found = verdicts(tmp_path / "out")
    assert found.keys() == kept
    moved = {"nosuffix", "part1.tar/x1.jpg"}  # the pattern of one.jpg
    assert found.pop("part3.tgz/z1.jpg") in ("kept_unscreened", "altered")  # eight features say that it is x2 mirrored
    assert found == {name: "altered" if name in moved else "kept_unscreened" for name in found}
    assert unread(tmp_path / "out") == {"photos": {".NEF": 1, ".7z": 1, ".rar": 1}}
    assert "photos: 3 files are no pictures we read: 1 .NEF, 1 .rar, 1 .7z; unpack .7z, .rar first" in run.output
    assert "3 files are no pictures we read" in (tmp_path / "out/report/index.html").read_text()


@pytest.mark.slow
def test_pairs_and_backgrounds_of_odd_formats(cases: Path, tmp_path: Path) -> None:
    case = cases / "09-skipped-formats"
    run = compose(case / "pairs", case / "bgs", tmp_path / "out")
    assert "2 foregrounds (am2k), 9 backgrounds; refused: 2 foregrounds, 1 background" in run.output
    assert {(row["source"], row["reason"]) for row in rejects(tmp_path / "out")} == {
        ("original/b.jfif", "duplicate"),
        ("original/c.HEIC", "duplicate"),
        ("c.HEIC", "not_an_image"),
    }
    assert len(list(rows(tmp_path / "out"))) == 4


def test_sidecars_count_nowhere(cases: Path, tmp_path: Path) -> None:
    case = cases / "03-appledouble"
    assert curate(case / "photos.zip", tmp_path / "bg", "--min-side", "100").exit_code == 0
    assert sorted(verdicts(tmp_path / "bg")) == [f"photos/IMG_{number}.JPG" for number in range(4)]
    for name, layout in (("AM-2k", "am2k"), ("cut2", "rgba")):
        more = ("--foreground", "given") if name == "cut2" else ()
        run = compose(case / name, cases / "09-skipped-formats/bgs", tmp_path / name, *more)
        assert (run.exit_code, f"4 foregrounds ({layout}), 9" in run.output) == (0, True), run.output
        assert len(list(rows(tmp_path / name))) == 8


def test_turned_photographs_beside_mattes_as_stored(cases: Path, tmp_path: Path) -> None:
    run = compose(cases / "06-exif/set", cases / "09-skipped-formats/bgs", tmp_path / "out")
    assert run.exit_code == 1
    assert {row["foreground_source"] for row in rows(tmp_path / "out")} == {"original/raw_6.jpg"}
    named = {row["source"]: row["reason"] for row in rejects(tmp_path / "out") if row["stage"] == "read"}
    assert named == {f"original/{name}.jpg": "orientation_unclear" for name in ("raw_2", "raw_3", "square_6")}
    upright = np.asarray(PillowImage.open(cases / "06-exif/set/original/raw_6.jpg").rotate(-90, expand=True))
    for row in rows(tmp_path / "out"):
        alpha = decode_pixels(row["alpha"]["bytes"])[:, :, 0]
        difference = np.abs(decode_pixels(row["foreground"]["bytes"]).astype(int) - upright)
        assert difference[alpha == 255].mean() < 4
        assert np.array_equal(alpha, np.rot90(np.asarray(PillowImage.open(cases / "06-exif/set/mask/raw_6.png")), -1))


def test_exif_behind_the_pixels_means_one_thing_to_all(cases: Path, tmp_path: Path) -> None:
    case = cases / "15-late-exif"
    assert curate(case / "photos", tmp_path / "bg", "--min-side", "480").exit_code == 0
    stored = pq.read_table(tmp_path / "bg/verdicts.parquet").to_pylist()
    assert {(row["source"], row["source_width"], row["source_height"]) for row in stored} == {
        ("early.png", 640, 480),
        ("late.png", 640, 480),
    }
    assert compose(case / "set", case / "photos", tmp_path / "out").exit_code == 0
    assert {(row["width"], row["height"]) for row in rows(tmp_path / "out")} == {(160, 120)}
    assert len(list(rows(tmp_path / "out"))) == 6


def test_aisegment_is_read_as_pairs(cases: Path, tmp_path: Path) -> None:
    run = compose(cases / "21-aisegment/aisegment", cases / "09-skipped-formats/bgs", tmp_path / "out")
    assert "2 foregrounds (aisegment)" in run.output
    assert "missing_partner" not in {row["reason"] for row in rejects(tmp_path / "out")}


@pytest.mark.timeout(120)
def test_whatever_lies_in_a_folder_the_rest_goes_on(tmp_path: Path) -> None:
    away, crawl = tmp_path / "away", tmp_path / "crawl"
    photo(away / "1.jpg", 1)
    for number in (2, 3):
        photo(crawl / f"{number}.jpg", number)
    pair(crawl / "set", "a", 4)
    for root in (crawl, crawl / "set" / "original"):
        Path(os.fsdecode(os.fsencode(root) + b"/bad\xff.jpg")).write_bytes(b"x")
        os.mkfifo(root / "pipe.jpg")
        (root / "zero.jpg").symlink_to("/dev/zero")
        (root / "loop").symlink_to(root)
    (crawl / "linked").symlink_to(away)
    odd = {"bad\\xff.jpg": "unsafe_path", "pipe.jpg": "not_a_file", "zero.jpg": "not_a_file", "loop": "loop"}
    run = curate(crawl, tmp_path / "bg", "--min-side", "100")
    assert run.exit_code == 0, run.output
    found = verdicts(tmp_path / "bg")
    below = {f"set/original/{name}": reason for name, reason in odd.items()}
    assert found.items() >= (odd | below).items()
    kept = {"2.jpg", "3.jpg", "linked/1.jpg", "set/original/a.jpg"}
    assert {name for name, reason in found.items() if reason == "kept_unscreened"} >= kept
    run = compose(crawl / "set", crawl, tmp_path / "out")
    assert run.exit_code == 1
    assert len(list(rows(tmp_path / "out"))) == 2, run.output
    named = {(row["stage"], row["source"]): row["reason"] for row in rejects(tmp_path / "out")}
    pairs = {("pair", f"original/{name}"): reason for name, reason in odd.items()}
    assert named.items() >= (pairs | {("background", name): reason for name, reason in odd.items()}).items()
    run = CliRunner().invoke(
        main, ["pack", "--matting", str(crawl / "set"), "--out", str(tmp_path / "ori"), *QUICK[6:8]]
    )
    assert {(row["stage"], row["source"]): row["reason"] for row in rejects(tmp_path / "ori")} == pairs
    assert len(list(rows(tmp_path / "ori"))) == 1


def test_results_among_the_input_are_no_input(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(3):
        photo(photos / f"{number}.jpg", number)
    for _ in range(2):
        assert curate(photos, photos / "out", "--min-side", "100").exit_code == 0
        assert set(verdicts(photos / "out")) == {f"{number}.jpg" for number in range(3)}
    assert curate(photos, tmp_path / "other", "--min-side", "100").exit_code == 0
    assert len(verdicts(tmp_path / "other")) == 3, "what another run made counts no more"
    pair(photos / "set", "a", 9)
    shutil.rmtree(photos / "out")
    for _ in range(2):
        run = compose(photos / "set", photos, photos / "set" / "out")
        assert run.exit_code == 0, run.output
        assert "1 foreground (am2k), 5 backgrounds" in run.output
    for place in (photos, tmp_path / "photos" / "plain"):
        run = curate(photos, tmp_path / "third", "--min-side", "100", "--export-folder", str(place))
        assert run.exit_code == 1
        assert "the next run would take what is exported for photographs" in run.output


@pytest.mark.parametrize(
    "command", [["build-bg20k", "PIPE", "--out", "o"], ["pack", "--matting", "PIPE", "--out", "o"]]
)
def test_a_pipe_or_an_odd_name_is_no_input(tmp_path: Path, command: list[str]) -> None:
    os.mkfifo(tmp_path / "photos.zip")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.zip")
    for place, words in (
        (str(tmp_path / "photos.zip"), "a pipe, a device or a socket"),
        (odd, "the name is not UTF-8"),
    ):
        run = CliRunner().invoke(main, [place if word == "PIPE" else word for word in command])
        assert (run.exit_code, words in run.output, len(run.output.splitlines())) == (1, True, 1), run.output
