"""The sets that a run is validated on: words of the command line become names, places and scales of mattes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rssn.errors import InputError
from rssn.storage.location import Location, parse_location

_OTHER = re.compile(r"[^\w.-]+")  # what no name of a set may hold: it names folders, and figures as `am2k/sad`


@dataclass(frozen=True)
class ValidationSet:
    """Photographs with their mattes, by a name that no other set of the run has."""

    name: str
    path: Location  # a matting data set, or shards
    alpha_scale: float | None = None  # the value of its mattes that means opaque; None goes by the values


def split_name(word: str) -> tuple[str, str]:
    """The two parts of `NAME=FOLDER`; the name of a plain folder is empty.

    A folder or URL that has a slash before the first `=` is plain, as `./a=b`.

    Raises:
        InputError: If the word may mean both, for such a folder is there; or if the name or the folder is none.
    """
    name, equals, path = word.partition("=")
    if not equals or "/" in name:
        return "", word
    if Path(word).exists():
        raise InputError(
            f"--validation {word}: {path} by the name {name}, or the folder ./{word}? Write {name}=./{path} or ./{word}"
        )
    if not name or _OTHER.search(name) or name.startswith("."):
        raise InputError(f"--validation {word}: {name!r} is no name; take letters, digits, _ and -")
    if not path:
        raise InputError(f"--validation {word}: names no folder; give {name}=FOLDER")
    return name, path


def validation_sets(words: Sequence[str], scales: Sequence[str] = ()) -> tuple[ValidationSet, ...]:
    """The sets that a command line names.

    Args:
        words: Of `--validation`, each `NAME=FOLDER` or a folder, which is called as its last part is.
        scales: Of `--alpha-scale`, each `NAME=NUMBER`, or a number for all sets.

    Raises:
        InputError: If two sets have one name, a scale is for none of them, or a word means nothing.
    """
    found = [(name or _called(path), parse_location(path)) for name, path in map(split_name, words)]
    names = [name for name, _ in found]
    for at, name in enumerate(names):
        if name.casefold() in (each.casefold() for each in names[:at]):  # its folder may be on a Mac's disk
            raise InputError(f"--validation {words[at]}: a second set by the name {name}; give NAME=FOLDER")
    scale_of = _scales(scales, names)
    return tuple(ValidationSet(name, path, scale_of.get(name)) for name, path in found)


def _called(path: str) -> str:
    name = _OTHER.sub("_", os.path.basename(os.path.abspath(path))).lstrip(".")  # noqa: PTH100, PTH119  (links and `..`)
    if not name:
        raise InputError(f"--validation {path}: the folder has no name; give NAME={path}")
    return name


def _scales(words: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            scale = float(value)
        except ValueError as error:
            remedy = "give a number, or NAME=NUMBER for one of several sets"
            raise InputError(f"--alpha-scale {word}: {remedy}") from error
        if name and name not in names:
            raise InputError(f"--alpha-scale {word}: no set has this name; there are {', '.join(names)}")
        for each in [name] if name else names:
            if each in found:
                raise InputError(f"--alpha-scale {word}: {each} has a scale already")
            found[each] = scale
    return found
