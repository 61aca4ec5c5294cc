"""Options that would do nothing are refused, with the remedy, before anything is read or written."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main as rssn
from train.cli import main as train

COMPOSE = ("compose", "--matting", ".", "--backgrounds", ".", "--out", "out")
CURATE = ("build-bg20k", ".", "--out", "out")
RUN = ("run", "--data", "shards", "--out", "run")

IDLE = [
    (rssn, COMPOSE, ("--extend", "--overwrite"), "--extend", "--overwrite removes what it would add to"),
    (rssn, COMPOSE, ("--cache-dir", "c", "--cache-size", "0"), "--cache-dir", "with --cache-size 0 nothing is kept"),
    (rssn, COMPOSE, ("--denoiser", "nlmeans", "--recipe", "comp-coco"), "--denoiser nlmeans", "denoises nothing"),
    (rssn, CURATE, ("--ignore-class", "car"), "--ignore-class", "give one with --detector"),
    (rssn, CURATE, ("--saliency-scaling", "imagenet"), "--saliency-scaling", "give one with --saliency"),
    *(
        (rssn, CURATE, ("--rule", f"{rule}=0.5"), "--rule", f"{rule} is for {networks} alone")
        for rule, networks in (
            ("object_area", "--detector"),
            ("saliency_most", "--saliency"),
            ("cosine", "--deep-duplicates"),
            ("salient_cost", "--detector and --saliency"),
        )
    ),
    (rssn, ("inspect", "set"), ("--strips", "0", "--cache-dir", "c"), "--cache-dir", "--strips 0 composes nothing"),
    (rssn, ("inspect", "set"), ("--strips", "0", "--cache-size", "1G"), "--cache-size", "--strips 0 composes nothing"),
    (train, RUN, ("--validate-every", "1000"), "--validate-every", "give --validation"),
    (train, RUN, ("--validation-side", "640"), "--validation-side", "give --validation"),
    (train, RUN, ("--best-by", "mse"), "--best-by", "give --validation"),
    (train, RUN, ("--patience", "3"), "--patience", "give --validation"),
    (
        train,
        RUN,
        ("--validation", ".", "--validate-every", "100", "--patience", "4", "--max-steps", "500"),
        "--patience",
        "its end comes no earlier than --max-steps; give less, or a smaller --validate-every",
    ),
    (train, RUN, ("--mix", "1"), "--mix", "there is one --data"),
    (train, RUN, ("--ablation", "single", "--loss-weight", "cross_entropy=2"), "--loss-weight", "has no cross_entropy"),
]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "words", "options", "idle", "why"), IDLE)
def test_an_option_without_effect_is_refused(
    command: click.Group, words: tuple[str, ...], options: tuple[str, ...], idle: str, why: str, empty: Path
) -> None:
    run = CliRunner().invoke(command, [*words, *options])
    assert run.exit_code == 1
    assert f"Error: {idle} has no effect here: " in run.output
    assert why in run.output
    assert len(run.output.strip().splitlines()) == 1
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("option", ["--strips", "--cache-size"])
def test_backgrounds_have_no_steps_to_show(bg20k: Path, option: str) -> None:
    run = CliRunner().invoke(rssn, ["inspect", str(bg20k), option, "4"])
    assert (run.exit_code, f"{option} has no effect here: {bg20k} holds backgrounds" in run.output) == (1, True)


@pytest.mark.usefixtures("empty")
def test_the_same_options_are_taken_where_they_do_something() -> None:
    taken = [
        (*CURATE, "--saliency", "net.onnx", "--saliency-scaling", "imagenet", "--rule", "saliency=0.5"),
        (*CURATE, "--detector", "yolo.onnx", "--ignore-class", "car", "--rule", "salient_cost=5"),
        (*COMPOSE, "--cache-dir", "cache", "--cache-size", "1G"),
        (*COMPOSE, "--denoiser", "nlmeans"),
    ]
    for words in taken:
        assert "no effect" not in CliRunner().invoke(rssn, [*words, "--workers", "0"]).output
