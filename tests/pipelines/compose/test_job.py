from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pipelines.compose.layers as layers_module
from pipelines.compose.job import run_compose
from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.plan import load_plan
from pipelines.executor.ray_runner import RayRunner
from pipelines.executor.runner import LocalRunner, Runner
from pipelines.executor.work import RunSummary
from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.image.arrays import encode_png, to_uint8
from rssn.image.decoding import decode_image, decode_pixels
from rssn.route import compose as route
from rssn.route import denoise as denoise_module
from rssn.route.draw import draw
from rssn.route.recipe import Recipe
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise
from rssn.sources.mattes import read_matte
from tests.pipelines.composing import PLAIN, RECIPE, digests, files, job_of, rejects, rows

CODEC = 3.0  # mean error of a JPEG of quality 95, 8-bit units


class BackwardsRunner(LocalRunner):
    """The local runner, last task first."""

    def run(self, function, tasks, on_wait):  # type: ignore[no-untyped-def]
        return super().run(function, list(reversed(tasks)), on_wait)


def compose(
    synthetic: Path, bg20k: Path, out: Path, runner: Runner | None = None, recipe: Recipe = RECIPE
) -> RunSummary:
    return run_compose(job_of(synthetic / "matting", bg20k, out, recipe), runner or LocalRunner())


@pytest.fixture(scope="module")
def shards(synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "shards"
    summary = compose(synthetic, bg20k, out)
    assert (summary.written, summary.rejected, summary.failed) == (12, 0, [])
    return out


def test_every_foreground_has_k_composites_on_different_backgrounds(shards: Path) -> None:
    found = list(rows(shards))
    assert len({row["sample_id"] for row in found}) == 12
    for foreground in {row["foreground_id"] for row in found}:
        mine = [row for row in found if row["foreground_id"] == foreground]
        assert [row["k"] for row in mine] == [0, 1, 2, 3]
        assert len({row["background_id"] for row in mine}) == 4
        assert [row["sample_id"] for row in mine] == [f"{foreground}/{k}" for k in range(4)]


def test_composites_obey_equation_1_within_the_codec(shards: Path) -> None:
    clean = [row for row in rows(shards) if row["steps"]["noise"] is None]
    assert clean
    for row in clean:
        foreground, background = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
        blended = route.blend(foreground, background, read_matte(row["alpha"]["bytes"]).alpha)
        error = np.abs(to_uint8(blended).astype(int) - decode_pixels(row["image"]["bytes"]))
        assert error.mean() < CODEC
        assert np.percentile(error, 99) < 12


def test_noise_is_added_after_the_layers_were_stored(shards: Path) -> None:
    noisy = [row for row in rows(shards) if row["steps"]["noise"]]
    assert noisy
    for row in noisy:
        layers = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
        blended = route.blend(*layers, read_matte(row["alpha"]["bytes"]).alpha)
        inner = (blended > 0.2) & (blended < 0.8)
        residual = (decode_image(row["image"]["bytes"]) - blended)[inner] * 255.0
        assert 8.0 < residual.std() < 12.0
        noise = Noise().apply(np.zeros_like(blended), row["steps"]["noise"])[inner] * 255.0
        assert np.corrcoef(residual, noise)[0, 1] > 0.9


def test_alpha_is_stored_without_loss(shards: Path, synthetic: Path) -> None:
    for row in rows(shards):
        mask = synthetic / "matting" / "mask" / f"{Path(row['foreground_source']).stem}.png"
        assert np.array_equal(
            to_uint8(read_matte(row["alpha"]["bytes"]).alpha), to_uint8(read_matte(mask.read_bytes()).alpha)
        )


def test_rows_hold_their_draw(shards: Path) -> None:
    for row in rows(shards):
        rolled = draw(RECIPE, 0, row["foreground_id"], row["k"])
        assert row["draw_seed"] == rolled.seed
        sigmas = {"foreground_sigma": 10.0, "background_sigma": 10.0}
        denoised = rolled.steps["denoise"]
        assert row["steps"] == {**rolled.steps, "denoise": denoised and {"backend": "nlmeans", **sigmas}}
        assert row["recipe"] == RECIPE.label
        assert row["foreground_method"] == "levin"
        assert (row["width"], row["height"]) == decode_pixels(row["image"]["bytes"]).shape[1::-1]


def test_order_and_workers_change_no_byte(
    synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path, ray_runner: RayRunner
) -> None:
    compose(synthetic, bg20k, tmp_path / "backwards", BackwardsRunner())
    compose(synthetic, bg20k, tmp_path / "ray", ray_runner)
    assert digests(tmp_path / "backwards") == digests(tmp_path / "ray") == digests(shards)


def test_a_new_foreground_changes_no_other_composite(
    synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path
) -> None:
    shutil.copytree(synthetic / "matting", tmp_path / "matting")
    for folder, suffix in (("original", "jpg"), ("mask", "png")):
        new = next((synthetic / "evaluation" / folder).iterdir())
        shutil.copy(new, tmp_path / "matting" / folder / f"a-new-first.{suffix}")
    run_compose(job_of(tmp_path / "matting", bg20k, tmp_path / "out"), LocalRunner())
    before = {row["sample_id"]: row for row in rows(shards)}
    after = {row["sample_id"]: row for row in rows(tmp_path / "out")}
    assert len(after) == len(before) + 4
    assert {key: after[key] for key in before} == before


def test_another_seed_draws_otherwise(synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path) -> None:
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "out", seed=1), LocalRunner())
    one, two = list(rows(shards)), list(rows(tmp_path / "out"))
    assert [row["background_id"] for row in one] != [row["background_id"] for row in two]


