from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.compose.job import Output, run_compose
from pipelines.compose.pack import PackJob, run_pack
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.replay import run_replay
from rssn.dataset.manifest import plan_digest
from rssn.errors import InputError, Rejected
from rssn.image.decoding import decode_pixels
from rssn.route import denoise as denoise_module
from rssn.route.recipe import load_recipe
from tests.bucket import Store
from tests.pipelines.composing import RECIPE, job_of, rows


@pytest.fixture(scope="module", params=["jpeg", "webp"])
def shards(
    request: pytest.FixtureRequest, synthetic: Path, bg20k: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("replayed") / "shards"
    output = Output(codec=request.param)
    run_compose(job_of(synthetic / "matting", bg20k, out, RECIPE, output=output), LocalRunner())
    return out


@pytest.mark.slow
def test_every_row_is_composed_again_to_the_byte(shards: Path) -> None:
    for row in rows(shards):
        assert run_replay(shards, row["sample_id"], None).differences == []


@pytest.mark.slow
def test_the_strip_shows_each_step_that_was_drawn(shards: Path, tmp_path: Path) -> None:
    heights = set()
    for row in rows(shards):
        strip = run_replay(shards, row["sample_id"], tmp_path / "strip.png").strip
        pixels = decode_pixels(strip.read_bytes())
        heights.add(pixels.shape[0])
        assert pixels.shape[1] > 3 * 144
    assert heights


@pytest.mark.slow
def test_a_data_set_in_a_bucket(shards: Path, s3: Store, bucket: str) -> None:
    for path in filter(Path.is_file, shards.rglob("*")):
        s3.put(f"{bucket}/shards/{path.relative_to(shards)}", path.read_bytes())
    name = next(rows(shards))["sample_id"]
    for more, strip in (
        ([], f"{bucket}/shards/report/replay-{name.replace('/', '-')}.png"),
        (["--out", f"{bucket}/strip.png"], f"{bucket}/strip.png"),
    ):
        done = CliRunner().invoke(main, ["replay", f"{bucket}/shards", name, *more])
        assert (done.exit_code, f"steps: {strip}\nthe same bytes" in done.stdout) == (0, True), done.output
        assert s3.get(strip).startswith(b"\x89PNG")
    missing = CliRunner().invoke(main, ["replay", f"{bucket}/nothing", name])
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert f"{bucket}/nothing" in missing.stderr


def test_an_altered_draw_is_noticed(shards: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shards"
    shutil.copytree(shards, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["plan"]["recipe"]["steps"][0]["denoise"]["sigma"] = 30.0
    before, named = manifest["plan_digest"], plan_digest(manifest["plan"])
    for path in (copy / "manifest.json", *(copy / "marks").iterdir()):
        path.write_text(path.read_text().replace(before, named))
    (copy / "manifest.json").write_text(json.dumps(manifest | {"plan_digest": named}))
    denoised = next(row for row in rows(copy) if row["steps"]["denoise"])
    assert "foreground" in run_replay(copy, denoised["sample_id"], None).differences


def test_a_source_that_changed_is_refused(shards: Path, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    matting = tmp_path / "matting"
    shutil.copytree(synthetic / "matting", matting)
    out = tmp_path / "out"
    run_compose(job_of(matting, bg20k, out), LocalRunner())
    row = next(rows(out))
    (matting / row["foreground_source"]).write_bytes((matting / row["foreground_source"]).read_bytes() + b"\0")
    with pytest.raises(Rejected, match="the file was changed after the run was planned"):
        run_replay(out, row["sample_id"], None)


def test_a_sample_whose_shard_lost_its_mark_is_not_called_unknown(shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "set")
    sample_id = next(rows(shards))["sample_id"]
    for path in (tmp_path / "set" / "marks").iterdir():
        path.write_text("{")
    with pytest.raises(InputError, match=r"its marks vouch for 0 rows, .*; run the command that made it again"):
        run_replay(tmp_path / "set", sample_id, None)


def test_an_unknown_sample_is_refused(shards: Path) -> None:
    with pytest.raises(InputError, match=r"no row with the sample_id nobody/0$"):
        run_replay(shards, "nobody/0", None)


def test_packed_photographs_hold_no_draw(synthetic: Path, tmp_path: Path) -> None:
    job = PackJob(synthetic / "matting", tmp_path / "ori", load_recipe("ori"), ErrorBudget(), Output(codec="png"))
    assert run_pack(job, LocalRunner()).written == 3
    found = list(rows(tmp_path / "ori"))
    for row in found:
        photograph = decode_pixels((synthetic / "matting" / row["foreground_source"]).read_bytes())
        assert np.array_equal(decode_pixels(row["image"]["bytes"]), photograph)
        assert row["sample_id"] == f"{row['foreground_id']}/0"
        assert (row["background_id"], row["draw_seed"], row["foreground_method"]) == (None, None, "levin")
        assert "steps" not in row
    with pytest.raises(InputError, match="a packed photograph, not a composite"):
        run_replay(tmp_path / "ori", found[0]["sample_id"], None)


def test_a_replay_denoises_each_layer_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no cache, and its strip shows the layers before the last step, too."""
    row = next(row for row in rows(shards) if row["steps"]["denoise"] and row["steps"]["blur"])
    calls: list[int] = []
    real = denoise_module.denoise
    monkeypatch.setattr(denoise_module, "denoise", lambda *given: (calls.append(1), real(*given))[1])
    assert run_replay(shards, row["sample_id"], None).differences == []
    assert len(calls) == 2
