"""A kind of steps, and options as a study file has them.

A study file's options are those of the kind's command by their names, without dashes: a value stands for itself, a list
for an option that is repeated, true for a flag. They are read as the command reads them, into the same typed object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click

from rssn.errors import InputError
from rssn.storage.documents import brief
from rssn.storage.location import parse_location
from rssn.storage.urls import is_url
from rssn.storage.weights import PACKAGE, weights_file
from train.commands.options import Place, Weights

Options: TypeAlias = Mapping[str, Any]
"""By name, in the order of the file."""

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_MODEL = "deep-duplicates"
"""An option that is a text to click, and names a file: `FILE.onnx`, or `BACKBONE=FILE`."""


@dataclass(frozen=True)
class Kind:
    """A kind of steps.

    Attributes:
        command: Which knows the options.
        program: What a person types for it.
        read: Makes the typed options of the command's parameters; raises `InputError`.
        run: Makes the job of the typed options and runs it; raises `RssnError`.
        uncounted: Options that change how a result is made, not the result: another value makes nothing again.
        resumes: Whether another attempt resumes where the last one ended; else it starts over.
        side_by_side: Whether several run at a time, each with a network; else one at a time, on all workers.
    """

    command: click.Command
    program: tuple[str, ...]
    read: Callable[[dict[str, Any]], Any]
    run: Callable[[Any], None]
    uncounted: frozenset[str] = frozenset()
    resumes: bool = True
    side_by_side: bool = False

    @property
    def options(self) -> Mapping[str, click.Parameter]:
        """The command's options by the names that a study file gives them."""
        return {
            word.removeprefix("--"): each for each in self.command.params for word in (*each.opts, *each.secondary_opts)
        }

    @property
    def argument(self) -> str:
        """The input that stands on the command line without a name; empty where there is none."""
        return next((each.name or "" for each in self.command.params if isinstance(each, click.Argument)), "")

    def words(self, given: Options) -> list[Any]:
        """Inputs and options as a command line has them, after the program."""
        named = {name: value for name, value in given.items() if name != self.argument}
        return [*([given[self.argument]] if self.argument else []), *arguments(named)]

    @contextmanager
    def reading(self, given: Options) -> Iterator[Any]:
        """The typed options of the command, in whose context they are read.

        Raises:
            InputError: If a value is none, or an option does nothing.
        """
        try:
            words = [str(word) for word in self.words(given)]
            context = self.command.make_context(self.program[-1], words)
        except click.UsageError as error:
            raise InputError(error.format_message()) from error
        with context:
            yield self.read(context.params)

    def locate(self, options: Options) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """The options with absolute paths, and the paths of each that names some.

        Raises:
            InputError: If one is a URL that names nothing, or of an option that takes none.
        """
        located, found = dict(options), dict[str, list[str]]()
        for name, value in options.items():
            kind = self.options[name].type if name in self.options else None
            split = _model if name == _MODEL else _split_by(kind)
            if split is None or not all(isinstance(word, str) for word in listed(value)):
                continue  # no path; what is no text is refused when it is read
            parts = [split(word) for word in listed(value)]
            if isinstance(kind, Weights):
                parts = [(part, str(weights_file(at)) if at.startswith(PACKAGE) else at) for part, at in parts]
            try:
                found[name] = [absolute(path) for _, path in parts]
            except ValueError as error:
                raise InputError(f"--{name} is {brief(value)}; expected {error}") from error
            for path in filter(is_url, found[name]):
                self.options[name].type.convert(path, self.options[name], None)  # refuses it where it must be a path
            pairs = zip(parts, found[name], strict=True)
            located[name] = tuple(f"{before}={path}" if before else path for (before, _), path in pairs)
        return located, found


def _split_by(kind: object) -> Callable[[str], tuple[str, str]] | None:
    """How an option's value is a name, which may be empty, and a path; None where it is no path."""
    return kind.split if isinstance(kind, Place) else None


def _model(word: str) -> tuple[str, str]:
    before, equals, path = word.partition("=")
    return (before, path) if equals and Path(word).suffix != ".onnx" else ("", word)


def listed(value: Any) -> tuple[Any, ...]:
    """The values of what may be one or several."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def arguments(options: Options) -> list[Any]:
    """Options as a command line has them: `[[a, b]]` gives two values to one option, false leaves it out.

    What is no plain value, such as the result of another step, stays as it is.
    """
    words: list[Any] = []
    for name, value in options.items():
        for one in listed(value):
            if one is not False:
                given = () if one is True else listed(one)
                words += [f"--{name}", *(str(each) if isinstance(each, int | float) else each for each in given)]
    return words


def check_option(where: str, name: object, value: Any) -> None:
    """Whether something can be the name and the value of an option.

    Raises:
        InputError: Naming its place in the study file.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"'{where}' holds the name {brief(name)}; give an option's name without dashes before it")
    if name in ("backbone", "weights"):  # of a training; a row may go without the network's weights
        if not isinstance(value, str) and not (name == "weights" and value is None):
            raise InputError(f"'{where}.{name}' is {brief(value)}; give a text")
        return
    if not all(_is_word(part) for one in listed(value) for part in listed(one)):
        raise InputError(f"'{where}.{name}' is {brief(value)}; give a value, a list of them, or true")


def _is_word(value: object) -> bool:
    plain_value = isinstance(value, str | int | float) and str(value) not in ("nan", "inf", "-inf")
    return plain_value and not str(value).startswith("--")


def absolute(path: str) -> str:
    """A path as every worker understands it, wherever it stands; links keep their names, URLs stay what they are.

    Raises:
        ValueError: If it is a URL of no store that we know, or with a secret in it.
    """
    try:
        place = parse_location(path)
    except InputError as error:
        words = "a path, or s3://bucket/folder, gs://... or az://... without user, key or signature"
        raise ValueError(words) from error
    return str(place.absolute() if isinstance(place, Path) else place)
