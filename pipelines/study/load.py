"""Study files: found by name or path, read, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pipelines.study.schema import Study
from rssn.errors import InputError
from rssn.storage.documents import brief, load_mapping, read_text
from rssn.storage.location import parse_location
from rssn.storage.settings import parse_settings
from rssn.storage.urls import is_url


def load_study(name: str, settings: Iterable[str] = ()) -> Study:
    """Load a study that ships by its name, or any file by its path or URL.

    Args:
        name: Of the file.
        settings: `NAME=PATH`, for the file's `inputs`.

    Raises:
        InputError: Naming file, key and remedy.
    """
    if name in shipped():
        return parse_study((files("pipelines") / "studies" / f"{name}.yaml").read_text("utf-8"), name, settings)
    try:
        return parse_study(read_text(parse_location(name)), name, settings)
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
        filled = _filled(values, inputs)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return parse_settings(Study, filled, source)


def _inputs(declared: Any, settings: Iterable[str]) -> dict[str, str]:
    if not isinstance(declared, dict) or not all(isinstance(value, str) for value in declared.values()):
        raise InputError(f"inputs is {brief(declared)}; give a mapping from names to paths")
    found = dict(declared)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in declared:
            raise InputError(f"--input {setting}: give NAME=PATH; the study's inputs are {', '.join(declared)}")
        found[name] = value
    return {name: value if is_url(value) else str(Path(value).resolve()) for name, value in found.items()}


def _filled(value: Any, inputs: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, inputs) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, inputs) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return Template(value).substitute(inputs)
    except (KeyError, ValueError) as error:
        raise InputError(f"{brief(value)}: names no input; the study's inputs are {', '.join(inputs)}") from error
