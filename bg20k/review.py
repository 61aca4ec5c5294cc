"""The manual double check (section 4.1): which verdicts a person should look at first, and what a decision changes.

A person's decision is about one photograph; copies follow by the rules of `apply_review`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bg20k.decide import Judged, split_of
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.verdict import (
    ALTERED,
    DUPLICATE,
    HUMAN,
    KEPT_HUMAN,
    KEPT_INSTEAD,
    KNOWN,
    REASONS,
    SIMILAR,
    Verdict,
)

Choice: TypeAlias = Literal["keep", "reject"]
Decider: TypeAlias = Literal["person", "model"]
Judge: TypeAlias = Callable[[Crawl], Judged]

UNSCREENED: Final = 0.5
"""Uncertainty of a photograph that no network screened."""

_COPIES: Final = (DUPLICATE, ALTERED, SIMILAR)
_FACTS: Final = frozenset({"read", "resolution", "run"})


@dataclass(frozen=True, slots=True)
class Decision:
    """What was said of one photograph, by a person or by the model of a person's decisions.

    Attributes:
        choice: `keep` or `reject`.
        background_id: Content id of the bytes that the person saw; None where they could not be read.
        by: Who said it.
    """

    choice: Choice
    background_id: str | None
    by: Decider = "person"

    @property
    def decider(self) -> str:
        """Who said it, in words."""
        return "a person" if self.by == "person" else "the model of a person's decisions"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Verdicts with a person's decisions on top: those that changed lie over those of the stages, by row."""

    before: Judged
    changed: dict[int, Verdict] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.before)

    def __iter__(self) -> Iterator[Verdict]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Verdict:
        return self.changed[row] if row in self.changed else self.before[row]


def uncertainty(verdict: Verdict, rules: CurationRules) -> float:
    """How uncertain a verdict is; people review the most uncertain ones first.

    * Object score s against its threshold t: 1 at the threshold, falling linearly to 0 at s = 0 and at s = 1.
    * Near duplicates at d bits, with the limit m: (d + 1) / (m + 1), so 1 at the limit. Equal bytes: 0.
    * Altered copies by their agreement, others by the cosine of their embeddings, and salient regions: likewise.
    * Kept without screening: 0.5. Kept in place of a copy that a person rejected: 1, because nobody has seen it.
    * 0 for what was measured (unreadable, too small) and for what a person decided.

    Args:
        verdict: Of any stage.
        rules: `salient_limit`, `cosine` and `phash_distance` apply.

    Returns:
        0 certain to 1.
    """
    if verdict.stage in _FACTS or verdict.reason in (HUMAN, KEPT_HUMAN):
        return 0.0
    if verdict.reason == KEPT_INSTEAD:
        return 1.0
    if verdict.reason in (DUPLICATE, KNOWN):
        return 0.0 if verdict.score is None else min(1.0, (verdict.score + 1) / (rules.phash_distance + 1))
    if verdict.score is None:
        return UNSCREENED
    limit = float(getattr(rules, str(REASONS[verdict.reason].threshold)))
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


def apply_review(crawl: Crawl, decisions: Mapping[str, Decision], rules: CurationRules, judge: Judge) -> Reviewed:
    """Judge a crawl with a person's decisions on top.

    * A decision that agrees with the verdict confirms it and changes nothing.
    * A keep overrules flags, near duplicates and salient objects, and nothing else: the photograph gets the split of
      its content id, and its keeper stays too. Of equal bytes only one is ever kept.
    * A reject overrules a kept photograph: reason `human`, stage `review`. Then the next best of its copies takes its
      place by the keeper rule, as if the rejected one had not been in the crawl: screened for its own salient objects,
      reason `kept_instead`. Equal bytes do not, because that is the picture which was rejected; nor does a copy that
      looks like a photograph which is kept anyway, by a person or by the stages: it is a duplicate of that one.
    * What a decision does not concern stays as it was.

    Args:
        crawl: All photographs that could be examined.
        decisions: By source. Those on other sources, or on bytes that have changed, have no effect.
        rules: `train_share` applies.
        judge: `bg20k.decide.decide` with its rules.

    Returns:
        One verdict per record, in the order of the records.
    """
    before = judge(crawl)
    chosen = _choices(crawl, decisions)
    final = Reviewed(before)
    for row, choice in chosen.items():
        decider = decisions[crawl.source(row)].decider
        final.changed[row] = _overruled(crawl[row], before[row], choice, decider, rules)
    _drop_equal_bytes(crawl, final)
    gone = {crawl.id_of(row) for row, verdict in final.changed.items() if verdict.reason == HUMAN}
    if gone:
        _replace_rejected(crawl, final, judge, _Orphans.of(crawl, final, chosen, gone))
    return final


def describe_effects(review: Mapping[str, int] | None) -> str:
    """What a person's decisions did to a set, in one sentence; None: nothing was decided."""
    if review is None:
        return "nobody"
    words = "{decisions} decided: {kept} kept and {rejected} rejected against the verdict, {confirmed} confirmed"
    more = {
        "by_model": "{} by the model",
        "without_effect": "{} without effect",
        "replacements": "{} copies kept in place of rejected ones",
    }
    return ", ".join([words.format(**review), *(text.format(review[k]) for k, text in more.items() if review.get(k))])


def _choices(crawl: Crawl, decisions: Mapping[str, Decision]) -> dict[int, Choice]:
    """The decisions that concern a photograph as it is, by row."""
    rows = np.flatnonzero(pc.is_in(crawl.sources, pa.array(list(decisions), pa.large_string())).to_numpy(False))
    made = {row: decisions[crawl.source(row)] for row in rows.tolist()}
    return {row: decision.choice for row, decision in made.items() if decision.background_id == crawl.id_of(row)}


