from __future__ import annotations

import base64
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.inspect.inspect import ReportOptions, run_inspect
from rssn.dataset.schema import REJECTS, picture
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.arrays import encode_jpeg, encode_png
from rssn.image.decoding import decode_pixels
from rssn.route.draw import draw
from rssn.route.recipe import Recipe
from rssn.route.steps.blur import Blur
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise
from rssn.storage.files import write_parquet
from tests.pipelines.conftest import FakeSet

Maker = Callable[..., Path]
PAPER = Recipe("fake", k=4, steps=(Denoise(), Blur(), Noise()))


@pytest.fixture(scope="module")
def composed(rssn: Any, synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("composed") / "shards"
    job = ("--recipe", "comp-bg20k", "--k", 2, "--workers", 0, "--cache-size", 0, "--out", out)
    done = rssn("compose", "--matting", synthetic / "matting", "--backgrounds", bg20k, *job)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def shards(composed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(composed, tmp_path / "shards"))


@pytest.mark.slow
def test_a_whole_data_set_passes_and_is_counted(shards: Path) -> None:
    found = run_inspect(shards)
    assert found.problems == []
    assert found.facts["rows"] == 6
    assert found.facts["foregrounds"] == 3
    assert found.facts["draws"] == "every row is as the recipe and the seed draw it"
    assert found.facts["F estimated by"] == "6 x levin"


def test_the_sheet_shows_original_alpha_layers_and_composite(shards: Path, synthetic: Path) -> None:
    (sheet,) = [path for path in run_inspect(shards).sheets if "samples" in path.name]
    pixels = decode_pixels(sheet.read_bytes())
    original = decode_pixels(sorted((synthetic / "matting" / "original").iterdir())[0].read_bytes())
    height, width = original.shape[:2]
    top = next(y for y in range(80) if np.array_equal(pixels[y : y + height, 10 : 10 + width], original))
    assert top < 60
    alpha = pixels[top : top + height, 260 : 260 + width]
    assert np.array_equal(alpha[..., 0], alpha[..., 2])
    assert alpha.min() == 0
    assert alpha.max() == 255


def test_the_page_is_one_file_that_loads_nothing(shards: Path) -> None:
    text = run_inspect(shards).page.read_text()
    assert "Verification: passed" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text


def test_the_page_stays_small_for_any_number_of_samples(shards: Path) -> None:
    few, many = (run_inspect(shards, ReportOptions(samples)).page.stat().st_size for samples in (1, 6))
    assert few < many < 20e6


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("truncate", r"00001-of-00003\.parquet: \d+ bytes, its mark says \d+"),
        ("alter", r"00001-of-00003\.parquet: the content was altered after it was marked"),
        ("delete", r"00001-of-00003\.parquet: the file is missing"),
        ("unmark", r"00001-of-00003: not made yet"),
    ],
)
def test_damage_is_named(shards: Path, damage: str, words: str) -> None:
    folder = DatasetFolder(shards)
    path = folder.data("composites-00001-of-00003")
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[:-9])
    elif damage == "alter":
        path.write_bytes(content[:99] + b"?" + content[100:])
    elif damage == "delete":
        path.unlink()
    else:
        folder.mark("composites-00001-of-00003").unlink()
    found = run_inspect(shards)
    assert re.search(words, "\n".join(found.problems))
    assert found.facts["rows"] == 4


def test_a_file_without_a_mark_is_named(shards: Path) -> None:
    folder = DatasetFolder(shards)
    shutil.copy(folder.data("composites-00001-of-00003"), folder.data("stray"))
    assert run_inspect(shards).problems == ["stray.parquet: has no mark; it does not count"]


def test_originals_that_moved_away_leave_a_note(shards: Path) -> None:
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["sources"]["matting"] = "/nowhere"
    (shards / "manifest.json").write_text(json.dumps(manifest))
    assert run_inspect(shards).problems == []


