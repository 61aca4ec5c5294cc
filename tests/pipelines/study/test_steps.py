"""What a step's name depends on, and on what it does not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pipelines.study.jobs import KINDS
from pipelines.study.kinds import arguments
from pipelines.study.steps import Plan
from rssn.errors import DependencyError, InputError
from tests.pipelines.study.conftest import Planned


def names(plan: Plan) -> dict[str, str]:
    return {step.label: step.key for step in plan.steps}


def changed(before: Plan, after: Plan) -> set[str]:
    old, new = names(before), names(after)
    assert old.keys() == new.keys()
    return {label for label in old if old[label] != new[label]}


def test_every_row_is_trained_and_judged_for_each_seed(planned: Planned) -> None:
    plan = planned()
    assert [step.label for step in plan.steps] == [
        "curate-bg",
        "crops-crops",
        "compose-plain",
        "compose-coco",
        "pack-real",
        *(f"{kind}-{row}-tt-{n}" for kind in ("train", "eval") for row in ("plain", "coco", "real") for n in (0, 1)),
    ]
    order = [list(KINDS).index(step.kind) for step in plan.steps]
    assert order == sorted(order)
    assert [(cell.row, cell.variant, cell.seed) for cell in plan.cells][:2] == [("plain", "TT", 0), ("plain", "TT", 1)]


def test_another_recipe_makes_again_what_depends_on_it(planned: Planned) -> None:
    expected = {"compose-plain", "train-plain-tt-0", "train-plain-tt-1", "eval-plain-tt-0", "eval-plain-tt-1"}
    assert changed(planned(), planned("recipe: comp-bg20k", "recipe: comp-rssn")) == expected


def test_another_curation_makes_again_what_is_drawn_from_it(planned: Planned) -> None:
    found = changed(planned(), planned("min-side: 384", "min-side: 512"))
    assert found == {label for label in names(planned()) if "real" not in label}


def test_other_pictures_to_judge_on_train_nothing_again(planned: Planned, tmp_path: Path) -> None:
    before = planned()
    (tmp_path / "data" / "eval" / "b.jpg").write_bytes(b"more")
    shutil.copytree(tmp_path / "data", tmp_path / "again")  # another place: what lies there counts
    found = changed(before, planned(place="again"))
    assert found == {label for label in names(before) if label.startswith("eval-")}


def test_files_that_moved_are_the_same(planned: Planned, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "moved")
    assert changed(planned(), planned(place="moved")) == set()


def test_more_steps_or_seeds_keep_what_is_made(planned: Planned) -> None:
    assert {
        label for label in changed(planned(), planned("max-steps: 4", "max-steps: 8")) if "compose" in label
    } == set()
    more = names(planned("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    assert names(planned()).items() <= more.items()


def test_a_command_that_a_person_can_type_takes_the_results_of_others(planned: Planned, tmp_path: Path) -> None:
    plan = planned()
    steps = {step.label: step for step in plan.steps}
    compose, train = steps["compose-coco"], steps["train-coco-tt-1"]
    crops = steps["crops-crops"].out(tmp_path)
    matting = tmp_path / "data" / "matting"
    assert compose.command(tmp_path, {"workers": 2}) == (
        f"rssn compose --matting {matting} --backgrounds {crops} --recipe comp-coco --k 2 "
        f"--out {compose.out(tmp_path)} --workers 2"
    )
    assert train.command(tmp_path, {"workers": 2}) == (
        f"train run --data {compose.out(tmp_path)} --backbone tiny --rosta TT --seed 1 --max-steps 4 "
        f"--out {train.out(tmp_path)}"
    )
    assert f" --checkpoint {train.out(tmp_path)}/last.pt " in steps["eval-coco-tt-1"].command(tmp_path)
    curated = steps["curate-bg"].out(tmp_path)
    assert steps["crops-crops"].command(tmp_path) == f"python -m pipelines.study.crops {curated} --out {crops}"
    assert train.out(tmp_path) == tmp_path / "steps" / f"train-coco-tt-1-{train.key}" / "out"


def test_an_ensemble_judges_the_networks_of_a_seed_together(planned: Planned) -> None:
    plan = planned("backbone: tiny,", "backbone: tiny, rosta: [TT, FT], ensemble: true,")
    together = next(cell for cell in plan.cells if cell.variant == "ensemble" and cell.row == "real" and cell.seed == 1)
    assert [step.label for step in together.evaluation.needs] == ["train-real-tt-1", "train-real-ft-1"]
    assert sum(step.kind == "train" for step in plan.steps) == 3 * 2 * 2


def test_a_rows_own_network_is_trained_and_evaluated_as_it_says(planned: Planned, tmp_path: Path) -> None:
    options = "{data: $data/eval, options: {max-side: 96, trimaps: $data/more}}"
    text = "real: {network: {name: shm, backbone: tiny, options: {max-steps: 3, width: 0.5}, evaluation: {}}}"
    plan = planned("real: {}", text, also={"{data: $data/eval}": options})
    steps = {step.label: step for step in plan.steps}
    assert steps["train-real-shm-1"].command(tmp_path) == (
        f"train run --data {steps['pack-real'].out(tmp_path)} --backbone tiny --network shm --seed 1 --max-steps 3 "
        f"--width 0.5 --out {steps['train-real-shm-1'].out(tmp_path)}"
    )
    assert " --max-side 96" in steps["eval-plain-tt-1"].command(tmp_path)
    assert " --max-side" not in steps["eval-real-shm-1"].command(tmp_path)
    assert f" --trimaps {tmp_path}/data/more" in steps["eval-real-shm-1"].command(tmp_path)
    assert [cell.variant for cell in plan.cells if cell.row == "real"] == ["SHM", "SHM"]


def test_sss_is_evaluated_without_a_training(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "r34.pth").write_bytes(b"weights")
    row = f"{{network: {{name: sss, backbone: r34, weights: {tmp_path}/r34.pth, options: {{sss-side: 64}}}}}}"
    plan = planned(
        "real: {}", f"real: {row}", also={"{data: $data/eval}": "{data: $data/eval, options: {max-side: 96}}"}
    )
    steps = {step.label: step for step in plan.steps}
    made = steps["sss-real-1"]
    assert made.command(tmp_path) == (
        f"train eval --method sss --data {tmp_path}/data/eval --backbone r34 --seed 1 --mattes "
        f"--encoder-weights {tmp_path}/r34.pth --sss-side 64 --out {made.out(tmp_path)}"
    )
    assert not {"pack-real", "train-real-sss-1"} & set(steps)
    cells = [cell for cell in plan.cells if cell.row == "real" and cell.seed == 1]
    places = [cell.results(tmp_path) for cell in cells]
    assert ([cell.variant for cell in cells], places) == (
        ["SSS", "SSS-oracle"], [made.out(tmp_path), made.out(tmp_path) / "oracle"]
    )  # fmt: skip


def test_networks_are_trained_once_and_evaluated_on_each_set(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "r34.pth").write_bytes(b"weights")
    row = f"{{network: {{name: sss, backbone: r34, weights: {tmp_path}/r34.pth}}}}"
    sets = """
  options: {max-side: 96}
  sets:
    old: {data: $data/eval, tuned: the rates}
    new: {data: $data/more, options: {trimaps: $data/photos}}"""
    plan = planned("real: {}", f"real: {row}", also={" {data: $data/eval}": sets})
    steps = {step.label: step for step in plan.steps}
    assert sum(step.kind == "train" for step in plan.steps) == 2 * 2
    assert [label for label in steps if label.startswith(("eval-plain", "sss"))] == [
        *(f"eval-plain-tt-{place}-{seed}" for place in ("new", "old") for seed in (0, 1)),
        *(f"sss-real-{place}-{seed}" for place in ("new", "old") for seed in (0, 1)),
    ]
    commands = [steps[f"eval-plain-tt-{place}-1"].command(tmp_path) for place in ("new", "old")]
    assert [
        f" --data {tmp_path}/data/{name} " in each for name, each in zip(("more", "eval"), commands, strict=True)
    ] == ([True, True])
    assert [f" --trimaps {tmp_path}/data/photos" in each for each in commands] == [True, False]
    assert all(" --max-side 96" in each for each in commands)
    assert [(cell.set, cell.variant) for cell in plan.cells if cell.row == "real" and cell.seed == 0] == [
        ("new", "SSS"), ("new", "SSS-oracle"), ("old", "SSS"), ("old", "SSS-oracle")
    ]  # fmt: skip


def test_the_meter_measures_each_composed_row_against_its_photographs(planned: Planned, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    plan = planned(
        "seeds:",
        "gap: {at: 1/3}\nseeds:",
        also={"options: {k: 2}": "options: {k: 2, alpha-scale: 255}", "$data/matting": "[$data/matting, $data/more]"},
    )
    steps = {step.label: step for step in plan.steps}
    assert {row: step.label for row, step in plan.meters.items()} == {"plain": "gap-plain", "coco": "gap-coco"}
    packed = [label for label in steps if label.startswith("pack-")]
    assert packed == [*(f"pack-real-{n}" for n in (0, 1)), *(f"pack-photographs-coco-{n}" for n in (0, 1))]
    assert [step.label for step in plan.meters["plain"].needs] == [
        "compose-plain-0", "compose-plain-1", "pack-real-0", "pack-real-1"
    ]  # fmt: skip
    assert "--alpha-scale 255" in steps["pack-photographs-coco-0"].command(tmp_path)
    places = [steps[f"{kind}-{n}"].out(tmp_path) for kind in ("compose-coco", "pack-photographs-coco") for n in (0, 1)]
    assert plan.meters["coco"].command(tmp_path) == (
        "python -m pipelines.study.meter --composed {} --composed {} --real {} --real {} --at 1/3 --out {}".format(
            *places, plan.meters["coco"].out(tmp_path)
        )
    )
    order = [step.kind for step in plan.steps]
    assert max(n for n, kind in enumerate(order) if kind in ("compose", "pack")) < order.index("gap")
    assert order.index("gap") < order.index("train")


def test_without_scikit_learn_only_a_study_that_asks_for_the_meter_stops(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    assert not planned().meters
    with pytest.raises(DependencyError, match=r"scikit-learn is not installed: pip install 'rssn\[gap\]'"):
        planned("seeds:", "gap: true\nseeds:")


def test_one_set_alone_is_evaluated_as_ever(planned: Planned) -> None:
    """Its name is in no key: naming it makes nothing again."""
    alone, named = planned(), planned(" {data: $data/eval}", "\n  sets: {one: {data: $data/eval, note: kept apart}}")
    assert [step.key for step in alone.steps] == [step.key for step in named.steps]


def test_weights_of_a_part_count_by_what_they_hold(planned: Planned, tmp_path: Path) -> None:
    def plan(part: str) -> Plan:
        options = f"{{part-weights: mnet={tmp_path}/{part}}}"
        return planned("real: {}", f"real: {{network: {{name: shm, backbone: tiny, options: {options}}}}}")

    for name, held in (("one", b"1"), ("same", b"1"), ("other", b"2")):
        (tmp_path / name).write_bytes(held)
    assert changed(plan("one"), plan("same")) == set()
    assert changed(plan("one"), plan("other")) == {
        f"{kind}-real-shm-{seed}" for kind in ("train", "eval") for seed in (0, 1)
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("backbone: r34, options: {sss-side: 1}", "--sss-side 1: must be from 64 to 1024"),
        ("backbone: nonsense", "--backbone nonsense: unknown"),
    ],
)
def test_what_sss_cannot_take_is_said_before_anything_is_made(
    planned: Planned, tmp_path: Path, given: str, message: str
) -> None:
    (tmp_path / "w.pth").write_bytes(b"weights")
    with pytest.raises(InputError, match=message):
        planned("real: {}", f"real: {{network: {{name: sss, weights: {tmp_path}/w.pth, {given}}}}}")


def test_a_missing_input_is_named(planned: Planned, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data" / "photos")
    with pytest.raises(InputError, match="photos: there is no such file or folder; name it in the study file"):
        names(planned(place="data/../data"))


def test_options_become_words() -> None:
    options = {"k": 5, "crop-size": (320, 640), "mattes": True, "off": False, "hybrid": (("1/3", "1/2"),)}
    words = ["--k", "5", "--crop-size", "320", "--crop-size", "640", "--mattes", "--hybrid", "1/3", "1/2"]
    assert arguments(options) == words


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max-steps: 4", "max-steps: many", "train-plain-tt-0: Invalid value for '--max-steps': 'many'"),
        ("max-steps: 4", "max-steps: 0", "train-plain-tt-0: --max-steps is 0; expected 1 or more"),
        ("max-steps: 4", "preset: paper", "train-plain-tt-0: Invalid value for '--preset': 'paper'"),
        ("max-steps: 4", "patience: 3", "train-plain-tt-0: --patience has no effect here: .* give --validation"),
        ("max-steps: 4", "validate-every: 7", "train-plain-tt-0: --validate-every has no effect here: .* give --valid"),
        ("min-side: 384", "min-side: large", "curate-bg: Invalid value for '--min-side': 'large'"),
        ("min-side: 384", "rule: sharp", "curate-bg: --rule sharp: "),
        ("min-side: 384", "ignore-class: car", "curate-bg: --ignore-class has no effect here: .* --detector"),
        ("min-side: 384", "rule: cosine=0.9", "curate-bg: --rule has no effect here: cosine is for --deep"),
        ("k: 2", "k: 0", "compose-coco: k is 0; expected"),
        ("k: 2", "shard-size: 0", "compose-coco: --shard-size is '0'; give 1 byte or more"),
        ("k: 2", "denoiser: nlmeans", "compose-coco: --denoiser nlmeans has no effect here"),
        ("{crops: bg}", "{crops: bg, options: {size: 640}}", "crops-crops: .*size"),
        ("$data/eval}", "$data/eval, options: {hybrid: 1/3}}", "eval-plain-tt-0: Got unexpected extra argument"),
        (
            "$data/eval}",
            "$data/eval, options: {protocol: own}}",
            "eval-plain-tt-0: Invalid value for '--protocol': 'own'",
        ),
    ],
)
def test_a_value_that_a_job_does_not_take_is_named_before_anything_is_made(
    planned: Planned, old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        planned(old, new)


def test_rows_that_differ_in_their_network_alone_share_their_shards(planned: Planned) -> None:
    row = "{recipe: comp-bg20k, backgrounds: bg}"
    both = f"{row}\n  large: {row[:-1]}, training: {{backbone: r34, batch-size: 32}}}}"
    plan = planned(row, both)
    steps = {step.label: step for step in plan.steps}
    assert steps["train-large-tt-0"].needs == steps["train-plain-tt-0"].needs == [steps["compose-plain"]]
    config = steps["train-large-tt-0"].settings(Path()).config
    assert (config.backbone, config.batch_size) == ("r34", 32)


def test_rows_that_are_the_same_share_their_networks(planned: Planned) -> None:
    row = "{recipe: comp-bg20k, backgrounds: bg}"
    plan = planned(row, f"{row}\n  again: {row}")
    assert not [step.label for step in plan.steps if "again" in step.label]
    judged = {(cell.row, cell.seed): cell.evaluation for cell in plan.cells}
    assert judged["again", 1] is judged["plain", 1]
    assert judged["again", 0] is not judged["plain", 1]
