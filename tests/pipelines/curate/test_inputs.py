"""What a crawl may be, and what the options add: archives, tables, flags, a standing set, networks."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from bg20k.rules import CurationRules
from bg20k.verdict import REASONS
from pipelines.curate.job import Curated, CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import run_inspect
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError
from rssn.image.arrays import Pixels, encode_jpeg, encode_png
from rssn.sources.backgrounds import find_backgrounds
from tests.bg20k.networks import write_network
from tests.pipelines.conftest import MIN_SIDE
from tests.pipelines.curate.test_job import published, verdicts

RULES = CurationRules(min_side=MIN_SIDE)
COLOURS = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)


def curate(photos: Path, out: Path, rules: CurationRules = RULES, **settings: Any) -> Curated:
    return run_curation(CurationJob(photos, out, rules, None, ErrorBudget(), **settings), LocalRunner())


def scene(seed: int, width: int = 200, height: int = 150) -> Pixels:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(0, 255, (7, 9, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """Six good photographs and a small one."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    for seed in range(6):
        (folder / f"{seed}.jpg").write_bytes(encode_jpeg(scene(seed)))
    (folder / "small.png").write_bytes(encode_png(scene(9, 100, 80)))
    return folder


def rejects(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "rejects").glob("*.parquet")) for row in iter_rows(path)]


