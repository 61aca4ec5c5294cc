"""What runs in the process of a step."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipelines.executor.run_state import read_state
from pipelines.executor.runner import LocalRunner
from pipelines.study.execute import make_steps
from pipelines.study.jobs import KINDS, _State, main
from pipelines.study.steps import Step
from rssn.dataset.shards import DatasetFolder
from rssn.errors import RssnError


def test_a_training_tells_how_far_it_is_until_it_ends(tmp_path: Path) -> None:
    with _State(tmp_path, "steps") as state:
        state.reach(31, 40)
        found = read_state(DatasetFolder(tmp_path))
        assert found
        assert (found.unit, found.items, found.done_items, found.reused_items) == ("steps", 40, 31, 30)
    assert read_state(DatasetFolder(tmp_path)) is None


def test_a_job_is_described_in_plain_values_beside_its_results(tmp_path: Path) -> None:
    step = Step("crops", "coco", {"curated": str(tmp_path / "none")}, {"size": [[48, 32]]})
    with pytest.raises(RssnError, match=r"1 of 1 steps failed; the first: crops-coco: exit code 1: .*none"):
        make_steps([step], tmp_path, LocalRunner(), {"workers": 2}, lambda _: None)
    out = step.out(tmp_path)
    assert json.loads((out.parent / "job.json").read_text()) == {
        "kind": "crops",
        "options": {"curated": str(tmp_path / "none"), "size": [[48, 32]], "out": str(out)},
        "command": f"python -m pipelines.study.crops {tmp_path / 'none'} --size 48 32 --out {out}",
    }


def test_commands_that_start_workers_are_told_where(tmp_path: Path) -> None:
    given = {
        kind: Step(kind, "a", {each.argument: "x"} if each.argument else {}).given(tmp_path, {"workers": 2})
        for kind, each in KINDS.items()
    }
    assert {kind for kind, options in given.items() if options.get("workers") == 2} == {"curate", "compose", "pack"}


def test_a_job_that_cannot_be_run_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tmp_path / "job.json"
    options = {"matting": str(tmp_path), "out": str(tmp_path / "out"), "shard-size": "0"}
    job.write_text(json.dumps({"kind": "pack", "options": options}))
    monkeypatch.setattr(sys, "argv", ["jobs", str(job)])
    with pytest.raises(SystemExit, match=r"^Error: --shard-size is '0'; give 1 byte or more, such as 256M$"):
        main()
