"""What the documents say is so: examples run, commands and options exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from pipelines.cli import main as rssn
from rssn.dataset.manifest import Manifest, plan_digest, write_manifest
from rssn.dataset.schema import COMPOSITES
from rssn.dataset.shards import DatasetFolder, shard_name, write_shard
from rssn.gap import cues, letters
from rssn.gap import pictures as gap_pictures
from rssn.sources import layouts
from train.cli import main as train
from train.commands.group import LazyGroup, Subcommand

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"{package}/README.md" for package in ("rssn", "bg20k", "train", "pipelines")),
]
GROUPS = {"rssn": rssn, "train": train}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, heading: str, language: str = "python") -> list[str]:
    """The code below a heading of a page."""
    section = text_of(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [code for kind, code in _FENCE.findall(section) if kind == language]


def commands_of(page: str) -> list[str]:
    """Command lines of ours in a page: in blocks of a shell, and between backticks."""
    shell = "\n".join(code for kind, code in _FENCE.findall(text_of(page)) if kind in ("", "bash"))
    lines = [line.partition(" #")[0].strip() for line in shell.replace("\\\n", " ").splitlines()]
    inline = [" ".join(code.split()) for code in re.findall(r"`((?:rssn|train) [^`]+)`", _FENCE.sub("", text_of(page)))]
    return [line for line in [*lines, *inline] if re.match(r"(rssn|train) [a-z]", line)]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_first_page_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("https://"):
            continue
        path, _, place = target.partition("#")
        found = ROOT / page if not path else (ROOT / page).parent / path
        assert found.exists(), target
        if place:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert place in map(anchor, headings), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`((?:rssn|bg20k|train|pipelines|tests)/[\w./-]+\.\w+)`", text_of(page)):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page: str) -> None:
    for line in commands_of(page):
        program, name, *words = shlex.split(line)
        command = GROUPS[program].get_command(click.Context(GROUPS[program]), name)
        assert command is not None, line
        known = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line


def test_every_option_between_backticks_exists() -> None:
    known = {"--help", "--version"}
    for group in GROUPS.values():
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            known |= {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    foreign = {"--nproc-per-node", "--rows", "--shards", "--stored", "--strict"}  # torchrun's, benchmarks', mypy's
    for page in PAGES:
        named = {
            flag
            for code in re.findall(r"`([^`]+)`", _FENCE.sub("", text_of(page)))
            for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
        }
        ours = {flag for flag in named if flag not in foreign}
        assert ours <= known, page


@pytest.fixture
def fake_data_set(tmp_path: Path) -> Path:
    """Two rows without pictures, and one reject."""
    plan = {"kind": "composites", "seed": 7}
    (tmp_path / "shards").mkdir()
    folder = DatasetFolder(tmp_path / "shards", plan_digest(plan))
    rows = [{"sample_id": f"a/{k}", "k": k, "recipe": "x@1", "background_source": "b.jpg"} for k in range(2)]
    refused = {"item_id": "c", "source": "broken.jpg", "stage": "read", "reason": "truncated", "message": "cut"}
    write_shard(folder, shard_name("composites", 0, 1), COMPOSITES, rows, [refused])
    write_manifest(folder.root, Manifest(plan, plan_digest(plan), totals={"rows": 2}))
    return folder.root


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pictures that the first page's example names, to work in."""
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(1)
    for name, (width, height) in (("photo.jpg", (48, 32)), ("background.jpg", (64, 48))):
        Image.fromarray(dice.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(name)
    Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))).save("matte.png")
    return tmp_path


def test_ten_lines_compose_two_arrays(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("README.md", "In Python")[0]
    assert len([line for line in code.splitlines() if line]) <= 10
    exec(code, {})  # noqa: S102
    assert np.asarray(Image.open("composite.png")).shape == (32, 48, 3)
    assert "crop_x=" in capsys.readouterr().out


def test_a_data_set_is_read_as_the_page_says(
    fake_data_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fake_data_set.parent)
    exec(blocks("rssn/README.md", "In Python")[0], {})  # noqa: S102
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 7 []"
    assert said[1] == "{'sample_id': 'a/0', 'recipe': 'x@1', 'background_source': 'b.jpg'}"
    assert said[3] == "broken.jpg truncated cut"


def test_a_layout_is_added_by_the_row_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = blocks("rssn/README.md", "How to add a layout")
    for folder, name in (("photos", "a.jpg"), ("masks", "a.png"), ("photos", "b.jpg")):
        path = tmp_path / "train" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    with pytest.raises(layouts.InputError, match="no matting data set found"):
        layouts.find_pairs(tmp_path)
    row = eval(code, vars(layouts))  # noqa: S307
    monkeypatch.setattr(layouts, "LAYOUTS", (*layouts.LAYOUTS, row))
    found = layouts.find_pairs(tmp_path)
    assert (found.layout, [pair.name for pair in found.pairs]) == ("studio", ["train/a"])
    assert [(each.source, each.reason) for each in found.problems] == [("train/photos/b.jpg", "missing_partner")]


def test_a_cue_is_added_by_the_row_that_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = [
        each for each in blocks("pipelines/README.md", "How far are composites from photographs?") if "Cue(" in each
    ]
    cue = eval(code, vars(cues))  # noqa: S307
    for module in (gap_pictures, letters):
        monkeypatch.setattr(module, "CUES", (*cues.CUES, cue))
    alpha = np.repeat(np.uint8([255, 0]), 32)[:, None].repeat(64, axis=1)
    red, grey = np.full((64, 64, 3), 128, np.uint8), np.full((64, 64, 3), 128, np.uint8)
    red[:32] = (178, 118, 103)
    measured = [
        gap_pictures.Pictures.of(
            gap_pictures.measure_picture(one, alpha, gap_pictures.Named(str(n), "")) for n in range(5)
        )
        for one in (red, grey)
    ]
    found = letters.cue_distances(measured[0], measured[1])
    [saturation] = [each for each in found if each.cue is cue]
    luma = 0.299 * 178 + 0.587 * 118 + 0.114 * 103
    assert saturation.composites == pytest.approx(np.hypot(0.713 * (178 - luma), 0.564 * (103 - luma)), abs=0.2)
    assert saturation.photographs == pytest.approx(0, abs=0.2)


def test_a_command_is_added_by_the_file_and_the_row_that_the_page_shows(
    fake_data_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, row = blocks("pipelines/README.md", "How to add a command")
    module: Any = ModuleType("pipelines.commands.count")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, vars(module))  # noqa: S102
    table = (eval(row, {"Subcommand": Subcommand}),)  # noqa: S307
    group = LazyGroup(table=table, name="rssn")
    assert module.count.help.strip() == table[0].summary
    assert table[0].summary in CliRunner().invoke(group, ["--help"]).output
    run = CliRunner().invoke(group, ["count", str(fake_data_set), "--by", "k"])
    assert (run.exit_code, run.output) == (0, "1 x 0\n1 x 1\n")
    failed = CliRunner().invoke(group, ["count", str(fake_data_set.parent)])
    assert (failed.exit_code, failed.output.startswith("Error: ")) == (1, True)


def test_the_citation_and_the_workflow_agree_with_the_package() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["version"] == setup["metadata"]["version"]
    assert citation["license"] == setup["metadata"]["license"]
    job = yaml.safe_load(text_of(".github/workflows/test.yml"))["jobs"]["test"]
    versions = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert job["strategy"]["matrix"]["python"] == versions
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        "make check PYTHON=python",
        "make test PYTHON=python",
    ]
    targets = set(re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE))
    assert {"check", "test", "wheel", "demo"} <= targets
