"""Layouts of matting data sets: how published and home-made sets say which picture belongs to which alpha matte.

A layout is a row of `LAYOUTS`: how it groups the files below a folder into possible pairs, and what makes it fit. Sets
with named folders come first; loose files are looked at only where no named folders are found. A table of paths is the
one layout that is not a folder, see `rssn.tables`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from rssn.decoding import has_alpha_channel
from rssn.errors import InputError
from rssn.images import list_images
from rssn.matting import Pair, PairSet, Problem
from rssn.tables import TABLE, is_table, table_pairs

_LEVELS = 4  # folders between the root and a side: Combined_Dataset/Training_set/Other/fg has 3
_MATTE_STEM = re.compile(r"(?P<stem>.+)[_-](matte|alpha|mask)", re.IGNORECASE)


@dataclass
class _Group:
    """Files that claim to be partners; a pair if there is one on each side."""

    colours: list[Path] = field(default_factory=list)
    mattes: list[Path] = field(default_factory=list)


_Groups: TypeAlias = dict[str, _Group]


@dataclass(frozen=True)
class Layout:
    """One way to lay out pairs below a folder.

    Attributes:
        name: What `--matting-format` calls it.
        expects: What it looks for, in words.
        lacks: What a colour file without a matte lacks, and a matte without a colour file.
        group: From the root to groups of possible partners.
        fits: Whether those groups show that the folder has this layout.
        given: The colour files are F, not photographs.
        loose: No named folders: tried only where no other layout fits.
    """

    name: str
    expects: str
    lacks: tuple[str, str]
    group: Callable[[Path], _Groups]
    fits: Callable[[_Groups], bool] = bool
    given: bool = False
    loose: bool = False


def find_pairs(root: Path, layout: str | None = None) -> PairSet:
    """Find the pairs of a matting data set.

    Every colour file and every matte is in a pair or in a problem: `missing_partner` or `two_candidates`; what can be
    wrong with a row of a table says `rssn.tables.table_pairs`. Other files (trimaps, face masks, ...) do not count.

    Args:
        root: A folder, or a table of paths (.csv, .parquet).
        layout: One of `LAYOUT_NAMES`; None detects it.

    Raises:
        InputError: If nothing is found, more than one layout fits, or a table cannot be read.
    """
    if layout not in (None, *LAYOUT_NAMES):
        raise InputError(f"--matting-format {layout}: no such layout; choose one of {', '.join(LAYOUT_NAMES)}")
    if is_table(root) or layout == TABLE:
        return _from_table(root, layout)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, and no table (.csv, .parquet) either")
    chosen, groups = _detect(root) if layout is None else _forced(root, layout)
    pairs, problems = _match(root, chosen, groups)
    if not pairs:
        first = f"{problems[0].source}: {problems[0].message}"
        raise InputError(f"{root}: layout {chosen.name}, but no pair is complete; the first file: {first}")
    return PairSet(pairs, problems, chosen.name)


def _from_table(root: Path, layout: str | None) -> PairSet:
    if layout not in (None, TABLE):
        raise InputError(f"{root} is a table, not a folder of layout {layout}; leave out --matting-format")
    if not is_table(root):
        raise InputError(f"{root} is no table; give the .csv or .parquet file itself")
    return PairSet(*table_pairs(root), TABLE)


def _forced(root: Path, name: str) -> tuple[Layout, _Groups]:
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    groups = layout.group(root)
    if not groups:
        raise InputError(f"{root}: nothing of layout {name} in it; it has {layout.expects}")
    return layout, groups


def _detect(root: Path) -> tuple[Layout, _Groups]:
    for loose in (False, True):
        grouped = [(layout, layout.group(root)) for layout in LAYOUTS if layout.loose == loose]
        fitting = [(layout, groups) for layout, groups in grouped if layout.fits(groups)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            found = " and as ".join(f"{layout.name} ({layout.expects})" for layout, _ in fitting)
            names = " or ".join(layout.name for layout, _ in fitting)
            raise InputError(f"{root} can be read as {found}; choose with --matting-format {names}")
    known = "; ".join(f"{layout.name}: {layout.expects}" for layout in LAYOUTS)
    raise InputError(f"{root}: no matting data set found. Looked for {known}; a table is given as its file")


def _match(root: Path, layout: Layout, groups: _Groups) -> tuple[list[Pair], list[Problem]]:
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for name, group in sorted(groups.items()):
        if len(group.colours) == len(group.mattes) == 1:
            colour, matte = group.colours[0], group.mattes[0]
            image, foreground = (None, colour) if layout.given else (colour, None)
            pairs.append(Pair(name, image, matte, foreground, colour.relative_to(root).as_posix()))
        else:
            problems.extend(_problems(root, layout, group))
    return pairs, problems


def _problems(root: Path, layout: Layout, group: _Group) -> list[Problem]:
    files = [path.relative_to(root).as_posix() for path in group.colours + group.mattes]
    if group.colours and group.mattes:
        return [Problem(file, "two_candidates", f"more than one partner among {', '.join(files)}") for file in files]
    return [Problem(file, "missing_partner", layout.lacks[0 if group.colours else 1]) for file in files]


def _named_folders(name: str, data_sets: str, colours: tuple[str, ...], mattes: tuple[str, ...], given: bool) -> Layout:
    """A layout with one folder for each side, next to each other; their names in any case, at any split's level."""
    here, there = (" or ".join(f"{side}/" for side in sides) for sides in (colours, mattes))
    lacks = f"{there} has no file of this name", f"{here} has no file of this name"
    group = partial(_group_folders, colours=frozenset(colours), mattes=frozenset(mattes))
    return Layout(name, f"{here} and {there} ({data_sets})", lacks, group, given=given)


