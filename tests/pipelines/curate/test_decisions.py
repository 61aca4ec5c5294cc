from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bg20k.review import Choice, Decision, describe_effects
from bg20k.rules import CurationRules
from pipelines.curate.decisions import effects
from pipelines.curate.job import Curated, CurationJob, run_curation
from pipelines.executor.runner import LocalRunner
from pipelines.executor.work import ErrorBudget
from pipelines.inspect.inspect import run_inspect
from pipelines.review.log import NewDecision, ReviewLog, review_path
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.verify import check_shard
from rssn.errors import InputError
from tests.pipelines.conftest import MIN_SIDE
from tests.pipelines.curate.test_job import published, verdicts

RULES = CurationRules(min_side=MIN_SIDE)


@pytest.fixture
def curated(bg20k: Path, tmp_path: Path) -> Path:
    """The curated synthetic photographs, to be changed."""
    shutil.copytree(bg20k, tmp_path / "bg20k")
    return tmp_path / "bg20k"


@pytest.fixture
def build(synthetic: Path, curated: Path) -> Callable[..., Curated]:
    def run(apply_review: bool | None = None) -> Curated:
        job = CurationJob(synthetic / "photos", curated, RULES, None, ErrorBudget(), apply_review)
        return run_curation(job, LocalRunner())

    return run


def decide(out: Path, **choices: Choice) -> None:
    found = {Path(source).stem: row for source, row in verdicts(out).items()}
    log = ReviewLog(review_path(out))
    log.decide(
        [NewDecision(found[n]["source"], found[n]["background_id"], choice) for n, choice in choices.items()],
        "a-window",
    )
    log.close()


