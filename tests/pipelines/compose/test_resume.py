from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pipelines.compose.layers as layers_module
from pipelines.compose.dry_run import forecast
from pipelines.compose.job import Output, plan_tasks, prepare, run_compose
from pipelines.compose.plan import make_plan
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import refusal
from pipelines.inspect.inspect import run_inspect
from rssn.dataset.batches import batch_path
from rssn.dataset.manifest import read_manifest
from rssn.dataset.schema import REJECTS, SCHEMA_VERSION
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.arrays import encode_png
from rssn.image.decoding import decode_pixels
from rssn.sources.backgrounds import find_backgrounds
from rssn.storage.files import write_parquet
from tests.pipelines.composing import PLAIN, digests, files, job_of, rejects, rows


@pytest.fixture
def matting(synthetic: Path, tmp_path: Path) -> Path:
    shutil.copytree(synthetic / "matting", tmp_path / "matting")
    return tmp_path / "matting"


def add(matting: Path, synthetic: Path, name: str = "a-new-one") -> None:
    for folder, suffix in (("original", "jpg"), ("mask", "png")):
        shutil.copy(next((synthetic / "evaluation" / folder).iterdir()), matting / folder / f"{name}.{suffix}")


def test_new_foregrounds_ask_for_extend(matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    add(matting, synthetic)
    expected = (
        r"differ from those that .*out was started with: 1 is new \(original/a-new-one\.jpg\); rssn compose --ext"
    )
    with pytest.raises(InputError, match=expected):
        run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())


def test_extend_adds_shards_and_touches_nothing(matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    before = digests(tmp_path / "out")
    add(matting, synthetic)
    for written in (2, 0):
        summary = run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN, extend=True), LocalRunner())
        assert (summary.written, summary.written + summary.reused) == (written, 8)
    after = digests(tmp_path / "out")
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"composites-x1-00000-of-00001"}
    assert run_inspect(tmp_path / "out").problems == []
    fresh = tmp_path / "fresh"
    run_compose(job_of(matting, bg20k, fresh, PLAIN), LocalRunner())
    assert {r["sample_id"]: r for r in rows(fresh)} == {r["sample_id"]: r for r in rows(tmp_path / "out")}


def test_extend_without_anything_new_changes_no_file(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    before = files(tmp_path / "out")
    run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN, extend=True), LocalRunner())
    assert files(tmp_path / "out") == before


def test_a_foreground_that_is_gone_is_named(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    gone = sorted((matting / "original").iterdir())[1]
    gone.unlink()
    with pytest.raises(InputError, match=f"started with: 1 is gone \\(original/{gone.name}\\); rssn compose --extend"):
        run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())


def brighten(path: Path) -> None:
    """Other content of the same size under the same name."""
    path.write_bytes(encode_png(np.minimum(decode_pixels(path.read_bytes()), 200) + np.uint8(9)))


