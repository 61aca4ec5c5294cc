"""What makes a step again: what it reads, what its recipe says, another release; no name, no number of processes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines.study.execute import StepTask, make_step
from pipelines.study.steps import Plan, Step
from rssn.errors import InputError
from tests.pipelines.study.conftest import Planned


def labels(before: Plan, after: Plan) -> set[str]:
    """Of the steps that are to be made again."""
    return {step.label for step in after.steps} - {step.label for step in _kept(before, after)}


def _kept(before: Plan, after: Plan) -> list[Step]:
    keys = {step.key for step in before.steps}
    return [step for step in after.steps if step.key in keys]


def test_sets_of_linked_folders_are_two(planned: Planned, tmp_path: Path) -> None:
    for name in ("one", "two"):
        for side in ("original", "mask"):
            there = tmp_path / f"{name}-{side}"
            there.mkdir()
            (there / "a.png").write_bytes(name.encode())
            os.utime(there / "a.png", ns=(len(name), 5 if name == "one" else 6))
            (tmp_path / "data" / name).mkdir(exist_ok=True)
            (tmp_path / "data" / name / side).symlink_to(there)
    plan = planned("foregrounds: $data/matting", "foregrounds: [$data/one, $data/two]")
    assert {step.label for step in plan.steps if step.kind == "pack"} == {"pack-real-0", "pack-real-1"}


def test_a_recipe_counts_by_what_it_says(planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "package"
    shutil.copytree(Path("rssn/route/recipes").resolve(), shipped / "recipes")
    monkeypatch.setattr("rssn.route.recipe._SHIPPED", shipped / "recipes")
    before, place = planned(), shipped / "recipes" / "comp-bg20k.yaml"
    place.write_text(f"# a word\n{place.read_text()}")
    assert labels(before, planned()) == set()
    place.write_text(f"{place.read_text()}\nmax_upscale: 1.25\n")
    assert {label for label in labels(before, planned()) if "train" not in label} == {
        "compose-plain", "eval-plain-tt-0", "eval-plain-tt-1"
    }  # fmt: skip
    place.write_text("name: [")
    with pytest.raises(InputError, match="recipe comp-bg20k: not YAML"):
        planned()


def test_a_recipe_of_ones_own_may_lie_anywhere(planned: Planned, tmp_path: Path) -> None:
    first, second = tmp_path / "one.yaml", tmp_path / "two.yaml"
    first.write_text("name: own\nsteps: [blend]\n")
    second.write_text("name: own  # as one.yaml\nsteps: [blend]\n")
    before = planned("recipe: comp-bg20k", f"recipe: {first}")
    assert labels(before, planned("recipe: comp-bg20k", f"recipe: {second}")) == set()
    second.write_text("name: own\nk: 3\nsteps: [blend]\n")
    assert "compose-plain" in labels(before, planned("recipe: comp-bg20k", f"recipe: {second}"))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("$data/eval}", "$data/eval, options: {trimaps: $data/more}}", "eval-real-tt-1"),
        ("min-side: 384", "against: $data/more", "curate-bg"),
        ("min-side: 384", "detector: $data/more/a.jpg", "curate-bg"),
        ("min-side: 384", "deep-duplicates: resnet50=$data/more/a.jpg", "curate-bg"),
        ("max-steps: 4", "validation: $data/more", "train-real-tt-1"),
        ("max-steps: 4", "validation: real=$data/more", "train-real-tt-1"),
    ],
)
def test_what_an_option_names_counts_by_what_lies_there(
    planned: Planned, tmp_path: Path, old: str, new: str, changed: str
) -> None:
    before = planned(old, new)
    assert changed not in labels(before, planned(old, new))
    shutil.move(tmp_path / "data" / "more", tmp_path / "data" / "moved")
    assert labels(before, planned(old, new.replace("more", "moved"))) == set()
    (tmp_path / "data" / "moved" / "a.jpg").write_bytes(b"something else")
    assert changed in labels(before, planned(old, new.replace("more", "moved")))
    with pytest.raises(InputError, match=r"more.*: there is no such file or folder"):
        planned(old, new)


@pytest.mark.parametrize(
    ("old", "more"),
    [
        ("max-steps: 4", "workers: 0, checkpoint-every: 2, keep: 1, tensorboard: true, keep-decoded: 500"),
        ("k: 2", "cache-size: 1G, cache-dir: elsewhere, max-errors: 3"),
        ("min-side: 384", "max-errors: 3"),
    ],
)
def test_how_a_result_is_made_does_not_count(planned: Planned, old: str, more: str) -> None:
    after = planned(old, f"{old}, {more}")
    assert labels(planned(), after) == set()
    words = {word for step in after.steps for word in step.command(Path()).split()}
    assert {f"--{each.partition(':')[0].strip()}" for each in more.split(",")} <= words


def test_shards_of_another_size_count(planned: Planned) -> None:
    assert "compose-coco" in labels(planned(), planned("k: 2", "k: 2, shard-size: 1M"))


def test_another_release_makes_all_again(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned()
    monkeypatch.setattr("pipelines.study.steps.made_by", lambda: {"rssn": "99.0"})
    after = planned()
    assert labels(before, after) == {step.label for step in after.steps}


def test_a_result_is_found_under_the_name_that_it_was_made_under(planned: Planned, tmp_path: Path) -> None:
    before = {step.label: step for step in planned().steps}
    for step in before.values():
        step.folder(tmp_path).mkdir(parents=True)
        step.mark(tmp_path).write_text("{}")
    renamed = {step.label: step for step in planned("  plain:", "  other:").steps}
    assert renamed["train-other-tt-1"].folder(tmp_path) == before["train-plain-tt-1"].folder(tmp_path)
    two = planned("foregrounds: $data/matting", "foregrounds: [$data/matting, $data/more]")
    grown = {step.label: step for step in two.steps}
    assert grown["compose-plain-0"].folder(tmp_path).name == f"compose-plain-{before['compose-plain'].key}"
    assert grown["compose-plain-1"].folder(tmp_path).name == f"compose-plain-1-{grown['compose-plain-1'].key}"


def test_of_two_folders_the_finished_one_is_taken_else_its_own(tmp_path: Path) -> None:
    one, other = Step("pack", "a", {}), Step("pack", "b", {})
    assert one.key == other.key
    for step in (one, other):
        (tmp_path / "steps" / f"{step.label}-{step.key}").mkdir(parents=True)
    assert other.folder(tmp_path).name == f"pack-b-{other.key}"
    (tmp_path / "steps" / f"pack-a-{one.key}" / "step.json").write_text("{}")
    assert other.folder(tmp_path).name == f"pack-a-{one.key}"


def test_a_mark_says_which_versions_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.study.execute.made_by", lambda: {"rssn": "1.2", "torch": "3.4"})
    folder = tmp_path / "crops-set-0123"
    make_step(StepTask("crops-set", "crops", folder, ("pipelines.cli", "--help"), 1))
    mark = json.loads((folder / "step.json").read_text())
    assert (mark["key"], mark["versions"]) == ("0123", {"rssn": "1.2", "torch": "3.4"})