def content(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def named(out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for source, row in verdicts(out).items():
        yield Path(source).stem, row


def pair(out: Path) -> tuple[str, str]:
    """A keeper and its near duplicate."""
    rows = dict(named(out))
    copy = next(name for name, row in sorted(rows.items()) if row["reason"] == "duplicate" and row["score"] is not None)
    keeper = next(n for n, row in rows.items() if row["keep"] and row["background_id"] == rows[copy]["duplicate_of"])
    return keeper, copy


def test_decisions_change_the_set_and_nothing_else(curated: Path, build: Callable[..., Curated]) -> None:
    before = dict(named(curated))
    keeper, copy = pair(curated)
    out, kept = [name for name, row in before.items() if row["keep"] and name != keeper][:2]
    decide(curated, **{keeper: "reject", out: "reject", kept: "keep"})
    done = build(apply_review=True)
    after = dict(named(curated))
    assert (after[out]["keep"], after[out]["stage"], after[out]["reason"]) == (False, "review", "human")
    assert (after[keeper]["keep"], after[keeper]["reason"]) == (False, "human")
    assert (after[copy]["keep"], after[copy]["reason"]) == (True, "kept_instead")
    assert {name for name, row in after.items() if row["decided_by"] == "person"} == {keeper, out, kept}
    changed = {name for name, row in after.items() if row | {"decided_by": None} != before[name]}
    assert {keeper, copy, out} <= changed
    assert all(before[name]["duplicate_of"] == before[keeper]["background_id"] for name in changed - {keeper, out})

    rows = published(curated)
    assert {row["source"] for row in rows} == {row["source"] for row in after.values() if row["keep"]}
    assert {row["source"]: row["split"] for row in rows} == {
        r["source"]: r["split"] for r in after.values() if r["keep"]
    }
    folder = DatasetFolder(curated)
    assert [check_shard(folder, mark) for mark in folder.marks()] == [None] * len(folder.marks())
    assert done.review == {
        "decisions": 3, "kept": 0, "rejected": 2, "confirmed": 1, "by_model": 0, "without_effect": 0, "replacements": 1
    }  # fmt: skip


def test_a_kept_duplicate_comes_in_beside_its_keeper(curated: Path, build: Callable[..., Curated]) -> None:
    keeper, copy = pair(curated)
    decide(curated, **{copy: "keep"})
    build(apply_review=True)
    after = dict(named(curated))
    assert (after[copy]["reason"], after[keeper]["keep"]) == ("kept_human", True)
    assert {after[copy]["source"], after[keeper]["source"]} <= {row["source"] for row in published(curated)}


def test_what_cannot_be_kept_stays_out(curated: Path, build: Callable[..., Curated]) -> None:
    small = next(name for name, row in named(curated) if row["reason"] == "too_small")
    decide(curated, **{small: "keep"})
    before = verdicts(curated)
    assert build(apply_review=True).review == {
        "decisions": 1, "kept": 0, "rejected": 0, "confirmed": 0, "by_model": 0, "without_effect": 1, "replacements": 0
    }  # fmt: skip
    [[source, row]] = [(source, row) for source, row in verdicts(curated).items() if row != before[source]]
    assert row == before[source] | {"decided_by": "person"}


def test_the_same_command_again_changes_nothing(curated: Path, build: Callable[..., Curated]) -> None:
    keeper, _ = pair(curated)
    decide(curated, **{keeper: "reject"})
    build(apply_review=True)
    first = content(curated)
    again = build(apply_review=True)
    assert again.summary.written == 0
    assert content(curated) == first


def test_a_repair_keeps_what_people_decided_and_undoing_it_is_said_aloud(
    curated: Path, build: Callable[..., Curated]
) -> None:
    original = content(curated)
    keeper, _ = pair(curated)
    decide(curated, **{keeper: "reject"})
    assert build().review is None
    assert dict(named(curated))[keeper]["keep"]
    build(apply_review=True)
    reviewed = content(curated)
    next(iter((curated / "data").iterdir())).unlink()
    assert build().review is not None
    assert content(curated) == reviewed
    assert build(apply_review=False).review is None
    assert build().review is None
    plain = content(curated)
    told = {"manifest.json", "README.md", "report/index.html"}  # they name the last command
    assert {n: plain[n] for n in original.keys() - told} == {n: original[n] for n in original.keys() - told}


def test_a_killed_publication_goes_on(curated: Path, build: Callable[..., Curated], monkeypatch: Any) -> None:
    keeper, _ = pair(curated)
    decide(curated, **{keeper: "reject"})
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.curate.job.publish_shard", lambda task: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build(apply_review=True)
    build()
    assert dict(named(curated))[keeper]["reason"] == "human"
    assert dict(named(curated))[keeper]["source"] not in {row["source"] for row in published(curated)}


def test_without_decisions_the_command_says_so(curated: Path, build: Callable[..., Curated]) -> None:
    with pytest.raises(
        InputError, match=r"review\.sqlite: there are no decisions to apply; make some with rssn review"
    ):
        build(apply_review=True)


def test_the_effects_are_counted() -> None:
    rows = [
        {"source": "a", "background_id": "1", "keep": True, "reason": "kept_human"},
        {"source": "b", "background_id": "2", "keep": False, "reason": "human"},
        {"source": "c", "background_id": "3", "keep": True, "reason": "kept"},
        {"source": "d", "background_id": None, "keep": False, "reason": "truncated"},
        {"source": "e", "background_id": "5", "keep": True, "reason": "kept_instead"},
        {"source": "f", "background_id": "6", "keep": True, "reason": "kept"},
    ]
    decisions = {
        "a": Decision("keep", "1"),
        "b": Decision("reject", "2"),
        "c": Decision("keep", "3"),
        "d": Decision("keep", None, "model"),
        "f": Decision("reject", "other bytes"),
        "gone": Decision("reject", "7"),
    }
    found = effects(decisions, rows)
    done = {"kept": 1, "rejected": 1, "confirmed": 1, "by_model": 1, "without_effect": 3, "replacements": 1}
    assert found == {"decisions": 6} | done
    assert describe_effects(found) == (
        "6 decided: 1 kept and 1 rejected against the verdict, 1 confirmed, 1 by the model, 3 without effect, "
        "1 copies kept in place of rejected ones"
    )
    assert describe_effects(None) == "nobody"


@pytest.mark.slow
def test_manifest_card_report_and_command_say_what_was_applied(
    synthetic: Path, curated: Path, rssn: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    keeper, _ = pair(curated)
    decide(curated, **{keeper: "reject"})
    arguments = ("build-bg20k", synthetic / "photos", "--out", curated, "--min-side", MIN_SIDE, "--workers", 0)
    run = rssn(*arguments)
    assert run.returncode == 0, run.stderr
    assert "review.sqlite: NOT APPLIED; --apply-review publishes what was decided" in run.stderr
    run = rssn(*arguments, "--apply-review")
    assert run.returncode == 0, run.stderr
    words = "1 decided: 0 kept and 1 rejected against the verdict, 0 confirmed, 1 copies kept in place of rejected ones"
    assert f"review: {words}" in run.stdout
    assert "human: rejected by a person, against every earlier stage" in run.stdout
    assert f"Checked by a person: {words}." in (curated / "README.md").read_text()
    assert words in (curated / "report" / "index.html").read_text()
    manifest = json.loads((curated / "manifest.json").read_text())
    assert manifest["totals"]["review"]["rejected"] == 1
    assert manifest["sources"]["review"] == str(review_path(curated).resolve())
    assert run_inspect(curated).facts["reviewed"] == words