def _same_bytes(verdict: Verdict) -> bool:
    return verdict.reason in (DUPLICATE, KNOWN) and verdict.score is None


def _overruled(record: Record, verdict: Verdict, choice: Choice, decider: str, rules: CurationRules) -> Verdict:
    if choice == "reject" and verdict.keep:
        return Verdict(False, "review", HUMAN, f"rejected by {decider}; before: {verdict.message}")
    if choice == "keep" and not verdict.keep and not keep_refusal(verdict, examined=True):
        split = split_of(record.background_id, rules.train_share)
        message = f"kept for {split} by {decider}; before: {verdict.message}"
        return Verdict(True, "review", KEPT_HUMAN, message, split=split)
    return verdict


def _drop_equal_bytes(crawl: Crawl, final: Reviewed) -> None:
    """Take back a person's keep of a picture whose bytes are kept already, under a source that comes first."""
    kept: set[str] = set()
    wanted = {crawl.id_of(row) for row, verdict in final.changed.items() if verdict.reason == KEPT_HUMAN}
    rows = crawl.rows_of(wanted).tolist() if wanted else []
    for row in sorted(rows, key=lambda row: (final[row].reason == KEPT_HUMAN, crawl.source(row))):
        if final[row].reason == KEPT_HUMAN and crawl.id_of(row) in kept:
            del final.changed[row]
        elif final[row].keep:
            kept.add(crawl.id_of(row))


@dataclass(frozen=True)
class _Orphans:
    """Duplicates whose keeper a person rejected, and the crawl in which they are judged again; as rows, ascending."""

    rows: Sequence[int]
    crawl: npt.NDArray[np.int64]

    @classmethod
    def of(cls, crawl: Crawl, final: Reviewed, chosen: Mapping[int, Choice], gone: set[str]) -> _Orphans:
        same = crawl.rows_of(gone)
        rejected = (row for row, choice in chosen.items() if choice == "reject")
        left = np.ones(len(crawl), np.bool_)
        left[[row for row in {*same.tolist(), *rejected} if final[row].reason in (*_COPIES, HUMAN)]] = False
        keepers = final.before.keepers
        followers = np.flatnonzero(left & np.isin(keepers, same) & (keepers != np.arange(len(crawl)))).tolist()
        return cls([row for row in followers if final[row].duplicate_of in gone], np.flatnonzero(left))


def _replace_rejected(crawl: Crawl, final: Reviewed, judge: Judge, orphans: _Orphans) -> None:
    """Give each duplicate of a rejected keeper its new verdict."""
    again = judge(crawl.take(orphans.crawl))
    lookalikes = _kept_lookalikes(final, again, orphans)
    for row, place in zip(orphans.rows, np.searchsorted(orphans.crawl, orphans.rows).tolist(), strict=True):
        verdict, kept = again[place], lookalikes.get(crawl.id_of(row))
        if verdict.keep and kept:
            other = min(kept, key=lambda one: (*_least_alike_last(again[one]), again.crawl.source(one)))
            message = f"looks like {again.crawl.source(other)}, which is kept already"
            keeper = again.crawl.id_of(other)
            final.changed[row] = replace(again[other], message=message, duplicate_of=keeper)
        else:
            final.changed[row] = _kept_instead(verdict) if verdict.keep else verdict
    _resolve_keepers(crawl, final, orphans.rows)


def _kept_lookalikes(final: Reviewed, again: Judged, orphans: _Orphans) -> dict[str, list[int]]:
    """Places of kept photographs that now look like an orphan, by the orphan's id."""
    found: dict[str, list[int]] = {}
    ids = {final.before.crawl.id_of(row) for row in orphans.rows}
    follows = np.isin(again.keepers, again.crawl.rows_of(ids)) & (again.keepers != np.arange(len(again)))
    for place in np.flatnonzero(follows).tolist():
        if final[int(orphans.crawl[place])].keep:
            found.setdefault(again[place].duplicate_of or "", []).append(place)
    return found


def _resolve_keepers(crawl: Crawl, final: Reviewed, rows: Sequence[int]) -> None:
    """Where an orphan's keeper became a duplicate itself, name the photograph at the end of that chain."""
    order = np.argsort(crawl.ids, kind="stable")
    ids = crawl.ids[order]

    def next_of(name: str) -> str | None:
        first, last = (np.searchsorted(ids, name.encode(), side) for side in ("left", "right"))
        copies = sorted(order[first:last].tolist(), key=crawl.source, reverse=True)
        keepers = [final[row].duplicate_of for row in copies]
        return None if None in keepers else next((other for other in keepers if other != name), None)

    ends: dict[int, Verdict] = {}
    for row in rows:
        keeper = final[row].duplicate_of
        while keeper and (further := next_of(keeper)):
            keeper = further
        ends[row] = replace(final[row], duplicate_of=keeper)
    final.changed.update(ends)


def _kept_instead(verdict: Verdict) -> Verdict:
    message = f"{verdict.message}; it replaces a copy that a person rejected"
    return replace(verdict, reason=KEPT_INSTEAD, message=message)


def _least_alike_last(duplicate: Verdict) -> tuple[bool, float]:
    """What orders duplicates by how alike they are: by bits that differ, then by what agrees."""
    score = duplicate.score or 0.0
    return (False, score) if duplicate.reason == DUPLICATE else (True, -score)
