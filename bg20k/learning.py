"""What a person would decide of photographs that nobody has looked at, learnt from those that somebody has.

A logistic regression on few numbers. It begins at what the curation believes and moves away from that only as far as
the decisions ask for, so that few of them do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bg20k.review import Choice, uncertainty
from bg20k.rules import CurationRules
from bg20k.verdict import Verdict

Floats = npt.NDArray[np.float64]

LEAST_DECISIONS: Final = 50
"""Decisions of a person from which on there is a model."""

WRONG: Final = 0.01
"""Share of wrong verdicts that a review aims at."""

_CAUTION = 2.0
"""The model's errors are taken for so many times as frequent as it expects: in `tests/benchmarks/bench_review.py` the
rest of a crawl was wrong up to twice as often, because people decide about the least certain photographs first.
"""

_PENALTY = 1.0  # on the squares of the coefficients, numbers of deviation 1
_TRUST = 0.25  # how far the scale of the beliefs may be off, as a deviation of its factor
_STEPS = 30  # of Newton's method
_SURE = 0.001  # beliefs stay so far from 0 and 1


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """n photographs as the model sees them.

    Attributes:
        numbers: n x d, each column of mean 0 and deviation 1, or all 0.
        beliefs: n log odds that a photograph is to be kept, by the curation alone.
        refused: n truth values: what cannot be kept, so that nothing is to be decided.
    """

    numbers: Floats
    beliefs: Floats
    refused: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, Any]],
        verdicts: Sequence[Verdict],
        refused: Sequence[bool],
        rules: CurationRules,
        components: Mapping[str, Floats] | None = None,
    ) -> Examples:
        """Of rows of `verdicts.parquet`, with their verdicts.

        Args:
            rows: `boxes` and `saliency` are read, where they are.
            verdicts: One for each.
            refused: Which cannot be kept.
            rules: What they were judged by.
            components: Of embeddings, by source; those of a photograph without an embedding count as 0.
        """
        components = components or {}
        none = np.zeros_like(next(iter(components.values()), np.empty(0)))
        numbers = [
            [*_numbers(row, verdict), *components.get(row.get("source", ""), none)]
            for row, verdict in zip(rows, verdicts, strict=True)
        ]
        found = np.array(numbers, np.float64).reshape(len(rows), -1)
        spread = found.std(axis=0)
        scaled = (found - found.mean(axis=0)) / np.where(spread > 0, spread, 1.0) if len(rows) else found
        beliefs = np.array([_belief(each, rules) for each in verdicts], np.float64)
        return cls(scaled, _log_odds(beliefs), np.array(refused, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What is believed of all n photographs after some decisions.

    Attributes:
        keep: n probabilities that a person would keep it.
        open: n truth values: nobody has decided it, and there is something to decide.
    """

    keep: Floats
    open: npt.NDArray[np.bool_]

    @property
    def error(self) -> Floats:
        """N probabilities that the likelier choice is wrong; 0 for what is decided."""
        return np.where(self.open, np.minimum(self.keep, 1.0 - self.keep), 0.0)

    @property
    def wrong(self) -> float:
        """The share of all photographs that is expected to be wrong if the likelier choice is taken, with caution."""
        return _CAUTION * float(self.error.sum()) / max(1, len(self.keep))

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """The open photographs, the least known first; equals in their order."""
        ranked = np.argsort(-self.error, kind="stable")
        return ranked[self.open[ranked]]

    @property
    def left(self) -> int:
        """How many of them a person has to decide until the rest is expected to be wrong in under 1 % of all."""
        errors = self.error[self.order]
        remaining = _CAUTION * np.append(np.cumsum(errors[::-1])[::-1], 0.0)
        return int(np.argmax(remaining < WRONG * len(self.keep))) if len(errors) else 0

    def choices(self) -> dict[int, Choice]:
        """The likelier choice for each open photograph, by row."""
        return {row: "keep" if self.keep[row] >= 0.5 else "reject" for row in np.flatnonzero(self.open).tolist()}


def learn(examples: Examples, decided: Mapping[int, Choice], closed: Sequence[int] = ()) -> Learnt | None:
    """Learn from a person's decisions.

    Args:
        examples: All photographs.
        decided: What a person said, by row.
        closed: Rows that are decided in another way, from which nothing is learnt.

    Returns:
        What is believed; None below `LEAST_DECISIONS` decisions.
    """
    if len(decided) < LEAST_DECISIONS:
        return None
    rows = np.fromiter(decided, np.int64)
    said = np.array([choice == "keep" for choice in decided.values()], np.float64)
    x = np.column_stack([np.ones(len(examples.beliefs)), examples.numbers, _TRUST * examples.beliefs])
    weights, covariance = _fit(x[rows], said, examples.beliefs[rows])
    variance = np.einsum("nd,de,ne->n", x, covariance, x)
    odds = (examples.beliefs + x @ weights) / np.sqrt(1.0 + np.pi / 8.0 * variance)  # the mean over what fits
    is_open = ~examples.refused
    is_open[rows] = is_open[list(closed)] = False
    return Learnt(_sigmoid(odds), is_open)


def _fit(x: Floats, said: Floats, beliefs: Floats) -> tuple[Floats, Floats]:
    """Coefficients on top of the beliefs and their covariance, by Newton's method with a ridge."""
    weights: Floats = np.zeros(x.shape[1])
    covariance: Floats = np.eye(x.shape[1])
    for _ in range(_STEPS):
        p = _sigmoid(beliefs + x @ weights)
        slope = x.T @ (said - p) - _PENALTY * weights
        covariance = np.asarray(
            np.linalg.inv((x * (p * (1.0 - p))[:, None]).T @ x + _PENALTY * np.eye(len(weights))), np.float64
        )
        weights = np.asarray(weights + covariance @ slope)
    return weights, covariance


def _numbers(row: Mapping[str, Any], verdict: Verdict) -> list[float]:
    """Kept or not, a duplicate or not, the surest box and the largest one, and the class-free network's part."""
    boxes, part = row.get("boxes") or [], row.get("saliency") or {}
    return [
        float(verdict.keep),
        float(verdict.stage == "duplicates"),
        max((box["confidence"] for box in boxes), default=0.0),
        max((box["width"] * box["height"] for box in boxes), default=0.0),
        part.get("confidence", 0.0) * part.get("compactness", 0.0),
    ]


def _belief(verdict: Verdict, rules: CurationRules) -> float:
    """The probability that a photograph is to be kept, by its verdict alone."""
    if verdict.stage in ("salience", "split") and verdict.score is not None:
        return 1.0 - verdict.score
    wrong = 0.5 * uncertainty(verdict, rules)
    return 1.0 - wrong if verdict.keep else wrong


def _log_odds(p: Floats) -> Floats:
    inside = np.clip(p, _SURE, 1.0 - _SURE)
    return np.asarray(np.log(inside / (1.0 - inside)))


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))
