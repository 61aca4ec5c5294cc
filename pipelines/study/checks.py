"""What a study file must hold before anything is planned: values of the right kind, names that are known, no leftovers.

An option that the study sets itself is refused: on the command line it would come last, and win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple

from pipelines.study.arguments import listed
from pipelines.study.schema import BackgroundSet, Options, Study
from rssn.errors import InputError
from rssn.storage.documents import brief
from train.metrics.paper import METRICS
from train.targets.rosta import Rosta

_ALWAYS = {"out": "rssn study --out", "help": "the command line, as train run --help"}
_WORKERS = {"workers": "rssn study --workers", "address": "rssn study --address"}
_ANEW = "nowhere: what was changed is made anew, in a folder of its own"

_CURATION = {**_ALWAYS, **_WORKERS, "export-folder": "rssn export, of the folder that is made"}
_CROPS = _ALWAYS
_SHARDS = {
    **_ALWAYS, **_WORKERS,
    "matting": "foregrounds", "recipe": "the row's recipe", "backgrounds": "the row's backgrounds",
    "dry-run": "rssn study --dry-run", "extend": _ANEW, "overwrite": _ANEW, "retry-rejects": _ANEW,
}  # fmt: skip
_TRAINING = {**_ALWAYS, "data": "foregrounds and rows", "seed": "seeds", "rosta": "network.rosta"}
_NETWORK = {**_TRAINING, "backbone": "network.backbone", "weights": "network.weights"}
_EVALUATION = {
    **_ALWAYS, "data": "evaluation.data", "checkpoint": "network", "weights": "network.weights",
    "mattes": "nowhere: they are always written",
}  # fmt: skip


class _Shape(NamedTuple):
    fits: Callable[[Any], bool]
    words: str


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_distinct(values: tuple[Any, ...]) -> bool:
    return len(values) == len(set(values)) > 0


def _are_texts(values: tuple[Any, ...]) -> bool:
    return all(map(_is_text, values)) and _are_distinct(values)


def _are_seeds(values: tuple[Any, ...]) -> bool:
    whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in values)
    return whole and _are_distinct(values)


def _are_pairs(values: tuple[Any, ...]) -> bool:
    return all(isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_text, pair)) for pair in values)


_SHAPES: Mapping[str, _Shape] = {
    "str": _Shape(_is_text, "a text"),
    "str | None": _Shape(lambda value: value is None or _is_text(value), "a text"),
    "bool": _Shape(lambda value: isinstance(value, bool), "true or false"),
    "tuple[str, ...]": _Shape(_are_texts, "one text or several, none of them twice"),
    "tuple[int, ...]": _Shape(_are_seeds, "whole numbers from 0, none of them twice, three or more for a spread"),
    "tuple[tuple[str, str], ...]": _Shape(_are_pairs, "pairs of rows, as [[plain, rssn]]"),
    "Options": _Shape(lambda value: isinstance(value, dict), "options by their names, as {k: 5}, or leave it out"),
}


def check_value(annotation: str, value: Any, where: str) -> None:
    """Whether a value is of its field's kind.

    Args:
        annotation: Of the field, as its class has it.
        value: From the file; a list is a tuple.
        where: Its key, for messages.

    Raises:
        InputError: Naming the key and what it takes.
    """
    shape = _SHAPES.get(annotation)
    if shape and not shape.fits(value):
        raise InputError(f"'{where}' is {_shown(value)}; give {shape.words}")


def check_study(study: Study) -> None:
    """Whether the parts of a study fit together.

    Raises:
        InputError: Naming the key and the remedy.
    """
    for name, one in study.backgrounds.items():
        _check_name("backgrounds", name)
        _check_backgrounds(study, name, one)
    for name, row in study.rows.items():
        _check_name("rows", name)
        if row.recipe is not None and row.backgrounds not in study.backgrounds:
            known = ", ".join(study.backgrounds)
            raise InputError(f"'rows.{name}.backgrounds' is {brief(row.backgrounds)}; the sets are {known}")
        _check_options(f"rows.{name}.options", row.options, _SHARDS)
        _check_options(f"rows.{name}.training", row.training, _TRAINING)
    _check_options("network.options", study.network.options, _NETWORK)
    _check_options("evaluation.options", study.evaluation.options, _EVALUATION)
    if not set(study.network.rosta) <= {*Rosta}:
        raise InputError(f"'network.rosta' is {_shown(study.network.rosta)}; give of {', '.join(Rosta)}")
    for pair in study.compare:
        if not set(pair) <= set(study.rows):
            raise InputError(f"'compare' holds {brief(list(pair))}; give pairs of rows: {', '.join(study.rows)}")
    _check_paper(study)
    for where, place in _places(study):
        if "://" in (place or ""):
            raise InputError(f"'{where}' is {place}: a study reads no buckets; copy it to a folder that all nodes see")


def _check_name(where: str, name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise InputError(f"'{where}.{name}': use lower-case letters, digits and dashes")


def _check_backgrounds(study: Study, name: str, one: BackgroundSet) -> None:
    if sum(way is not None for way in (one.take, one.curate, one.crops)) != 1:
        raise InputError(f"'backgrounds.{name}': give one of take, curate and crops")
    if one.crops is not None and (one.crops not in study.backgrounds or not study.backgrounds[one.crops].curate):
        raise InputError(f"'backgrounds.{name}.crops' is {brief(one.crops)}; give the name of a set with curate")
    if one.take is not None and one.options:
        raise InputError(f"'backgrounds.{name}.options': a set that is taken has none; leave it out")
    _check_options(f"backgrounds.{name}.options", one.options, _CURATION if one.curate else _CROPS)


def _check_options(where: str, options: Options, owned: Mapping[str, str]) -> None:
    for name, value in options.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise InputError(f"'{where}' holds the name {brief(name)}; give an option's name without dashes before it")
        if name in owned:
            raise InputError(f"'{where}.{name}': the study sets it itself; its place is {owned[name]}")
        _check_option(f"{where}.{name}", name, value)


def _check_option(where: str, name: str, value: Any) -> None:
    if name in ("backbone", "weights"):  # of a training; a row may go without the network's weights
        check_value("str | None" if name == "weights" else "str", value, where)
        return
    parts = [part for one in listed(value) for part in listed(one)]
    if not all(map(_is_word, parts)):
        raise InputError(f"'{where}' is {_shown(value)}; give a value, a list of them, or true")


def _is_word(value: object) -> bool:
    """Whether it can stand in a command line as an option's value."""
    return (
        isinstance(value, str | int | float)
        and not str(value).startswith("--")
        and str(value) not in ("nan", "inf", "-inf")
    )


