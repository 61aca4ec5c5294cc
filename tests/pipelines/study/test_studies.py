"""The studies that ship, as they are planned: the paper's set-up (section 5.2.2), and its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.study.load import load_study, shipped
from pipelines.study.schema import Study
from pipelines.study.steps import Plan, Step, plan_study
from rssn.errors import DependencyError

FOREGROUNDS, K = 1_800, 5
BATCHES = {"d121": 4, "r34": 32, "r34_2b": 32}  # of r34_2b the paper says nothing
WEIGHTS = {"d121": "densenet121-a639ec97.pth", "r34": "resnet34-b627a593.pth", "r34_2b": "resnet34-b627a593.pth"}

# Copied by hand from the paper: SAD, MSE, MAD, Grad, Conn.
TABLE_2 = {
    "GFM-ENS(d)": (9.21, 0.0021, 0.0054, 8.00, 8.16),
    "GFM-ENS(r)": (9.92, 0.0024, 0.0058, 8.82, 8.92),
}
TABLE_3 = {
    "GFM-TT(d)": (10.27, 0.0027, 0.0060, 8.80, 9.37),
    "GFM-TT(r)": (10.89, 0.0029, 0.0064, 10.00, 9.99),
    "GFM-TT(r2b)": (10.24, 0.0028, 0.0060, 8.65, 9.33),
    "GFM-TT-SINGLE(d)": (13.79, 0.0040, 0.0081, 13.45, 13.04),
    "GFM-TT-SINGLE(r)": (15.50, 0.0040, 0.0091, 14.21, 13.15),
    "GFM-TT(d) excl. PPM": (10.86, 0.0030, 0.0064, 9.91, 9.92),
    "GFM-TT(d) excl. BB": (11.27, 0.0035, 0.0067, 9.33, 10.40),
    "GFM-TT(r) excl. PPM": (11.90, 0.0035, 0.0070, 10.50, 11.07),
    "GFM-TT(r) excl. BB": (11.29, 0.0032, 0.0066, 9.59, 10.43),
    "COMP GFM-TT(d)": (25.19, 0.0104, 0.0146, 15.04, 24.31),
    "COMP GFM-TT(d) w/ blur": (21.37, 0.0081, 0.0124, 14.31, 20.50),
    "COMP GFM-TT(d) w/ denoise": (22.95, 0.0090, 0.0134, 14.37, 22.10),
    "COMP GFM-TT(d) w/ noise": (19.87, 0.0075, 0.0116, 13.22, 18.97),
    "COMP GFM-TT(d) w/ RSSN": (19.19, 0.0069, 0.0112, 13.37, 18.31),
}


def figures(*line: float, **more: float) -> dict[str, float]:
    return dict(zip(("sad", "mse", "mad", "grad", "conn"), line, strict=False)) | more


def areas(line: dict[str, float], *three: float) -> dict[str, float]:
    """The same with TRAN, FG and BG, which are parts of the whole."""
    assert round(sum(three), 2) == line["sad"]
    return line | dict(zip(("sad_tran", "sad_fg", "sad_bg"), three, strict=True))


def of_table_3(names: Mapping[str, str]) -> dict[str, Any]:
    return {row: {"TT": figures(*TABLE_3[name])} for row, name in names.items()}


PAPER: dict[str, dict[str, Any]] = {
    "am2k-comp-track": {
        "coco-d121": {"TT": figures(46.16, grad=20.75, sad_tran=17.10)},
        "bg20k-d121": {"TT": figures(*TABLE_3["COMP GFM-TT(d)"], sad_tran=13.35)},
        "rssn-d121": {
            "TT": figures(*TABLE_3["COMP GFM-TT(d) w/ RSSN"], sad_tran=12.10),
            "FT": figures(20.07, 0.0072, grad=12.53, sad_tran=12.12),
            "BT": figures(22.82, 0.0078, grad=12.49, sad_tran=12.06),
        },
        "coco-r34": {"TT": figures(30.05, grad=17.22, sad_tran=15.21)},
        "bg20k-r34": {"TT": figures(16.44, grad=14.64, sad_tran=12.36)},
        "rssn-r34": {"TT": figures(15.88, 0.0049, grad=14.04, sad_tran=12.03)},
        "coco-shm": {"SHM": figures(182.70, 0.1017, 0.1061, 64.74, 182.05, sad_tran=25.01, sad_bg=134.43)},
        "bg20k-shm": {"SHM": figures(52.36, 0.0268, 0.0305, 22.87, 51.76, sad_tran=15.32, sad_bg=33.52)},
        "rssn-shm": {"SHM": figures(23.94, 0.0099, 0.0137, 17.66, 23.29, sad_tran=12.63)},
    },
    "am2k-ori-track": {
        "d121": {
            "TT": figures(*TABLE_3["GFM-TT(d)"], sad_tran=8.45, sad_fg=0.57),
            "ensemble": figures(*TABLE_2["GFM-ENS(d)"]),
        },
        "r34": {"TT": figures(*TABLE_3["GFM-TT(r)"]), "ensemble": figures(*TABLE_2["GFM-ENS(r)"])},
        "shm": {"SHM": areas(figures(17.81, 0.0068, 0.0102, 12.54, 17.02), 10.26, 0.60, 6.95)},
        "lf": {"LF": areas(figures(36.12, 0.0116, 0.0210, 21.06, 33.62), 19.68, 3.79, 12.65)},
        "hatt": {"HATT": areas(figures(28.01, 0.0055, 0.0161, 18.29, 17.76), 13.36, 1.36, 13.29)},
        "shmc": {"SHMC": areas(figures(61.50, 0.0270, 0.0356, 37.00, 60.94), 35.23, 10.93, 15.34)},
        "sss": {"SSS": areas(figures(552.88, 0.2742, 0.3225, 60.81, 555.97), 88.23, 401.66, 62.99)},
    },
    "rssn-ablation": of_table_3(
        {
            "plain": "COMP GFM-TT(d)",
            "blur": "COMP GFM-TT(d) w/ blur",
            "denoise": "COMP GFM-TT(d) w/ denoise",
            "noise": "COMP GFM-TT(d) w/ noise",
            "rssn": "COMP GFM-TT(d) w/ RSSN",
        }
    ),
    "gfm-ablation": of_table_3(
        {
            "d121": "GFM-TT(d)",
            "d121-single": "GFM-TT-SINGLE(d)",
            "d121-no-ppm": "GFM-TT(d) excl. PPM",
            "d121-no-bb": "GFM-TT(d) excl. BB",
            "r34": "GFM-TT(r)",
            "r34-single": "GFM-TT-SINGLE(r)",
            "r34-no-ppm": "GFM-TT(r) excl. PPM",
            "r34-no-bb": "GFM-TT(r) excl. BB",
            "r34-2b": "GFM-TT(r2b)",
        }
    ),
}

GFM_LABELS = ("-tt", "-ft", "-bt", "-ensemble")

BASELINES = {
    "shm": ("r50_8", "resnet50-0676ba61.pth"),
    "lf": ("d201", "densenet201-c1103571.pth"),
    "hatt": ("rx101_8", "resnext101_32x8d-8ba56ff5.pth"),
    "shmc": ("r34", "resnet34-b627a593.pth"),
}

STEPS = {
    "am2k-comp-track": {"compose": 3, "train": (6 * 3 + 3) * 3, "eval": (6 * (3 + 1) + 3) * 3},
    "am2k-ori-track": {"pack": 1, "train": (2 * 3 + 4) * 3, "eval": (2 * (3 + 1) + 4) * 3, "sss": 3},
    "rssn-ablation": {"compose": 5, "train": 5 * 3, "eval": 5 * 3},
    "gfm-ablation": {"pack": 1, "train": 9 * 3, "eval": 9 * 3},
}

NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "d121": ("d121", ()),
    "d121-single": ("d121", ("single",)),
    "d121-no-ppm": ("d121", ("no-ppm",)),
    "d121-no-bb": ("d121", ("no-bb",)),
    "r34": ("r34", ()),
    "r34-single": ("r34", ("single",)),
    "r34-no-ppm": ("r34", ("no-ppm",)),
    "r34-no-bb": ("r34", ("no-bb",)),
    "r34-2b": ("r34_2b", ()),
}


def stubs(name: str, folder: Path) -> list[str]:
    """Inputs for a study, under the names that its file gives them, with next to nothing in them."""
    text = (files("pipelines") / "studies" / f"{name}.yaml").read_text("utf-8")
    inputs = {key: folder / Path(value).name for key, value in yaml.safe_load(text)["inputs"].items()}
    for place in inputs.values():
        if place.suffix:
            place.write_bytes(b"weights")
            continue
        for part in ("train", "validation", "matting", "photos", "evaluation"):
            (place / part).mkdir(parents=True)
            (place / part / "a.jpg").write_bytes(b"a picture")
    return [f"{key}={place}" for key, place in inputs.items()]


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Study, Plan]]:
    """Every study that ships; without those whose networks' weights come with a package that is not installed."""
    found = {}
    for name in shipped():
        study = load_study(name, stubs(name, tmp_path_factory.mktemp(name)))
        with suppress(DependencyError):
            found[name] = study, plan_study(study)
    return found


