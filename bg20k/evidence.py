"""Salient objects: how likely a photograph shows one, by all that the networks found in it.

What was found becomes one to three numbers from 0 to 1, the evidence: for a person or an animal, for a thing, and for a
region that a class-free network marks. A table of weights, fitted on labelled photographs by
`tests/benchmarks/bench_salient.py`, turns them into a probability; there is one for each choice of networks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, log
from typing import Any, Final, Self

from bg20k.classes import CREATURES, SCENERY
from bg20k.objects import VIEWS, Detection
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency, saliency_score

CREATURE: Final = "creature"
THING: Final = "thing"
REGION: Final = "region"

DETECTOR: Final = "detector"
SALIENCY: Final = "saliency"
BOTH: Final = "detector and saliency"

_FOOT: Final = 0.25  # of the area from which on a finding counts fully: below it counts nothing
_SCENE: Final = 0.7  # of the frame: what covers more of it counts less, and what covers it all is a scene
_SOFT: Final = 0.05  # the least confidence that a detector reports


@dataclass(frozen=True, slots=True)
class Error:
    """How a table did on photographs that it was not fitted on, copies of one photograph held out together.

    Attributes:
        recall: Share of the salient photographs that it rejects.
        recall_range: Of that, an interval of 95 %.
        lost: Share of the clean photographs that it rejects.
        lost_range: Of that.
        curve: Points of (lost, recall) from the strictest limit to the most lenient one.
    """

    recall: float
    recall_range: tuple[float, float]
    lost: float
    lost_range: tuple[float, float]
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """The log odds of a salient object: a constant, and weights of the evidence's log odds.

    Attributes:
        bias: The constant.
        weights: By the name of the evidence, 0 or more.
        error: How it did.
    """

    bias: float
    weights: Mapping[str, float]
    error: Error

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Self:
        """A fit as the table stores it."""
        error = stored["error"]
        ranges = {name: tuple(error[name]) for name in ("recall_range", "lost_range")}
        curve = {"curve": tuple((lost, recall) for lost, recall in error["curve"])}
        return cls(stored["bias"], stored["weights"], Error(**error | ranges | curve))

    def probability(self, evidence: Mapping[str, float]) -> float:
        """Of a salient object, 0 to 1, given all evidence that has a weight."""
        return 1.0 / (1.0 + exp(-self.bias - sum(self.share(name, evidence[name]) for name in self.weights)))

    def share(self, name: str, strength: float) -> float:
        """What one number of the evidence adds to the log odds."""
        return self.weights[name] * log_odds(strength)


@cache
def salient_table() -> Mapping[str, Fit]:
    """The fitted weights, by the networks that looked: `DETECTOR`, `SALIENCY`, `BOTH`."""
    stored = json.loads((files("bg20k") / "salient.json").read_text(encoding="utf-8"))
    return {name: Fit.parse(fit) for name, fit in stored["fits"].items()}


def log_odds(strength: float) -> float:
    """The log odds of a number in [0, 1], finite at both ends."""
    return log((strength + _SOFT) / (1.0 - strength + _SOFT))


def evidence_of(
    detections: Sequence[Detection] | None, saliency: Saliency | None, rules: CurationRules
) -> dict[str, float]:
    """The evidence for a salient object, by name; that of a network that did not look is missing.

    Of the findings of one kind in one view the strongest counts, and then the mean over the views.

    Args:
        detections: The detector's findings in all views.
        saliency: What the class-free network marked.
        rules: `creature_area`, `object_area`, `ignored_classes`, `saliency_least` and `saliency_most` apply.
    """
    found: dict[str, float] = {}
    if detections is not None:
        found |= {kind: _mean_strength(kind, detections, rules) for kind in (CREATURE, THING)}
    if saliency is not None:
        found[REGION] = saliency_score(saliency, rules)
    return found


def object_score(
    detections: Sequence[Detection] | None, saliency: Saliency | None, rules: CurationRules
) -> tuple[float | None, Detection | None]:
    """The probability that a photograph shows a salient object, and the finding that says most about it.

    Returns:
        The probability; None where no network looked. And the strongest detection; None where nothing counts, or where
        the class-free network's region adds more.
    """
    evidence = evidence_of(detections, saliency, rules)
    if not evidence:
        return None, None
    fit = salient_table()[BOTH if len(evidence) == 3 else DETECTOR if CREATURE in evidence else SALIENCY]
    gains = {name: fit.share(name, strength) - fit.share(name, 0.0) for name, strength in evidence.items()}
    strongest = max(gains, key=lambda name: gains[name])
    counted = [each for each in detections or () if kind_of(each.label, rules) == strongest]
    best = max(counted, key=lambda each: (strength_of(each, rules), each.area, each.label), default=None)
    return fit.probability(evidence), best if best and gains[strongest] > 0.0 else None


def kind_of(label: str, rules: CurationRules) -> str | None:
    """Whether a class is a creature or a thing; None for what never counts. Classes beyond COCO's are things."""
    if label in SCENERY or label in rules.ignored_classes:
        return None
    return CREATURE if label in CREATURES else THING


def strength_of(found: Detection, rules: CurationRules) -> float:
    """What a finding counts: its confidence, less where it is too small or fills the frame.

    Between a quarter of the rules' area and that area it rises with the area's logarithm, from nothing to all; from
    70 % of the frame on it falls to nothing.
    """
    full = rules.creature_area if kind_of(found.label, rules) == CREATURE else rules.object_area
    if found.area <= full * _FOOT:
        return 0.0
    grown = min(1.0, log(found.area / (full * _FOOT)) / -log(_FOOT)) if full else 1.0
    return found.confidence * grown * min(1.0, (1.0 - min(found.area, 1.0)) / (1.0 - _SCENE))


def _mean_strength(kind: str, detections: Sequence[Detection], rules: CurationRules) -> float:
    counted = [each for each in detections if kind_of(each.label, rules) == kind]
    strongest = [max((strength_of(each, rules) for each in counted if each.view == view), default=0) for view in VIEWS]
    return float(sum(strongest) / len(VIEWS))
