"""Leaks: a photograph on which the networks are evaluated must not be among those that they are trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import PurePosixPath

from pipelines.study.parts import EvaluationSet
from pipelines.study.photo_hashes import (
    OVERLAP,
    RULES,
    PhotoHash,
    background_hashes,
    evaluation_hashes,
    matting_hashes,
    salient_hashes,
    same_pictures,
)
from pipelines.study.schema import Study
from pipelines.study.steps import input_fingerprint
from rssn.errors import InputError, RemoteError
from rssn.sources.mattes import MATTE_RULES
from rssn.storage.files import parse_json, write_json
from rssn.storage.location import Location, parse_location
from rssn.storage.remote import content

_FORMAT = 2
"""Of what is remembered; count it up where hashes are taken or compared in another way."""

_NAMED = 5


def check_sets(study: Study, cache: LeakCache) -> None:
    """Refuse an evaluation set that holds a photograph of the one that is tested: what was tuned would be tested.

    Args:
        study: The study.
        cache: What was looked at before.

    Raises:
        InputError: Naming both.
    """
    tested, *others = study.evaluation.named.items()
    for name, one in others:
        hashes = partial(evaluation_hashes, alpha_scale=one.alpha_scale)
        cache.check(tested, one.data, f"photograph of the set {name}", hashes, one.alpha_scale)


def check_foregrounds(study: Study, cache: LeakCache) -> None:
    """Refuse foregrounds that are in an evaluation set, or look like one that is: their colours or their mattes.

    Args:
        study: The study.
        cache: What was looked at before.

    Raises:
        InputError: Naming both.
    """
    for one, matting, scale in product(study.evaluation.named.items(), study.foregrounds, study.alpha_scales):
        cache.check(one, matting, "foreground", partial(matting_hashes, alpha_scale=scale), scale)


def check_backgrounds(study: Study, places: Sequence[Location], cache: LeakCache) -> None:
    """Refuse backgrounds that are in an evaluation set, or look like one that is.

    Crops look like nothing but themselves: for those that the study made, the photographs that they are of count.

    Args:
        study: The study.
        places: Folders, tables or curated sets.
        cache: What was looked at before.

    Raises:
        InputError: Naming both.
    """
    for one, place in product(study.evaluation.named.items(), places):
        cache.check(one, str(place), "background", background_hashes)
        if curated := _cropped(place):
            cache.check(one, curated, "photograph behind the crops", salient_hashes)


class LeakCache:
    """Sets in which no leak was found; as long as neither they nor the evaluation set change, they are not read again.

    Args:
        path: The file that remembers them; None remembers nothing.
    """

    def __init__(self, path: Location | None) -> None:
        self._path = path
        self._evaluated: dict[str, list[PhotoHash]] = {}

    def check(
        self,
        named: tuple[str, EvaluationSet],
        place: str,
        what: str,
        hashes: Callable[[Location], Iterator[PhotoHash]],
        alpha_scale: float | None = None,
    ) -> None:
        """Look for what is in both.

        Args:
            named: The evaluation set and its name, which is empty where it has none.
            place: The other set.
            what: Its members, in words.
            hashes: Takes theirs.
            alpha_scale: What `hashes` takes for opaque.

        Raises:
            InputError: Naming both.
        """
        rule = [_FORMAT, RULES.phash_distance, RULES.flat_std, OVERLAP]
        name, evaluation = named
        data = evaluation.data
        facts = [
            rule,
            input_fingerprint(data),
            evaluation.alpha_scale,
            what,
            place,
            input_fingerprint(place),
            alpha_scale,
            MATTE_RULES,
        ]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        known = self._known()
        if key in known:
            return
        if data not in self._evaluated:
            self._evaluated[data] = list(evaluation_hashes(parse_location(data), evaluation.alpha_scale))
        if not self._evaluated[data]:
            field = f"evaluation.sets.{name}.data" if name else "evaluation.data"
            raise InputError(f"{field}: {data}: no photograph in it can be read; name another set")
        where = f"the evaluation set {name}".rstrip()
        _refuse(self._evaluated[data], list(hashes(parse_location(place))), f"a {what} of {place} is in {where}")
        if self._path:
            write_json(self._path, {"clean": sorted({*known, key})})

    def _known(self) -> set[str]:
        try:
            found = parse_json(content(self._path))["clean"] if self._path else []
            return {str(key) for key in found}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return set()


def _refuse(evaluated: Sequence[PhotoHash], given: Sequence[PhotoHash], found: str) -> None:
    pairs = list(dict.fromkeys(same_pictures(evaluated, given)))
    if pairs:
        words = "; ".join(f"{theirs} is {ours}" for ours, theirs in pairs[:_NAMED])
        more = f"; and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
        raise InputError(f"{found}, or looks like one that is: {words}{more}")


def _cropped(place: Location) -> str | None:
    """The curated set that a `crops` step took its crops of: the job beside its results names it.

    Its folder lies beside that of the crops, also where the study's folder was moved since, or copied to a bucket.

    Raises:
        RemoteError: If a bucket does not answer.
    """
    step = place.resolve().parent
    try:
        job = parse_json(content(step / "job.json"))
        name, out = PurePosixPath(job["options"]["curated"]).parts[-2:]
        return str(step.parent / name / out) if job["kind"] == "crops" else None
    except RemoteError:
        raise
    except (OSError, ValueError, LookupError, TypeError):
        return None
