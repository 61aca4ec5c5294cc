"""The photographs of a review: sorted by how uncertain their verdict is, filtered, and cut into pages.

A photograph's number is its place in that order. It holds for one run of the server; decisions are stored by source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from bg20k.learning import LEAST_DECISIONS, Examples, Learnt, learn
from bg20k.review import Choice, Decision, keep_refusal, uncertainty
from bg20k.rules import CurationRules
from bg20k.verdict import KEPT, KEPT_UNSCREENED, REASONS, Verdict
from pipelines.review.embeddings import principal_components
from pipelines.review.log import NewDecision
from rssn.dataset.dataset import open_dataset
from rssn.dataset.manifest import Manifest
from rssn.dataset.rows import iter_rows
from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.settings import parse_settings

PAGE = 48
"""Photographs on a page, and the most that one answer holds."""

_COPIES = 8  # of a keeper, named in an answer
_BOXES = 40  # of a photograph, the surest first
_SAME = 0.5  # overlap of two boxes of one finding
_STATES = ("all", "keep", "reject")
LEARNT = "learnt"
"""The filter of what is undecided, in the order of what the model of the decisions knows least."""

_PLAIN = (KEPT, KEPT_UNSCREENED)  # what the filter `keep` shows anyway


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph as the page shows it.

    Attributes:
        number: Its place in the order of uncertainty.
        source: Path or URL.
        background_id: Content id; None where it could not be read or is too small, so that it cannot be kept.
        verdict: What the curation says of it.
        uncertainty: 0 to 1, see `bg20k.review.uncertainty`.
        refusal: Why it cannot be kept; empty where it can.
        boxes: Findings with label, confidence, and x, y, width, height as shares of the upright photograph.
        keeper: The photograph that is kept or judged in its place.
        copies: Those that it is the keeper of.
    """

    number: int
    source: str
    background_id: str | None
    verdict: Verdict
    uncertainty: float
    refusal: str
    boxes: Sequence[Mapping[str, Any]]
    keeper: int | None
    copies: Sequence[int]


@dataclass(frozen=True)
class Query:
    """Which photographs to show: a filter, and where to start.

    Attributes:
        show: `all`, `keep` or `reject` (by the decision, or by the verdict where there is none), a reason, or `LEARNT`,
            which always starts at the least known.
        undecided: Only those without a decision.
        start: The number at which the page starts, or before which it ends.
        backwards: Whether the page ends before `start`.
    """

    show: str = "all"
    undecided: bool = False
    start: int = 0
    backwards: bool = False