def test_archives_and_folders_give_the_same_photographs(crawl: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as tar, zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for path in sorted(crawl.iterdir()):
            tar.add(path, path.name)
            packed.write(path, path.name)
        tar.addfile(tarfile.TarInfo("../evil.jpg"), io.BytesIO())
    before = {path.name for path in tmp_path.iterdir()}
    found = {}
    for photos in (crawl, tmp_path / "all.tar", tmp_path / "all.zip"):
        out = tmp_path / f"out-{photos.suffix}"
        curate(photos, out)
        found[photos.name] = {row["background_id"]: row["image"]["bytes"] for row in published(out)}
    assert len(found["crawl"]) == 6
    assert found["crawl"] == found["all.tar"] == found["all.zip"]
    evil = verdicts(tmp_path / "out-.tar")["../evil.jpg"]
    assert (evil["keep"], evil["reason"], evil["background_id"]) == (False, "unsafe_path", None)
    made = {path.name for path in tmp_path.iterdir()} - before
    assert made == {"out-", "out-.tar", "out-.zip"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_source_and_licence_of_a_table_go_through_to_rows_rejects_card_and_composites(
    crawl: Path, tmp_path: Path, kind: str
) -> None:
    paths = sorted(crawl.iterdir())
    columns = {
        "source": [f"https://example.org/{path.name}" for path in paths],
        "licence": [("CC0-1.0", "CC-BY-4.0")[n % 2] for n in range(len(paths))],
    }
    table = tmp_path / f"crawl.{kind}"
    if kind == "csv":
        lines = ["path,source,license"]
        lines += [f"crawl/{p.name},{s},{w}" for p, s, w in zip(paths, *columns.values(), strict=True)]
        table.write_text("\n".join(lines))
    else:
        pq.write_table(pa.table(columns | {"bytes": [path.read_bytes() for path in paths]}), table, row_group_size=3)
    curate(table, out := tmp_path / "out")
    rows = published(out)
    known = dict(zip(columns["source"], columns["licence"], strict=True))
    assert len(rows) == 6
    assert all(row["licence"] == known[row["origin"]] for row in [*rows, *rejects(out), *verdicts(out).values()])
    counts = Counter(row["licence"] for row in rows)
    card = (out / "README.md").read_text()
    assert all(f"| licence | {name} | {count} |" in card for name, count in counts.items())
    [small] = rejects(out)
    assert (small["origin"], small["reason"]) == ("https://example.org/small.png", "too_small")
    assert PillowImage.open(io.BytesIO(small["thumbnail"]["bytes"])).size == (100, 80)
    assert {(b.source, b.licence) for b in find_backgrounds(out)[0]} <= set(known.items())


def test_flags_are_stored_shown_and_refused_if_asked(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    sharp = scene(1, 520, 400)
    (folder / "sharp.jpg").write_bytes(encode_jpeg(sharp))
    enlarged = cv2.resize(scene(2, 130, 100), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    (folder / "enlarged.jpg").write_bytes(encode_jpeg(enlarged))
    (folder / "long.jpg").write_bytes(encode_jpeg(scene(3, 1300, 400)))
    curate(folder, out := tmp_path / "out")
    found = verdicts(out)
    assert {name: row["flags"] for name, row in found.items()} == {
        "sharp.jpg": [], "enlarged.jpg": ["upscaled"], "long.jpg": ["panorama"]
    }  # fmt: skip
    assert found["enlarged.jpg"]["upscaling_score"] > 0.76 > found["sharp.jpg"]["upscaling_score"]
    assert {row["source"]: row["flags"] for row in published(out)} == {n: row["flags"] for n, row in found.items()}
    page = run_inspect(out).page.read_text()
    for words in ("Kept, but flagged (2)", "Resolution of the sources", "Scores", "Formats, conversions and flags"):
        assert words in page
    strict = CurationRules(min_side=MIN_SIDE, refused_flags=("panorama", "upscaled"))
    done = curate(folder, tmp_path / "strict", strict)
    assert done.reasons == {"kept_unscreened": 1, "upscaled": 1, "panorama": 1}
    assert all(row["thumbnail"] for row in rejects(tmp_path / "strict"))


def test_what_was_converted_is_in_the_rows(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = PillowImage.fromarray(scene(1))
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("L").save(folder / "mislabelled.jpg", "PNG")
    picture.save(folder / "moving.gif", save_all=True, append_images=[PillowImage.fromarray(scene(2))])
    curate(folder, out := tmp_path / "out")
    found = verdicts(out)
    assert (found["cmyk.jpg"]["converted"], found["cmyk.jpg"]["format"]) == (["cmyk"], "JPEG")
    assert (found["mislabelled.jpg"]["converted"], found["mislabelled.jpg"]["format"]) == (
        ["grey", "mislabelled"],
        "PNG",
    )
    assert (found["moving.gif"]["keep"], found["moving.gif"]["reason"]) == (False, "animated")


def test_a_new_crawl_brings_nothing_that_a_standing_set_holds(crawl: Path, tmp_path: Path) -> None:
    curate(crawl, standing := tmp_path / "standing")
    ids = {Path(row["source"]).stem: row["background_id"] for row in published(standing)}
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(crawl / "0.jpg", new / "same.jpg")
    (new / "larger.jpg").write_bytes(encode_jpeg(cv2.resize(scene(1), (400, 300)), 80))
    (new / "new.jpg").write_bytes(encode_jpeg(scene(77)))
    curate(new, out := tmp_path / "out", against=standing)
    found = verdicts(out)
    assert {name: (row["reason"], row["duplicate_of"]) for name, row in found.items()} == {
        "same.jpg": ("known", ids["0"]), "larger.jpg": ("known", ids["1"]), "new.jpg": ("kept_unscreened", None)
    }  # fmt: skip
    with pytest.raises(InputError, match="against"):
        curate(new, out)
    (standing / "manifest.json").unlink()
    with pytest.raises(InputError, match="no data set here"):
        curate(new, tmp_path / "other", against=standing)


def test_a_crop_is_found_by_its_embedding(tmp_path: Path) -> None:
    """Mean colours as embeddings: a crop of a photograph has them, another photograph has not."""
    folder = tmp_path / "photos"
    folder.mkdir()
    blue = np.full((180, 240, 3), (20, 60, 220), np.uint8) + scene(1, 240, 180) // 16
    (folder / "whole.png").write_bytes(encode_png(blue))
    (folder / "crop.png").write_bytes(encode_png(np.ascontiguousarray(blue[30:160, 50:230])))
    (folder / "red.png").write_bytes(encode_png(np.ascontiguousarray(blue[..., ::-1])))
    model = write_network(tmp_path / "mean.onnx", COLOURS, [0.0] * 3, sigmoid=False)
    curate(folder, plain := tmp_path / "plain")
    assert all(row["keep"] for row in verdicts(plain).values())
    curate(folder, out := tmp_path / "out", deep_duplicates=str(model))
    found = verdicts(out)
    assert {name: row["reason"] for name, row in found.items()} == {
        "whole.png": "kept_unscreened", "crop.png": "similar", "red.png": "kept_unscreened"
    }  # fmt: skip
    assert found["crop.png"]["duplicate_of"] == found["whole.png"]["background_id"]
    assert found["crop.png"]["score"] > 0.99


def test_the_class_free_network_gives_a_second_opinion(crawl: Path, tmp_path: Path) -> None:
    statue = np.full((150, 200, 3), 128, np.uint8)
    cv2.circle(statue, (100, 75), 40, (255, 0, 0), -1)
    for path in crawl.glob("[2-5].jpg"):
        path.unlink()
    (crawl / "statue.png").write_bytes(encode_png(statue))
    red = np.array([4.0, -4.0, -4.0], np.float32).reshape(1, 3, 1, 1)
    model = write_network(tmp_path / "red.onnx", red, [-12.0], side=32)
    curate(crawl, out := tmp_path / "out", saliency=model)
    found = verdicts(out)
    assert (found["statue.png"]["reason"], found["0.jpg"]["reason"]) == ("salient_region", "kept")
    assert found["statue.png"]["saliency"]["area"] == pytest.approx(np.pi * 40**2 / (150 * 200), abs=0.03)
    assert {row["screened_by"].partition("@")[0] for row in published(out)} == {"red.onnx"}


@pytest.mark.slow
def test_the_command_exports_the_folders_that_rssn_export_writes(
    crawl: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    options = ("--min-side", MIN_SIDE, "--workers", 0, "--reject-flag", "panorama")
    run = rssn("build-bg20k", crawl, "--out", tmp_path / "out", "--export-folder", tmp_path / "plain", *options)
    assert run.returncode == 0, run.stderr
    files = {path.stem: path.read_bytes() for path in (tmp_path / "plain").glob("*/*.jpg")}
    assert files == {row["background_id"]: row["image"]["bytes"] for row in published(tmp_path / "out")}
    folders = {
        row["background_id"]: row["split"].replace("validation", "testval") for row in published(tmp_path / "out")
    }
    assert {p.stem: p.parent.name for p in (tmp_path / "plain").glob("*/*.jpg")} == folders


def test_a_split_is_stable_when_photographs_are_added(crawl: Path, tmp_path: Path) -> None:
    curate(crawl, tmp_path / "before")
    for seed in range(20, 30):
        (crawl / f"{seed}.jpg").write_bytes(encode_jpeg(scene(seed)))
    curate(crawl, tmp_path / "after")
    before, after = ({r["background_id"]: r["split"] for r in published(tmp_path / n)} for n in ("before", "after"))
    assert len(after) == len(before) + 10
    assert before.items() <= after.items()


def _mutated(picture: bytes, headers: list[bytes], rng: np.random.Generator) -> bytes:
    data = bytearray(picture)
    kind = rng.integers(0, 3)
    if kind == 0:
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 200, rng.integers(1, 12)):
            data[place] = rng.integers(0, 256)
    elif kind == 1:
        del data[int(rng.integers(0, len(data))) :]
    else:
        header = headers[int(rng.integers(0, len(headers)))]
        data[: len(header)] = header
    return bytes(data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_thousand_mutated_pictures_give_two_thousand_verdicts(tmp_path: Path) -> None:
    pictures = []
    for suffix in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        stream = io.BytesIO()
        PillowImage.fromarray(scene(5, 64, 48)).save(stream, suffix)
        pictures.append(stream.getvalue())
    rng = np.random.default_rng(6)
    headers = [picture[:32] for picture in pictures]
    data = [_mutated(pictures[n % len(pictures)], headers, rng) for n in range(2000)]
    pq.write_table(pa.table({"bytes": data}), tmp_path / "fuzz.parquet", row_group_size=250)
    done = curate(tmp_path / "fuzz.parquet", tmp_path / "out", CurationRules(min_side=32))
    assert done.reasons.total() == len(verdicts(tmp_path / "out")) == 2000
    assert set(done.reasons) <= set(REASONS)
    assert {"kept_unscreened", "duplicate", "truncated", "not_an_image"} <= set(done.reasons)
    assert done.summary.written + done.summary.rejected == 2000
