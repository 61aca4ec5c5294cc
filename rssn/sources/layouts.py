"""Layouts of matting data sets: how published and home-made sets say which picture belongs to which alpha matte.

A layout is a row of `LAYOUTS`: how it groups the pictures of a source, which may be a folder, an archive or a folder in
a bucket, into possible pairs by their names, and what makes it fit. Sets with named folders come first; loose files are
looked at only where no named folders are found, and archives in a folder only where nothing is found beside them.
Tables are the one layout that is none of names, see `rssn.sources.pair_tables`.

The folders are those that publishers' own code and descriptions name: HIM2K's in the README of nowsyn/InstMatt, DIS5K's
in ZhengPeng7/BiRefNet's dataset.py, those of VideoMatte240K's frames in train_config.py of PeterL1n/RobustVideoMatting;
RefMatte's are those of loaders that others wrote, for its own repository names none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rssn.errors import InputError, Rejected, RemoteError
from rssn.image.decoding import has_alpha_channel
from rssn.image.picture_files import archive_format
from rssn.sources.embedded import picture_columns
from rssn.sources.folder_walk import Problem
from rssn.sources.grouping import (
    Group,
    Groups,
    PhotographsOf,
    Sides,
    by_ending,
    by_instance,
    by_name,
    folder_names,
    in_folders,
    is_called_matte,
    numbered,
    one_by_one,
)
from rssn.sources.matting import Pair, PairSet
from rssn.sources.pair_tables import embedded_pairs, table_pairs
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tables import is_table
from rssn.sources.tree import Tree, list_tree
from rssn.storage.location import Location

TABLE = "table"
"""The name of the layout of tables, for `--matting-format`."""


@dataclass(frozen=True)
class Layout:
    """One way to lay out pairs.

    Attributes:
        name: What `--matting-format` calls it.
        expects: What it looks for, in words.
        lacks: What a colour file without a matte lacks, and a matte without a colour file.
        group: Puts pictures into groups of possible partners.
        fits: Whether those groups show that the source has this layout.
        given: The colour files are F, not photographs.
        loose: No named folders: tried only where no other layout fits.
        asked: Never detected: only who asks for it gets it.
        sides: Names of the folders; None where no folder is named.
    """

    name: str
    expects: str
    lacks: tuple[str, str]
    group: Callable[[Tree], Groups]
    fits: Callable[[Tree, Groups], bool] = lambda _, groups: bool(groups.named)
    given: bool = False
    loose: bool = False
    asked: bool = False
    sides: Sides | None = None


def find_pairs(
    root: Location, layout: str | None = None, without: Location | None = None, alpha_scale: float | None = None
) -> PairSet:
    """Find the pairs of a matting data set.

    Every colour file and every matte is in a pair or in a problem: `missing_partner` or `two_candidates`; what cannot
    be looked at is one too, see `rssn.sources.tree`, and what can be wrong with a row of a table says
    `rssn.sources.pair_tables`. Pictures in other folders (trimaps, face masks, ...) do not count.

    Args:
        root: A folder or an archive (.tar, .tar.gz, .zip) with pictures, a table of paths (.csv, .parquet), a Parquet
            table with the pictures or a folder of such tables; any of them here or in a bucket.
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


def _find(root: Location, layout: str | None, without: Location | None) -> PairSet:
    if layout not in (None, *LAYOUT_NAMES):
        raise InputError(f"--matting-format {layout}: no such layout; choose one of {', '.join(LAYOUT_NAMES)}")
    if is_table(root):
        if layout not in (None, TABLE):
            raise InputError(f"{root} is a table, not a folder of layout {layout}; leave out --matting-format")
        return PairSet(*table_pairs(root), TABLE)
    if isinstance(root, Path) and not (root.is_dir() or (archive_format(root) and root.is_file())):
        raise InputError(f"{root}: no such folder, archive (.tar, .tar.gz, .zip) or table (.csv, .parquet)")
    tree = list_tree(root, without)
    if layout == TABLE:
        return _in_tables(tree) or _refuse_no_table(root)
    if found := _in_names(tree, layout):
        return found
    if tree.archives and (found := _in_names(tree.opened(), layout)):
        return found
    if layout is None and (found := _in_tables(tree)):
        return found
    raise InputError(_nothing(tree, layout))


def _in_names(tree: Tree, layout: str | None) -> PairSet | None:
    chosen = _detect(tree) if layout is None else _asked(tree, layout)
    return _matched(tree, *chosen) if chosen else None


