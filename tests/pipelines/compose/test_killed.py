"""SIGKILL at every kind of moment, and the same command again: the same files, to the byte."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.compose.job import run_compose
from pipelines.executor.runner import LocalRunner
from tests.pictures import read_table
from tests.pipelines.composing import QUICK, job_of, rows
from tests.pipelines.conftest import MIN_SIDE

pytestmark = pytest.mark.slow


def kill_at_every_moment(scratch: Path, matting: Path, bg20k: Path, base: Path | None, **settings: Any) -> set[str]:
    """Kinds of moments at which a composition was killed; each ended as the undisturbed run does."""
    return kill({"scratch": scratch, "matting": matting, "bg20k": bg20k, "base": base, "settings": settings})


def kill(facts: dict[str, Any]) -> set[str]:
    """Kinds of moments at which a job was killed, see `tests.pipelines.killing`."""
    job = facts["scratch"] / "job.json"
    job.write_text(json.dumps({key: str(v) if isinstance(v, Path) else v for key, v in facts.items()}))
    command = [sys.executable, "-m", "tests.pipelines.killing", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [one for one in found if not (one["died"] and one["same"]) or one["again"] or one["leftovers"]]
    assert wrong == [], done.stderr
    return {one["moment"][1] for one in found}


@pytest.fixture
def matting(synthetic: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(synthetic / "matting", tmp_path / "matting"))


def test_a_new_run(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    kinds = kill_at_every_moment(tmp_path, matting, bg20k, None)
    assert kinds >= {
        "replace out/manifest", "replace out/plan/foregrounds-", "replace out/plan/backgrounds",
        "write_table out/data/.composites--.parquet.", "replace out/data/composites--",
        "replace out/marks/composites--", "_store cache", "_digest cache", "replace cache", "replace out/README",
    }  # fmt: skip


def test_an_extension(matting: Path, synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    run_compose(job_of(matting, bg20k, tmp_path / "base", QUICK), LocalRunner())
    for folder in ("original", "mask"):
        new = next((synthetic / "evaluation" / folder).iterdir())
        shutil.copy(new, (matting / folder / "new").with_suffix(new.suffix))
    kinds = kill_at_every_moment(tmp_path, matting, bg20k, tmp_path / "base", extend=True)
    assert {
        "replace out/plan/foregrounds-",
        "replace out/data/composites-x--",
        "replace out/marks/composites-x--",
    } <= kinds


def test_a_retry(matting: Path, bg20k: Path, tmp_path: Path) -> None:
    """One foreground could not be planned, one could not be composed; both were repaired."""
    first, second, _ = sorted((matting / "original").iterdir())
    whole = [path.read_bytes() for path in (first, second)]
    first.write_bytes(b"no picture")
    second.write_bytes(whole[1][: len(whole[1]) // 2])
    run_compose(job_of(matting, bg20k, tmp_path / "base", QUICK), LocalRunner())
    for path, data in zip((first, second), whole, strict=True):
        path.write_bytes(data)
    kinds = kill_at_every_moment(tmp_path, matting, bg20k, tmp_path / "base", retry_rejects=True)
    assert kinds >= {"replace out/plan/foregrounds-", "unlink out/rejects/plan", "replace out/data/composites-x--"}


@pytest.mark.parametrize("ended_by", ["prune", "compose"])
def test_a_prune(matting: Path, synthetic: Path, tmp_path: Path, ended_by: str) -> None:
    """One foreground was composed, one could not be; both are gone, and so is a background."""
    first, second, third = sorted((matting / "original").iterdir())
    second.write_bytes(second.read_bytes()[:3000])
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in (synthetic / "photos").glob("photo_0?.jpg"):
        shutil.copy(path, photos)
    run_compose(job_of(matting, photos, tmp_path / "base", QUICK), LocalRunner())
    made = [row for row in rows(tmp_path / "base") if row["foreground_source"] == f"original/{third.name}"]
    (photos / made[0]["background_source"]).unlink()
    for path in (first, second):
        path.unlink()
        (matting / "mask" / f"{path.stem}.png").unlink()
    facts = {"scratch": tmp_path, "matting": matting, "bg20k": photos, "base": tmp_path / "base", "settings": {}}
    assert kill(facts | {"ended_by": ended_by}) >= {
        "replace out/plan/pruned", "replace out/marks/composites--", "unlink out/data/composites--",
        "replace out/data/composites--", "unlink out/rejects/composites--", "replace out/manifest",
    }  # fmt: skip


def test_a_curation(synthetic: Path, tmp_path: Path) -> None:
    """Photographs of every verdict: kept for both splits, a copy, one too small, one that cannot be read."""
    chosen: dict[str, list[str]] = {}
    for label in read_table(synthetic / "photos" / "labels.tsv"):
        chosen.setdefault(label["verdict"], []).append(label["file"])
    (tmp_path / "photos").mkdir()
    for name in [name for names in chosen.values() for name in names[:4]]:
        shutil.copy(synthetic / "photos" / name, tmp_path / "photos" / name)
    facts = {"scratch": tmp_path, "photos": tmp_path / "photos", "base": None, "settings": {"min_side": MIN_SIDE}}
    assert kill(facts) >= {
        "replace out/manifest", "replace out/plan/photos", "replace out/verdicts", "replace out/README",
        "write_table out/candidates/data/.candidates--.parquet.", "replace out/candidates/data/candidates--",
        "replace out/candidates/rejects/candidates--", "replace out/candidates/marks/candidates--",
        "write_table out/data/.train--.parquet.", "replace out/data/train--", "replace out/marks/train--",
        "replace out/rejects/train--", "replace out/data/validation--", "replace out/marks/validation--",
    }  # fmt: skip