class ReviewSet:
    """A curated set under review; it does not change, the decisions live in the log.

    Args:
        photos: In order of their number.
        examples: What is learnt from, of each.
    """

    def __init__(self, photos: Sequence[Photo], examples: Examples) -> None:
        self.photos = photos
        self._examples = examples
        self._numbers = {photo.source: photo.number for photo in photos}
        reasons = Counter(photo.verdict.reason for photo in photos if photo.verdict.reason not in _PLAIN)
        self._filters = (*_STATES, *(reason for reason, _ in reasons.most_common()))

    def page(self, query: Query, decisions: Mapping[str, Decision]) -> dict[str, Any]:
        """One page as JSON: photographs in their order, how many lie before them, and the summary.

        An unknown filter shows nothing.
        """
        matching, first = self._matching(query, decisions)
        if query.backwards:
            first = max(0, first - PAGE)
        return {
            "photos": [self._facts(photo, decisions) for photo in matching[first : first + PAGE]],
            "first": first,
            "total": len(matching),
            "summary": self.summary(query.show, decisions),
        }

    def summary(self, show: str, decisions: Mapping[str, Decision]) -> dict[str, Any]:
        """How many photographs each filter has, and how many are decided: in all, and of those that a filter shows."""
        counts: Counter[str] = Counter()
        decided: Counter[str] = Counter()
        for photo in self.photos:
            choice = _choice(photo, decisions)
            for name in ("all", _state(photo, choice), photo.verdict.reason):
                counts[name] += 1
                decided[name] += choice is not None
        words = {name: reason.explanation for name, reason in REASONS.items()}
        filters = [
            {"name": name, "words": words.get(name, ""), "count": counts[name], "decided": decided[name]}
            for name in self._filters
        ]
        summary = {"filters": filters, "decided": decided["all"], "all": counts["all"], "show": show}
        return summary | {"model": self._model(decisions)}

    def decided(self, decisions: Mapping[str, Decision]) -> int:
        """How many photographs are decided; decisions on others, or on bytes that changed since, do not count."""
        return sum(_choice(photo, decisions) is not None for photo in self.photos)

    def step(self, choices: Mapping[int, Choice], *, copies: bool) -> list[NewDecision]:
        """The decisions of one step.

        Args:
            choices: By number.
            copies: Whether the choice applies to the photographs' copies too.

        Raises:
            InputError: If a number is unknown, or a photograph cannot be kept; says why.
        """
        made: dict[int, Choice] = {}
        for number, choice in choices.items():
            if not 0 <= number < len(self.photos):
                raise InputError(f"no photograph has the number {number}")
            made |= dict.fromkeys((number, *(self.photos[number].copies if copies else ())), choice)
        for number, choice in made.items():
            if choice == "keep" and self.photos[number].refusal:
                raise InputError(f"{self.photos[number].source}: {self.photos[number].refusal}")
        return [NewDecision(self.photos[n].source, self.photos[n].background_id, choice) for n, choice in made.items()]

    def learnt(self, decisions: Mapping[str, Decision]) -> Learnt | None:
        """What is believed after a person's decisions; None while they are too few."""
        decided: dict[int, Choice] = {}
        closed = []
        for source, decision in decisions.items():
            number = self._numbers.get(source)
            if number is None or self.photos[number].background_id != decision.background_id:
                continue
            if decision.by == "person":
                decided[number] = decision.choice
            else:
                closed.append(number)
        return learn(self._examples, decided, closed)

    def rest(self, decisions: Mapping[str, Decision]) -> list[NewDecision]:
        """What the model decides of all that is undecided.

        Raises:
            InputError: If there is no model yet, or it does not know enough; says what to do.
        """
        found = self.learnt(decisions)
        if found is None:
            raise InputError(f"there are too few decisions to learn from; decide about {LEAST_DECISIONS} or more")
        if found.left:
            raise InputError(f"too much is unknown: decide about {found.left} more of what the model knows least")
        photos = ((self.photos[number], choice) for number, choice in found.choices().items())
        return [NewDecision(photo.source, photo.background_id, choice, "model") for photo, choice in photos]

    def _model(self, decisions: Mapping[str, Decision]) -> dict[str, Any] | None:
        found = self.learnt(decisions)
        if found is None:
            return None
        return {"left": found.left, "open": int(found.open.sum()), "error": round(found.wrong, 4)}

    def _matching(self, query: Query, decisions: Mapping[str, Decision]) -> tuple[list[Photo], int]:
        """The photographs that a filter shows, in their order, and at which of them the page starts."""
        found = self.learnt(decisions) if query.show == LEARNT else None
        if found:
            return [self.photos[number] for number in found.order.tolist()], 0
        matching = [photo for photo in self.photos if self._matches(photo, query, decisions)]
        return matching, sum(photo.number < query.start for photo in matching)

    def choices(self, sources: Sequence[str], decisions: Mapping[str, Decision]) -> dict[int, Choice | None]:
        """The decisions in force for some photographs, by number."""
        numbers = [self._numbers[source] for source in sources if source in self._numbers]
        return {number: _choice(self.photos[number], decisions) for number in numbers}

    def _matches(self, photo: Photo, query: Query, decisions: Mapping[str, Decision]) -> bool:
        choice = _choice(photo, decisions)
        if query.undecided and choice is not None:
            return False
        return query.show in ("all", _state(photo, choice), photo.verdict.reason)

    def _facts(self, photo: Photo, decisions: Mapping[str, Decision]) -> dict[str, Any]:
        return self._brief(photo, decisions) | {
            "message": photo.verdict.message,
            "split": photo.verdict.split,
            "score": photo.verdict.score,
            "uncertainty": round(photo.uncertainty, 4),
            "refusal": photo.refusal,
            "keeper": None if photo.keeper is None else self._brief(self.photos[photo.keeper], decisions),
            "copies": [self._brief(self.photos[number], decisions) for number in photo.copies[:_COPIES]],
            "copy_count": len(photo.copies),
        }

    def _brief(self, photo: Photo, decisions: Mapping[str, Decision]) -> dict[str, Any]:
        return {
            "number": photo.number,
            "source": photo.source,
            "keep": photo.verdict.keep,
            "reason": photo.verdict.reason,
            "choice": (choice := _choice(photo, decisions)),
            "by": decisions[photo.source].by if choice else None,
            "boxes": photo.boxes,
        }


