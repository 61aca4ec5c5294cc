from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rssn.errors import InputError
from rssn.route.recipe import Recipe, chosen_recipe, load_recipe, parse_recipe, shipped_recipes, shipped_text
from rssn.route.step import Step
from rssn.route.steps.blur import Blur
from rssn.route.steps.denoise import Denoise
from rssn.route.steps.noise import Noise
from tests.bucket import Store

PAPER = Recipe("comp-rssn", steps=(Denoise(), Blur(), Noise()))


def test_comp_rssn_is_section_4_4() -> None:
    assert load_recipe("comp-rssn") == PAPER
    assert (PAPER.k, PAPER.foreground, PAPER.fit) == (5, "levin", "cover")
    assert [step.probability for step in PAPER.steps] == [0.5, 0.5, 0.5]
    assert (Blur().sizes, Denoise().sigma, Noise().sigma, Denoise().backend) == ((20, 30, 40, 50, 60), 10, 10, "native")


@pytest.mark.parametrize("name", ["comp-bg20k", "comp-coco", "ori"])
def test_plain_recipes_only_blend(name: str) -> None:
    assert load_recipe(name).steps == ()


def test_comp_coco_takes_small_pictures() -> None:
    assert load_recipe("comp-coco").max_upscale == 8


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_that_ships_is_valid_and_named_as_its_file(name: str) -> None:
    assert load_recipe(name).name == name
    assert parse_recipe(shipped_text(name), "text") == load_recipe(name)


def test_the_ablations_of_table_3_have_one_step_each() -> None:
    for step in PAPER.steps:
        assert load_recipe(f"rssn-{step.name}-only").steps == (step,)


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{name: mine, steps: [{blur: {sizes: [7]}}, blend, noise]}")
    assert load_recipe(str(tmp_path / "mine.yaml")) == Recipe("mine", steps=(Blur(sizes=(7,)), Noise()))


def test_an_unknown_name_lists_what_ships() -> None:
    with pytest.raises(InputError, match="comp-rsn: no such recipe file; recipes that ship: comp-bg20k, comp-coco, "):
        load_recipe("comp-rsn")
    with pytest.raises(InputError, match="recipes that ship: comp-bg20k"):
        shipped_text("comp-rsn")


def test_options_change_a_recipe_and_nothing_else() -> None:
    assert chosen_recipe("comp-rssn") == PAPER
    assert chosen_recipe("comp-rssn", k=3, fit=None, foreground="multiply") == replace(
        PAPER, k=3, foreground="multiply"
    )
    assert chosen_recipe("comp-rssn", "nlmeans").steps == (Denoise(backend="nlmeans"), Blur(), Noise())
    with pytest.raises(
        InputError, match="--denoiser nlmeans has no effect here: the recipe comp-coco denoises nothing"
    ):
        chosen_recipe("comp-coco", "nlmeans")


def test_a_recipe_survives_the_way_through_yaml() -> None:
    steps: Sequence[Step] = (Denoise(0.25, 7.5, "nlmeans"), Blur(1, (3, 9)), Noise(0, 4))
    recipe = Recipe("mine", k=3, foreground="multilevel", fit="stretch", steps=tuple(steps))
    assert parse_recipe(yaml.safe_dump(recipe.to_dict()), "mine.yaml") == recipe
    assert recipe.to_dict()["steps"][2] == "blend"


