"""An option that does nothing is an error: whoever gives it believes that it does something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from rssn.errors import InputError

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


@dataclass(frozen=True)
class Idle:
    """Where an option has no effect.

    Attributes:
        option: As it is typed, with its dashes.
        where: Told all parameters of the command by their names; true where the option would do nothing.
        words: Why, and what to do instead.
    """

    option: str
    where: Callable[[Mapping[str, Any]], object]
    words: str


def without(name: str) -> Callable[[Mapping[str, Any]], bool]:
    """Where a parameter has no value: neither the user nor a default gives one."""
    return lambda given: not given[name]


def refuse_given(option: str, words: str) -> None:
    """Refuse an option that was found to do nothing, if the user gave it.

    Raises:
        InputError: Naming it, with the reason and the remedy.
    """
    if was_given(option):
        raise InputError(f"{option} has no effect here: {words}")


def was_given(option: str) -> bool:
    """Whether the user gave an option of the command at work, be it with the value that it has anyway."""
    context = click.get_current_context()
    names = [each.name for each in context.command.params if option in (*each.opts, *each.secondary_opts)]
    return any(context.get_parameter_source(name or "") in _GIVEN for name in names)
