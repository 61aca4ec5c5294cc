"""Every kind of file of a finished data set, damaged: refused in a line that names it, or made anew; never else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bg20k.rules import CurationRules
from pipelines.cli import main
from pipelines.compose.job import run_compose
from pipelines.curate.job import CurationJob, run_curation
from pipelines.curate.known_set import load_known
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import ReportOptions, run_inspect
from pipelines.inspect.replay import run_replay
from rssn.errors import RssnError
from rssn.sources.backgrounds import find_backgrounds
from tests.pipelines.composing import QUICK, files, job_of
from tests.pipelines.conftest import MIN_SIDE
from train.data.shards import open_set

pytestmark = pytest.mark.slow

_COLUMNS = ("image", "alpha", "foreground", "background")
_STATE = """{"unit": "composites", "shards": 2, "items": 4, "done_shards": 1, "done_items": 2, "reused_items": 0,
 "failed": 0, "rejected": 1, "started": 1.0, "updated": 2.0, "seconds": {"blend": 1.0}}"""


def damaged(whole: Path, out: Path, flips: int) -> Iterator[tuple[str, str]]:
    """Copies of a data set, in each of which one file is damaged: one of every kind, cut, zeroed, flipped, replaced."""
    kinds: dict[str, Path] = {}
    for path in sorted(path for path in whole.rglob("*") if path.is_file()):
        kinds.setdefault(re.sub(r"\d+", "", path.relative_to(whole).as_posix()), path)
    for path in kinds.values():
        name, data = path.relative_to(whole).as_posix(), path.read_bytes()
        half, dice = len(data) // 2, np.random.default_rng(len(data))
        harm = {"empty": b"", "cut": data[:half], "no text": b"\xff\xfe" + data, "a list": b"[]"}
        harm["zeros"] = data[:half] + bytes(min(64, len(data) - half)) + data[half + 64 :]
        for place in dice.integers(len(data), size=flips).tolist():
            harm[f"bit of {place}"] = (
                data[:place] + bytes([data[place] ^ 1 << int(dice.integers(8))]) + data[place + 1 :]
            )
        for what, content in harm.items():
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            (out / name).write_bytes(content)
            yield name, what


def attempt(work: Callable[..., Any], *arguments: Any) -> str:
    """The message where it is refused; whatever else is raised fails the test."""
    try:
        work(*arguments)
    except RssnError as error:
        return str(error)
    return ""


def again(work: Callable[[], Any], whole: Path, out: Path, name: str, may_be_refused: tuple[str, ...]) -> None:
    """The same command: what was there before, to the byte; or, of some files, a line that names them."""
    message = attempt(work)
    if message:
        assert name in may_be_refused, message
        assert str(out / name) in message or str((out / name).parent) in message
        assert "; " in message, "no remedy"
        return
    found, expected = files(out), files(whole)
    assert {key: found[key] for key in found if key.startswith(("data/", "marks/", "plan/", "rejects/"))} == {
        key: expected[key] for key in expected if key.startswith(("data/", "marks/", "plan/", "rejects/"))
    }


def test_a_set_of_composites(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    matting, whole, out = tmp_path / "matting", tmp_path / "whole" / "out", tmp_path / "out"
    shutil.copytree(synthetic / "matting", matting)
    next((matting / "original").iterdir()).write_bytes(b"no picture")
    run_compose(job_of(matting, bg20k, whole, QUICK), LocalRunner())
    run_inspect(whole, ReportOptions(2, 0))
    (whole / ".lease.json").write_text('{"host": "elsewhere", "pid": 1, "since": 0.0}')
    (whole / ".run.json").write_text(_STATE)
    for number, (name, _) in enumerate(damaged(whole, out, 3)):
        shown = CliRunner().invoke(main, ["status", str(out)])
        assert isinstance(shown.exception, SystemExit | None), shown.exc_info
        attempt(open_set, str(out), _COLUMNS)
        attempt(run_replay, out, f"{'0' * 20}/0", None)
        if number % 4 == 0:
            attempt(run_inspect, out, ReportOptions(2, 0))
        (out / ".lease.json").unlink()
        job = job_of(matting, bg20k, out, QUICK)
        plans = ("manifest.json", "plan/foregrounds-00000.parquet", "plan/backgrounds.parquet")
        again(lambda job=job: run_compose(job, LocalRunner()), whole, out, name, plans)


def test_a_set_of_backgrounds(synthetic: Path, tmp_path: Path) -> None:
    photos, whole, out = tmp_path / "photos", tmp_path / "whole" / "out", tmp_path / "out"
    photos.mkdir()
    for path in sorted((synthetic / "photos").glob("*.jpg"))[:5]:
        shutil.copy(path, photos)
    (photos / "broken.jpg").write_bytes(b"no picture")
    rules = CurationRules(min_side=MIN_SIDE)
    run_curation(CurationJob(photos, whole, rules, None, ErrorBudget()), LocalRunner())
    for name, _ in damaged(whole, out, 2):
        shown = CliRunner().invoke(main, ["status", str(out)])
        assert isinstance(shown.exception, SystemExit | None), shown.exc_info
        attempt(find_backgrounds, out)
        attempt(load_known, out)
        job = CurationJob(photos, out, rules, None, ErrorBudget())
        again(lambda job=job: run_curation(job, LocalRunner()), whole, out, name, ("manifest.json",))
