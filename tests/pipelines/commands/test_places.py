"""Every option of every command that names a place takes the URL of one in a bucket, or refuses it with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import main as rssn
from rssn.errors import InputError
from rssn.storage.location import BucketPath
from tests.bucket import Store
from train.cli import main as train
from train.commands.options import NamedFolder, NamedWeights

URL = "s3://nobody-made-it/x"

LOCAL = {
    "rssn compose --cache-dir": "is a path on this disk",
    "rssn inspect --cache-dir": "is a path on this disk",
    "rssn gap --cache-dir": "is a path on this disk",
}
"""Those that refuse a URL, and why."""

WORDS = {
    "rssn build-bg20k --deep-duplicates",
    "rssn compose --recipe",
    "rssn gap --fit",
    "rssn study study",
    "rssn study --input",
    "train run --data",
}
"""Places among other words: a recipe that ships, a pair of a name and a place."""

NO_PLACES = {
    "rssn build-bg20k --rule",
    "rssn replay sample_id",
    "rssn recipe name",
    "rssn gap --at",
    "train run --backbone",
    "train run --loss-weight",
    "train run --best-by",
    "train run --validation-hybrid",
    "train run --alpha-scale",
    "train eval --hybrid",
    "train eval --backbone",
    "train predict --hybrid",
    "train describe --backbone",
    *(f"rssn {command} --max-errors" for command in ("build-bg20k", "compose", "pack")),
    *(f"rssn {command} --address" for command in ("build-bg20k", "compose", "pack", "study")),
    *(f"rssn {command} --shard-size" for command in ("compose", "pack")),
    *(f"rssn {command} --cache-size" for command in ("compose", "inspect", "gap")),
}


def commands() -> Iterator[tuple[str, click.Command]]:
    for program, group in (("rssn", rssn), ("train", train)):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            assert not isinstance(found, click.Group)
            yield f"{program} {name}", found


PARAMETERS = {f"{name} {each.opts[0]}": (command, each) for name, command in commands() for each in command.params}
PATHS = [name for name, (_, each) in PARAMETERS.items() if isinstance(each.type, click.Path)]


def test_every_text_is_known_for_a_place_or_for_none() -> None:
    texts = {name for name, (_, each) in PARAMETERS.items() if each.type is click.STRING}
    assert texts == WORDS | NO_PLACES
    assert set(PATHS) >= LOCAL.keys()


@pytest.mark.parametrize("name", PATHS)
def test_a_place_is_one_in_a_bucket_or_refused_with_the_reason(name: str) -> None:
    _, each = PARAMETERS[name]
    if name in LOCAL:
        with pytest.raises(InputError, match=f"^{URL}: a URL, but {each.opts[0]} {LOCAL[name]}"):
            each.type.convert(URL, each, None)
    else:
        words = isinstance(each.type, NamedFolder | NamedWeights)  # which a command takes apart itself
        asked = f"{_part(each)}{URL}"
        assert each.type.convert(asked, each, None) == (asked if words else BucketPath(URL))
    for secret in ("s3://key:secret@bucket/x", "s3://bucket/x?X-Amz-Signature=secret"):
        for word in {secret, f"{_part(each)}{secret}"}:
            with pytest.raises(InputError) as caught:
                each.type.convert(word, each, None)
            assert "secret" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PATHS, *sorted(WORDS)])
def test_nothing_is_made_that_is_called_as_a_bucket(
    name: str, s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, asked = PARAMETERS[name]
    words: list[str] = []
    for each in command.params:
        if each is asked or each.required:
            value = f"{_part(each)}{URL}" if each is asked else _any(each)
            words += [value] if isinstance(each, click.Argument) else [each.opts[0], value]
    group = rssn if name.startswith("rssn ") else train
    done = CliRunner().invoke(group, [name.split()[1], *words])
    assert done.exit_code in (1, 2), done.output
    assert isinstance(done.exception, SystemExit)
    assert "Error: " in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(("s3:", "nobody"))]


def _part(each: click.Parameter) -> str:
    return "mnet=" if isinstance(each.type, NamedWeights) else ""


def _any(each: click.Parameter) -> str:
    return str(each.type.choices[0]) if isinstance(each.type, click.Choice) else "nowhere"