def _step(text: str) -> str:
    return f"{{name: a, steps: [{{{text}}}, blend]}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a recipe is a mapping"),
        ("- name", "a recipe is a mapping"),
        ("{name: [", "not YAML"),
        ("name: !!python/object/apply:os.getcwd []", "line 1: the tag !!python/object/apply:os.getcwd means nothing"),
        ("k: 5", "'name' is missing"),
        ("name: ''", "name is ''; expected a text"),
        ("name: 7", "name is 7; expected a text"),
        ("{name: a, kk: 5}", "unknown key 'kk'; known here: fit, foreground, k, max_upscale, name, steps"),
        ("{name: a, 1: 5}", "unknown key '1'"),
        ("{name: a, k: 0}", "k is 0; expected 1 or more"),
        ("{name: a, k: 2.5}", "k is 2.5; expected a whole number"),
        ("{name: a, k: true}", "k is True; expected a whole number"),
        ("{name: a, k: five}", "k is 'five'; expected a whole number"),
        (
            "{name: a, foreground: closed}",
            "foreground is 'closed'; expected one of 'levin', 'multi",
        ),
        ("{name: a, foreground: [levin]}", "foreground is .*expected one of"),
        ("{name: a, fit: crop}", "fit is 'crop'; expected one of 'cover' or 'stretch'"),
        ("{name: a, blur: {probability: 1}}", "'blur' is a step: write it into the list 'steps'"),
        ("name: a", "the key 'steps' is missing; `steps: \\[blend\\]` blends and does nothing else"),
        ("{name: a, steps: 3}", "steps is 3; expected a list of steps, with blend among them"),
        ("{name: a, steps: []}", "steps: blend is missing; it stands once"),
        ("{name: a, steps: [blend, blend]}", "steps: blend occurs 2 times"),
        ("{name: a, steps: [{blend: {}}]}", "steps holds {'blend': {}}; a step is its name"),
        ("{name: a, steps: [{blur: }, blend]}", "steps holds {'blur': None}; a step is its name, or"),
        ("{name: a, steps: [{blur: {}, noise: {}}, blend]}", "steps holds .*; a step is its name, or"),
        (
            "{name: a, steps: [sharpen, blend]}",
            "no step is called 'sharpen'; there are denoise, .*, blur, .*, noise, and blend",
        ),
        ("{name: a, steps: [blur, blur, blend]}", "steps has 'blur' twice"),
        (
            "{name: a, steps: [blur, denoise, blend]}",
            "steps has 'denoise' after 'blur'; it acts on pictures",
        ),
        ("{name: a, steps: [noise, blend]}", "steps has 'noise' on the wrong side of blend; it acts on the composite"),
        ("{name: a, steps: [blend, denoise]}", "steps has 'denoise' on the wrong side of blend"),
        (_step("denoise: {sgima: 1}"), "steps.denoise: unknown key 'sgima'; known here: backend, probability, sigma"),
        (_step("denoise: {probability: 2}"), "steps.denoise: probability is 2; expected 1 or less"),
        (_step("denoise: {sigma: -1}"), "steps.denoise: sigma is -1; expected 0 or more or 'auto'"),
        (_step("denoise: {sigma: 256}"), "steps.denoise: sigma is 256; expected 255 or less or 'auto'"),
        (_step("denoise: {sigma: some}"), "steps.denoise: sigma is 'some'; expected a number or 'auto'"),
        (_step("denoise: {sigma: .nan}"), "steps.denoise: sigma is nan; expected a finite number"),
        (_step("denoise: {sigma: .inf}"), "steps.denoise: sigma is inf; expected a finite number"),
        (_step("denoise: {backend: dncnn}"), "backend is 'dncnn'; expected one of 'native', 'bm3d' or 'nlmeans'"),
        (_step("blur: {probability: -0.1}"), "probability is -0.1; expected 0 or more"),
        (_step("blur: {probability: true}"), "probability is True; expected a number"),
        (_step("blur: {probability: half}"), "probability is 'half'; expected a number"),
        (_step("blur: {sizes: []}"), r"sizes is \[\]; expected at least 1 of them"),
        (_step("blur: {sizes: 20}"), "sizes is 20; expected a list"),
        (_step("blur: {sizes: {20: 1}}"), "sizes is .*; expected a list"),
        (_step("blur: {sizes: [20, 0]}"), r"sizes\[1\] is 0; expected 1 or more"),
        (_step("blur: {sizes: [2.5]}"), r"sizes\[0\] is 2.5; expected a whole number"),
        (_step("blur: {sizes: [true]}"), r"sizes\[0\] is True; expected a whole number"),
        (_step("blur: {sizes: [20, 1001]}"), r"sizes\[1\] is 1001; expected 1000 or less"),
        ("name: a\nsteps:\n  - blur: {sizes: [20],\n     sizes: [30]}", "line 4: the key 'sizes' occurs twice"),
        ("{name: a, steps: [blend, {noise: {sigma: auto}}]}", "steps.noise: sigma is 'auto'; expected a number"),
        ("{name: a, steps: [blend, {noise: {sigma: [1]}}]}", "steps.noise: sigma is .*expected a number"),
        ("name: a\nk: 3\nk: 4", "line 3: the key 'k' occurs twice; remove one"),
        ("{name: a, k: 2001-99-99}", "line 1: 2001-99-99 is a date in YAML; put it in quotes"),
        ("{name: a, k: !!int abc}", "line 1: the tag !!int means nothing here"),
        ("[" * 3000, "line 1: nested deeper than 32"),
        ("name: a/b", r"name is 'a/b'; expected a text \(letters, digits, dots, dashes and underscores\)"),
        ("{name: a, [1]: 2}", "line 1: a key is a list or a mapping"),
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
    {"steps": ()},
    {"steps": (Denoise(), Blur())},
    {"steps": (Denoise(probability=0.4), Blur(), Noise())},
    {"steps": (Denoise(sigma=11), Blur(), Noise())},
    {"steps": (Denoise(sigma="auto"), Blur(), Noise())},
    {"steps": (Denoise(backend="nlmeans"), Blur(), Noise())},
    {"steps": (Denoise(), Blur(probability=0.4), Noise())},
    {"steps": (Denoise(), Blur(sizes=(20, 30, 40, 50)), Noise())},
    {"steps": (Denoise(), Blur(sizes=(60, 50, 40, 30, 20)), Noise())},
    {"steps": (Denoise(), Blur(), Noise(probability=0.4))},
    {"steps": (Denoise(), Blur(), Noise(sigma=11))},
]


