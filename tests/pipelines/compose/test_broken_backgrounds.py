"""Backgrounds whose damage shows only when they are decoded: others are drawn in their place."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.compose.job import Output, run_compose
from pipelines.compose.layers import LayerContext
from pipelines.compose.plan import Plan, PlannedForeground, load_plan, make_plan
from pipelines.compose.rows import Sample
from pipelines.compose.shard import DrawnBackgrounds
from pipelines.executor.runner import LocalRunner
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.replay import run_replay
from rssn.dataset.batches import batch_of
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import Rejected
from rssn.image.arrays import encode_jpeg, encode_png
from rssn.route.draw import choose_backgrounds, draw, next_background
from rssn.sources.backgrounds import Background
from rssn.sources.matting import Pair
from rssn.sources.picture_ref import PictureRef
from rssn.storage.files import Row
from tests.pipelines.composing import QUICK, digests, job_of, rejects, rows

K = 5
RECIPE = replace(QUICK, k=K)
BROKEN = ("3.jpg", "5.png", "7.jpg")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine backgrounds, three of them with a whole header and damage inside."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(9):
        pixels = np.random.default_rng(number).integers(0, 256, (200, 260, 3), np.uint8)
        data = encode_png(pixels) if number == 5 else encode_jpeg(pixels)
        name = f"{number}.png" if number == 5 else f"{number}.jpg"
        hole = len(data) // 2
        (root / name).write_bytes(data[:hole] + bytes(400) + data[hole + 400 :] if name in BROKEN else data)
    return root


@pytest.fixture(scope="module")
def composed(synthetic: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "out"
    summary = run_compose(job_of(synthetic / "matting", photos, out, RECIPE), LocalRunner())
    assert (summary.written, summary.rejected) == (3 * K, 0)
    assert len(summary.unusable) == len(met(out)) > 0
    return out


def redrawn(plan: Plan, name: str) -> tuple[list[int], set[int]]:
    """Numbers of the backgrounds that the composites of a foreground should have, and of those that are broken."""
    broken = {number for number, b in enumerate(plan.backgrounds) if b.source in BROKEN}
    chosen = choose_backgrounds(0, name, plan.background_keys, K).tolist()
    taken, found = list(chosen), set()
    for k, first in enumerate(chosen):
        number = first
        while number in broken:
            found.add(number)
            number = next_background(0, name, plan.background_keys, k, np.array(taken))
            taken.append(number)
        chosen[k] = number
    return chosen, found


def met(out: Path) -> list[str]:
    """Sources of the broken backgrounds that are drawn."""
    plan = load_plan(out)
    numbers = {number for planned in plan.foregrounds for number in redrawn(plan, planned.foreground_id)[1]}
    return sorted(plan.backgrounds[number].source for number in numbers)


def test_each_broken_background_is_one_row_and_no_composite_is_missing(composed: Path) -> None:
    found = {row["source"]: row for row in rejects(composed)}
    assert sorted(found) == met(composed)
    assert len(rejects(composed)) == len(found)
    ids = {b.source: b.background_id for b in load_plan(composed).backgrounds}
    for source, row in found.items():
        assert (row["item_id"], row["stage"], row["reason"]) == (ids[source], "background", "damaged")
        assert "the picture data are damaged" in row["message"]
    assert len(list(rows(composed))) == 3 * K


def test_the_next_of_the_same_dice_takes_the_place_and_the_others_keep_theirs(composed: Path) -> None:
    plan = load_plan(composed)
    stored = {row["sample_id"]: row for row in rows(composed)}
    for name in {row["foreground_id"] for row in stored.values()}:
        expected, _ = redrawn(plan, name)
        assert len(set(expected)) == K
        for k, number in enumerate(expected):
            row = stored[f"{name}/{k}"]
            assert row["background_id"] == plan.backgrounds[number].background_id
            assert row["background_source"] == plan.backgrounds[number].source
            assert row["draw_seed"] == draw(RECIPE, 0, name, k).seed


def test_other_shards_and_an_interrupted_run_give_the_same(
    composed: Path, synthetic: Path, photos: Path, tmp_path: Path
) -> None:
    job = job_of(synthetic / "matting", photos, tmp_path / "out", RECIPE, output=Output(shard_rows=K))
    run_compose(job, LocalRunner())
    key = "sample_id"
    assert sorted(rows(job.out), key=lambda row: row[key]) == sorted(rows(composed), key=lambda row: row[key])
    assert len(digests(job.out)) == 3
    before, refused = digests(job.out), rejects(job.out)
    assert refused == rejects(composed)
    folder = DatasetFolder(job.out)
    folder.mark(sorted(before)[1]).unlink()  # as a kill leaves it
    summary = run_compose(job, LocalRunner())
    assert (summary.written, summary.reused, summary.rejected, len(summary.unusable)) == (K, 2 * K, 0, len(refused))
    assert digests(job.out) == before
    assert rejects(job.out) == refused


def test_inspect_and_replay_know_of_it(composed: Path) -> None:
    found = run_inspect(composed, ReportOptions(samples=4, strips=0))
    assert found.problems == []
    chosen = {}
    plan = load_plan(composed)
    for row in rows(composed):
        first = choose_backgrounds(0, row["foreground_id"], plan.background_keys, K)[row["k"]]
        if plan.backgrounds[first].background_id != row["background_id"]:
            chosen[row["sample_id"]] = row
    name = min(chosen)
    assert run_replay(composed, name, None).differences == []


@pytest.mark.slow
def test_a_run_ends_well_and_says_it(
    synthetic: Path, photos: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    arguments = ("compose", "--matting", synthetic / "matting", "--backgrounds", photos, "--out", tmp_path / "out",
                 "--recipe", "comp-bg20k", "--foreground", "multiply", "--k", K, "--workers", 0)  # fmt: skip
    for words in ("15 composites written, 0 reused, 0 rejected", "0 composites written, 15 reused, 0 rejected"):
        run = rssn(*arguments, "--cache-dir", tmp_path / "cache")
        assert run.returncode == 0, run.stderr
        assert words in run.stdout
        assert (
            f"{len(met(tmp_path / 'out'))} backgrounds cannot be used; others were drawn in their place" in run.stderr
        )
    assert len(list(iter_rows(tmp_path / "out/rejects/plan.parquet"))) == len(met(tmp_path / "out"))


def test_where_none_is_left_the_largest_k_is_named(synthetic: Path, photos: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, k=8)
    summary = run_compose(job_of(synthetic / "matting", photos, tmp_path / "out", recipe), LocalRunner())
    assert (summary.written, summary.rejected) == (3 * 6, 3 * 2)
    refused = [row for row in rejects(tmp_path / "out") if row["reason"] == "none_left"]
    assert len(refused) == 6
    assert all("9 of 9 backgrounds cover" in row["message"] for row in refused)
    assert "3 of them cannot be decoded, and none is left; K = 6 at most" in refused[-1]["message"]


def test_what_is_tried_again_takes_no_background_of_a_row_that_stands(
    synthetic: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One composite of each foreground fails for another reason, and comes in later."""
    job = job_of(synthetic / "matting", photos, tmp_path / "out", RECIPE)
    from pipelines.compose import shard as compose_tasks  # noqa: PLC0415

    whole = compose_tasks.compose_row

    def failing(context: LayerContext, sample: Sample) -> Row:
        if sample.k == 1:
            raise OSError("no space left on device")
        return whole(context, sample)

    with monkeypatch.context() as patched:
        patched.setattr(compose_tasks, "compose_row", failing)
        assert run_compose(job, LocalRunner()).rejected == 3
    before = {row["sample_id"]: row for row in rows(job.out)}
    summary = run_compose(replace(job, retry_rejects=True), LocalRunner())
    assert (summary.written, summary.reused, summary.rejected) == (3, 3 * (K - 1), 0)
    assert sorted(row["source"] for row in rejects(job.out)) == met(job.out)
    after = {row["sample_id"]: row for row in rows(job.out)}
    assert before.items() <= after.items()
    for name in {row["foreground_id"] for row in after.values()}:
        assert len({after[f"{name}/{k}"]["background_id"] for k in range(K)}) == K
    for mark in DatasetFolder(job.out).marks():
        if batch_of(mark.name) == 0:
            DatasetFolder(job.out).data(mark.name).unlink()
    again = run_compose(job, LocalRunner())
    assert (again.written, again.reused, again.rejected) == (3 * (K - 1), 3, 0), "what a later batch has is left to it"
    assert sorted(rows(job.out), key=lambda row: row["sample_id"]) == [after[name] for name in sorted(after)]


def _plan(count: int) -> tuple[Plan, PlannedForeground]:
    backgrounds = [Background(f"{number:020x}", f"{number}", "", 100, 100, PictureRef("")) for number in range(count)]
    planned = PlannedForeground("f", Pair("f", None, PictureRef("a"), None, "f", ""), 50, 50)
    return make_plan([planned], backgrounds), planned


def test_replacements_are_those_of_no_other_composite_and_of_no_row_that_stands() -> None:
    plan, planned = _plan(12)
    eligible = np.arange(2, 12)
    existing = {plan.backgrounds[4].background_id, plan.backgrounds[9].background_id}
    drawn = DrawnBackgrounds(plan, eligible, RECIPE, 5, replace(planned, existing=tuple(existing)))
    first = [drawn[k].background_id for k in range(K)]
    free = {b.background_id for b in plan.backgrounds[2:]} - {*first} - existing
    seen = set()
    for _ in range(len(free)):
        drawn.replace(1)
        assert [drawn[0].background_id, drawn[2].background_id] == [first[0], first[2]]
        seen.add(drawn[1].background_id)
    assert seen == free
    with pytest.raises(Rejected, match="none is left"):
        drawn.replace(1)
