from __future__ import annotations

import os
import signal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect", "nowhere"], "Error: nowhere: no data set here"),
        (["export", "here", "--out", "ftp://b/plain"], "Error: ftp://b/plain: unknown storage; give s3://bucket"),
        (["demo", "--out", "ftp://b/demo"], "Error: ftp://b/demo: unknown storage; give s3://bucket"),
        (["build-bg20k", "nowhere", "--out", "out"], "Error: nowhere: no such folder"),
        (["build-bg20k", ".", "--out", "out"], "Error: .: no pictures found in it"),
        (["build-bg20k", ".", "--out", "out", "--min-side", "0"], "Error: min_side is 0; expected 1 or more"),
        (["compose", "--matting", ".", "--backgrounds", ".", "--out", "out"], "Error: .: no matting data set found"),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--recipe", "x"],
            "Error: x: no such recipe",
        ),
        (["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--k", "0"], "Error: k is 0"),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--workers", "-1"],
            "Error: --workers is -1",
        ),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--cache-size", "much"],
            "Error: --cache-size is 'much'; give a size such as 256M or 20G",
        ),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--cache-size", "9" * 400],
            f"Error: --cache-size is '{'9' * 96}...; give a size such as 256M or 20G",
        ),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--shard-size", f"{'9' * 300}T"],
            f"Error: --shard-size is '{'9' * 96}...; give a size such as 256M or 20G",
        ),
        (
            ["compose", "--matting", ".", "--backgrounds", ".", "--out", "out", "--cache-dir", "/proc/nowhere"],
            "Error: --cache-dir /proc/nowhere:",
        ),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workers = [] if "--workers" in arguments or arguments[0] in ("inspect", "export", "replay") else ["--workers", "0"]
    code, text = run(*arguments, *workers)
    assert code == 1
    assert words in text
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("inspect", "the same command starts over"),
        ("export", "run the same command again to resume"),
        ("study", "run the same command again to resume"),
    ],
)
def test_every_command_says_by_what_it_was_stopped(
    monkeypatch: pytest.MonkeyPatch, name: str, again: str, number: signal.Signals
) -> None:
    stopped = click.Command(name, callback=lambda: os.kill(os.getpid(), number))
    monkeypatch.setitem(main.commands, name, stopped)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    done = CliRunner().invoke(main, [name])
    assert done.exit_code == 128 + number
    assert done.stderr == f"\nstopped by {number.name}; {again}\n"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
