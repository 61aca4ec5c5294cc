"""The manual double check (section 4.1): which verdicts a person should look at first, and what a decision changes.

A person's decision is about one photograph; copies follow by the rules of `apply_review`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from bg20k.decide import Record
from bg20k.rules import CurationRules
from bg20k.split import split_of
from bg20k.verdict import (
    DUPLICATE,
    HUMAN,
    KEPT_HUMAN,
    KEPT_INSTEAD,
    KNOWN,
    SALIENT_REGION,
    SIMILAR,
    Verdict,
)

Choice: TypeAlias = Literal["keep", "reject"]
Judge: TypeAlias = Callable[[Sequence[Record]], list[Verdict]]

NOBODY_LOOKED: Final = 0.5
"""Uncertainty of a photograph that no detector screened."""

_FACTS: Final = frozenset({"read", "resolution", "run"})


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of one photograph.

    Attributes:
        choice: `keep` or `reject`.
        background_id: Content id of the bytes that the person saw; None where they could not be read.
    """

    choice: Choice
    background_id: str | None


def uncertainty(verdict: Verdict, rules: CurationRules) -> float:
    """How unsure a verdict is: the order in which people look.

    * Salience s against its threshold t: 1 at the threshold, falling on straight lines to 0 at s = 0 and at s = 1.
    * Near duplicates at d bits, with the limit m: (d + 1) / (m + 1), so 1 at the limit. Equal bytes: 0.
    * Duplicates by their embeddings, of cosine c against its threshold t, and salient regions: likewise.
    * Kept without screening: 0.5. Came in for a copy that a person rejected: 1, because nobody has seen it.
    * 0 for what was measured (unreadable, too small) and for what a person decided.

    Args:
        verdict: Of any stage.
        rules: `confidence`, `saliency`, `cosine` and `phash_distance` apply.

    Returns:
        0 sure to 1.
    """
    if verdict.stage in _FACTS or verdict.reason in (HUMAN, KEPT_HUMAN):
        return 0.0
    if verdict.reason == KEPT_INSTEAD:
        return 1.0
    if verdict.reason in (DUPLICATE, KNOWN):
        return 0.0 if verdict.score is None else min(1.0, (verdict.score + 1) / (rules.phash_distance + 1))
    if verdict.score is None:
        return NOBODY_LOOKED
    limit = {SIMILAR: rules.cosine, SALIENT_REGION: rules.saliency}.get(verdict.reason, rules.confidence)
    room = 1.0 - limit if verdict.score >= limit else limit
    return max(0.0, 1.0 - abs(verdict.score - limit) / room) if room else 1.0


def keep_refusal(verdict: Verdict, *, examined: bool) -> str:
    """Why a person's keep cannot bring a photograph in, in one sentence; empty where it can.

    Args:
        verdict: The photograph's verdict.
        examined: Whether it could be read and is large enough, so that there are pixels to publish.
    """
    if not examined:
        return f"it cannot be kept: {verdict.message}"
    if _same_bytes(verdict):
        return f"it cannot be kept twice: {verdict.message}; decide about that one"
    return ""


def apply_review(
    records: Sequence[Record], decisions: Mapping[str, Decision], rules: CurationRules, judge: Judge
) -> list[Verdict]:
    """Judge a crawl with a person's decisions on top.

    * A decision that agrees with the verdict confirms it and changes nothing.
    * A keep overrules duplicates and salience, and nothing else: the photograph keeps the split of its content id, and
      its keeper stays too. Of equal bytes only one is ever kept.
    * A reject overrules a kept photograph: reason `human`, stage `review`. Then the next best of its copies comes in by
      the keeper rule, as if the rejected one had not been in the crawl: judged for its own salience, reason
      `kept_instead`. Equal bytes do not come in, because that is the picture which was rejected; nor does a copy that
      looks like a photograph which is kept anyway, by a person or by the stages: it is a duplicate of that one.
    * What a decision does not concern stays as it was.

    Args:
        records: All photographs that could be examined.
        decisions: By source. Those on other sources, or on bytes that have changed, have no effect.
        rules: `train_share` applies.
        judge: `bg20k.decide.decide` with its rules.

    Returns:
        One verdict per record, in the order of the records, whatever that is.
    """
    before = judge(records)
    chosen = [_choice(record, decisions) for record in records]
    final = [_overruled(*each, rules) for each in zip(records, before, chosen, strict=True)]
    _drop_equal_bytes(records, before, final)
    gone = {r.background_id for r, v in zip(records, final, strict=True) if v.reason == HUMAN}
    if gone:
        _fill(records, final, judge, _Orphans.of(records, final, chosen, gone))
    return final


