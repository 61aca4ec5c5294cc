"""Layouts of matting data sets: how published and home-made sets say which picture belongs to which alpha matte.

A layout is a row of `LAYOUTS`: how it groups the files below a folder into possible pairs, and what makes it fit. Sets
with named folders come first; loose files are looked at only where no named folders are found. A table of paths is the
one layout that is not a folder, see `rssn.sources.tables`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rssn.errors import InputError
from rssn.image.decoding import has_alpha_channel
from rssn.sources.folder_walk import Problem, composed, list_folders, list_pictures, refuse_results_among
from rssn.sources.matting import Pair, PairSet
from rssn.sources.tables import TABLE, is_table, table_pairs

_LEVELS = 4  # folders between the root and a side: Combined_Dataset/Training_set/Other/fg has 3
_MATTE_STEM = re.compile(r"(?P<stem>.+)[_-](matte|alpha|mask)", re.IGNORECASE)


@dataclass
class _Group:
    """Files that claim to be partners; a pair if there is one on each side."""

    colours: list[Path] = field(default_factory=list)
    mattes: list[Path] = field(default_factory=list)


@dataclass
class _Groups:
    """What a layout finds in a folder."""

    root: Path
    without: Path | None  # a folder that does not count
    named: defaultdict[str, _Group] = field(default_factory=lambda: defaultdict(_Group))
    problems: list[Problem] = field(default_factory=list)  # what cannot be looked at
    unread: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by suffix

    def pictures(self, folder: Path) -> list[Path]:
        """All pictures below a folder in the root; what else lies there is noted."""
        listing = list_pictures(folder, self.without)
        place = folder.relative_to(self.root)
        self.problems += [replace(one, source=(place / one.source).as_posix()) for one in listing.problems]
        self.unread += listing.unread
        return listing.pictures

    def group(self, name: Path) -> _Group:
        """The group of a name below the root; accents may be written in two ways."""
        return self.named[composed(name.as_posix())]


@dataclass(frozen=True)
class Layout:
    """One way to lay out pairs below a folder.

    Attributes:
        name: What `--matting-format` calls it.
        expects: What it looks for, in words.
        lacks: What a colour file without a matte lacks, and a matte without a colour file.
        group: Puts files into groups of possible partners.
        fits: Whether those groups show that the folder has this layout.
        given: The colour files are F, not photographs.
        loose: No named folders: tried only where no other layout fits.
        asked: Never detected: only who asks for it gets it.
        sides: Names of the folder of colours, and of that of mattes; empty where no folder is named.
    """

    name: str
    expects: str
    lacks: tuple[str, str]
    group: Callable[[_Groups], None]
    fits: Callable[[_Groups], bool] = lambda groups: bool(groups.named)
    given: bool = False
    loose: bool = False
    asked: bool = False
    sides: tuple[tuple[str, ...], tuple[str, ...]] | tuple[()] = ()

    def look(self, root: Path, without: Path | None) -> _Groups:
        """The groups in a folder."""
        groups = _Groups(root, without)
        self.group(groups)
        return groups


def find_pairs(
    root: Path, layout: str | None = None, without: Path | None = None, alpha_scale: float | None = None
) -> PairSet:
    """Find the pairs of a matting data set.

    Every colour file and every matte is in a pair or in a problem: `missing_partner` or `two_candidates`; what cannot
    be looked at is one too, see `rssn.sources.folder_walk`, and what can be wrong with a row of a table says
    `rssn.sources.tables.table_pairs`. Pictures in other folders (trimaps, face masks, ...) do not count.

    Args:
        root: A folder, or a table of paths (.csv, .parquet).
        layout: One of `LAYOUT_NAMES`; None detects it.
        without: A folder that does not count, wherever it lies: where results go.
        alpha_scale: The value of every matte that means opaque; None goes by the values of each.

    Raises:
        InputError: If nothing is found, more than one layout fits, a table cannot be read, or the scale is none.
    """
    if alpha_scale is not None and not 0.0 < alpha_scale < math.inf:
        raise InputError(f"--alpha-scale {alpha_scale:g}: give the value that means opaque, such as 1 or 255")
    found = _find(root, layout, without)
    return replace(found, pairs=[replace(pair, alpha_scale=alpha_scale) for pair in found.pairs])


def _find(root: Path, layout: str | None, without: Path | None) -> PairSet:
    if layout not in (None, *LAYOUT_NAMES):
        raise InputError(f"--matting-format {layout}: no such layout; choose one of {', '.join(LAYOUT_NAMES)}")
    if is_table(root) or layout == TABLE:
        return _from_table(root, layout)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, and no table (.csv, .parquet) either; unpack archives first")
    refuse_results_among(root, without)
    chosen, groups = _detect(root, without) if layout is None else _forced(root, layout, without)
    pairs, problems = _match(root, chosen, groups)
    if not pairs:
        first = f"{problems[0].source}: {problems[0].message}"
        raise InputError(f"{root}: layout {chosen.name}, but no pair is complete; the first file: {first}")
    return PairSet(pairs, problems, chosen.name, groups.unread)


def _from_table(root: Path, layout: str | None) -> PairSet:
    if layout not in (None, TABLE):
        raise InputError(f"{root} is a table, not a folder of layout {layout}; leave out --matting-format")
    if not is_table(root):
        raise InputError(f"{root} is no table; give the .csv or .parquet file itself")
    return PairSet(*table_pairs(root), TABLE)


def _forced(root: Path, name: str, without: Path | None) -> tuple[Layout, _Groups]:
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    groups = layout.look(root, without)
    if not groups.named:
        raise InputError(f"{root}: nothing of layout {name} in it; it has {layout.expects}")
    return layout, groups


def _detect(root: Path, without: Path | None) -> tuple[Layout, _Groups]:
    for loose in (False, True):
        grouped = [
            (layout, layout.look(root, without)) for layout in LAYOUTS if layout.loose == loose and not layout.asked
        ]
        fitting = [(layout, groups) for layout, groups in grouped if layout.fits(groups)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            found = " and as ".join(f"{layout.name} ({layout.expects})" for layout, _ in fitting)
            names = " or ".join(layout.name for layout, _ in fitting)
            raise InputError(f"{root} can be read as {found}; choose with --matting-format {names}")
    if words := _half(root, without):
        raise InputError(f"{root}: no matting data set found: {words}")
    known = "; ".join(f"{layout.name}: {layout.expects}" for layout in LAYOUTS)
    raise InputError(f"{root}: no matting data set found. Looked for {known}; a table is given as its file")


def _half(root: Path, without: Path | None) -> str:
    """That the photographs of a layout lie here without its mattes; empty where they do not."""
    names = {child.name.lower(): child.name for child in list_folders(root, root, without)[0]}
    partners: defaultdict[str, list[str]] = defaultdict(list)
    for layout in LAYOUTS:
        for colours, mattes in [layout.sides] if layout.sides else ():
            for name in names.keys() & set(colours):
                partners[names[name]] += mattes
    if len(partners) != 1:
        return ""
    [(name, wanted)] = partners.items()
    return f"{name}/ is there without {' or '.join(f'{each}/' for each in dict.fromkeys(wanted))} beside it"


def _match(root: Path, layout: Layout, groups: _Groups) -> tuple[list[Pair], list[Problem]]:
    pairs: list[Pair] = []
    problems = list(dict.fromkeys(groups.problems))  # of a folder that two of its sides are in
    for name, group in sorted(groups.named.items()):
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


def _named_folders(
    name: str,
    data_sets: str,
    colours: tuple[str, ...],
    mattes: tuple[str, ...],
    *,
    given: bool,
    prefixes: tuple[str, ...] = (),
) -> Layout:
    """A layout with one folder for each side, next to each other; their names in any case, at any split's level.

    Args:
        name: Of the layout.
        data_sets: Those that have it.
        colours: Names of the folder of photographs, or of foregrounds.
        mattes: Names of the folder of mattes.
        given: The colour files are F.
        prefixes: Beginnings of folders' and files' names that tell the sides apart, and are no part of a name.
    """
    here, there = (" or ".join(f"{side}/" for side in sides) for sides in (colours, mattes))
    lacks = f"{there} has no file of this name", f"{here} has no file of this name"
    group = partial(_group_folders, colours=frozenset(colours), mattes=frozenset(mattes), prefixes=prefixes)
    return Layout(name, f"{here} and {there} ({data_sets})", lacks, group, given=given, sides=(colours, mattes))


def _group_folders(groups: _Groups, colours: frozenset[str], mattes: frozenset[str], prefixes: tuple[str, ...]) -> None:
    seen = set()
    for here, there in _sides(groups, groups.root, colours, mattes, _LEVELS):
        real = frozenset(folder.resolve() for folder in (*here, *there))
        if real in seen:  # a link leads here
            continue
        seen.add(real)
        for folder, side in [*((f, "colours") for f in here), *((f, "mattes") for f in there)]:
            for path in groups.pictures(folder):
                below = [_bare(part, prefixes) for part in path.relative_to(folder).with_suffix("").parts]
                name = folder.parent.relative_to(groups.root).joinpath(*below)
                getattr(groups.group(name), side).append(path)


def _bare(part: str, prefixes: tuple[str, ...]) -> str:
    return next((part.removeprefix(prefix) for prefix in prefixes if part.startswith(prefix)), part)


def _sides(
    groups: _Groups, folder: Path, colours: frozenset[str], mattes: frozenset[str], levels: int
) -> Iterator[tuple[list[Path], list[Path]]]:
    """Both sides of every part of a data set: folders that lie next to each other."""
    below, problems = list_folders(groups.root, folder, groups.without)
    groups.problems += problems
    here, there = ([child for child in below if child.name.lower() in side] for side in (colours, mattes))
    if here and there:
        yield here, there
        below = [child for child in below if child not in here and child not in there]
    if levels:
        for child in below:
            yield from _sides(groups, child, colours, mattes, levels - 1)


def _group_flat(groups: _Groups) -> None:
    for path in groups.pictures(groups.root):
        folder, matte = path.parent.relative_to(groups.root), _MATTE_STEM.fullmatch(path.stem)
        if matte:
            groups.group(folder / matte["stem"]).mattes.append(path)
        else:
            groups.group(folder / path.stem).colours.append(path)


def _group_cutouts(groups: _Groups) -> None:
    for path in groups.pictures(groups.root):
        groups.named[path.relative_to(groups.root).as_posix()] = _Group([path], [path])


def _has_a_pair(groups: _Groups) -> bool:
    return any(group.colours and group.mattes for group in groups.named.values())


def _are_mostly_cutouts(groups: _Groups) -> bool:
    files = [group.colours[0] for name, group in groups.named.items() if not _MATTE_STEM.fullmatch(Path(name).stem)]
    return bool(files) and 2 * sum(map(has_alpha_channel, files)) >= len(files)


LAYOUTS = (
    _named_folders("am2k", "AM-2k, PM-10k", ("original",), ("mask",), given=False),
    _named_folders("p3m10k", "P3M-10k", ("blurred_image", "original_image"), ("mask",), given=False),
    _named_folders("dim", "Deep Image Matting, Composition-1k", ("fg",), ("alpha",), given=True),
    _named_folders("distinctions646", "Distinctions-646", ("fg",), ("gt",), given=True),
    _named_folders(
        "aisegment",
        "AISegment; clip_X/ and matting_X/ in them belong together",
        ("clip_img",),
        ("matting",),
        given=False,
        prefixes=("clip_", "matting_"),
    ),
    _named_folders("ppm100", "PPM-100", ("image",), ("matte",), given=False),
    replace(
        _named_folders(
            "fg-photographs", "whole photographs in fg/; only if asked for", ("fg",), ("alpha",), given=False
        ),
        asked=True,
    ),
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
