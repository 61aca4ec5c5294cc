from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from rssn.errors import InputError
from rssn.route.recipe import BlurStep, DenoiseStep, NoiseStep, Recipe, parse_recipe


def test_the_defaults_are_the_papers() -> None:
    recipe = parse_recipe("name: plain", "plain.yaml")
    assert recipe == Recipe("plain")
    assert (recipe.k, recipe.foreground, recipe.fit) == (5, "levin", "cover")
    assert (recipe.denoise.probability, recipe.blur.probability, recipe.noise.probability) == (0.5, 0.5, 0.5)
    assert recipe.blur.sizes == (20, 30, 40, 50, 60)
    assert (recipe.denoise.sigma, recipe.noise.sigma, recipe.denoise.backend) == (10, 10, "native")


def test_a_recipe_survives_the_way_through_yaml() -> None:
    recipe = Recipe(
        "mine",
        k=3,
        foreground="multilevel",
        fit="stretch",
        denoise=DenoiseStep(0.25, 7.5, "nlmeans"),
        blur=BlurStep(1, (3, 9)),
        noise=NoiseStep(0, 4),
    )
    plain = recipe.to_dict() | {"blur": {"probability": 1, "sizes": [3, 9]}}
    assert parse_recipe(yaml.safe_dump(plain), "mine.yaml") == recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a recipe is a mapping"),
        ("- name", "a recipe is a mapping"),
        ("{name: [", "not YAML"),
        ("name: !!python/object/apply:os.getcwd []", "line 1: the tag !!python/object/apply:os.getcwd means nothing"),
        ("k: 5", "'name' is missing"),
        ("name: ''", "'name' is missing"),
        ("name: 7", "'name' is missing"),
        ("{name: a, kk: 5}", "unknown key 'kk'; known here: blur, denoise"),
        ("{name: a, 1: 5}", "unknown key '1'"),
        ("{name: a, k: 0}", "k is 0; expected a whole number of 1 or more"),
        ("{name: a, k: 2.5}", "k is 2.5; expected a whole number"),
        ("{name: a, k: true}", "k is True; expected a whole number"),
        ("{name: a, k: five}", "k is 'five'; expected a whole number"),
        ("{name: a, foreground: closed}", "foreground is 'closed'; expected one of levin, multilevel, multiply, given"),
        ("{name: a, foreground: [levin]}", "foreground is .*expected one of"),
        ("{name: a, fit: crop}", "fit is 'crop'; expected one of cover, stretch"),
        ("{name: a, denoise: true}", "'denoise' is True; expected a mapping such as"),
        ("{name: a, blur: }", "'blur' is None; expected a mapping"),
        ("{name: a, denoise: {sgima: 1}}", "unknown key 'denoise.sgima'; known here: backend, probability, sigma"),
        ("{name: a, denoise: {probability: 2}}", r"denoise.probability is 2; a probability lies in \[0, 1\]"),
        ("{name: a, denoise: {sigma: -1}}", "denoise.sigma is -1; expected a number from 0 to 255"),
        (
            "{name: a, denoise: {sigma: 256}}",
            "denoise.sigma is 256; expected a number from 0 to 255 in 8-bit units, or auto",
        ),
        (
            "{name: a, denoise: {sigma: some}}",
            "denoise.sigma is 'some'; expected a number from 0 to 255 in 8-bit units, or",
        ),
        ("{name: a, noise: {sigma: auto}}", "noise.sigma is 'auto'; expected a number from 0 to 255 in 8-bit units"),
        ("{name: a, denoise: {sigma: .nan}}", "denoise.sigma is nan; expected a number"),
        ("{name: a, denoise: {sigma: .inf}}", "denoise.sigma is inf; expected a number"),
        ("{name: a, denoise: {backend: dncnn}}", "denoise.backend is 'dncnn'; expected one of native, bm3d, nlmeans"),
        ("{name: a, blur: {probability: -0.1}}", "blur.probability is -0.1"),
        ("{name: a, blur: {probability: true}}", "blur.probability is True"),
        ("{name: a, blur: {probability: half}}", "blur.probability is 'half'"),
        ("{name: a, blur: {sizes: []}}", r"blur.sizes is \(\): list at least one kernel size"),
        ("{name: a, blur: {sizes: 20}}", "blur.sizes is 20: list at least one kernel size"),
        ("{name: a, blur: {sizes: {20: 1}}}", "blur.sizes is .*: list at least one kernel size"),
        ("{name: a, blur: {sizes: [20, 0]}}", "blur.sizes holds 0: a kernel size is a whole number"),
        ("{name: a, blur: {sizes: [2.5]}}", "blur.sizes holds 2.5"),
        ("{name: a, blur: {sizes: [true]}}", "blur.sizes holds True"),
        (
            "{name: a, blur: {sizes: [20, 1001]}}",
            "blur.sizes holds 1001: a kernel size is a whole number of px, 1 to 1000",
        ),
        ("name: a\nk: 3\nk: 4", "line 3: the key 'k' stands twice; remove one"),
        ("name: a\nblur:\n  sizes: [20]\n  sizes: [30]", "line 4: the key 'sizes' stands twice"),
        ("{name: a, k: 2001-99-99}", "line 1: 2001-99-99 is a date in YAML; put it in quotes"),
        ("{name: a, k: !!int abc}", "line 1: the tag !!int means nothing here"),
        ("[" * 3000, "line 1: nested deeper than 32"),
        ("name: a/b", "name is 'a/b'; use letters, digits, dots, dashes and underscores"),
        ("{name: a, [1]: 2}", "line 1: a key is a list or a mapping"),
        ("{name: a, noise: {probability: .nan}}", "noise.probability is nan"),
        ("{name: a, noise: {sigma: ten}}", "noise.sigma is 'ten'; expected a number from 0 to 255"),
        ("{name: a, noise: {sigma: [1]}}", "noise.sigma is .*expected a number"),
    ],
)
def test_what_is_no_recipe_is_refused_by_file_key_and_remedy(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_recipe(text, "folder/mine.yaml")
    assert str(caught.value).startswith("folder/mine.yaml: ")
    assert "\n" not in str(caught.value)


def test_the_label_is_the_name_and_a_digest_of_what_shapes_a_composite() -> None:
    name, digest = Recipe("a").label.split("@")
    assert name == "a"
    assert len(digest) == 12
    assert Recipe("b", k=9).label == f"b@{digest}"


_CHANGES: list[dict[str, Any]] = [
    {"foreground": "multilevel"},
    {"fit": "stretch"},
    {"denoise": DenoiseStep(probability=0.4)},
    {"denoise": DenoiseStep(sigma=11)},
    {"denoise": DenoiseStep(sigma="auto")},
    {"denoise": DenoiseStep(backend="nlmeans")},
    {"blur": BlurStep(probability=0.4)},
    {"blur": BlurStep(sizes=(20, 30, 40, 50))},
    {"blur": BlurStep(sizes=(60, 50, 40, 30, 20))},
    {"noise": NoiseStep(probability=0.4)},
    {"noise": NoiseStep(sigma=11)},
]


def test_every_field_that_shapes_a_composite_changes_the_label() -> None:
    labels = {Recipe("a").label} | {replace(Recipe("a"), **change).label for change in _CHANGES}
    assert len(labels) == len(_CHANGES) + 1


def test_equal_recipes_have_equal_labels() -> None:
    whole = Recipe("a", denoise=DenoiseStep(1, 10), noise=NoiseStep(0, 10))
    shares = Recipe("a", denoise=DenoiseStep(1.0, 10.0), noise=NoiseStep(0.0, 10.0))
    assert whole == shares
    assert whole.label == shares.label


def test_a_recipe_is_checked_however_it_is_made() -> None:
    with pytest.raises(InputError, match="k is 0"):
        replace(Recipe("a"), k=0)
    with pytest.raises(InputError, match=r"blur\.sizes"):
        BlurStep(sizes=())
