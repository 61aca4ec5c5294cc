from __future__ import annotations

import os
from pathlib import Path

import pytest

from bg20k.rules import CurationRules
from pipelines.compose.job import run_compose
from pipelines.curate.job import CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from rssn.errors import InputError
from rssn.storage.lease import hold_lease
from tests.pipelines.composing import QUICK, files, job_of


def test_a_second_run_on_a_folder_is_refused(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = rf"out: another run is at work here \(process {os.getpid()} on .*\); wait for it, or stop it$"
    with hold_lease(out):
        before = files(out)
        with pytest.raises(InputError, match=words):
            run_compose(job_of(synthetic / "matting", bg20k, out, QUICK), LocalRunner())
        with pytest.raises(InputError, match=words):
            run_curation(CurationJob(synthetic / "photos", out, CurationRules(), None, ErrorBudget()), LocalRunner())
        assert files(out) == before


def test_what_cannot_be_used_leaves_no_folder(synthetic: Path, bg20k: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run_compose(job_of(tmp_path / "none", bg20k, tmp_path / "out", QUICK), LocalRunner())
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="mine: not empty, and not a data set of rssn"):
        run_compose(job_of(synthetic / "matting", bg20k, tmp_path / "mine", QUICK), LocalRunner())
    assert files(tmp_path / "mine") == {"letter.txt": b"dear"}