def _choice(record: Record, decisions: Mapping[str, Decision]) -> Choice | None:
    decision = decisions.get(record.source)
    return decision.choice if decision and decision.background_id == record.background_id else None


def _same_bytes(verdict: Verdict) -> bool:
    return verdict.reason in (DUPLICATE, KNOWN) and verdict.score is None


def _overruled(record: Record, verdict: Verdict, choice: Choice | None, rules: CurationRules) -> Verdict:
    if choice == "reject" and verdict.keep:
        return Verdict(False, "review", HUMAN, f"rejected by a person; before: {verdict.message}")
    if choice == "keep" and not verdict.keep and not keep_refusal(verdict, examined=True):
        split = split_of(record.background_id, rules.train_share)
        message = f"kept for {split} by a person; before: {verdict.message}"
        return Verdict(True, "review", KEPT_HUMAN, message, split=split)
    return verdict


def _drop_equal_bytes(records: Sequence[Record], before: Sequence[Verdict], final: list[Verdict]) -> None:
    """Take back a person's keep of a picture whose bytes are kept already, under a source that comes first."""
    kept: set[str] = set()
    order = sorted(range(len(records)), key=lambda row: (final[row].reason == KEPT_HUMAN, records[row].source))
    for row in order:
        if final[row].reason == KEPT_HUMAN and records[row].background_id in kept:
            final[row] = before[row]
        elif final[row].keep:
            kept.add(records[row].background_id)


@dataclass(frozen=True)
class _Orphans:
    """Duplicates whose keeper a person rejected, and the crawl in which they are judged again; as rows."""

    rows: frozenset[int]
    crawl: Sequence[int]

    @classmethod
    def of(
        cls, records: Sequence[Record], final: Sequence[Verdict], chosen: Sequence[Choice | None], gone: set[str]
    ) -> _Orphans:
        left = [
            row
            for row, verdict in enumerate(final)
            if not (
                verdict.reason in (DUPLICATE, SIMILAR)
                and (chosen[row] == "reject" or records[row].background_id in gone)
            )
            and verdict.reason != HUMAN
        ]
        return cls(frozenset(row for row in left if final[row].duplicate_of in gone), left)


def _fill(records: Sequence[Record], final: list[Verdict], judge: Judge, orphans: _Orphans) -> None:
    """Give each orphan its new verdict."""
    again = dict(zip(orphans.crawl, judge([records[row] for row in orphans.crawl]), strict=True))
    standing: dict[str, list[int]] = {}  # kept photographs that now look like a better one, by the better one's id
    for row in orphans.crawl:
        if final[row].keep and again[row].duplicate_of:
            standing.setdefault(again[row].duplicate_of or "", []).append(row)
    for row in orphans.rows:
        verdict, stays = again[row], standing.get(records[row].background_id)
        if verdict.keep and stays:
            other = min(stays, key=lambda one: (again[one].score or 0, records[one].source))
            message = f"looks like {records[other].source}, which is kept already"
            final[row] = _duplicate(message, again[other].score, records[other].background_id)
        else:
            final[row] = _came_in(verdict) if verdict.keep else verdict
    _follow(records, final, orphans.rows)


def _follow(records: Sequence[Record], final: list[Verdict], rows: frozenset[int]) -> None:
    """Name as keeper what was kept or judged in the end, where an orphan's keeper became a duplicate itself."""
    named = [(r.background_id, v.duplicate_of) for r, v in zip(records, final, strict=True)]
    judged = {own for own, keeper in named if keeper is None}
    next_of = {own: keeper for own, keeper in named if keeper not in (None, own)}
    for row in rows:
        keeper = final[row].duplicate_of
        while keeper in next_of and keeper not in judged:
            keeper = next_of[keeper]
        final[row] = replace(final[row], duplicate_of=keeper)


def _came_in(verdict: Verdict) -> Verdict:
    message = f"{verdict.message}; it stands in for a copy that a person rejected"
    return replace(verdict, reason=KEPT_INSTEAD, message=message)


def _duplicate(message: str, score: float | None, keeper: str) -> Verdict:
    return Verdict(False, "duplicates", DUPLICATE, message, score, duplicate_of=keeper)
