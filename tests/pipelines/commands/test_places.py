"""Every option and argument that names a place takes a URL, or refuses it by name: none makes a folder called `s3:`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pipelines.cli
import train.cli
from rssn.errors import InputError
from rssn.storage.location import BucketPath
from train.commands.group import LazyGroup
from train.commands.options import NamedFolder, Place

URL = "s3://bucket/place"
TEXTS = {
    "train run": {"data", "backbone", "best_by", "losses", "validation_hybrid", "alpha_scales"},
    "train eval": {"hybrid"},
    "train predict": {"hybrid"},
    "train describe": {"backbones"},
}
"""Parameters of `train` that are any text: `--data` is read by `parse_location`, the others name no place."""


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    for group in (train.cli.main, pipelines.cli.main):
        assert isinstance(group, LazyGroup)
        yield from _below(group, "train" if group is train.cli.main else "rssn")


def _below(group: click.Group, name: str) -> Iterator[tuple[str, click.Parameter]]:
    context = click.Context(group)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _below(command, f"{name} {each}")
        else:
            yield from ((f"{name} {each}", parameter) for parameter in command.params)


PLACES = [(name, each) for name, each in parameters() if isinstance(each.type, click.Path | click.File)]


@pytest.mark.parametrize(("name", "parameter"), PLACES, ids=[f"{name} {each.opts[0]}" for name, each in PLACES])
def test_a_place_takes_a_url_or_refuses_it_by_name(name: str, parameter: click.Parameter) -> None:
    assert isinstance(parameter.type, Place), "click's own types know no URLs"
    if parameter.type.local:
        with pytest.raises(InputError) as caught:
            parameter.type.convert(URL, parameter, None)
        assert str(caught.value) == f"{URL}: a URL, but {parameter.opts[0]} {parameter.type.local}"
        return
    found = parameter.type.convert(URL, parameter, None)
    assert found == (URL if isinstance(parameter.type, NamedFolder) else BucketPath(URL))
    with pytest.raises(InputError, match="no user, key or signature belongs in a URL"):
        parameter.type.convert("s3://me:secret@bucket/place", parameter, None)


def test_a_command_of_train_takes_every_place_by_url() -> None:
    assert len([name for name, _ in PLACES if name.startswith("train ")]) >= 14
    assert [(name, each.opts[0]) for name, each in PLACES if name.startswith("train ") and each.type.local] == []


def test_what_else_is_text_is_known_to_name_no_place() -> None:
    found: dict[str, set[str]] = {}
    for name, each in parameters():
        free = isinstance(each.type, click.types.StringParamType) and not isinstance(each.type, click.Choice)
        if name.startswith("train ") and free:
            found.setdefault(name, set()).add(str(each.name))
    assert found == TEXTS


@pytest.mark.parametrize("option", ["--backbone", "--best-by"])
def test_a_text_that_is_no_place_is_refused(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner  # noqa: PLC0415

    monkeypatch.chdir(tmp_path)
    words = ["run", "--data", "shards", "--out", "out", "--validation", "set", option, URL]
    result = CliRunner().invoke(train.cli.main, words)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert list(tmp_path.iterdir()) == []
