"""The tables of `rssn` and `train`: `--help` answers from them, and each row is true."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main as rssn
from train.cli import main as train
from train.commands.group import LazyGroup

GROUPS = {"rssn": rssn, "train": train}
ROWS = [(name, command) for name, group in GROUPS.items() for command in group.list_commands(click.Context(group))]

_HELP = """
import json, sys
from {package}.cli import main
try:
    main(["--help"])
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(group: str, name: str) -> tuple[LazyGroup, click.Command]:
    owner = GROUPS[group]
    assert isinstance(owner, LazyGroup)
    command = owner.get_command(click.Context(owner), name)
    assert command is not None
    return owner, command


@pytest.mark.parametrize("package", ["pipelines", "train"])
def test_help_imports_none_of_what_the_subcommands_work_with(package: str) -> None:
    code = _HELP.format(package=package)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(json.loads(done.stderr))
    heavy = {"numpy", "cv2", "pyarrow", "numba", "ray", "torch", "scipy", "yaml", "fsspec", "pydantic"}
    assert "click" in names
    assert names.isdisjoint(heavy)
    assert len(names) < 250  # Python and click have about 190


@pytest.mark.parametrize(("group", "name"), ROWS)
def test_a_row_says_what_the_command_says_of_itself(group: str, name: str) -> None:
    owner, command = loaded(group, name)
    assert command.name == name
    first = " ".join((command.help or "").split("\n\n")[0].split())
    assert [row.summary for row in owner.table if row.name == name] == [first]


@pytest.mark.parametrize(("group", "name"), ROWS)
def test_every_option_is_explained(group: str, name: str) -> None:
    for parameter in loaded(group, name)[1].params:
        if isinstance(parameter, click.Option):
            assert len(parameter.help or "") > 10, parameter.name


def test_a_command_that_does_not_exist_is_named() -> None:
    run = CliRunner().invoke(rssn, ["compsoe"])
    assert run.exit_code == 2
    assert "No such command 'compsoe'" in run.output


def test_a_reader_that_leaves_ends_a_command_without_a_word() -> None:
    command = [sys.executable, "-m", "pipelines.cli", "steps"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        assert child.stderr.read() == b""
        assert child.wait() == 1


def test_a_connection_that_breaks_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    group, command = loaded("rssn", "steps")

    def break_off(**_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(command, "callback", break_off)
    said = CliRunner().invoke(group, ["steps"])
    assert (said.exit_code, said.stderr) == (1, "Error: Broken pipe\n")
