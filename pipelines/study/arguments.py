"""Options of a study file as the words of a command line: what counts, what does not, and which files are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import click

from pipelines.study.schema import Options
from rssn.errors import InputError
from train.commands.options import NamedFolder
from train.validation_sets import split_name

UNCOUNTED: Mapping[str, frozenset[str]] = {
    "curate": frozenset({"cache-dir", "max-errors"}),
    "compose": frozenset({"cache-dir", "cache-size", "max-errors"}),
    "pack": frozenset({"cache-dir", "max-errors"}),
    "train": frozenset({"workers", "checkpoint-every", "keep", "tensorboard", "validate-every"}),
}
"""Options by kind of step that change how a result is made, not the result: another value makes nothing again."""

_MODELS = "deep-duplicates"
"""An option whose value is a text to click, and names a file: `FILE`, or `BACKBONE=FILE`."""


_Split: TypeAlias = Callable[[str], tuple[str, str]]
"""A word as a name, which may be empty, and a path."""


class Words(NamedTuple):
    """Options as words of a command line.

    Attributes:
        counted: Those that decide what the command makes.
        uncounted: The others.
        reads: The files and folders that the first name.
    """

    counted: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def words_of(options: Options, kind: str, command: click.Command) -> Words:
    """Sort the options of a step of some kind; paths become absolute, for a worker may stand in another folder.

    Raises:
        InputError: If a path is a URL.
    """
    free = UNCOUNTED.get(kind, frozenset())
    if "patience" in options:
        free -= {"validate-every"}  # it decides when the training ends
    paths = {word: _split_by(each.type) for each in command.params for word in each.opts}
    counted: dict[str, Any] = {}
    uncounted: dict[str, Any] = {}
    reads: list[str] = []
    for name, value in options.items():
        split = _split_model if name == _MODELS else paths.get(f"--{name}")
        given, found = _located(name, value, split) if split else (value, [])
        (uncounted if name in free else counted)[name] = given
        reads += [] if name in free else found
    return Words(tuple(arguments(counted)), tuple(arguments(uncounted)), tuple(reads))


def arguments(options: Options) -> list[str]:
    """Options as a command line has them: true is a flag, a list repeats its option, `[[a, b]]` gives two values."""
    words: list[str] = []
    for name, value in options.items():
        for one in listed(value):
            if one is not False:
                words += [f"--{name}", *map(str, () if one is True else listed(one))]
    return words


def listed(value: Any) -> tuple[Any, ...]:
    """The values of what may be one or several."""
    return value if isinstance(value, tuple) else (value,)


def absolute(path: str) -> str:
    """A path as every worker understands it; links stay as they are."""
    return str(Path(path).absolute())


def _split_by(kind: click.ParamType[Any]) -> _Split | None:
    """How a value of some type is a name and a path; None where it is no path."""
    if isinstance(kind, NamedFolder):
        return split_name
    return (lambda word: ("", word)) if isinstance(kind, click.Path) else None


def _split_model(word: str) -> tuple[str, str]:
    before, equals, path = word.partition("=")
    return (before, path) if equals and Path(word).suffix != ".onnx" else ("", word)


def _located(name: str, value: Any, split: _Split) -> tuple[Any, list[str]]:
    """The value with absolute paths, and the paths."""
    words, reads = [], []
    for one in listed(value):
        if not isinstance(one, str):
            words.append(one)  # its command will refuse it
            continue
        if "://" in one:
            raise InputError(f"--{name} {one}: a study reads no buckets; copy it to a folder that all nodes see")
        before, path = split(one)
        reads.append(absolute(path))
        words.append(f"{before}={reads[-1]}" if before else reads[-1])
    return tuple(words), reads
