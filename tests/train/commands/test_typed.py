from __future__ import annotations

from dataclasses import dataclass

import click
from click.testing import CliRunner

from train.commands.typed import argument, group, option, takes


@dataclass(frozen=True)
class Shared:
    side: int = option("--side", type=int, default=3, help="A side.")
    names: tuple[str, ...] = option("--name", multiple=True, help="Names.")


@dataclass(frozen=True)
class Given:
    photo: str = argument()
    first: str | None = option("--before", help="What comes first.")
    shared: Shared = group(Shared)
    last: bool = option("--last", is_flag=True, help="What comes last.")


def run(*words: str) -> tuple[list[Given], str]:
    seen: list[Given] = []

    @click.command()
    @takes(Given)
    def command(given: Given) -> None:
        """What the command does."""
        seen.append(given)

    return seen, CliRunner().invoke(command, words).output


def test_a_command_is_called_with_its_options_as_one_object() -> None:
    assert run("a.jpg") == ([Given("a.jpg", None, Shared(3, ()), False)], "")
    words = ("--name", "x", "--last", "a.jpg", "--side", "5", "--name", "y", "--before", "b")
    assert run(*words) == ([Given("a.jpg", "b", Shared(5, ("x", "y")), True)], "")


def test_help_lists_options_in_the_order_of_the_fields_those_of_groups_in_their_place() -> None:
    text = run("--help")[1]
    assert "What the command does." in text
    assert "PHOTO" in text
    places = [text.index(flag) for flag in ("--before", "--side", "--name", "--last")]
    assert places == sorted(places)
