"""The meter: cue strength and distance of sets of composites against photographs, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from rssn.gap.classifiers import DEALS, Linear, fit_linear, score_patches, score_pictures
from rssn.gap.cues import LETTERS, LOW_LEVEL, Letter, of_letter
from rssn.gap.letters import CueDistance, cue_distances, picture_weights
from rssn.gap.pairs import Estimate, PairCounts, Scored, count_pairs, draw_groups, estimate
from rssn.gap.pictures import Floats, Pictures

PERMUTATIONS = 200

STRENGTH, DISTANCE = "cue strength", "distance"

Groups = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Joint:
    """Composites and photographs in one list, the composites first.

    Attributes:
        values: P x V, a vector for each picture.
        groups: P, the foreground of each.
        composed: P, which are composites.
    """

    values: Floats
    groups: tuple[str, ...]
    composed: Flags

    @classmethod
    def of(cls, composites: Pictures, photographs: Pictures, cues: Sequence[int] = LOW_LEVEL) -> Joint:
        """The two as one list, with vectors of some cues."""
        composed = np.arange(len(composites) + len(photographs)) < len(composites)
        values = np.concatenate([one.differences(cues) for one in (composites, photographs)])
        return cls(values, composites.groups + photographs.groups, composed)

    def scored(self, numbers: Groups, composed: Flags | None = None) -> list[Scored]:
        """Each picture scored once for each way to deal folds; with other labels, where they are given."""
        labels = self.composed if composed is None else composed
        found = []
        for deal in range(DEALS):
            scores, folds = score_pictures(self.values, self.groups, labels, deal)
            found.append(Scored(scores, labels, numbers, folds))
        return found

    def area(self, composed: Flags | None = None) -> float:
        """The distance alone, without an interval; by other labels, where they are given."""
        return count_pairs(self.scored(np.zeros(len(self.groups), np.int64), composed), 1).area

    def shuffled(self, dice: np.random.Generator) -> Flags:
        """The labels as they might as well be where composites were photographs.

        They change places within foregrounds that have both kinds; foregrounds that have one kind change it as a whole.
        """
        labels, groups = self.composed.copy(), np.array(self.groups)
        single: list[npt.NDArray[np.int64]] = []
        for group in sorted(set(self.groups)):
            members = np.flatnonzero(groups == group)
            if np.unique(labels[members]).size == 2:
                labels[members] = dice.permutation(labels[members])
            else:
                single.append(members)
        kinds = dice.permutation([labels[members[0]] for members in single])
        for members, kind in zip(single, kinds, strict=True):
            labels[members] = kind
        return labels


@dataclass(frozen=True)
class Distance:
    """How well composites are told from photographs.

    Attributes:
        area: Under the ROC curve; 0.5: not at all.
        p: How often labels that mean nothing give as large an area.
        scores: P, of the composites, then of the photographs; the higher, the more like a composite.
        model: Of all pictures: what gives a picture away.
    """

    area: Estimate
    p: float
    scores: Floats
    model: Linear


@dataclass(frozen=True)
class SetGap:
    """What was measured of one set."""

    name: str
    strength: Estimate
    distance: Distance
    letters: Mapping[Letter, Estimate]  # the distance by the cues of one letter alone
    cues: Sequence[CueDistance]  # the largest distance first


@dataclass(frozen=True)
class Difference:
    """The second set less the first; they differ where the interval excludes 0.

    `figure` is `cue strength`, `distance`, or `distance by` a letter.
    """

    first: str
    second: str
    figure: str
    change: Estimate

    @property
    def differs(self) -> bool:
        """Whether the interval says so."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True)
class Gap:
    """Everything that was measured."""

    sets: Sequence[SetGap]
    strength: Estimate  # of the photographs: the target
    differences: Sequence[Difference]


