"""What a pickle would import and call, found without running any of it; and archives of `torch.save`, copied checked.

A pickle is a program. Here it runs on a stack of names instead of objects, so that one sees before a loader does which
classes it makes objects of, what it calls, and what else it names. Only the instructions that `torch.save` writes are
known; any other is refused.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from rssn.errors import InputError, RemoteError
from rssn.storage.location import Location
from rssn.storage.weights import weights_copy


class Name(NamedTuple):
    """What an instruction imports."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Uses:
    """The imports of a pickle, by what becomes of them."""

    made: set[Name] = field(default_factory=set)  # classes: objects of them are made bare, no constructor runs
    called: set[Name] = field(default_factory=set)
    named: set[Name] = field(default_factory=set)  # handed on as values, as the type of a storage is


class Refused(Exception):
    """A pickle or archive is not one that `torch.save` writes; says why."""


_MARK: Final = "mark"
_NO_ARGUMENTS: Final = "()"
_Value: TypeAlias = Name | str | None  # None: an object of which nothing but data matters

_PUSHED: Mapping[str, _Value] = {
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "EMPTY_DICT", "EMPTY_LIST")),
    "EMPTY_TUPLE": _NO_ARGUMENTS,
    "MARK": _MARK,
}
_TAKEN = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "TUPLE": None, "BINPERSID": 1}
"""How many values become one new object; None: those above the last mark."""
_ADDED = {"APPEND": 1, "SETITEM": 2, "BUILD": 1, "APPENDS": None, "SETITEMS": None}
"""How many values go into the object below them."""

_IDENTIFIERS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)* [A-Za-z_]\w*", re.ASCII)
_MEMBERS = re.compile(
    r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+", re.ASCII
)


def pickle_uses(pickle: bytes) -> Uses:
    """What a pickle of `torch.save` would import.

    Raises:
        Refused: If it holds anything that `torch.save` does not write.
    """
    machine = _Machine(pickle)
    try:
        for opcode, argument, position in pickletools.genops(pickle):
            machine.step(opcode.name, argument, position or 0)
    except (ValueError, IndexError, KeyError) as error:
        raise Refused(f"its pickle is damaged ({error})") from error
    return machine.uses


class _Machine:
    def __init__(self, pickle: bytes) -> None:
        self.pickle = pickle
        self.uses = Uses()
        self.stack: list[_Value] = []
        self.memo: dict[int, _Value] = {}

    def step(self, code: str, argument: Any, position: int) -> None:
        if code in _PUSHED:
            self.stack.append(_PUSHED[code])
        elif code in _TAKEN:
            self._take(_TAKEN[code])
            self.stack.append(None)
        elif code in _ADDED:
            self._take(_ADDED[code])
            if isinstance(self.stack[-1], Name):
                raise Refused(f"it changes {self.stack[-1]}")
        elif code in ("NEWOBJ", "REDUCE"):
            self._run(code)
        else:
            self._name_or_end(code, argument, position)

    def _name_or_end(self, code: str, argument: Any, position: int) -> None:
        match code:
            case "GLOBAL":
                self.stack.append(self._imported(argument, position))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "STOP":
                self._take(1)
                if self.stack or position + 1 != len(self.pickle):
                    raise Refused("its pickle goes on behind its end")
            case "PROTO" if argument == 2:
                pass
            case _:
                raise Refused(
                    f"its pickle holds {code} {argument or ''}".rstrip() + ", which torch.save does not write"
                )

    def _imported(self, argument: str, position: int) -> Name:
        """The name as it stands in the file: `genops` has undone escapes in it, a loader would not."""
        module, _, name = argument.partition(" ")
        if not _IDENTIFIERS.fullmatch(argument) or not self.pickle.startswith(
            f"c{module}\n{name}\n".encode(), position
        ):
            raise Refused(f"it imports {argument!r}, which is no plain name")
        return Name(module, name)

    def _run(self, code: str) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name):
            raise Refused("it calls what it made itself")
        if code == "NEWOBJ" and arguments != _NO_ARGUMENTS:
            raise Refused(f"it makes {function} with arguments")
        self._hand_on(arguments)
        (self.uses.made if code == "NEWOBJ" else self.uses.called).add(function)
        self.stack.append(None)

    def _take(self, count: int | None) -> None:
        """Pop so many values, or those above the last mark and the mark."""
        start = len(self.stack) - self.stack[::-1].index(_MARK) if count is None else len(self.stack) - count
        if start < 0 or _MARK in self.stack[start:]:
            raise Refused("its pickle takes more than there is")
        for value in self.stack[start:]:
            self._hand_on(value)
        del self.stack[start if count is not None else start - 1 :]

    def _hand_on(self, value: _Value) -> None:
        if isinstance(value, Name):
            self.uses.named.add(value)


def copy_checked(path: Location, copy: Path) -> Uses:
    """Copy an archive of `torch.save`, each member against its checksum, and say what its pickle would import.

    A loader that is given the copy sees what was looked at here, however it reads archives.

    Raises:
        InputError: If the file is missing, damaged, or not such an archive.
    """
    pickle = b""
    try:
        file = weights_copy(path)
        with zipfile.ZipFile(file) as archive, zipfile.ZipFile(copy, "w") as written:
            _check_members(archive.infolist())
            for member in archive.infolist():
                content = archive.read(member)
                written.writestr(member.filename, content)
                pickle = content if member.filename.endswith("/data.pkl") else pickle
        return pickle_uses(pickle)
    except (InputError, RemoteError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Refused as error:
        raise InputError(f"{path}: refused because it could run code: {error}") from error
    except Exception as error:  # zipfile raises whatever damage makes it raise
        raise InputError(f"{path}: damaged, or no archive of torch.save: {error}") from error


def _check_members(members: Sequence[zipfile.ZipInfo]) -> None:
    """Nothing but what `torch.save` writes: TorchScript, for one, lies in archives of the same kind and is code."""
    names = [member.filename for member in members]
    for member in members:
        root, _, name = member.filename.partition("/")
        if not _MEMBERS.fullmatch(name) or root != names[0].partition("/")[0] or member.compress_type:
            raise Refused(f"torch.save writes no {member.filename} like that")
    if len(set(names)) < len(names):
        raise Refused("it holds several members of one name")