def test_backgrounds_are_shown_with_what_was_refused(bg20k: Path) -> None:
    found = run_inspect(bg20k)
    assert found.kind == "backgrounds"
    reasons = Counter(
        reason
        for path in (bg20k / "rejects").glob("*.parquet")
        for reason in pq.read_table(path, columns=["reason"])["reason"].to_pylist()
    )
    ordered = sorted(reasons, key=lambda reason: (-reasons[reason], reason))
    numbered = [f"contact-sheet-rejected-{number:02d}.png" for number in range(1, len(reasons) + 1)]
    assert [sheet.name for sheet in found.sheets] == ["contact-sheet-kept-01.png", *numbered]
    headings = re.findall(r"<h2>Rejected: (.*?)</h2>", found.page.read_text())
    assert headings == [f"{reason} ({reasons[reason]})" for reason in ordered]
    words = ", ".join(f"{reasons[reason]} x {reason}" for reason in sorted(reasons))
    assert found.facts["rejected"] == f"{reasons.total()} ({words})"


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set here"):
        run_inspect(tmp_path)


def _altered(dataset: Path, recipe: Recipe) -> Path:
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["plan"]["recipe"] = recipe.to_dict()
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    return dataset


@pytest.mark.slow
def test_every_draw_is_rolled_again_and_counted(fake_composites: Maker) -> None:
    found = run_inspect(fake_composites(foregrounds=150, recipe=PAPER), ReportOptions(2))
    assert found.problems == []
    assert found.facts["draws"] == "every row is as the recipe and the seed draw it"
    drawn = [draw(PAPER, 0, f"{number:020x}", k).steps for number in range(150) for k in range(4)]
    noisy = sum(one["noise"] is not None for one in drawn)
    assert found.facts["noise"] == f"{noisy} of 600: {noisy} x sigma 10"
    sizes = Counter(values["size"] for one in drawn if (values := one["blur"]))
    words = ", ".join(f"{sizes[size]} x {size} px" for size in sorted(sizes))
    assert found.facts["blur"] == f"{sizes.total()} of 600: {words}"


@pytest.mark.slow
def test_draws_of_another_recipe_are_a_problem(fake_composites: Maker) -> None:
    other = replace(PAPER, steps=(Denoise(), Blur(), Noise(0.75)))
    dataset = _altered(fake_composites(foregrounds=150, recipe=PAPER), other)
    found = run_inspect(dataset, ReportOptions(2))
    assert len(found.problems) == 6
    assert all(problem.startswith("draws: 0000") for problem in found.problems[:5])
    assert f"recipe is {PAPER.label}, the dice say {other.label}" in found.problems[0]
    assert found.problems[5] == "draws: 595 more rows differ"
    assert found.facts["draws"] == "600 of 600 rows DIFFER from the dice"
    assert "Verification: FAILED" in found.page.read_text()


def test_the_strip_shows_the_stored_steps_and_the_difference_without_any_source(fake_composites: Maker) -> None:
    found = run_inspect(fake_composites(suffix=".png", size=(480, 320), recipe=PAPER), ReportOptions(3, 3))
    strips = [path for path in found.sheets if path.name.startswith("step-strip")]
    assert len(strips) == 3
    pixels = decode_pixels(strips[0].read_bytes())
    assert pixels.shape[1] == 5 * 10 + 4 * 480
    whole = np.array([200, 0, 0])
    assert (pixels[100, 10 + 2 * 490 : 20 + 2 * 490] == whole).all() or (pixels[100, 10 + 3 * 490] == whole).all()
    assert (pixels[-500:, 2 * 490 + 100] <= 4).all(axis=1).sum() >= 300
    assert "composed again from the sources" in found.page.read_text()