def _group_folders(root: Path, colours: frozenset[str], mattes: frozenset[str]) -> _Groups:
    groups: _Groups = defaultdict(_Group)
    for here, there in _sides(root, colours, mattes, _LEVELS):
        for folder, side in [*((f, "colours") for f in here), *((f, "mattes") for f in there)]:
            for path in list_images(folder):
                name = folder.parent.relative_to(root) / path.relative_to(folder).with_suffix("")
                getattr(groups[name.as_posix()], side).append(path)
    return groups


def _sides(
    folder: Path, colours: frozenset[str], mattes: frozenset[str], levels: int
) -> Iterator[tuple[list[Path], list[Path]]]:
    """Both sides of every part of a data set: folders that lie next to each other."""
    below = _subfolders(folder)
    here, there = ([child for child in below if child.name.lower() in side] for side in (colours, mattes))
    if here and there:
        yield here, there
        below = [child for child in below if child not in here and child not in there]
    if levels:
        for child in below:
            yield from _sides(child, colours, mattes, levels - 1)


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be looked into: {error.strerror}") from error


def _group_flat(root: Path) -> _Groups:
    groups: _Groups = defaultdict(_Group)
    for path in list_images(root):
        folder, matte = path.parent.relative_to(root), _MATTE_STEM.fullmatch(path.stem)
        if matte:
            groups[(folder / matte["stem"]).as_posix()].mattes.append(path)
        else:
            groups[(folder / path.stem).as_posix()].colours.append(path)
    return groups


def _group_cutouts(root: Path) -> _Groups:
    return {path.relative_to(root).as_posix(): _Group([path], [path]) for path in list_images(root)}


def _has_a_pair(groups: _Groups) -> bool:
    return any(group.colours and group.mattes for group in groups.values())


def _are_mostly_cutouts(groups: _Groups) -> bool:
    files = [group.colours[0] for name, group in groups.items() if not _MATTE_STEM.fullmatch(Path(name).stem)]
    return bool(files) and 2 * sum(map(has_alpha_channel, files)) >= len(files)


LAYOUTS = (
    _named_folders("am2k", "AM-2k, PM-10k", ("original",), ("mask",), given=False),
    _named_folders("p3m10k", "P3M-10k", ("blurred_image", "original_image"), ("mask",), given=False),
    _named_folders("dim", "Deep Image Matting, Composition-1k", ("fg",), ("alpha",), given=True),
    _named_folders("distinctions646", "Distinctions-646", ("fg",), ("gt",), given=True),
    Layout(
        "flat",
        "name.jpg with name_matte.png, name_alpha.png or name-mask.png beside it (DAPM)",
        ("no file of this name with _matte, _alpha or _mask", "no file of this name without the ending"),
        _group_flat,
        _has_a_pair,
        loose=True,
    ),
    Layout(
        "rgba",
        "cut-outs: pictures of which at least half have an alpha channel",
        ("no alpha channel", "no colours"),
        _group_cutouts,
        _are_mostly_cutouts,
        given=True,
        loose=True,
    ),
)
"""Every layout of a folder, in the order in which they are looked for."""

LAYOUT_NAMES = (*(layout.name for layout in LAYOUTS), TABLE)
"""What `--matting-format` takes."""
