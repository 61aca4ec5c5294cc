from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from rssn.errors import InputError
from rssn.image.arrays import Image
from rssn.image.compression import Compression, of_quality
from rssn.route.compose import compose
from rssn.route.draw import Draw, draw, roll
from rssn.route.recipe import Recipe, parse_recipe, recipe_from_dict
from rssn.route.step import CutOut
from rssn.route.steps.jpeg import Jpeg

_OWN = (of_quality(40, "4:4:4"), Compression((3,) * 64, (9,) * 64, "4:2:0"))


def _picture() -> Image:
    smooth = np.random.default_rng(3).random((5, 7, 3))
    return np.kron(smooth, np.ones((9, 11, 1))).astype(np.float32) * 1.2 - 0.1


def _by_hand(image: Image, **options: Any) -> Image:
    stream = io.BytesIO()
    PillowImage.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)).save(stream, "JPEG", **options)
    return np.asarray(PillowImage.open(stream)).astype(np.float32) / np.float32(255)


def _recipe(settings: str) -> Recipe:
    return parse_recipe(f"name: a\nsteps: [blend, {{jpeg: {settings}}}]", "mine.yaml")


@pytest.mark.parametrize(("quality", "subsampling"), [(30, "4:2:0"), (75, "4:4:4"), (95, "4:2:2")])
def test_it_is_what_pillow_makes_of_that_quality(quality: int, subsampling: str) -> None:
    drawn = {"quality": quality, "table": None, "subsampling": subsampling}
    found = Jpeg().apply(_picture(), drawn)
    assert np.array_equal(found, _by_hand(_picture(), quality=quality, subsampling=subsampling))
    assert found.dtype == np.float32
    assert Jpeg().describe(drawn) == f"quality {quality}, {subsampling}"


def test_a_photographs_tables_are_used_as_they_are() -> None:
    step = Jpeg(tables=_OWN)
    drawn = {"quality": None, "table": 1, "subsampling": "4:2:0"}
    expected = _by_hand(_picture(), qtables=[[3] * 64, [9] * 64], subsampling="4:2:0")
    assert np.array_equal(step.apply(_picture(), drawn), expected)
    assert step.describe(drawn) == "table 1, 4:2:0"


def test_qualities_are_drawn_evenly_with_both_bounds() -> None:
    step = Jpeg(quality=(70, 74), subsampling=("4:2:0", "4:4:4"))
    drawn = [step.draw(np.random.default_rng(seed)) for seed in range(2000)]
    counts = Counter(one["quality"] for one in drawn)
    assert sorted(counts) == [70, 71, 72, 73, 74]
    assert all(330 < count < 470 for count in counts.values())
    chroma = Counter((one["quality"] < 72, one["subsampling"]) for one in drawn)
    assert 340 < chroma[True, "4:4:4"] < 460, "independent of the quality"
    assert {one["table"] for one in drawn} == {None}


def test_tables_are_drawn_with_their_own_chroma() -> None:
    drawn = [Jpeg(tables=_OWN).draw(np.random.default_rng(seed)) for seed in range(100)]
    assert {(one["quality"], one["table"], one["subsampling"]) for one in drawn} == {
        (None, 0, "4:4:4"),
        (None, 1, "4:2:0"),
    }


def test_a_row_rolls_again() -> None:
    for settings in ("{probability: 1}", f"{{probability: 1, tables: [{{luma: {[5] * 64}, chroma: {[6] * 64}}}]}}"):
        recipe = _recipe(settings)
        first = draw(recipe, 7, "abc", 2)
        assert first.steps["jpeg"] is not None
        assert roll(recipe, first.seed) == first


def test_the_defaults_stand_in_the_manifest_and_tables_come_back_from_it() -> None:
    plain = _recipe("{}")
    assert plain.steps[0] == Jpeg(quality=(70, 95), subsampling=("4:2:0",))
    assert plain.to_dict()["steps"][1]["jpeg"]["quality"] == [70, 95]
    own = Recipe("a", steps=(Jpeg(tables=_OWN),))
    stored = json.loads(json.dumps(own.to_dict()))
    assert recipe_from_dict(stored, "manifest") == own
    assert recipe_from_dict(stored, "manifest").label == own.label


def test_layers_and_alpha_stay_as_they_were() -> None:
    image = np.clip(_picture(), 0, 1)
    alpha = np.full(image.shape[:2], 0.5, np.float32)
    recipe, drawn = Recipe("a", steps=(Jpeg(),)), {"quality": 20, "table": None, "subsampling": "4:2:0"}
    found = compose(CutOut(image, alpha), image[::-1], recipe, Draw(0, 0.0, 0.0, {"jpeg": drawn}))
    assert np.array_equal(found.foreground, image)
    assert np.array_equal(found.background, image[::-1])
    assert np.array_equal(found.alpha, alpha)
    assert np.array_equal(
        found.image, _by_hand(alpha[..., None] * image + (1 - alpha[..., None]) * image[::-1], quality=20)
    )


_TABLE = f"{{luma: {[1] * 64}, chroma: {[2] * 64}}}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{quality: [95, 70]}", "quality is [95, 70]; expected the least before the most"),
        ("{quality: [0, 70]}", "quality[0] is 0; expected 1 or more"),
        ("{quality: [70, 101]}", "quality[1] is 101; expected 100 or less"),
        ("{quality: 80}", "quality is 80; expected a list"),
        ("{quality: [70.5, 80]}", "quality[0] is 70.5; expected a whole number"),
        ("{subsampling: []}", "subsampling is []; expected at least 1 of them"),
        ("{subsampling: ['4:1:1']}", "subsampling[0] is '4:1:1'; expected one of '4:2:0', '4:2:2' or '4:4:4'"),
        (f"{{tables: [{_TABLE}], quality: [70, 95]}}", "quality has no effect beside tables"),
        (f"{{tables: [{_TABLE}], subsampling: ['4:4:4']}}", "subsampling has no effect beside tables"),
        ("{tables: [{luma: [1], chroma: [2]}]}", "tables[0].luma is [1]; expected at least 64 of them"),
        (f"{{tables: [{_TABLE}, {{luma: {[0] * 64}, chroma: {[1] * 64}}}]}}", "tables[1].luma[0] is 0; expected 1 or"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(settings: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        _recipe(settings)
    assert str(caught.value).startswith(f"mine.yaml: steps.jpeg: {words}")
    assert "\n" not in str(caught.value)


def test_what_encodes_and_decodes_is_named() -> None:
    assert all(name in Jpeg().versions() for name in ("pillow ", "libjpeg-turbo ", "simplejpeg "))
