"""Decisions of a review: which a run applies, what they changed, which shards they make outdated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

from bg20k.review import Decision
from bg20k.verdict import HUMAN, KEPT_HUMAN, KEPT_INSTEAD
from pipelines.curate.publish import PublishTask
from pipelines.review.log import read_decisions, review_path
from rssn.dataset.manifest import stored_manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder
from rssn.errors import DamagedError, InputError

SOURCE = "review"
"""The name of the decisions among the sources in the manifest."""


def decisions_to_apply(folder: DatasetFolder, asked: bool | None) -> dict[str, Decision] | None:
    """The decisions that a run has to apply, by source; None where it has to apply none.

    Args:
        folder: The set that is being published.
        asked: `--apply-review` or `--no-apply-review`; None does as the last run did, so that a repair or a resumed
            run never drops what people decided.

    Raises:
        InputError: If there are none to apply.
    """
    if asked is None:
        before = stored_manifest(folder.root)
        asked = before is not None and SOURCE in before.sources
    if not asked:
        return None
    if not review_path(folder.root).is_file():
        remedy = f"make some with rssn review {folder.root}, or publish without: --no-apply-review"
        raise InputError(f"{review_path(folder.root)}: there are no decisions to apply; {remedy}")
    return read_decisions(folder.root)


def effects(decisions: Mapping[str, Decision], verdicts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What decisions did, from the verdicts with them applied.

    Returns:
        `decisions`, of which `kept` and `rejected` against the stages, `confirmed`, `without_effect` (the photograph
        is gone, has changed, or cannot be kept); `by_model`, not a person's own; and `replacements`, copies kept in
        place of a rejected one.
    """
    counts: Counter[str] = Counter()
    replacements = 0
    for row in verdicts:
        replacements += row["reason"] == KEPT_INSTEAD
        decision = decisions.get(row["source"])
        if decision and decision.background_id == row["background_id"]:
            counts[_effect(decision, row)] += 1
    done = {name: counts[name] for name in ("kept", "rejected", "confirmed")}
    rest = len(decisions) - sum(done.values())
    others = {
        "by_model": sum(decision.by == "model" for decision in decisions.values()),
        "without_effect": rest,
        "replacements": replacements,
    }
    return {"decisions": len(decisions)} | done | others


def decided_by(row: Mapping[str, Any], decisions: Mapping[str, Decision]) -> str | None:
    """Who decided about the photograph of a row, `person` or `model`; None: nobody."""
    decision = decisions.get(row["source"])
    return decision.by if decision and decision.background_id == row["background_id"] else None


def outdated_shards(
    folder: DatasetFolder, tasks: Sequence[PublishTask], verdicts: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """Published shards that differ from what the verdicts say; reads light columns only.

    Args:
        folder: The published set.
        tasks: All of its shards.
        verdicts: All of its verdicts, those of one candidate shard after the other.
    """
    made_of: dict[str, list[PublishTask]] = {}
    for task in tasks:
        made_of.setdefault(task.candidates, []).append(task)
    outdated: set[str] = set()
    for candidates, rows in groupby(verdicts, key=itemgetter("candidate_shard")):
        judged = list(rows)
        for task in made_of[candidates]:
            with suppress(DamagedError):  # its mark does not agree: it is made again all the same
                outdated |= {task.name} if _is_outdated(folder, task, judged) else set()
    return frozenset(outdated)


def _is_outdated(folder: DatasetFolder, task: PublishTask, judged: Sequence[Mapping[str, Any]]) -> bool:
    wanted = {row["source"] for row in judged if row["keep"] and row["split"] == task.split}
    if {row["source"] for row in iter_rows(folder.data(task.name), ["source"])} != wanted:
        return True
    refused = {_refusal(row) for row in judged if not row["keep"]}
    return task.split == "train" and _refusals(folder, task.name) != refused


def _effect(decision: Decision, row: Mapping[str, Any]) -> str:
    if row["reason"] in (KEPT_HUMAN, HUMAN):
        return "kept" if row["keep"] else "rejected"
    return "confirmed" if row["keep"] == (decision.choice == "keep") else "without_effect"


def _refusals(folder: DatasetFolder, name: str) -> set[tuple[str, ...]]:
    return {_refusal(row) for row in iter_rows(folder.rejects_path(name), ["source", "stage", "reason", "message"])}


def _refusal(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["source"], row["stage"], row["reason"], row["message"]