@dataclass(frozen=True)
class _Bootstrap:
    """The same draws of foregrounds for every figure, so that sets can be compared in pairs."""

    number: Mapping[str, int]
    drawn: Floats  # D x G

    @classmethod
    def over(cls, everything: Sequence[Pictures], seed: int) -> _Bootstrap:
        names = sorted({group for pictures in everything for group in pictures.groups})
        return cls({name: number for number, name in enumerate(names)}, draw_groups(len(names), seed))

    def numbers(self, groups: Sequence[str]) -> Groups:
        return np.array([self.number[group] for group in groups])

    def areas(self, counts: PairCounts) -> Floats:
        return counts.resampled(self.drawn)

    def pairs(self, scored: Sequence[Scored]) -> PairCounts:
        return count_pairs(scored, len(self.number))


def measure_gap(
    sets: Mapping[str, Pictures],
    photographs: Pictures,
    seed: int = 0,
    tell: Callable[[], None] = lambda: None,
    permutations: int = PERMUTATIONS,
) -> Gap:
    """Measure how far sets of composites are from photographs.

    Args:
        sets: By name; at least one.
        photographs: What the network is meant for. One that composites were made from shares their group.
        seed: Of bootstrap and permutations.
        tell: Is called whenever another set is done.
        permutations: How many; each fits the distance's models again.

    Raises:
        DependencyError: If scikit-learn is not installed.
    """
    bootstrap = _Bootstrap.over([photographs, *sets.values()], seed)
    real = bootstrap.pairs([score_patches(photographs, bootstrap.numbers(photographs.groups))])
    measured, figures = [], {}
    for name, composites in sets.items():
        distance, pairs = _distance(composites, photographs, bootstrap, (seed, permutations))
        strength = bootstrap.pairs([score_patches(composites, bootstrap.numbers(composites.groups))])
        letters = {letter: _letter_pairs(composites, photographs, letter, bootstrap) for letter in LETTERS}
        weights = [picture_weights(bootstrap.numbers(one.groups), bootstrap.drawn) for one in (composites, photographs)]
        cues = cue_distances(composites, photographs, (weights[0], weights[1]))
        by_letter = {letter: _estimate(found, bootstrap) for letter, found in letters.items()}
        measured.append(SetGap(name, _estimate(strength, bootstrap), distance, by_letter, cues))
        figures[name] = {STRENGTH: strength, DISTANCE: pairs} | {
            f"{DISTANCE} by {letter}": found for letter, found in letters.items()
        }
        tell()
    return Gap(measured, _estimate(real, bootstrap), _differences(figures, bootstrap))


def _letter_pairs(composites: Pictures, photographs: Pictures, letter: Letter, bootstrap: _Bootstrap) -> PairCounts:
    joint = Joint.of(composites, photographs, of_letter(letter))
    return bootstrap.pairs(joint.scored(bootstrap.numbers(joint.groups)))


def _estimate(pairs: PairCounts, bootstrap: _Bootstrap) -> Estimate:
    return estimate(pairs.area, bootstrap.areas(pairs))


def _distance(
    composites: Pictures, photographs: Pictures, bootstrap: _Bootstrap, settings: tuple[int, int]
) -> tuple[Distance, PairCounts]:
    joint, (seed, permutations) = Joint.of(composites, photographs), settings
    numbers = bootstrap.numbers(joint.groups)
    scored = joint.scored(numbers)
    pairs = bootstrap.pairs(scored)
    dice = np.random.default_rng([seed, 1])
    larger = sum(joint.area(joint.shuffled(dice)) >= pairs.area for _ in range(permutations))
    scores = np.mean([one.scores for one in scored], axis=0)
    p = (1 + larger) / (1 + permutations)
    return Distance(_estimate(pairs, bootstrap), p, scores, fit_linear(joint.values, joint.composed)), pairs


def _differences(figures: Mapping[str, Mapping[str, PairCounts]], bootstrap: _Bootstrap) -> list[Difference]:
    found = []
    for figure in next(iter(figures.values())):
        drawn = {name: bootstrap.areas(counts[figure]) for name, counts in figures.items()}
        for first, second in combinations(figures, 2):
            value = figures[second][figure].area - figures[first][figure].area
            found.append(Difference(first, second, figure, estimate(value, drawn[second] - drawn[first])))
    return found
