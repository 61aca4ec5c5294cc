"""How layouts put the pictures of a source into groups of possible partners: by their names alone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from rssn.image.picture_files import suffix_of
from rssn.sources.folder_walk import Problem
from rssn.sources.names import composed
from rssn.sources.tree import Tree

Side: TypeAlias = Literal["colours", "mattes"]
PhotographsOf: TypeAlias = Callable[[str], list[str]]
"""Of the name of a matte, without its suffix: the names that its photograph may have."""

_LEVELS = 4  # folders between the root and a side: Combined_Dataset/Training_set/Other/fg has 3
_MATTE_STEM = re.compile(r"(?P<stem>.+)[_-](matte|alpha|mask)", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<stem>.+)_\d+")


@dataclass
class Group:
    """Pictures that claim to be partners, by name; a pair if there is one on each side."""

    colours: list[str] = field(default_factory=list)
    mattes: list[str] = field(default_factory=list)

    @property
    def is_pair(self) -> bool:
        """Whether there is one on each side."""
        return len(self.colours) == len(self.mattes) == 1


@dataclass
class Groups:
    """What a layout finds in a source."""

    named: defaultdict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    problems: list[Problem] = field(default_factory=list)  # what cannot be looked at
    unread: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by suffix

    def add(self, side: Side, group: str, picture: str) -> None:
        """Put a picture into a group; accents in names may be written in two ways."""
        getattr(self.named[composed(group)], side).append(picture)

    @property
    def has_a_pair(self) -> bool:
        """Whether any group is a pair."""
        return any(group.is_pair for group in self.named.values())


class Sides(NamedTuple):
    """What the folders of the two sides are called, in lower case; they lie next to each other, at any split's level.

    Attributes:
        colours: Those of photographs, or of F.
        mattes: Those of mattes.
        prefixes: Beginnings of folders' and files' names that tell the sides apart, and are no part of a name.
    """

    colours: tuple[str, ...]
    mattes: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


class _Place(NamedTuple):
    side: Side
    name: str  # without the side's folder, prefixes and a suffix


def by_name(tree: Tree, sides: Sides) -> Groups:
    """Partners have the same name in both sides' folders."""
    groups, located = Groups(), _Located(tree, sides)
    for picture in tree.pictures:
        if place := located.place(picture):
            groups.add(place.side, place.name, picture)
    return located.noted(groups)


def by_instance(tree: Tree, sides: Sides, photographs_of: PhotographsOf) -> Groups:
    """Several mattes, of one instance each, may have one photograph: a group for each matte, which names it."""
    groups, located = Groups(), _Located(tree, sides)
    photographs: defaultdict[str, list[str]] = defaultdict(list)
    mattes: list[tuple[str, str]] = []
    for picture in tree.pictures:
        place = located.place(picture)
        if place and place.side == "colours":
            photographs[composed(place.name)].append(picture)
        elif place:
            mattes.append((composed(place.name), picture))
    alone = set(photographs)
    for name, matte in mattes:
        groups.add("mattes", name, matte)
        for owner in photographs_of(name):
            alone.discard(owner)
            groups.named[name].colours += photographs.get(owner, [])
    for name in alone:
        groups.named[f"{name}\0"].colours += photographs[name]  # no matte's name
    return located.noted(groups)


def in_folders(name: str) -> list[str]:
    """`x/00` is of the photograph `x`, as `x` is."""
    return [*filter(None, [name.rpartition("/")[0]]), name]


def numbered(name: str) -> list[str]:
    """`x_0` is of the photograph `x`."""
    found = _NUMBERED.fullmatch(name)
    return [found["stem"]] if found else []


def by_ending(tree: Tree) -> Groups:
    """Mattes lie beside their photographs, and their names have an ending that says so."""
    groups = Groups(problems=[*tree.problems, *tree.closed], unread=tree.unread)
    for picture in tree.pictures:
        folder, stem = _parts(picture)
        matte = _MATTE_STEM.fullmatch(stem)
        groups.add("mattes" if matte else "colours", f"{folder}{matte['stem'] if matte else stem}", picture)
    return groups


def one_by_one(tree: Tree) -> Groups:
    """Each picture is its own partner."""
    groups = Groups(problems=[*tree.problems, *tree.closed], unread=tree.unread)
    for picture in tree.pictures:
        groups.named[picture] = Group([picture], [picture])
    return groups


def is_called_matte(picture: str) -> bool:
    """Whether a name has the ending of a matte."""
    return bool(_MATTE_STEM.fullmatch(_parts(picture)[1]))


def folder_names(tree: Tree) -> set[str]:
    """What the folders directly in a source are called."""
    names = chain(tree.pictures, tree.others)
    return {name.partition("/")[0] for name in names if "/" in name}


class _Located:
    """Which side the pictures of a source are on: a folder counts where the other side's lies beside it."""

    def __init__(self, tree: Tree, sides: Sides) -> None:
        self._tree, self._sides = tree, sides
        self._found: dict[str, tuple[Side, str] | None] = {}  # by folder: the side, and the beginning of its names

    def place(self, name: str) -> _Place | None:
        """The side that a file is on; None where it is on neither."""
        folder, _, own = name.rpartition("/")
        found = self._of(folder)
        return found and _Place(found[0], f"{found[1]}{self._bare(_parts(own)[1])}")

    def noted(self, groups: Groups) -> Groups:
        """Groups, with what lies in the sides and is no picture or cannot be looked at, and folders that are closed."""
        problems = [one for one in self._tree.problems if self.place(one.source)]
        groups.problems = [*self._tree.closed, *problems]
        groups.unread = Counter(suffix_of(name) for name in self._tree.others if self.place(name))
        return groups

    def _of(self, folder: str) -> tuple[Side, str] | None:
        if folder not in self._found:
            self._found[folder] = next(self._candidates(folder), None)
        return self._found[folder]

    def _candidates(self, folder: str) -> Iterator[tuple[Side, str]]:
        parts = folder.split("/") if folder else []
        for number, part in enumerate(parts[: _LEVELS + 1]):
            beside = self._beside.get("/".join(parts[:number]), set())
            if part.lower() in (*self._sides.colours, *self._sides.mattes) and self._are_both(beside):
                side: Side = "colours" if part.lower() in self._sides.colours else "mattes"
                names = [*parts[:number], *map(self._bare, parts[number + 1 :])]
                yield side, "".join(f"{name}/" for name in names)

    def _are_both(self, names: set[str]) -> bool:
        return not names.isdisjoint(self._sides.colours) and not names.isdisjoint(self._sides.mattes)

    @cached_property
    def _beside(self) -> Mapping[str, set[str]]:
        """The names of folders, in lower case, by the folder that they are in."""
        tree = self._tree
        names = chain(tree.pictures, tree.others, (one.source for one in tree.problems))
        found: defaultdict[str, set[str]] = defaultdict(set)
        for folder in {name.rpartition("/")[0] for name in names}:
            parts = folder.split("/")
            for number, part in enumerate(parts[: _LEVELS + 1]):
                found["/".join(parts[:number])].add(part.lower())
        return found

    def _bare(self, part: str) -> str:
        found = (part.removeprefix(prefix) for prefix in self._sides.prefixes if part.startswith(prefix))
        return next(found, part)


def _parts(name: str) -> tuple[str, str]:
    """The folder of a name, with a slash at its end, and the file's own name without its suffix."""
    folder, slash, own = name.rpartition("/")
    dot = own.rfind(".")
    return f"{folder}{slash}", own[:dot] if 0 < dot < len(own) - 1 else own