@pytest.mark.slow
def test_the_page_stays_under_20_mb_whatever_the_pictures_hold(write_composites: Maker) -> None:
    """Noise at 1.8 MP, which no codec compresses, in every tile of every sheet."""
    dice = np.random.default_rng(0)
    noise, alpha = dice.integers(0, 256, (1200, 1500, 3), np.uint8), dice.integers(0, 256, (1200, 1500), np.uint8)
    pictures = {name: picture(encode_jpeg(noise, 60), "noise.jpg") for name in ("image", "foreground", "background")}
    row = {
        "alpha": picture(encode_png(alpha), "alpha.png"),
        "foreground_id": "f",
        "background_id": "b",
        "foreground_source": "f.jpg",
        "background_source": "b.jpg",
        "width": 1500,
        "height": 1200,
        "recipe": "fake",
        "draw_seed": 1,
        "foreground_method": "levin",
        **pictures,
    }
    made = [row | {"sample_id": f"f/{k}", "k": k} for k in range(24)]
    found = run_inspect(write_composites(made, FakeSet(recipe=Recipe("fake", k=24))), ReportOptions(24, 12))
    assert sum(path.stat().st_size for path in found.sheets) > 20e6
    assert 1e6 < found.page.stat().st_size < 20e6


def test_sizes_and_brightness_are_drawn(fake_composites: Maker) -> None:
    text = run_inspect(fake_composites()).page.read_text()
    assert "brightness (mean luma of the picture) over all rows" in text
    picture_of = re.search(r'alt="Sizes and brightness" src="data:image/jpeg;base64,([^"]+)"', text)
    assert picture_of
    pixels = decode_pixels(base64.b64decode(picture_of[1])).astype(int)
    bars = (np.abs(pixels - (70, 110, 160)).max(axis=2) < 12)[:, :500]
    columns = np.nonzero(bars.any(axis=0))[0]
    assert columns.max() - columns.min() > 460


def test_sheets_of_an_earlier_report_are_removed(fake_composites: Maker) -> None:
    dataset = fake_composites(foregrounds=10)
    before = run_inspect(dataset, ReportOptions(20)).sheets
    after = run_inspect(dataset, ReportOptions(2)).sheets
    assert len(after) < len(before)
    assert sorted(after) == sorted((dataset / "report").glob("*.png"))


def _add_rejects(dataset: Path, count: int) -> int:
    """Rejects of seven reasons with noisy thumbnails; returns the size of the file."""
    dice = np.random.default_rng(0)
    pictures = [encode_jpeg(dice.integers(0, 256, (96, 128, 3), np.uint8)) for _ in range(40)]
    rows = [
        {
            "item_id": f"{number}",
            "source": f"photos/{number}.jpg",
            "stage": "read",
            "reason": f"reason_{number % 7}",
            "message": "a very long message " * 50,
            "thumbnail": picture(pictures[number % 40] + b"%d" % number, "thumbnail.jpg"),
        }
        for number in range(count)
    ]
    path = dataset / "rejects" / "plan.parquet"
    write_parquet(path, REJECTS, rows)
    return path.stat().st_size


@pytest.mark.slow
def test_the_page_of_5000_rejects_and_120_samples_stays_small_and_so_does_memory(fake_composites: Maker) -> None:
    dataset = fake_composites(foregrounds=60, suffix=".png", size=(240, 240))
    size = _add_rejects(dataset, 5000)
    assert size > 90e6
    pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        found = run_inspect(dataset, ReportOptions(5000))
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 70e6
    text = found.page.read_text()
    assert len(text.encode()) < 20e6
    assert found.facts["rejected"] == "5000 (" + ", ".join(f"{715 - (n > 1)} x reason_{n}" for n in range(7)) + ")"
    assert re.findall(r"<h2>Rejected: (reason_\d) \((\d+)\)</h2>", text) == [
        (f"reason_{n}", str(715 - (n > 1))) for n in range(7)
    ]
    assert text.count("24 of 71") == 7


def test_rejects_that_are_damaged_are_a_problem_and_not_a_crash(fake_composites: Maker) -> None:
    dataset = fake_composites()
    _add_rejects(dataset, 5)
    (dataset / "rejects" / "plan.parquet").write_bytes(b"PAR1 not quite")
    found = run_inspect(dataset)
    (problem,) = found.problems
    assert problem.startswith(f"{dataset / 'rejects' / 'plan.parquet'}: damaged, no longer what was written (")
    assert "run the command that made the data set again" in problem
    assert found.facts["rejected"] == "0"
