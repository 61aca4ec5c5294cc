"""A command's options as one typed object: each field of a frozen dataclass is an option, its help and its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from functools import wraps
from typing import Any, TypeVar

import click

T = TypeVar("T")

_CLICK, _GROUP = "click", "group"


def option(*flags: str, **attributes: Any) -> Any:
    """A field that is an option; `flags` and `attributes` are those of `click.option`, the name is the field's."""
    return field(metadata={_CLICK: lambda name: click.option(*flags, name, **attributes)})


def argument(**attributes: Any) -> Any:
    """A field that is an argument, by its place on the command line; `attributes` are those of `click.argument`."""
    return field(metadata={_CLICK: lambda name: click.argument(name, **attributes)})


def group(kind: type) -> Any:
    """A field that is such a dataclass itself: options that several commands share."""
    return field(metadata={_GROUP: kind})


def takes(kind: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Give a command the options of a dataclass, and call it with an instance."""

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @wraps(command)
        def parsed(**given: Any) -> None:
            command(build(kind, given))

        return _with_options(parsed, kind)

    return decorate


def _with_options(command: Callable[..., None], kind: type) -> Callable[..., None]:
    for each in reversed(fields(kind)):  # click lists what was added last first
        shared = each.metadata.get(_GROUP)
        command = _with_options(command, shared) if shared else each.metadata[_CLICK](each.name)(command)
    return command


def build(kind: type[T], given: Mapping[str, Any]) -> T:
    """The options object of the values of a command's parameters."""
    values = {
        each.name: build(each.metadata[_GROUP], given) if _GROUP in each.metadata else given[each.name]
        for each in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**values)
