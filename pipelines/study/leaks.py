"""Leaks: a photograph on which the networks are judged must not stand among what they were trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from bg20k.candidates import hash_picture
from bg20k.rules import CurationRules
from pipelines.study.definition import Study
from pipelines.study.steps import listing
from rssn.backgrounds import background_bytes, find_backgrounds
from rssn.decoding import decode_pixels
from rssn.errors import InputError, Rejected
from rssn.files import content_id, write_json
from rssn.images import read_bytes
from rssn.layouts import find_pairs

_RULES = CurationRules()
_NAMED = 5


class Print(NamedTuple):
    """What tells a photograph from another."""

    name: str
    content: str
    phash: int
    flat: bool


def check_foregrounds(study: Study, clean: Clean) -> None:
    """Refuse foregrounds that stand in the evaluation set, or look like one that does.

    Args:
        study: The study.
        clean: What was looked at before.

    Raises:
        InputError: Naming both.
    """
    for matting in study.foregrounds:
        clean.check(study.evaluation.data, matting, "foreground", _pair_prints)


def check_backgrounds(study: Study, places: Sequence[Path], clean: Clean) -> None:
    """Refuse backgrounds that stand in the evaluation set, or look like one that does.

    Args:
        study: The study.
        places: Folders, tables or curated sets.
        clean: What was looked at before.

    Raises:
        InputError: Naming both.
    """
    for place in places:
        clean.check(study.evaluation.data, str(place), "background", _background_prints)


class Clean:
    """Sets in which no leak was found; as long as neither they nor the evaluation set change, they are not read again.

    Args:
        path: The file that remembers them; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._judged: dict[str, list[Print]] = {}

    def check(self, data: str, place: str, what: str, prints: Callable[[Path], Iterator[Print]]) -> None:
        """Look for what stands in both.

        Raises:
            InputError: Naming both.
        """
        if (Path(data) / "manifest.json").is_file():
            return  # shards: nobody knows from what they were made
        key = hashlib.sha256(json.dumps([listing(data), place, listing(place)]).encode()).hexdigest()
        known = self._known()
        if key in known:
            return
        if data not in self._judged:
            self._judged[data] = list(_pair_prints(Path(data)))
        _refuse(self._judged[data], list(prints(Path(place))), f"{what} of {place}")
        if self._path:
            write_json(self._path, {"clean": sorted({*known, key})})

    def _known(self) -> set[str]:
        try:
            return set(json.loads(self._path.read_text(encoding="utf-8"))["clean"]) if self._path else set()
        except (OSError, ValueError, KeyError, TypeError):
            return set()


def _refuse(judged: Sequence[Print], given: Sequence[Print], what: str) -> None:
    """Equal bytes, or perceptual hashes as near as those of duplicates in a curation."""
    from bg20k.hamming import near_pairs  # noqa: PLC0415  (its import loads numba)

    found = [(one.name, other.name) for one in judged for other in given if one.content == other.content]
    hashed = [each for each in (*judged, *given) if not each.flat]
    first = sum(not each.flat for each in judged)
    values = np.array([each.phash for each in hashed], dtype=np.uint64)
    distinct, place = np.unique(values, return_inverse=True)
    members: dict[int, list[int]] = {}
    for number, at in enumerate(place.tolist()):
        members.setdefault(at, []).append(number)
    groups = [(at, at) for at in members] + near_pairs(distinct, _RULES.phash_distance).tolist()
    for left, right in groups:
        numbers = {*members[left], *members[right]}
        ours, theirs = (sorted(n for n in numbers if (n < first) == side) for side in (True, False))
        found += [(hashed[one].name, hashed[other].name) for one in ours for other in theirs]
    if found:
        pairs = list(dict.fromkeys(found))
        words = "; ".join(f"{theirs} is {ours}" for ours, theirs in pairs[:_NAMED])
        more = f"; and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        raise InputError(f"a {what} stands in the evaluation set, or looks like one that does: {words}{more}")


def _pair_prints(root: Path) -> Iterator[Print]:
    for pair in tqdm(find_pairs(root).pairs, desc=f"leaks: {root.name}", unit=" pairs", leave=False):
        for path in pair.colours:
            try:
                yield _print(str(path), read_bytes(path))
            except Rejected:  # it will be a row of the rejects
                continue


def _background_prints(place: Path) -> Iterator[Print]:
    for background in tqdm(find_backgrounds(place)[0], desc=f"leaks: {place.name}", unit=" photos", leave=False):
        try:
            yield _print(background.source, background_bytes(background))
        except Rejected:
            continue


def _print(name: str, data: bytes) -> Print:
    grey = np.asarray(cv2.cvtColor(decode_pixels(data), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return Print(name, content_id(data), *hash_picture(grey, _RULES))
