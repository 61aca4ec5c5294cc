from __future__ import annotations

from dataclasses import replace

import pytest

from rssn.gap.cues import CUES, LETTERS
from rssn.gap.letters import Yardstick, by_letter, cue_distances
from rssn.gap.pictures import Pictures
from tests.rssn.gap.test_pictures import measured

NAMES = [cue.name for cue in CUES]


def shifted(cue: str, by: float, pictures: Pictures) -> Pictures:
    sides = pictures.sides.copy()
    sides[:, 0, 0, NAMES.index(cue)] += by
    return replace(pictures, sides=sides)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_shift_is_its_distance_in_deviations(sign: int) -> None:
    photographs = Pictures.of(measured(number) for number in range(6))
    unit = photographs.shifts[:, NAMES.index("noise")].std(ddof=1)
    composites = shifted("noise", sign * 3 * float(unit), photographs)
    first, *others = cue_distances(composites, photographs)
    assert first.cue.name == "noise"
    assert first.far == pytest.approx(3, abs=0.01)
    assert max(one.far for one in others) == 0
    assert first.side == ("above" if sign > 0 else "below")
    assert f", {first.side} the photographs' " in first.words()


@pytest.mark.parametrize(
    ("cue", "sign", "steps", "words"),
    [
        ("detail", 1, ["blur"], "less of blur(sizes), or add match-sharpness(spreads)"),
        ("detail", 1, [], "add match-sharpness(spreads)"),
        ("detail", -1, ["bokeh"], "add blur(sizes), or more of bokeh(radii), or add match-sharpness(spreads)"),
        ("noise", 1, ["match-grain"], "other values of match-grain(sigma), or add denoise(sigma)"),
        ("chroma cut-off", -1, ["jpeg"], "other values of jpeg(subsampling)"),
        ("blocks", -1, [], "add jpeg(quality)"),
        (
            "cut-off",
            -1,
            ["match-sharpness"],
            "foregrounds from larger photographs, or other values of match-sharpness(",
        ),
        ("mean Cb", -1, ["harmonise"], "other values of harmonise(strengths)"),
    ],
)
def test_a_remedy_knows_what_the_recipe_draws(cue: str, sign: int, steps: list[str], words: str) -> None:
    photographs = Pictures.of(measured(number) for number in range(6))
    first = cue_distances(shifted(cue, 50.0 * sign, photographs), photographs)[0]
    assert first.cue.name == cue
    assert first.remedy(steps).startswith(words)


def test_each_letter_is_its_farthest_cue() -> None:
    photographs = Pictures.of(measured(number) for number in range(6))
    composites = shifted("edges", 50, shifted("texture", 10, photographs))
    found = by_letter(cue_distances(composites, photographs))
    spread = photographs.shifts.std(0)
    farther = max(("edges", "texture"), key=lambda name: {"edges": 50, "texture": 10}[name] / spread[NAMES.index(name)])
    assert found["sharpness"].cue.name == farther
    assert next(iter(found)) == "sharpness"
    assert set(found) == {cue.letter for cue in CUES}


def test_the_yardstick_is_the_mean_over_letters_of_the_mean_over_their_cues() -> None:
    photographs = Pictures.of(measured(number) for number in range(6))
    yardstick = Yardstick.of(photographs, photographs)
    assert yardstick.far(photographs) == 0
    for cue, columns in (("cut-off", 2), ("noise", 6)):  # means and quantiles of one cue, and of three
        unit = photographs.shifts[:, NAMES.index(cue)].std()
        composites = shifted(cue, 3 * float(unit), photographs)
        assert yardstick.far(composites) == pytest.approx(3 / columns / len(LETTERS), rel=1e-3)


def test_the_yardsticks_units_stay_while_recipes_change() -> None:
    photographs = Pictures.of(measured(number) for number in range(6))
    first = shifted("noise", 5, photographs)
    yardstick = Yardstick.of(photographs, first)
    far = [yardstick.far(shifted("noise", by, photographs)) for by in (0, 1, 2)]
    assert far[2] == pytest.approx(2 * far[1], rel=1e-4)
    assert far[0] == 0