def _check_paper(study: Study) -> None:
    rows, columns = ", ".join(study.rows), ", ".join(METRICS)
    words = f"give {{ROW: {{TT: {{sad: 1.0}}}}}}, numbers all; rows are {rows}, columns {columns}"
    if not isinstance(study.paper, dict):
        raise InputError(f"'paper' is {_shown(study.paper)}; {words}")
    for name, figures in study.paper.items():
        if name not in study.rows or not _are_figures(figures):
            raise InputError(f"'paper.{name}': {words}")


def _are_figures(by_rosta: Any) -> bool:
    if not isinstance(by_rosta, dict) or not set(by_rosta) <= {*Rosta, "ensemble"}:
        return False
    if not all(isinstance(figures, dict) and set(figures) <= set(METRICS) for figures in by_rosta.values()):
        return False
    numbers = chain.from_iterable(figures.values() for figures in by_rosta.values())
    return all(isinstance(one, int | float) and not isinstance(one, bool) and isfinite(one) for one in numbers)


def _places(study: Study) -> Iterator[tuple[str, str | None]]:
    yield from (("foregrounds", place) for place in study.foregrounds)
    for name, one in study.backgrounds.items():
        yield from ((f"backgrounds.{name}", place) for place in (one.take, one.curate))
    for name, row in study.rows.items():
        yield f"rows.{name}.training.weights", row.training.get("weights")
    yield "network.weights", study.network.weights
    yield "evaluation.data", study.evaluation.data
    yield "synthetic", study.synthetic


def _shown(value: Any) -> str:
    """As its file has it: a list, not a tuple."""
    return brief(list(value) if isinstance(value, tuple) else value)
