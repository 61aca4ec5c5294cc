"""Study files: found by name or path, read, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pipelines.study.arguments import absolute, listed
from pipelines.study.checks import check_study, check_value
from pipelines.study.schema import BackgroundSet, Evaluation, Network, Row, Study
from rssn.errors import InputError
from rssn.route.recipe import shipped_recipes
from rssn.storage.documents import brief, load_mapping, read_text
from rssn.storage.weights import PACKAGE


def load_study(name: str, settings: Iterable[str] = ()) -> Study:
    """Load a study that ships by its name, or any file by its path.

    Args:
        name: Of the file.
        settings: `NAME=PATH`, for the file's `inputs`.

    Raises:
        InputError: Naming file, key and remedy.
    """
    if name in shipped():
        return parse_study((files("pipelines") / "studies" / f"{name}.yaml").read_text("utf-8"), name, settings)
    try:
        return parse_study(read_text(Path(name)), name, settings)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such study file; studies that ship: {', '.join(shipped())}") from error


def shipped() -> list[str]:
    """Names of the studies that ship."""
    folder = files("pipelines") / "studies"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def parse_study(text: str, source: str, settings: Iterable[str] = ()) -> Study:
    """Read a study from YAML; `$name` anywhere in it stands for an input, and its paths become absolute.

    Raises:
        InputError: Naming file, key and remedy.
    """
    values = load_mapping(text, source, "a study is a mapping with the keys name, foregrounds, rows, network, ...")
    try:
        inputs = _inputs(values.pop("inputs", {}), settings)
        study: Study = _build(Study, _filled(values, inputs), "")
        check_study(study)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return _located(study)


def _inputs(declared: Any, settings: Iterable[str]) -> dict[str, str]:
    if not isinstance(declared, dict) or not all(isinstance(value, str) for value in declared.values()):
        raise InputError(f"inputs is {brief(declared)}; give a mapping from names to paths")
    found = dict(declared)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in declared:
            raise InputError(f"--input {setting}: give NAME=PATH; the study's inputs are {', '.join(declared)}")
        found[name] = value
    return {name: value if "://" in value else str(Path(value).resolve()) for name, value in found.items()}


def _filled(value: Any, inputs: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, inputs) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_filled(item, inputs) for item in value)
    if not isinstance(value, str):
        return value
    try:
        return Template(value).substitute(inputs)
    except (KeyError, ValueError) as error:
        raise InputError(f"{brief(value)}: names no input; the study's inputs are {', '.join(inputs)}") from error


_PARTS: Mapping[str, type] = {"network": Network, "evaluation": Evaluation}
_NAMED: Mapping[str, type] = {"backgrounds": BackgroundSet, "rows": Row}
_TUPLES = ("foregrounds", "seeds", "rosta", "compare")


def _build(kind: type[Any], values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"'{where}' is {brief(values)}; expected a mapping")
    known = {item.name: item for item in fields(kind)}
    inner = f"{where}." if where else ""
    for key in values:
        if key not in known:
            raise InputError(f"unknown key '{inner}{key}'; known here: {', '.join(known)}")
    arguments = {key: _value(kind, key, value, f"{inner}{key}") for key, value in values.items()}
    try:
        return kind(**arguments)
    except TypeError as error:
        missing = ", ".join(re.findall(r"'(\w+)'", str(error)))
        raise InputError(f"'{where or 'the study'}' lacks {missing}") from error


def _value(kind: type[Any], key: str, value: Any, where: str) -> Any:
    if kind is Study and key in _PARTS:
        return _build(_PARTS[key], value, where)
    if kind is Study and key in _NAMED:
        if not isinstance(value, dict) or not value:
            raise InputError(f"'{where}' is {brief(value)}; expected names with a mapping each")
        return {str(name): _build(_NAMED[key], item, f"{where}.{name}") for name, item in value.items()}
    value = listed(value) if key in _TUPLES else value
    check_value(next(str(item.type) for item in fields(kind) if item.name == key), value, where)
    return value


def _located(study: Study) -> Study:
    """The same study for workers that stand in another folder."""
    return replace(
        study,
        foregrounds=tuple(map(absolute, study.foregrounds)),
        backgrounds={name: _located_set(one) for name, one in study.backgrounds.items()},
        rows={name: _located_row(row) for name, row in study.rows.items()},
        network=replace(study.network, weights=_located_weights(study.network.weights)),
        evaluation=replace(study.evaluation, data=absolute(study.evaluation.data)),
        synthetic=study.synthetic and absolute(study.synthetic),
    )


def _located_set(one: BackgroundSet) -> BackgroundSet:
    return replace(one, take=one.take and absolute(one.take), curate=one.curate and absolute(one.curate))


def _located_row(row: Row) -> Row:
    recipe = row.recipe if row.recipe is None or row.recipe in shipped_recipes() else absolute(row.recipe)
    weights = {"weights": _located_weights(row.training["weights"])} if "weights" in row.training else {}
    return replace(row, recipe=recipe, training={**row.training, **weights})


def _located_weights(given: str | None) -> str | None:
    return absolute(given) if given and not given.startswith(PACKAGE) else given
