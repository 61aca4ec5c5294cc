from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rssn
from rssn.errors import InputError
from rssn.image.arrays import to_float, to_uint8
from rssn.kernels.bm3d import native as bm3d
from rssn.kernels.closed_form import native as closed_form
from rssn.route.arrays import Sample
from rssn.route.recipe import Recipe
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.merge import Merge

HEIGHT, WIDTH = 24, 32
DICE = np.random.default_rng(7)
IMAGE = DICE.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
BACKGROUND = DICE.integers(0, 256, (40, 50, 3), dtype=np.uint8)
ALPHA = np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))
PICTURES: dict[str, Any] = {"image": IMAGE, "alpha": ALPHA, "background": BACKGROUND}

BARE = rssn.load_recipe("comp-bg20k")
"""No step but the blend."""


def composed(**changes: Any) -> Sample[Any]:
    return rssn.compose(**{"recipe": BARE, **PICTURES, **changes})


def test_equation_1_holds_for_what_comes_out() -> None:
    done = composed()
    alpha = to_float(done.alpha)[..., None]
    blended = alpha * to_float(done.foreground) + (1 - alpha) * to_float(done.background)
    assert done.image.shape == IMAGE.shape
    assert np.abs(blended * 255 - done.image).max() <= 1.5  # three roundings
    assert np.array_equal(done.alpha, ALPHA)
    assert (done.foreground_method, done.image.dtype) == ("levin", np.uint8)


def test_floats_in_floats_out_and_the_same_pixels() -> None:
    floats = {name: to_float(values) for name, values in PICTURES.items()}
    eight_bit, done = composed(foreground_id="x"), composed(**floats, foreground_id="x")
    for name in ("image", "alpha", "foreground", "background"):
        values = getattr(done, name)
        assert values.dtype == np.float32
        assert np.array_equal(to_uint8(values), getattr(eight_bit, name))


def test_threads_change_no_pixel_and_reach_the_closed_form_and_bm3d(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = list[int]()

    def watched(real: Any) -> Any:
        def watch(*arguments: Any) -> Any:
            taken.append(arguments[-1])
            return real(*arguments)

        return watch

    monkeypatch.setattr(closed_form, "solve", watched(closed_form.solve))
    monkeypatch.setattr(bm3d, "bm3d", watched(bm3d.bm3d))
    recipe = replace(BARE, steps=(Denoise(probability=1.0),))
    once, several = composed(recipe=recipe), composed(recipe=recipe, threads=2)
    assert np.array_equal(once.image, several.image)
    assert taken == [1, 1, 1, 2, 2, 2]  # F and B, F denoised, the background denoised
    with pytest.raises(InputError, match="threads is -1; expected 1 or more"):
        composed(threads=-1)


def test_draws_follow_seed_k_and_the_foreground() -> None:
    recipe = rssn.load_recipe("rssn-noise-only")
    samples = [composed(recipe=recipe, k=k) for k in range(8)]
    assert len({sample.drawn.seed for sample in samples}) == 8
    again = composed(recipe="rssn-noise-only", k=3)
    assert again.drawn == samples[3].drawn
    assert np.array_equal(again.image, samples[3].image)
    assert composed(recipe=recipe, k=3, seed=1).drawn != samples[3].drawn
    assert composed(recipe=recipe, k=3, image=IMAGE[::-1]).drawn != samples[3].drawn
    assert composed(recipe=recipe, k=3, background=BACKGROUND[::-1]).drawn == samples[3].drawn
    named = [composed(recipe=recipe, k=3, foreground_id="a", image=image).drawn for image in (IMAGE, IMAGE[::-1])]
    assert named[0] == named[1]


def test_a_given_foreground_is_taken_where_the_recipe_says_so_or_no_photograph_is_there() -> None:
    front = IMAGE[:, ::-1].copy()
    alone = composed(image=None, foreground=front)
    chosen = composed(foreground=front, recipe=replace(BARE, foreground="given"))
    computed = composed(foreground=front)
    assert np.array_equal(alone.foreground, front)
    assert np.array_equal(chosen.foreground, front)
    assert [each.foreground_method for each in (alone, chosen, computed)] == ["given", "given", "levin"]


def test_a_recipe_is_an_object_a_name_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nfit: stretch\nsteps: [blend]\n", encoding="utf-8")
    assert isinstance(rssn.load_recipe("comp-rssn"), Recipe)
    by_file = composed(recipe=path, foreground_id="x")
    assert np.array_equal(by_file.image, composed(recipe=rssn.load_recipe(str(path)), foreground_id="x").image)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, "give image, the photograph, or foreground"),
        ({"recipe": replace(BARE, foreground="given")}, "the recipe comp-bg20k takes F as it is given"),
        ({"alpha": ALPHA[:-1]}, "image has 32 x 24 px, alpha 32 x 23"),
        ({"alpha": np.stack([ALPHA] * 3, axis=2)}, r"alpha has the shape \(24, 32, 3\); expected H x W"),
        ({"background": BACKGROUND[..., 0]}, r"background has the shape \(40, 50\); expected H x W x 3"),
        ({"background": np.dstack([BACKGROUND, BACKGROUND[..., 0]])}, r"background has the shape \(40, 50, 4\)"),
        ({"background": BACKGROUND[:0]}, r"background has the shape \(0, 50, 3\)"),
        ({"background": [[0]]}, "background is a list; expected a numpy array"),
        ({"background": BACKGROUND.astype(np.int64)}, "background is int64; expected uint8, or floats"),
        ({"background": to_float(BACKGROUND)}, "alpha is uint8, background is float32, image is uint8; give one kind"),
        ({name: to_float(each) * 255 for name, each in PICTURES.items()}, r"has values in \[0, 255\]; expected floats"),
        ({name: to_float(each) * np.nan for name, each in PICTURES.items()}, r"has values in \[nan, nan\]"),
        ({"background": BACKGROUND[:10, :10]}, "background has 10 x 10 px; .* enlarged 3.2 times.* max_upscale is 1.5"),
        ({"k": -1}, "k is -1; expected 0 or more"),
        ({"recipe": "comp-nothing"}, "comp-nothing: no such recipe file; recipes that ship: "),
    ],
)
def test_what_cannot_be_composed_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        composed(**changes)


def test_another_foreground_that_no_step_takes_is_refused() -> None:
    with pytest.raises(InputError, match="other has no effect: no step of the recipe comp-bg20k takes another"):
        composed(other=(IMAGE, ALPHA))


def test_a_step_that_takes_another_foreground_is_named() -> None:
    recipe = Recipe("two", steps=(Merge(1.0),))
    words = "^the step merge of the recipe two takes another foreground; give other, a pair of its F, H x W x 3, and"
    with pytest.raises(InputError, match=words):
        composed(recipe=recipe)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (IMAGE, r"other is an array of the shape \(24, 32, 3\); expected a pair: F, H x W x 3, and its alpha, H x W"),
        ((IMAGE,), "other is a tuple; expected a pair: F"),
        ((), "other is a tuple; expected a pair: F"),
        ((IMAGE, IMAGE), r"other alpha has the shape \(24, 32, 3\); expected H x W"),
    ],
)
def test_another_foreground_is_a_pair(other: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        composed(recipe=Recipe("two", steps=(Merge(1.0),)), other=other)


def test_another_foreground_must_fit_its_alpha() -> None:
    recipe = Recipe("r", steps=(Merge(1.0),))
    with pytest.raises(InputError, match="other foreground has 32 x 23 px, other alpha 32 x 24"):
        composed(recipe=recipe, other=(IMAGE[1:], ALPHA))