def _in_tables(tree: Tree) -> PairSet | None:
    """The pairs in a folder of Parquet tables that hold the pictures; None where there are none."""
    tables = [table for table in tree.tables if picture_columns(table)]
    return PairSet(embedded_pairs(tables), [], TABLE) if tables else None


def _refuse_no_table(root: Location) -> PairSet:
    raise InputError(f"{root} is no table; give the .csv or .parquet file itself, or a folder of Parquet with pictures")


def _asked(tree: Tree, name: str) -> tuple[Layout, Groups] | None:
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    groups = layout.group(tree)
    return (layout, groups) if groups.named else None


def _detect(tree: Tree) -> tuple[Layout, Groups] | None:
    """The one layout that fits; of several that find files those that find pairs."""
    for loose in (False, True):
        tried = [layout for layout in LAYOUTS if layout.loose == loose and not layout.asked]
        grouped = [(layout, layout.group(tree)) for layout in tried]
        fitting = [(layout, groups) for layout, groups in grouped if layout.fits(tree, groups)]
        fitting = [one for one in fitting if one[1].has_a_pair] or fitting
        if len(fitting) > 1:
            found = " and as ".join(f"{layout.name} ({layout.expects})" for layout, _ in fitting)
            names = " or ".join(layout.name for layout, _ in fitting)
            raise InputError(f"{tree.root} can be read as {found}; choose with --matting-format {names}")
        if fitting:
            return fitting[0]
    return None


def _nothing(tree: Tree, layout: str | None) -> str:
    """That no layout was found, or not the one that was asked for."""
    if layout is not None:
        expects = next(one.expects for one in LAYOUTS if one.name == layout)
        return f"{tree.root}: nothing of layout {layout} in it; it has {expects}"
    if words := _half(tree):
        return f"{tree.root}: no matting data set found: {words}"
    known = "; ".join(f"{layout.name}: {layout.expects}" for layout in LAYOUTS)
    return f"{tree.root}: no matting data set found. Looked for {known}; a table is given as its file"


def _half(tree: Tree) -> str:
    """That the photographs of a layout lie here without its mattes; empty where they do not."""
    names = {name.lower(): name for name in folder_names(tree)}
    partners: defaultdict[str, list[str]] = defaultdict(list)
    for layout in LAYOUTS:
        for name in names.keys() & set(layout.sides.colours if layout.sides else ()):
            partners[names[name]] += layout.sides.mattes if layout.sides else ()
    if len(partners) != 1:
        return ""
    [(name, wanted)] = partners.items()
    return f"{name}/ is there without {' or '.join(f'{each}/' for each in dict.fromkeys(wanted))} beside it"


def _matched(tree: Tree, layout: Layout, groups: Groups) -> PairSet:
    pairs: list[Pair] = []
    problems = list(groups.problems)
    for name, group in sorted(groups.named.items()):
        if group.is_pair:
            pairs.append(_pair(tree, layout, name, group))
        else:
            problems += _problems(tree, layout, group)
    problems = list(dict.fromkeys(problems))  # a photograph of several mattes has one
    if not pairs:
        first = f"{problems[0].source}: {problems[0].message}"
        raise InputError(f"{tree.root}: layout {layout.name}, but no pair is complete; the first file: {first}")
    return PairSet(pairs, problems, layout.name, groups.unread)


def _pair(tree: Tree, layout: Layout, name: str, group: Group) -> Pair:
    [colour], [matte] = group.colours, group.mattes
    picture, alpha = (replace(tree.pictures[name], stamp="") for name in (colour, matte))  # its content says what it is
    image, foreground = (None, picture) if layout.given else (picture, None)
    return Pair(name, image, alpha, foreground, colour, files=(colour, matte))


def _problems(tree: Tree, layout: Layout, group: Group) -> list[Problem]:
    files = group.colours + group.mattes
    reason, message = "missing_partner", layout.lacks[0 if group.colours else 1]
    if group.colours and group.mattes:
        reason, message = "two_candidates", f"more than one partner among {', '.join(files)}"
    return [Problem(file, reason, message, tree.pictures[file]) for file in files]