def of_kind(plan: Plan, kind: str) -> list[tuple[Step, Any]]:
    """The steps, and the typed options of their commands."""
    return [(step, step.settings(Path())) for step in plan.steps if step.kind == kind]


Plans = Mapping[str, tuple[Study, Plan]]


@pytest.mark.slow
def test_every_study_that_ships_can_be_planned(plans: Plans) -> None:
    assert plans.keys() >= {"demo", *PAPER}
    for study, plan in plans.values():
        lines = sum(len(study.network_of(row).variants) for row in study.rows)
        assert len(plan.cells) == lines * len(study.seeds) * len(study.evaluation.named)
        assert len({step.label for step in plan.steps}) == len(plan.steps)


@pytest.mark.parametrize("name", STEPS)
def test_so_many_steps_of_each_kind(plans: Plans, name: str) -> None:
    assert Counter(step.kind for step in plans[name][1].steps) == STEPS[name]


@pytest.mark.parametrize(
    ("name", "rows", "epochs", "rate"),
    [
        ("am2k-comp-track", FOREGROUNDS * K, 100, 1e-5),
        ("am2k-ori-track", FOREGROUNDS, 500, 1e-4),
        ("rssn-ablation", FOREGROUNDS * K, 100, 1e-5),
        ("gfm-ablation", FOREGROUNDS, 500, 1e-4),
    ],
)
def test_networks_are_trained_as_the_papers_were(plans: Plans, name: str, rows: int, epochs: int, rate: float) -> None:
    for step, given in of_kind(plans[name][1], "train"):
        config = given.config
        assert config.max_steps * config.batch_size == epochs * rows, step.label
        assert (config.crop_sizes, config.input_size) == ((640, 960, 1280), 320)
        if config.network != "gfm":
            continue
        assert config.batch_size == BATCHES[config.backbone]
        assert config.weights.name == WEIGHTS[config.backbone]
        assert config.learning_rate == rate
        assert (config.optimiser, config.weight_decay, config.mixture) == ("adam", 0.0, ())


