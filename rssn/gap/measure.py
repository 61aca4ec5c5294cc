"""The meter: cue strength and distance of sets of composites against photographs, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import ceil

import numpy as np

from rssn.errors import InputError
from rssn.gap.classifiers import Linear, fit_linear, score_patches, score_pictures
from rssn.gap.cues import LETTERS, LOW_LEVEL, Letter, of_letter
from rssn.gap.folds import Deal, Flags, Numbers, deal
from rssn.gap.letters import CueDistance, cue_distances
from rssn.gap.pairs import LEVEL, Estimate, Jackknifed, area
from rssn.gap.pictures import Floats, Pictures

PERMUTATIONS = 200

_EXCHANGES = 199
_LEAST_SHARED = 6  # foregrounds, of which 5 % of all exchanges can be told from the rest

DEALS = 25
"""Ways to deal folds that a distance is averaged over: of few photographs one way alone is a lottery."""

_FEWER_DEALS = 5  # for permutations, of the observed labels as of the others
_PATCH_DEALS = 5
_BLOCKS = 16
"""Of foregrounds, for intervals; each is left out once, and all models are fitted again."""

STRENGTH, DISTANCE = "cue strength", "distance"


@dataclass(frozen=True)
class Joint:
    """Composites and photographs in one list, the composites first.

    Attributes:
        values: P x V, a vector for each picture.
        groups: P, the foreground of each.
        composed: P, which are composites.
        backgrounds: P, a number for the background of each; below 0 for one that nothing shares.
    """

    values: Floats
    groups: tuple[str, ...]
    composed: Flags
    backgrounds: Numbers

    @classmethod
    def of(cls, composites: Sequence[Pictures], photographs: Pictures, cues: Sequence[int] = LOW_LEVEL) -> Joint:
        """Composites of one set or of several, and photographs, with vectors of some cues."""
        everything = [*composites, photographs]
        values = np.concatenate([one.differences(cues) for one in everything])
        groups = tuple(group for one in everything for group in one.groups)
        composed = np.arange(len(groups)) < len(groups) - len(photographs)
        return cls(values, groups, composed, _numbers([name for one in everything for name in one.backgrounds]))

    @cached_property
    def deals(self) -> list[Deal]:
        """Every way to deal the pictures into folds."""
        return self._dealt(self.composed, DEALS)

    @property
    def everything(self) -> Flags:
        """P, all true."""
        return np.ones(len(self.groups), np.bool_)

    def area(self, kept: Flags, deals: int | None = None) -> float:
        """The distance of some pictures, by all deals or by the first."""
        return area([score_pictures(self.values, self.composed, one, kept) for one in self.deals[:deals]])

    def scores(self) -> Floats:
        """P, how much each picture looks like a composite, on average."""
        found = [score_pictures(self.values, self.composed, one, self.everything).scores for one in self.deals]
        return np.asarray(np.mean(found, axis=0))

    def labelled(self, composed: Flags) -> float:
        """The distance by other labels, of fewer deals."""
        dealt = self._dealt(composed, _FEWER_DEALS)
        return area([score_pictures(self.values, composed, one, self.everything) for one in dealt])

    def chance(self, dice: np.random.Generator, permutations: int) -> float:
        """How often labels that mean nothing give as large a distance: p of a permutation test."""
        observed = self.labelled(self.composed)
        larger = sum(self.labelled(self.shuffled(dice)) >= observed for _ in range(permutations))
        return (1 + larger) / (1 + permutations)

    def shuffled(self, dice: np.random.Generator) -> Flags:
        """The labels as they might as well be where composites were photographs.

        They change places within foregrounds that have both kinds; foregrounds that have one kind change it as a whole.
        """
        labels, groups = self.composed.copy(), np.array(self.groups)
        single: list[Numbers] = []
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

    def _dealt(self, composed: Flags, count: int) -> list[Deal]:
        return [Deal.of(self.groups, composed, self.backgrounds, number) for number in range(count)]


def _numbers(backgrounds: Sequence[str]) -> Numbers:
    names = {name: number for number, name in enumerate(sorted(set(backgrounds) - {""}))}
    return np.array([names.get(name, -1) for name in backgrounds])


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

    `figure` is `cue strength` or `distance`.
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
class _Blocks:
    """The same blocks of foregrounds for every figure, so that sets can be compared in pairs."""

    of: Mapping[str, int]
    count: int

    @classmethod
    def over(cls, composites: Iterable[Pictures], photographs: Pictures) -> _Blocks:
        groups = [group for one in composites for group in one.groups]
        kinds = [True] * len(groups) + [False] * len(photographs)
        groups += photographs.groups
        count = min(_BLOCKS, len(set(groups)))
        return cls(dict(zip(groups, deal(groups, kinds, "blocks", count).tolist(), strict=True)), count)

    def jackknifed(self, groups: Sequence[str], figure: Callable[[Flags], float]) -> Jackknifed:
        """A figure of all pictures, and of those without each block."""
        return Jackknifed(figure(np.ones(len(groups), np.bool_)), self.without(groups, figure))

    def without(self, groups: Sequence[str], figure: Callable[[Flags], float]) -> Floats:
        """A figure of the pictures without each block."""
        blocks = np.array([self.of[group] for group in groups])
        return np.array([figure(blocks != block) for block in range(self.count)])


def measure_gap(
    sets: Mapping[str, Pictures],
    photographs: Pictures,
    seed: int = 0,
    tell: Callable[[], None] = lambda: None,
) -> Gap:
    """Measure how far sets of composites are from photographs.

    Args:
        sets: By name; at least one.
        photographs: What the network is meant for. One that composites were made from shares their group.
        seed: Of the permutations.
        tell: Is called whenever another set is done.

    Raises:
        DependencyError: If scikit-learn is not installed.
        InputError: If the composites of a set share so few backgrounds that nothing is left to learn from.
    """
    blocks = _Blocks.over(sets.values(), photographs)
    real = _strength(photographs, blocks)
    measured, figures = [], {}
    for name, composites in sets.items():
        joint = Joint.of([composites], photographs)
        _check_backgrounds(name, joint)
        found = {STRENGTH: _strength(composites, blocks), DISTANCE: blocks.jackknifed(joint.groups, joint.area)}
        letters = {}
        for letter in LETTERS:
            by_cues = Joint.of([composites], photographs, of_letter(letter))
            letters[letter] = blocks.jackknifed(by_cues.groups, by_cues.area).estimate()
        p = joint.chance(np.random.default_rng([seed, 1]), PERMUTATIONS)
        model = fit_linear(joint.values, joint.composed, joint.everything[None])
        distance = Distance(found[DISTANCE].estimate(), p, joint.scores(), model)
        cues = cue_distances(composites, photographs)
        measured.append(SetGap(name, found[STRENGTH].estimate(), distance, letters, cues))
        figures[name] = found
        tell()
    return Gap(measured, real.estimate(), _differences(sets, photographs, figures, seed))


def _strength(pictures: Pictures, blocks: _Blocks) -> Jackknifed:
    """The mean of several deals; its interval by one of them, for trees take their time."""
    kinds, backgrounds = [True] * len(pictures), _numbers(pictures.backgrounds)
    deals = [Deal.of(pictures.groups, kinds, backgrounds, number) for number in range(_PATCH_DEALS)]
    everything = np.ones(len(pictures), np.bool_)
    value = area([score_patches(pictures, one, everything) for one in deals])
    without = blocks.without(pictures.groups, lambda kept: area([score_patches(pictures, deals[0], kept)]))
    return Jackknifed(value, without)


def _check_backgrounds(name: str, joint: Joint) -> None:
    """Each model must have composites left to learn from, of backgrounds that it is not tested on."""
    if all((one.seen & joint.composed).any(1).all() for one in joint.deals):
        return
    count = len(set(joint.backgrounds[joint.composed].tolist()))
    raise InputError(
        f"{name}: its composites share {count} backgrounds, so that nothing is left to learn from without those of the "
        "foregrounds that are tested; compose with more backgrounds, or with a smaller --k"
    )


def _differences(
    sets: Mapping[str, Pictures], photographs: Pictures, figures: Mapping[str, Mapping[str, Jackknifed]], seed: int
) -> list[Difference]:
    found = []
    for first, second in combinations(sets, 2):
        changes = {figure: figures[second][figure].less(one) for figure, one in figures[first].items()}
        estimates = {figure: change.estimate(-1, 1) for figure, change in changes.items()}
        if len(set(sets[first].groups) & set(sets[second].groups)) >= _LEAST_SHARED:
            reach = _reach((sets[first], sets[second]), photographs, seed)
            value = changes[DISTANCE].value
            estimates[DISTANCE] = Estimate(value, max(-1, value - reach), min(1, value + reach))
        found += [Difference(first, second, figure, change) for figure, change in estimates.items()]
    return found


def _reach(sets: tuple[Pictures, Pictures], photographs: Pictures, seed: int) -> float:
    """How far two distances are apart, in 95 % of cases, where foregrounds change sets at random.

    Which set a foreground's composites are of means nothing where two recipes make no difference, so that a larger
    change is one: an exact test, all models fitted again. It says more of a pair than the jackknife, which is wide.
    """
    joint = Joint.of(sets, photographs)
    members = np.repeat([0, 1, 2], [len(sets[0]), len(sets[1]), len(photographs)])
    groups, place = np.unique(joint.groups, return_inverse=True)
    shared = np.isin(groups, sets[0].groups) & np.isin(groups, sets[1].groups)
    dice, apart = np.random.default_rng([seed, 2]), []
    for _ in range(_EXCHANGES):
        changed = (shared & (dice.random(len(groups)) < 0.5))[place]
        now = np.where(changed & joint.composed, 1 - members, members)
        one, other = (joint.area((now == side) | (now == 2), _FEWER_DEALS) for side in (0, 1))
        apart.append(abs(other - one))
    return float(np.sort(apart)[ceil(LEVEL * (_EXCHANGES + 1)) - 1])
