from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.compose import ComposeJob, run_compose
from pipelines.recipes import load_recipe
from pipelines.runner import LocalRunner, RayRunner, Runner
from pipelines.work import Budget, Tally
from rssn import route
from rssn.draw import draw
from rssn.errors import InputError
from rssn.images import decode_alpha, decode_image, decode_pixels, encode_png, to_uint8
from rssn.recipe import Recipe
from rssn.rows import iter_rows
from rssn.shards import DatasetFolder

RECIPE = load_recipe("comp-rssn")
RECIPE = replace(RECIPE, k=4, denoise=replace(RECIPE.denoise, backend="nlmeans"))
CODEC = 3.0  # mean error of a JPEG of quality 95, 8-bit units


class BackwardsRunner(LocalRunner):
    """The local runner, last task first."""

    def run(self, function, tasks, on_wait):  # type: ignore[no-untyped-def]
        return super().run(function, list(reversed(tasks)), on_wait)


def compose(studio: Path, bg20k: Path, out: Path, runner: Runner | None = None, recipe: Recipe = RECIPE) -> Tally:
    job = ComposeJob(studio / "matting", bg20k, out, recipe, 0, Budget())
    return run_compose(job, runner or LocalRunner())


def rows(out: Path) -> Iterator[dict[str, Any]]:
    for mark in DatasetFolder(out).marks():
        yield from iter_rows(DatasetFolder(out).data(mark.name))


def digests(out: Path) -> dict[str, str]:
    return {mark.name: mark.sha256 for mark in DatasetFolder(out).marks()}


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def shards(studio: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "shards"
    tally = compose(studio, bg20k, out)
    assert (tally.written, tally.rejected, tally.failed) == (12, 0, [])
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
    clean = [row for row in rows(shards) if not row["noise_sigma"]]
    assert clean
    for row in clean:
        foreground, background = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
        blended = route.blend(foreground, background, decode_alpha(row["alpha"]["bytes"]))
        error = np.abs(to_uint8(blended).astype(int) - decode_pixels(row["image"]["bytes"]))
        assert error.mean() < CODEC
        assert np.percentile(error, 99) < 12


def test_noise_is_added_after_the_layers_were_stored(shards: Path) -> None:
    noisy = [row for row in rows(shards) if row["noise_sigma"]]
    assert noisy
    for row in noisy:
        layers = (decode_image(row[name]["bytes"]) for name in ("foreground", "background"))
        blended = route.blend(*layers, decode_alpha(row["alpha"]["bytes"]))
        inner = (blended > 0.2) & (blended < 0.8)
        residual = (decode_image(row["image"]["bytes"]) - blended)[inner] * 255.0
        assert 8.0 < residual.std() < 12.0
        noise = route.add_noise(np.zeros_like(blended), row["noise_sigma"] / 255.0, row["noise_seed"])[inner] * 255.0
        assert np.corrcoef(residual, noise)[0, 1] > 0.9


def test_alpha_is_stored_without_loss(shards: Path, studio: Path) -> None:
    for row in rows(shards):
        mask = studio / "matting" / "mask" / f"{Path(row['foreground_source']).stem}.png"
        assert np.array_equal(to_uint8(decode_alpha(row["alpha"]["bytes"])), to_uint8(decode_alpha(mask.read_bytes())))


def test_rows_hold_their_draw(shards: Path) -> None:
    for row in rows(shards):
        rolled = draw(RECIPE, 0, row["foreground_id"], row["k"])
        assert row["draw_seed"] == rolled.seed
        assert row["denoised"] is rolled.denoise
        assert row["denoiser"] == ("nlmeans" if rolled.denoise else None)
        assert row["blur_size"] == rolled.blur_size
        assert row["noise_sigma"] == rolled.noise_sigma
        assert row["recipe"] == RECIPE.label
        assert row["foreground_method"] == "levin"
        assert (row["width"], row["height"]) == decode_pixels(row["image"]["bytes"]).shape[1::-1]


def test_order_and_workers_change_no_byte(
    studio: Path, bg20k: Path, shards: Path, tmp_path: Path, ray_runner: RayRunner
) -> None:
    compose(studio, bg20k, tmp_path / "backwards", BackwardsRunner())
    compose(studio, bg20k, tmp_path / "ray", ray_runner)
    assert digests(tmp_path / "backwards") == digests(tmp_path / "ray") == digests(shards)


def test_a_new_foreground_changes_no_other_composite(studio: Path, bg20k: Path, shards: Path, tmp_path: Path) -> None:
    shutil.copytree(studio / "matting", tmp_path / "matting")
    for folder, suffix in (("original", "jpg"), ("mask", "png")):
        new = next((studio / "evaluation" / folder).iterdir())
        shutil.copy(new, tmp_path / "matting" / folder / f"a-new-first.{suffix}")
    run_compose(ComposeJob(tmp_path / "matting", bg20k, tmp_path / "out", RECIPE, 0, Budget()), LocalRunner())
    before = {row["sample_id"]: row for row in rows(shards)}
    after = {row["sample_id"]: row for row in rows(tmp_path / "out")}
    assert len(after) == len(before) + 4
    assert {key: after[key] for key in before} == before


def test_another_seed_draws_otherwise(studio: Path, bg20k: Path, shards: Path, tmp_path: Path) -> None:
    run_compose(ComposeJob(studio / "matting", bg20k, tmp_path / "out", RECIPE, 1, Budget()), LocalRunner())
    one, two = list(rows(shards)), list(rows(tmp_path / "out"))
    assert [row["background_id"] for row in one] != [row["background_id"] for row in two]


def test_given_foregrounds_are_taken_as_they_are(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    for source, target in (("original", "fg"), ("mask", "alpha")):
        shutil.copytree(studio / "matting" / source, tmp_path / "matting" / target)
    recipe = replace(RECIPE, k=1, denoise=replace(RECIPE.denoise, probability=0))
    run_compose(ComposeJob(tmp_path / "matting", bg20k, tmp_path / "out", recipe, 0, Budget()), LocalRunner())
    for row in rows(tmp_path / "out"):
        assert row["foreground_method"] == "given"
        source = decode_pixels((tmp_path / "matting" / row["foreground_source"]).read_bytes())
        assert np.abs(source.astype(int) - decode_pixels(row["foreground"]["bytes"])).mean() < CODEC


def test_broken_inputs_become_rejects_and_stop_nothing(
    studio: Path, bg20k: Path, tmp_path: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    matting = tmp_path / "matting"
    shutil.copytree(studio / "matting", matting)
    photo, mask = (sorted((matting / folder).iterdir())[0] for folder in ("original", "mask"))
    (matting / "original" / "cut.jpg").write_bytes(photo.read_bytes()[:2000])
    (matting / "mask" / "cut.png").write_bytes(mask.read_bytes())
    (matting / "original" / "alone.jpg").write_bytes(photo.read_bytes())
    (matting / "original" / "small.jpg").write_bytes(photo.read_bytes())
    (matting / "mask" / "small.png").write_bytes(encode_png(np.full((9, 9), 128, np.uint8)))
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


def test_too_few_backgrounds_are_refused_before_work(studio: Path, bg20k: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="K = 400 needs that many"):
        compose(studio, bg20k, tmp_path / "out", recipe=replace(RECIPE, k=400))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("marks", [1, 2])
def test_a_killed_run_ends_with_the_same_files(
    studio: Path, bg20k: Path, shards: Path, tmp_path: Path, marks: int
) -> None:
    arguments = ["compose", "--matting", studio / "matting", "--backgrounds", bg20k, "--out", tmp_path / "out"]
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
    assert again == whole