def _named_folders(
    name: str,
    data_sets: str,
    colours: tuple[str, ...],
    mattes: tuple[str, ...],
    prefixes: tuple[str, ...] = (),
    photographs_of: PhotographsOf | None = None,
) -> Layout:
    """A layout with one folder for each side, next to each other; their names in any case, at any split's level.

    Args:
        name: Of the layout.
        data_sets: Those that have it.
        colours: Names of the folder of photographs, or of foregrounds.
        mattes: Names of the folder of mattes.
        prefixes: Beginnings of folders' and files' names that tell the sides apart, and are no part of a name.
        photographs_of: Of a matte's name: those that its photograph may have, where several mattes may share one.
    """
    here, there = (" or ".join(f"{side}/" for side in sides) for sides in (colours, mattes))
    sides = Sides(colours, mattes, prefixes)
    group = by_name if photographs_of is None else partial(by_instance, photographs_of=photographs_of)
    same = "of this name" if photographs_of is None else "that belongs to it"
    lacks = f"{there} has no file {same}", f"{here} has no file {same}"
    return Layout(name, f"{here} and {there} ({data_sets})", lacks, partial(group, sides=sides), sides=sides)


def _given(layout: Layout) -> Layout:
    """The same layout where the colour files are F."""
    return replace(layout, given=True)


def _are_mostly_cutouts(tree: Tree, groups: Groups) -> bool:
    files = [name for name in groups.named if not is_called_matte(name)]
    return bool(files) and 2 * sum(_has_alpha(tree.pictures[name]) for name in files) >= len(files)


def _has_alpha(ref: PictureRef) -> bool:
    try:
        with ref.open() as stream:
            return has_alpha_channel(stream)
    except (Rejected, OSError) as error:
        for cause in (error, error.__cause__):
            if isinstance(cause, RemoteError):  # else a store that fails would make a set another one
                raise cause from None
        return False


LAYOUTS = (
    _named_folders("am2k", "AM-2k, PM-10k, AIM-500", ("original",), ("mask",)),
    _named_folders("p3m10k", "P3M-10k", ("blurred_image", "original_image"), ("mask",)),
    _given(_named_folders("dim", "Deep Image Matting, Composition-1k", ("fg",), ("alpha",))),
    _given(_named_folders("distinctions646", "Distinctions-646", ("fg",), ("gt",))),
    _given(
        _named_folders("fgr-pha", "VideoMatte240K's frames in a folder for each clip, PhotoMatte85", ("fgr",), ("pha",))
    ),
    _named_folders(
        "aisegment",
        "AISegment; clip_X/ and matting_X/ in them belong together",
        ("clip_img",),
        ("matting",),
        prefixes=("clip_", "matting_"),
    ),
    _named_folders("ppm100", "PPM-100", ("image",), ("matte",)),
    _named_folders("image-alpha", "RealWorldPortrait-636", ("image",), ("alpha",)),
    _named_folders("image-mask", "UHRSD; masks of two values are flagged", ("image",), ("mask",)),
    _named_folders("images-masks", "masks of two values are flagged", ("images",), ("masks",)),
    _named_folders("dis5k", "DIS5K, BiRefNet; its masks of two values are flagged", ("im",), ("gt",)),
    _named_folders(
        "him2k",
        "HIM2K; alphas/x/ has a matte for each instance in images/x.jpg",
        ("images",),
        ("alphas",),
        photographs_of=in_folders,
    ),
    _named_folders(
        "refmatte",
        "RefMatte; mask/x_0.png and mask/x_1.png are of x.jpg",
        ("img", "image"),
        ("mask",),
        photographs_of=numbered,
    ),
    replace(
        _named_folders("fg-photographs", "whole photographs in fg/; only if asked for", ("fg",), ("alpha",)),
        asked=True,
    ),
    Layout(
        "flat",
        "name.jpg with name_matte.png, name_alpha.png or name-mask.png beside it (DAPM)",
        ("no file of this name with _matte, _alpha or _mask", "no file of this name without the ending"),
        by_ending,
        lambda _, groups: any(group.colours and group.mattes for group in groups.named.values()),
        loose=True,
    ),
    Layout(
        "rgba",
        "cut-outs: pictures of which at least half have an alpha channel",
        ("no alpha channel", "no colours"),
        one_by_one,
        _are_mostly_cutouts,
        given=True,
        loose=True,
    ),
)
"""Every layout of names, in the order in which they are looked for."""

LAYOUT_NAMES = (*(layout.name for layout in LAYOUTS), TABLE)
"""What `--matting-format` takes."""
