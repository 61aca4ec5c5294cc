"""Leaks: a photograph on which the networks are judged must not stand among what they were trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bg20k.candidates import hash_picture
from bg20k.hamming import near_pairs
from bg20k.rules import CurationRules
from pipelines.study.definition import Study
from rssn.backgrounds import background_bytes, find_backgrounds
from rssn.decoding import decode_pixels
from rssn.errors import InputError, Rejected
from rssn.files import content_id
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


def check_foregrounds(study: Study) -> None:
    """Refuse foregrounds that stand in the evaluation set, or look like one that does.

    Raises:
        InputError: Naming both.
    """
    judged = _judged(study)
    if judged:
        for matting in study.foregrounds:
            _refuse(judged, list(_pair_prints(Path(matting))), f"foreground of {matting}")


def check_backgrounds(study: Study, places: Sequence[Path]) -> None:
    """Refuse backgrounds that stand in the evaluation set, or look like one that does.

    Args:
        study: The study.
        places: Folders, tables or curated sets.

    Raises:
        InputError: Naming both.
    """
    judged = _judged(study)
    if judged:
        for place in places:
            _refuse(judged, list(_background_prints(place)), f"background of {place}")


def _judged(study: Study) -> list[Print]:
    data = Path(study.evaluation.data)
    return [] if (data / "manifest.json").is_file() else list(_pair_prints(data))


def _refuse(judged: Sequence[Print], given: Sequence[Print], what: str) -> None:
    """Equal bytes, or perceptual hashes as near as those of duplicates in a curation."""
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
    for pair in find_pairs(root).pairs:
        for path in pair.colours:
            try:
                yield _print(str(path), read_bytes(path))
            except Rejected:  # it will be a row of the rejects
                continue


def _background_prints(place: Path) -> Iterator[Print]:
    for background in find_backgrounds(place)[0]:
        try:
            yield _print(background.source, background_bytes(background))
        except Rejected:
            continue


def _print(name: str, data: bytes) -> Print:
    grey = np.asarray(cv2.cvtColor(decode_pixels(data), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return Print(name, content_id(data), *hash_picture(grey, _RULES))
