from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rssn.gap.cues import CUES
from rssn.gap.letters import cue_distances
from rssn.gap.pictures import Measured, Named, Pictures
from rssn.gap.ranking import Ranking, rank_cues

NAMES = [cue.name for cue in CUES]
GRID = {"blocks", "rounding"}


def drawn(dice: np.random.Generator, middles: np.ndarray, k: int, name: str) -> Pictures:
    """K pictures of each foreground, whose cues lie about the foreground's own middle."""
    nothing = np.zeros((1, len(CUES)), np.float32)
    found = []
    for number, middle in enumerate(middles):
        for index in range(k):
            sides = np.zeros((2, 2, len(CUES)), np.float32)
            sides[0, 0] = middle + dice.normal(size=len(CUES))
            of = Named(f"{number:02d}/{name}{index}", f"{number:02d}")
            found.append(Measured(of, (64, 64), (1, 1), sides, (nothing, nothing)))
    return Pictures.of(found)


def both(seed: int, foregrounds: int = 12, k: int = 2) -> tuple[Pictures, Pictures]:
    """Composites and photographs that differ in nothing."""
    dice = np.random.default_rng(seed)
    middles = 0.7 * dice.normal(size=(foregrounds, len(CUES)))
    return drawn(dice, middles, k, "c"), drawn(dice, middles, 1, "p")


def moved(pictures: Pictures, cue: str, by: float, times: float = 1.0) -> Pictures:
    """F minus B of a cue, `times` as far from its mean, which is `by` higher."""
    sides = pictures.sides.copy()
    values = sides[:, 0, 0, NAMES.index(cue)]
    values[:] = (values - values.mean()) * times + values.mean() + by
    return replace(pictures, sides=sides)


def ranked(composites: Pictures, photographs: Pictures, grid: bool = True) -> Ranking:
    return rank_cues(cue_distances(composites, photographs), composites, photographs, grid)


@pytest.mark.parametrize(("cue", "by", "side"), [("noise", 3, "above"), ("blocks", -3, "below")])
def test_a_shift_stands_out_and_has_a_direction(cue: str, by: float, side: str) -> None:
    composites, photographs = both(0)
    largest = ranked(moved(composites, cue, by), photographs).largest
    assert largest is not None
    assert (largest.cue.name, largest.side) == (cue, side)


@pytest.mark.parametrize(("times", "side"), [(9.0, "more spread"), (1 / 9, "less spread")])
def test_a_spread_has_no_direction_though_the_means_differ_a_little(times: float, side: str) -> None:
    composites, photographs = both(0, 30)
    changed = moved(composites, "edges", 0.05, times)
    found = {one.cue.name: one for one in cue_distances(changed, photographs)}["edges"]
    assert abs(found.composites - found.photographs) < 0.5 * found.far * found.spreads[1]
    assert found.side == side
    assert f"F minus B varies {side.split(maxsplit=1)[0]} than the photographs'" in found.words(["blur"])
    way = "are more alike: a narrower range" if side == "more spread" else "differ more: a wider range"
    assert found.remedy(["blur", "jpeg"]).startswith(f"draws of blur(sizes) that {way}, or a probability nearer 0")
    assert found.remedy(["jpeg"]) == "no step of the recipe acts on it"


def test_nothing_stands_out_of_a_set_against_itself() -> None:
    composites, _ = both(3)
    found = ranked(composites, composites)
    assert found.largest is None
    assert found.cues[0].far == 0 < found.chance


def test_what_reads_jpegs_grid_is_left_out_where_there_is_none() -> None:
    composites, photographs = both(1)
    composites = moved(moved(composites, "rounding", 50), "noise", 3)
    assert ranked(composites, photographs).cues[0].cue.name == "rounding"
    without = ranked(composites, photographs, grid=False)
    assert without.largest is not None
    assert without.largest.cue.name == "noise"
    assert {cue.name for cue in CUES} - {one.cue.name for one in without.cues} == GRID


@pytest.mark.slow
def test_chance_alone_stands_out_in_one_of_twenty_sets() -> None:
    stood = sum(ranked(*both(seed)).largest is not None for seed in range(80))
    assert stood <= 10, "1 in 1,000 at a rate of 5 %"