def test_given_foregrounds_are_taken_as_they_are(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    for source, target in (("original", "fg"), ("mask", "alpha")):
        shutil.copytree(synthetic / "matting" / source, tmp_path / "matting" / target)
    recipe = replace(RECIPE, k=1, steps=RECIPE.steps[1:])
    run_compose(job_of(tmp_path / "matting", bg20k, tmp_path / "out", recipe), LocalRunner())
    for row in rows(tmp_path / "out"):
        assert row["foreground_method"] == "given"
        source = decode_pixels((tmp_path / "matting" / row["foreground_source"]).read_bytes())
        assert np.abs(source.astype(int) - decode_pixels(row["foreground"]["bytes"])).mean() < CODEC


@pytest.mark.slow
def test_broken_inputs_become_rejects_and_stop_nothing(
    synthetic: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    matting = tmp_path / "matting"
    shutil.copytree(synthetic / "matting", matting)
    photo, mask = (sorted((matting / folder).iterdir())[0] for folder in ("original", "mask"))
    (matting / "original" / "cut.jpg").write_bytes(photo.read_bytes()[:2000])
    (matting / "mask" / "cut.png").write_bytes(mask.read_bytes())
    (matting / "original" / "alone.jpg").write_bytes(photo.read_bytes())
    (matting / "original" / "small.jpg").write_bytes(photo.read_bytes())
    (matting / "mask" / "small.png").write_bytes(encode_png(np.full((9, 9), 250, np.uint8)))
    run = rssn(
        "compose", "--matting", matting, "--backgrounds", bg20k, "--out", tmp_path / "out",
        "--k", 2, "--denoiser", "nlmeans", "--workers", 0,
    )  # fmt: skip
    assert run.returncode == 1
    assert "6 composites written, 0 reused, 5 rejected" in run.stdout
    assert "Traceback" not in run.stderr
    found = {(row["source"], row["reason"]) for p in (tmp_path / "out" / "rejects").iterdir() for row in iter_rows(p)}
    reasons = {"cut": "truncated", "alone": "missing_partner", "small": "size_mismatch"}
    assert found == {(f"original/{name}.jpg", reason) for name, reason in reasons.items()}
    shown = {row["source"]: row["thumbnail"] is not None for row in rejects(tmp_path / "out")}
    assert shown == {"original/alone.jpg": True, "original/small.jpg": True, "original/cut.jpg": False}


def test_too_few_backgrounds_are_refused_before_work(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="K = 400 needs that many"):
        compose(synthetic, bg20k, tmp_path / "out", recipe=replace(RECIPE, k=400))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("marks", [1, 2])
def test_a_killed_run_ends_with_the_same_files(
    synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path, marks: int
) -> None:
    arguments = ["compose", "--matting", synthetic / "matting", "--backgrounds", bg20k, "--out", tmp_path / "out"]
    settings = ["--k", 4, "--denoiser", "nlmeans", "--workers", 0]
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments + settings)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(DatasetFolder(tmp_path / "out").marks()) < marks:
        assert running.poll() is None, "the run ended before it was killed"
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = digests(tmp_path / "out")
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert before.items() <= digests(tmp_path / "out").items()
    whole, again = files(shards), files(tmp_path / "out")
    for out in (whole, again):
        out["manifest.json"] = json.dumps(json.loads(out["manifest.json"])["plan"]).encode()
        del out["README.md"]  # it names the command
    assert again == whole


@pytest.mark.slow
def test_copies_among_the_backgrounds_are_recorded_and_nothing_is_missing(
    synthetic: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = rssn(
        "compose", "--matting", synthetic / "matting", "--backgrounds", synthetic / "photos", "--out", tmp_path / "out",
        "--recipe", "comp-bg20k", "--k", 2, "--workers", 0, "--cache-dir", tmp_path / "cache",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "3 foregrounds (am2k)" in run.stdout
    assert "6 composites written, 0 reused, 0 rejected" in run.stdout
    reasons = {(row["stage"], row["reason"]) for row in rejects(tmp_path / "out")}
    reasons.discard(("background", "truncated"))  # its header is whole, so that only who draws it comes upon it
    assert reasons == {("background", "duplicate"), ("background", "empty"), ("background", "not_an_image")}


def test_small_backgrounds_are_not_enlarged_beyond_the_limit(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    recipe = replace(PLAIN, max_upscale=1.0, k=2)
    summary = run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "out", recipe), LocalRunner())
    plan = load_plan(tmp_path / "out")
    sizes = {b.background_id: (b.width, b.height) for b in plan.backgrounds}
    for row in rows(tmp_path / "out"):
        width, height = sizes[row["background_id"]]
        assert width >= row["width"]
        assert height >= row["height"]
    excluded = sum(f.width > w or f.height > h for f in plan.foregrounds for w, h in sizes.values())
    assert excluded > 0
    assert read_manifest(tmp_path / "out").totals["ineligible_pairs"] == excluded
    assert summary.rejected == 0


def test_a_foreground_without_enough_backgrounds_is_refused_with_the_reason(
    synthetic: Path, bg20k: Path, tmp_path: Path
) -> None:
    matting = tmp_path / "matting"
    shutil.copytree(synthetic / "matting", matting)
    for folder, suffix, shape in (("original", "jpg", (400, 500, 3)), ("mask", "png", (400, 500))):
        values = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
        (matting / folder / f"wide.{suffix}").write_bytes(encode_png(values))
    summary = run_compose(job_of(matting, bg20k, tmp_path / "out", PLAIN), LocalRunner())
    assert (summary.written, summary.rejected) == (6, 2)
    assert {row["reason"] for row in rejects(tmp_path / "out")} == {"too_small"}
    assert "cover 500 x 400 px enlarged at most 1.5 times" in rejects(tmp_path / "out")[0]["message"]


def test_a_second_run_with_another_seed_denoises_nothing_again(
    synthetic: Path, bg20k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layer is estimated and denoised at most once, within a run and in the next."""
    recipe = replace(RECIPE, k=8, steps=(Denoise(1.0, backend="nlmeans"), *RECIPE.steps[1:]))
    calls: list[str] = []
    for module, name in ((layers_module, "estimate_layers"), (denoise_module, "denoise")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    cache = LayerCache(tmp_path / "cache", 1 << 30)
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "one", recipe, cache=cache), LocalRunner())
    used = {row["background_id"] for row in rows(tmp_path / "one")}
    assert calls.count("estimate_layers") == 3
    assert calls.count("denoise") == 3 + len(used)
    calls.clear()
    run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "two", recipe, 1, cache=cache), LocalRunner())
    more = {row["background_id"] for row in rows(tmp_path / "two")} - used
    assert calls == ["denoise"] * len(more)


def test_the_cache_changes_no_byte(synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path) -> None:
    cache = LayerCache(tmp_path / "cache", 1 << 30)
    for name in ("cold", "warm"):
        run_compose(job_of(synthetic / "matting", bg20k, tmp_path / name, cache=cache), LocalRunner())
    assert digests(tmp_path / "cold") == digests(tmp_path / "warm") == digests(shards)


@pytest.mark.slow
def test_a_killed_worker_changes_no_byte(synthetic: Path, bg20k: Path, shards: Path, tmp_path: Path) -> None:
    """SIGKILL to a Ray worker in the middle of a shard: Ray tries again, and the files are the same."""
    command = [
        sys.executable, "-m", "pipelines.cli", "compose", "--matting", synthetic / "matting", "--backgrounds", bg20k,
        "--out", tmp_path / "out", "--k", 4, "--denoiser", "nlmeans", "--workers", 2, "--cache-size", 0,
    ]  # fmt: skip
    running = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    progress = tmp_path / "out" / "progress"
    while not (progress.is_dir() and any(progress.iterdir())):
        assert running.poll() is None, "the run ended before its worker was killed"
        time.sleep(0.002)
    victims = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if b"ray::attempt" in _read(p)]
    mine = [pid for pid in victims if running.pid in _ancestors(pid)]
    assert mine
    os.kill(mine[0], signal.SIGKILL)
    assert "12 composites written, 0 reused, 0 rejected" in running.communicate()[0]
    assert running.returncode == 0
    assert digests(tmp_path / "out") == digests(shards)
    assert list((tmp_path / "out").rglob("*.tmp")) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_what_was_done_and_goes_on(
    synthetic: Path, bg20k: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [
        sys.executable, "-m", "pipelines.cli", "compose", "--matting", synthetic / "matting", "--backgrounds", bg20k,
        "--out", tmp_path / "out", "--k", 4, "--denoiser", "nlmeans", "--workers", 0, "--cache-size", 0,
    ]  # fmt: skip
    running = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not (DatasetFolder(tmp_path / "out").marks() and list((tmp_path / "out" / "data").glob(".*.tmp"))):
        assert running.poll() is None, "the run ended before it was stopped"
        time.sleep(0.002)
    running.send_signal(number)
    said = running.communicate()[1].splitlines()[-1]
    assert running.returncode == 128 + number
    words = r"(\d+) composites written, 0 reused, 0 rejected; run the same command again to resume"
    found = re.fullmatch(f"stopped by {number.name}: {words}", said)
    assert found, said
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.suffix in (".tmp", ".item")] == []
    assert not (tmp_path / "out" / ".lease.json").exists()
    again = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout
    counts = re.search(r"(\d+) composites written, (\d+) reused, 0 rejected", again)
    assert counts, again
    assert int(counts[1]) + int(counts[2]) == 12
    assert int(counts[2]) >= max(4, int(found[1]))  # a shard that was marked this very moment may not be counted yet


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _ancestors(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1:
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
        if not fields:
            break
        pid = int(fields[1])
        found.add(pid)
    return found
