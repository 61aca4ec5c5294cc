"""What a study does besides its steps: pictures of its own, dry runs, and notes on what was refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.study.leaks import LeakCache, check_foregrounds
from pipelines.study.load import load_study
from pipelines.study.parts import Design
from pipelines.study.run import StudyJob, _notes, dry_run, run_study
from pipelines.study.steps import Plan, Step
from rssn.errors import InputError
from rssn.storage.lease import hold_lease
from rssn.synthetic import SyntheticPlan


def job_in(folder: Path, synthetic: Path) -> StudyJob:
    return StudyJob(load_study("demo", [f"synthetic={synthetic}"]), folder / "out", workers=0)


def run(job: StudyJob) -> str:
    return run_study(job, lambda _: None)


def test_a_dry_run_before_the_pictures_are_rendered_says_so(tmp_path: Path) -> None:
    words = r"synthetic: the pictures .* not rendered yet; run the same command without --dry"
    with pytest.raises(InputError, match=words):
        dry_run(job_in(tmp_path, tmp_path / "synthetic"))
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_are_half_rendered_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(folder: Path, _: SyntheticPlan) -> None:
        (folder / "photos").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.study.run.write_synthetic", half)
    with pytest.raises(KeyboardInterrupt):
        run(job_in(tmp_path, tmp_path / "synthetic"))
    assert not (tmp_path / "synthetic").exists()


def test_one_study_alone_renders_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(folder: Path, _: SyntheticPlan) -> None:
        folder.mkdir()

    monkeypatch.setattr("pipelines.study.run.write_synthetic", render)
    job = job_in(tmp_path, tmp_path / "synthetic")
    with hold_lease(job.out), pytest.raises(InputError, match="another run is at work here"):
        run(job)
    assert [path.name for path in tmp_path.iterdir()] == []
    with pytest.raises(InputError, match="there is no such file or folder"):  # of what this one did not render
        run(job)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synthetic"]


def test_a_dry_run_reads_no_photograph_in_which_no_leak_was_found(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(tmp_path, synthetic)
    monkeypatch.setattr("pipelines.study.run.forecast", lambda *_: ["planned"])
    assert dry_run(job) == ["planned"]
    assert not job.out.exists()
    check_foregrounds(job.study, LeakCache(job.out / "leaks.json"))
    before = (job.out / "leaks.json").stat()

    def unread(root: Path) -> None:
        raise AssertionError(f"{root} is read again")

    monkeypatch.setattr("pipelines.study.leaks.evaluation_hashes", unread)
    assert dry_run(job) == ["planned"]
    assert (job.out / "leaks.json").stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in job.out.iterdir()] == ["leaks.json"]


def test_results_may_not_lie_in_what_a_study_reads(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Step("pack", "ori", {}, reads=(str(tmp_path),))
    monkeypatch.setattr("pipelines.study.run.plan_study", lambda *_: Plan([read], []))
    monkeypatch.setattr("pipelines.study.run.check_foregrounds", lambda *_: None)
    with pytest.raises(InputError, match=r"--out .*out lies in .*, which the study reads: results would be taken"):
        dry_run(job_in(tmp_path, synthetic))


def test_a_design_of_other_photographs_is_refused_before_anything_is_made(synthetic: Path, tmp_path: Path) -> None:
    job = job_in(tmp_path, synthetic)
    design = Design(date="2026-11-30", pilot="none", difference=0.2, seeds=2, photographs=40, power=0.8, cautious=0.4)
    designed = replace(job, study=replace(job.study, design=design))
    with pytest.raises(InputError, match=r"'design.photographs' is 40, but the study has \d+; keep to the design"):
        dry_run(designed)
    with pytest.raises(InputError, match=r"'design.photographs' is 40"):
        run(designed)
    assert not list(tmp_path.glob("out/steps"))


def evaluated(root: Path, name: str, images: int, failures: Sequence[str], left_out: Sequence[str] = ()) -> Step:
    step = Step("eval", name, {"data": name})
    facts = {"images": images, "failures": [{"name": each, "reason": "no PNG"} for each in failures]}
    facts |= {"left_out": list(left_out)} if left_out else {}
    step.out(root).mkdir(parents=True)
    (step.out(root) / "summary.json").write_text(json.dumps(facts))
    step.mark(root).write_text(json.dumps({"key": step.key, "seconds": 60.0}))
    return step


def test_photographs_that_could_not_be_judged_are_noted(tmp_path: Path) -> None:
    steps = [evaluated(tmp_path, "a", 9, ["x"]), evaluated(tmp_path, "b", 9, ["x"])]
    same = "9 photographs evaluated, 1 could not be evaluated (x: no PNG)"
    time = "the steps took {} minutes, added up"
    assert list(_notes(Plan(steps, []), tmp_path)) == [f"all evaluations: {same}", time.format(2)]
    steps.append(evaluated(tmp_path, "c", 5, list("vwxyz")))
    others = "5 photographs evaluated, 5 could not be evaluated (v: no PNG; w: no PNG; x: no PNG; and 2 more)"
    notes = [f"eval-a, eval-b: {same}", f"eval-c: {others}", time.format(3)]
    assert list(_notes(Plan(steps, []), tmp_path)) == notes
    (first, _) = _notes(Plan([evaluated(tmp_path, "d", 9, [])], []), tmp_path)
    assert first == "all evaluations: 9 photographs evaluated"
    (first, _) = _notes(Plan([evaluated(tmp_path, "e", 7, [], ["y", "z"])], []), tmp_path)
    assert first == "all evaluations: 7 photographs evaluated, 2 without unknown pixels left out"