def load_review(root: Location) -> ReviewSet:
    """Read the verdicts of a curated set.

    Args:
        root: The curated set.

    Raises:
        InputError: If there is no finished curation in the folder.
    """
    rules = stored_rules(open_dataset(root, "backgrounds", finished=True).manifest)
    rows = [(row, _verdict(row)) for row in iter_rows(root / "verdicts.parquet")]
    ranked = sorted(rows, key=lambda each: (-uncertainty(each[1], rules), each[0]["source"]))
    photos = list(_photos(ranked, rules))
    judged = [row for row, _ in ranked], [verdict for _, verdict in ranked]
    refused = [bool(photo.refusal) for photo in photos]
    return ReviewSet(photos, Examples.of(*judged, refused, rules, principal_components(root)))


def stored_rules(manifest: Manifest) -> CurationRules:
    """The rules that a set was curated by."""
    known = {field.name for field in fields(CurationRules)}
    rules = {name: value for name, value in manifest.plan["rules"].items() if name in known}
    return parse_settings(CurationRules, rules, "the manifest's rules")


def _photos(ranked: Sequence[tuple[Mapping[str, Any], Verdict]], rules: CurationRules) -> Iterator[Photo]:
    judged = [(number, row["background_id"]) for number, (row, v) in enumerate(ranked) if v.duplicate_of is None]
    keepers = {background_id: number for number, background_id in judged if background_id is not None}
    copies: dict[int | None, list[int]] = defaultdict(list)
    for number, (_, verdict) in enumerate(ranked):
        copies[keepers.get(verdict.duplicate_of)].append(number)
    for number, (row, verdict) in enumerate(ranked):
        yield Photo(
            number=number,
            source=row["source"],
            background_id=row["background_id"],
            verdict=verdict,
            uncertainty=uncertainty(verdict, rules),
            refusal=keep_refusal(verdict, examined=row["background_id"] is not None),
            boxes=_shown(row.get("boxes") or []),
            keeper=keepers.get(verdict.duplicate_of),
            copies=copies.get(number, ()),
        )


def _shown(boxes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The surest boxes; of a finding that both views have, the surer one."""
    shown: list[Mapping[str, Any]] = []
    for box in sorted(boxes, key=lambda box: -box["confidence"])[: 2 * _BOXES]:
        others = (each for each in shown if each["label"] == box["label"] and each["view"] != box["view"])
        if not any(_overlap(box, other) >= _SAME for other in others):
            shown.append(box)
    return shown[:_BOXES]


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """What two boxes share, over what they cover together."""
    sides = (
        min(one[at] + one[side], other[at] + other[side]) - max(one[at], other[at])
        for at, side in (("x", "width"), ("y", "height"))
    )
    shared = prod(max(side, 0.0) for side in sides)
    together = one["width"] * one["height"] + other["width"] * other["height"] - shared
    return float(shared / together) if together else 1.0


def _verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(**{field.name: row[field.name] for field in fields(Verdict)})


def _choice(photo: Photo, decisions: Mapping[str, Decision]) -> Choice | None:
    decision = decisions.get(photo.source)
    return decision.choice if decision and decision.background_id == photo.background_id else None


def _state(photo: Photo, choice: Choice | None) -> str:
    return choice or ("keep" if photo.verdict.keep else "reject")