def test_every_field_that_shapes_a_composite_changes_the_label() -> None:
    labels = {PAPER.label} | {replace(PAPER, **change).label for change in _CHANGES}
    assert len(labels) == len(_CHANGES) + 1


def test_equal_recipes_have_equal_labels() -> None:
    whole, shares = (Recipe("a", steps=(Denoise(one, ten), Noise(0, ten))) for one, ten in ((1, 10), (1.0, 10.0)))
    assert whole == shares
    assert whole.label == shares.label


def test_a_recipe_is_checked_however_it_is_made() -> None:
    with pytest.raises(InputError, match="k is 0"):
        replace(PAPER, k=0)
    with pytest.raises(InputError, match="sizes"):
        Blur(sizes=())
    with pytest.raises(InputError, match="steps has 'blur' after 'noise'"):
        replace(PAPER, steps=(Noise(), Blur()))


def test_what_is_never_drawn_needs_nothing() -> None:
    assert Recipe("a", steps=(Denoise(0, backend="bm3d"), Blur(0.1))).drawn == (Blur(0.1),)


def test_a_recipe_in_a_bucket(s3: Store, bucket: str) -> None:
    s3.put(f"{bucket}/mine.yaml", b"name: mine\nk: 3\nsteps: [blend]\n")
    assert load_recipe(f"{bucket}/mine.yaml").k == 3
    s3.put(f"{bucket}/long.yaml", b"# much\n" * 100_000)
    s3.put(f"{bucket}/wrong.yaml", b"name: mine\nkk: 3\n")
    for name, words in (
        ("long", "longer than 100000 characters"),
        ("wrong", "kk"),
        ("none", "no such recipe file; recipes that ship"),
    ):
        with pytest.raises(InputError, match=rf"{bucket}/{name}\.yaml: .*{words}"):
            load_recipe(f"{bucket}/{name}.yaml")
    with pytest.raises(InputError, match=r"no user, key or signature belongs in a URL"):
        load_recipe(f"{bucket}/mine.yaml?X-Amz-Signature=abc")