@pytest.mark.parametrize("name", PAPER)
def test_networks_are_judged_as_the_papers_were(plans: Plans, name: str) -> None:
    for step, given in of_kind(plans[name][1], "eval"):
        label = step.label.rpartition("-")[0]
        seen = (("1/3", "1/2"), 0) if label.endswith(GFM_LABELS) else (None, None)
        assert (given.networks.hybrid, given.networks.max_side, given.protocol) == (*seen, "gfm"), label
        assert given.data.parts[-2:] == ("AM-2k", "validation")


@pytest.mark.parametrize("name", PAPER)
def test_all_are_trained_on_the_training_set_and_composites_are_five_of_each(plans: Plans, name: str) -> None:
    for kind in ("compose", "pack"):
        for _, given in of_kind(plans[name][1], kind):
            assert given.matting.parts[-2:] == ("AM-2k", "train")
    assert {given.chosen_recipe().k for _, given in of_kind(plans[name][1], "compose")} <= {K}


def test_rows_differ_in_their_composites(plans: Plans) -> None:
    found = {
        name: [(given.recipe, given.backgrounds.name) for _, given in of_kind(plans[name][1], "compose")]
        for name in ("am2k-comp-track", "rssn-ablation")
    }
    track = [("comp-coco", "train2017"), ("comp-bg20k", "bg20k"), ("comp-rssn", "bg20k")]
    route = ["comp-bg20k", "rssn-blur-only", "rssn-denoise-only", "rssn-noise-only", "comp-rssn"]
    assert found == {"am2k-comp-track": track, "rssn-ablation": [(recipe, "bg20k") for recipe in route]}


@pytest.mark.parametrize("name", ["am2k-comp-track", "am2k-ori-track"])
def test_an_ensemble_has_a_network_of_each_representation(plans: Plans, name: str) -> None:
    for cell in plans[name][1].cells:
        if cell.variant not in ("TT", "FT", "BT", "ensemble"):
            continue
        configs = [step.settings(Path()).config for step in cell.evaluation.needs]
        members = [config.rosta for config in configs]
        assert members == (["TT", "FT", "BT"] if cell.variant == "ensemble" else [cell.variant])
        assert {config.seed for config in configs} == {cell.seed}


@pytest.mark.parametrize("name", ["am2k-ori-track", "am2k-comp-track", "rssn-ablation", "gfm-ablation"])
def test_rows_differ_in_their_networks(plans: Plans, name: str) -> None:
    for cell in plans[name][1].cells:
        row = cell.row.rpartition("-")[2] if name == "am2k-comp-track" else cell.row
        for step in cell.evaluation.needs:
            config = step.settings(Path()).config
            if row in BASELINES:
                assert (config.network, config.backbone, config.weights.name) == (row, *BASELINES[row])
                assert [Path(word).name for word in config.part_weights] == ["vgg16_bn-6c64b313.pth"] * (row == "shm")
                continue
            assert (config.network, config.backbone, config.ablations) == ("gfm", *NETWORKS.get(row, ("d121", ()))), (
                cell.row
            )
    assert name != "gfm-ablation" or {cell.row for cell in plans[name][1].cells} == set(NETWORKS)


def test_the_papers_figures_are_those_of_the_paper() -> None:
    assert {name: study.paper for name in shipped() if (study := load_study(name)).paper} == PAPER