def test_extend_leaves_what_is_gone_or_changed_as_it_is(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    before, stood = digests(out), {row["sample_id"]: row for row in rows(out)}
    changed, gone, _ = sorted((matting / "original").iterdir())
    brighten(changed)
    gone.unlink()
    add(matting, synthetic)
    words = rf"1 was changed \(original/{changed.name}\), 1 is gone \(original/{gone.name}\)"
    for job in (job_of(matting, bg20k, out, PLAIN), job_of(matting, bg20k, out, PLAIN, retry_rejects=True)):
        with pytest.raises(InputError, match=words):
            run_compose(job, LocalRunner())
    assert digests(out) == before
    said: list[str] = []
    for written in (4, 0):
        job = job_of(matting, bg20k, out, PLAIN, extend=True)
        summary = run_compose(job, LocalRunner(), lambda prepared: said.append(prepared.describe()))
        assert (summary.written, summary.rejected, summary.written + summary.reused) == (written, 1, 10)
    assert said[0].startswith("adding 2 foregrounds to 3: 5 foregrounds (am2k)")
    lost = "2 foregrounds are missing at the source; their composites are kept: "
    lost += f"1 was changed (original/{changed.name}), 1"
    assert lost in said[0]
    assert before.items() <= digests(out).items()
    after = {row["sample_id"]: row for row in rows(out)}
    assert stood.items() <= after.items()
    assert sorted(row["foreground_source"] for row in after.values()).count(f"original/{changed.name}") == 4
    assert [row["reason"] for row in rejects(out)] == ["missing_partner"]


def test_a_shard_whose_source_is_gone_and_must_be_made_again_is_refused_by_name(
    matting: Path, bg20k: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    changed = sorted((matting / "original").iterdir())[0]
    brighten(changed)
    DatasetFolder(out).data("composites-00000-of-00003").write_bytes(b"damaged")
    summary = run_compose(job_of(matting, bg20k, out, PLAIN, extend=True), LocalRunner())
    assert (summary.written, summary.reused, summary.rejected) == (2, 4, 2)
    assert summary.damaged == ["composites-00000-of-00003"]
    assert {(row["source"], row["reason"]) for row in rejects(out)} == {(f"original/{changed.name}", "changed")}


@pytest.mark.parametrize("how", ["extend", "retry_rejects"])
@pytest.mark.parametrize("damage", ["unreadable", "alone"])
def test_a_pair_that_was_refused_while_planning_comes_in_when_it_is_repaired(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path, how: str, damage: str
) -> None:
    out = tmp_path / "out"
    add(matting, synthetic)
    broken = matting / ("mask/a-new-one.png" if damage == "alone" else "original/a-new-one.jpg")
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    if damage == "alone":
        (matting / "original/a-new-one.jpg").rename(tmp_path / "kept.jpg")
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    before = digests(out)
    assert [row["reason"] for row in rejects(out)] == ["missing_partner" if damage == "alone" else "not_an_image"]
    broken.write_bytes(whole)
    if damage == "alone":
        (tmp_path / "kept.jpg").rename(matting / "original/a-new-one.jpg")
    for written in (2, 0):
        summary = run_compose(job_of(matting, bg20k, out, PLAIN, **{how: True}), LocalRunner())
        assert (summary.written, summary.rejected) == (written, 0)
    assert before.items() <= digests(out).items()
    assert rejects(out) == []
    assert run_inspect(out).problems == []


def test_a_row_of_a_table_that_was_refused_comes_in_by_a_retry(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    stems = [path.stem for path in sorted((matting / "original").iterdir())]
    table, out = matting / "pairs.csv", tmp_path / "out"
    lines = ["image,alpha", *(f"original/{stem}.jpg,mask/{stem}.png" for stem in stems)]
    table.write_text("\n".join([*lines[:2], ",mask/nobody.png", *lines[3:]]))
    assert run_compose(job_of(table, bg20k, out, PLAIN), LocalRunner()).rejected == 1
    assert [row["source"] for row in rejects(out)] == ["pairs.csv, row 2"]
    table.write_text("\n".join(lines))
    summary = run_compose(job_of(table, bg20k, out, PLAIN, retry_rejects=True), LocalRunner())
    assert (summary.written, summary.reused, summary.rejected) == (2, 4, 0)


def test_a_foreground_that_failed_and_was_repaired_takes_part_anew(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    """Its header was whole, so it was planned, and each of its composites was refused."""
    out = tmp_path / "out"
    broken = sorted((matting / "original").iterdir())[0]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    first = run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    assert (first.written, first.rejected) == (4, 2)
    broken.write_bytes(whole)
    with pytest.raises(InputError, match="1 was changed"):
        run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    for written in (2, 0):
        summary = run_compose(job_of(matting, bg20k, out, PLAIN, retry_rejects=True), LocalRunner())
        assert (summary.written, summary.reused, summary.rejected) == (written, 6 - written, 0)
    assert rejects(out) == []
    assert run_inspect(out).facts["rejected"] == "0"
    assert read_manifest(out).totals["rejected"] == 0
    again = run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    assert (again.reused, again.rejected) == (6, 0)
    fresh = tmp_path / "fresh"
    run_compose(job_of(matting, bg20k, fresh, PLAIN), LocalRunner())
    assert {r["sample_id"]: r for r in rows(fresh)} == {r["sample_id"]: r for r in rows(out)}


def test_a_retry_lets_nothing_in_that_was_not_refused(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    """Of two that are there now and were not planned, one was refused before."""
    out, said = tmp_path / "out", []
    broken = sorted((matting / "original").iterdir())[0]
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    broken.write_bytes(whole)
    add(matting, synthetic)
    with pytest.raises(InputError, match="2 are new"):
        run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    job = job_of(matting, bg20k, out, PLAIN, retry_rejects=True)
    summary = run_compose(job, LocalRunner(), lambda prepared: said.append(prepared.describe()))
    assert (summary.written, summary.reused, summary.rejected) == (2, 4, 0)
    assert "1 new foregrounds are left out, --extend adds them: original/a-new-one.jpg" in said[0]
    assert "original/a-new-one.jpg" not in {row["foreground_source"] for row in rows(out)}
    assert run_compose(job_of(matting, bg20k, out, PLAIN, extend=True), LocalRunner()).written == 2


def test_a_repaired_foreground_that_came_in_by_extend_takes_the_place_of_the_broken_one(
    matting: Path, bg20k: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    broken = sorted((matting / "original").iterdir())[0]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner()).rejected == 2
    broken.write_bytes(whole)
    extended = run_compose(job_of(matting, bg20k, out, PLAIN, extend=True), LocalRunner())
    assert (extended.written, extended.reused, extended.rejected) == (2, 4, 0)
    again = run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    assert (again.written, again.reused, again.rejected) == (0, 6, 0)


def test_other_backgrounds_are_named(matting: Path, tmp_path: Path) -> None:
    backgrounds = tmp_path / "backgrounds"
    backgrounds.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        (backgrounds / f"{number}.png").write_bytes(encode_png(rng.integers(0, 255, (500, 600, 3), dtype=np.uint8)))
    run_compose(job_of(matting, backgrounds, tmp_path / "out", PLAIN), LocalRunner())
    brighten(backgrounds / "2.png")
    words = r"the backgrounds differ from those that .*out was started with: 1 gone \(2\.png\), 1 new \(2\.png\); other"
    for settings in ({}, {"retry_rejects": True}, {"extend": True}):
        with pytest.raises(InputError, match=words):
            run_compose(job_of(matting, backgrounds, tmp_path / "out", PLAIN, **settings), LocalRunner())


def test_a_set_with_other_columns_is_told_from_a_damaged_one(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    path = DatasetFolder(out).manifest_path
    facts = json.loads(path.read_text())
    facts["plan"]["schema_version"] = 2
    path.write_text(json.dumps(facts))
    for attempt in (run_inspect, lambda out: run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())):
        with pytest.raises(InputError, match=f"columns are of version 2, ours of {SCHEMA_VERSION}; use the release"):
            attempt(out)
    assert run_compose(job_of(matting, bg20k, out, PLAIN, overwrite=True), LocalRunner()).written == 6


def test_a_damaged_plan_is_named(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    batch_path(out, 0).write_bytes(b"nothing")
    with pytest.raises(InputError, match="plan: the plan is damaged; remove that folder"):
        run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    shutil.rmtree(out / "plan")
    assert run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner()).reused == 6


def test_retry_composes_what_was_refused_and_keeps_the_rest(
    matting: Path, bg20k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails for one background during the first run and works again during the second."""
    real = layers_module.background_bytes
    job = job_of(matting, bg20k, tmp_path / "out", PLAIN)
    whole = tmp_path / "whole"
    run_compose(job_of(matting, bg20k, whole, PLAIN), LocalRunner())
    broken = next(rows(whole))["background_id"]

    def fail(background):  # type: ignore[no-untyped-def]
        if background.background_id == broken:
            raise OSError("the disk does not answer")
        return real(background)

    monkeypatch.setattr(layers_module, "background_bytes", fail)
    first = run_compose(job, LocalRunner())
    assert first.rejected >= 1
    assert {row["message"] for row in rejects(tmp_path / "out")} == {"OSError: the disk does not answer"}
    assert all(row["thumbnail"]["bytes"] for row in rejects(tmp_path / "out"))
    again = run_compose(job, LocalRunner())
    assert (again.written, again.rejected) == (0, first.rejected)
    standing = digests(tmp_path / "out")
    monkeypatch.setattr(layers_module, "background_bytes", real)
    retried = run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN, retry_rejects=True), LocalRunner())
    assert (retried.written, retried.reused, retried.rejected) == (first.rejected, 6 - first.rejected, 0)
    assert {row["sample_id"]: row for row in rows(tmp_path / "out")} == {row["sample_id"]: row for row in rows(whole)}
    assert rejects(tmp_path / "out") == []
    assert standing.items() <= digests(tmp_path / "out").items()


def test_a_retry_makes_what_is_missing_too(matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    """Of three shards one stands with rejects, one failed, one was never made; and one pair could not be planned."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    unplanned, broken, *_ = sorted((matting / "original").iterdir())
    good = [path.read_bytes() for path in (unplanned, broken)]
    unplanned.write_bytes(b"no picture")
    broken.write_bytes(good[1][: len(good[1]) // 2])
    add(matting, synthetic, "zz")
    run_compose(job_of(matting, bg20k, whole, PLAIN), LocalRunner())
    shutil.copytree(whole, out)
    folder = DatasetFolder(out)
    refused, failed, unmade = (mark.name for mark in folder.marks())
    for name in (failed, unmade):
        folder.data(name).unlink()
        folder.mark(name).unlink()
    write_parquet(folder.failure(failed), REJECTS, [refusal(OSError("disk"), failed, f"data/{failed}.parquet")])
    for path, data in zip((unplanned, broken), good, strict=True):
        path.write_bytes(data)
    job = job_of(matting, bg20k, out, PLAIN, retry_rejects=True)
    assert "1 shards are done already; 8 composites are left, and count from here on" in forecast(job)
    for written, reused in ((8, 0), (0, 8)):
        summary = run_compose(job, LocalRunner())
        assert (summary.written, summary.reused, summary.rejected) == (written, reused, 0)
        returned = {f"composites-x1-{number:05d}-of-00002" for number in range(2)}
        assert {mark.name for mark in folder.marks()} == {refused, failed, unmade} | returned
        assert read_manifest(folder.root).finished
    before = digests(whole)
    assert {name: digests(out)[name] for name in before} == before


@pytest.mark.parametrize("settings", [{}, {"overwrite": True}])
def test_a_retry_without_an_earlier_run_is_refused(
    matting: Path, bg20k: Path, tmp_path: Path, settings: dict[str, bool]
) -> None:
    if settings:
        run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    with pytest.raises(InputError, match="out: nothing to retry; --retry-rejects is for what an earlier run"):
        run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN, retry_rejects=True, **settings), LocalRunner())


def test_retry_does_not_take_a_damaged_shard_for_good(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    before = digests(out)
    path = DatasetFolder(out).data("composites-00000-of-00003")
    whole = path.read_bytes()
    for damaged in (whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:], whole[:-9]):
        path.write_bytes(damaged)
        summary = run_compose(job_of(matting, bg20k, out, PLAIN, retry_rejects=True), LocalRunner())
        assert summary.damaged == [path.stem]
        assert path.read_bytes() == whole
    assert digests(out) == before


def test_a_retry_killed_between_its_writes_is_made_again(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    """The data file of the retry stands, its mark does not yet: the old mark says that there are no rows."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    for folder in (out, whole):
        run_compose(job_of(matting, bg20k, folder, PLAIN), LocalRunner())
    name = "composites-00000-of-00003"
    mark = json.loads(DatasetFolder(out).mark(name).read_text())
    DatasetFolder(out).mark(name).write_text(json.dumps(mark | {"rows": 0, "bytes": 0, "sha256": ""}))
    summary = run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    assert (summary.written, summary.reused) == (2, 4)
    assert digests(out) == digests(whole)


def test_what_stands_keeps_its_name_when_a_copy_comes_first(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    before = digests(out)
    for folder in ("original", "mask"):
        first = sorted((matting / folder).iterdir())[0]
        shutil.copy(first, first.with_stem("a-copy"))
    DatasetFolder(out).data("composites-00000-of-00003").unlink()
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    assert digests(out) == before


@pytest.mark.slow
def test_overwrite_removes_nothing_before_the_inputs_are_known(
    matting: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    before = files(out)
    command = ["compose", "--backgrounds", bg20k, "--recipe", PLAIN.name, "--workers", 0, "--overwrite"]
    wrong = rssn(*command, "--matting", tmp_path / "nowhere", "--out", out)
    assert wrong.returncode == 1
    assert files(out) == before
    target = rssn(*command, "--matting", matting, "--out", bg20k)
    assert target.returncode == 1
    assert "holds backgrounds, not composites" in target.stderr
    assert find_backgrounds(bg20k)[0]


@pytest.mark.slow
def test_overwrite_says_what_it_removes_and_removes_nothing_else(
    matting: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    (out / "notes.txt").write_text("mine")
    command = [
        "compose",
        "--matting",
        matting,
        "--backgrounds",
        bg20k,
        "--out",
        out,
        "--recipe",
        "comp-bg20k",
        "--k",
        1,
    ]
    refused = rssn(*command, "--workers", 0)
    assert refused.returncode == 1
    assert "recipe.k was 2, is now 1" in refused.stderr
    done = rssn(*command, "--workers", 0, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert f"removing {out}: 6 composites in 3 shards" in done.stdout
    assert "3 composites written" in done.stdout
    assert (out / "notes.txt").read_text() == "mine"
    assert sum(mark.rows for mark in DatasetFolder(out).marks()) == 3


@pytest.mark.slow
def test_extend_says_what_it_adds(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    command = ["compose", "--matting", matting, "--backgrounds", bg20k, "--out", tmp_path / "out", "--workers", 0]
    command += ["--recipe", PLAIN.name, "--cache-dir", tmp_path / "cache"]
    assert rssn(*command).returncode == 0
    add(matting, synthetic)
    done = rssn(*command, "--extend")
    assert done.stdout.startswith("adding 1 foreground to 3: 4 foregrounds (am2k)")
    assert "5 composites written, 15 reused, 0 rejected" in done.stdout


def test_shards_are_cut_by_rows_too(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    with prepare(job_of(matting, bg20k, tmp_path / "out", PLAIN)) as prepared:
        plan = make_plan(list(prepared.plan.foregrounds) * 20, [])
    for rows_each, most in ((8, 4), (2, 1), (1, 1)):
        job = job_of(matting, bg20k, tmp_path / "out", PLAIN, output=Output(shard_rows=rows_each))
        assert {task.stop - task.start for task in plan_tasks(job, plan, DatasetFolder(job.out))} == {most}
    small = job_of(matting, bg20k, tmp_path / "out", PLAIN, output=Output(shard_bytes=1))
    assert len(plan_tasks(small, plan, DatasetFolder(small.out))) == 60


def test_a_lost_plan_of_an_extended_set_is_not_guessed(
    matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    """Shards of the second batch would be made again under other names, and every sample would be there twice."""
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out, PLAIN), LocalRunner())
    add(matting, synthetic)
    run_compose(job_of(matting, bg20k, out, PLAIN, extend=True), LocalRunner())
    standing = digests(out)
    batch_path(out, 0).unlink()
    for extend in (False, True):
        with pytest.raises(InputError, match=r"its plan is lost.*--overwrite"):
            run_compose(job_of(matting, bg20k, out, PLAIN, extend=extend), LocalRunner())
    assert digests(out) == standing


def test_a_lost_plan_of_one_batch_is_written_again(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    job = job_of(synthetic / "matting", bg20k, tmp_path / "out", PLAIN)
    run_compose(job, LocalRunner())
    before = digests(job.out)
    batch_path(job.out, 0).unlink()
    summary = run_compose(job, LocalRunner())
    assert (summary.written, summary.reused) == (0, 6)
    assert digests(job.out) == before
