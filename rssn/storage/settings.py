"""Settings that people write, validated by pydantic: frozen dataclasses whose errors name the key in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import wraps
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from rssn.errors import InputError
from rssn.storage.documents import brief

T = TypeVar("T")
C = TypeVar("C", bound=type)
Number = TypeVar("Number", int, float)

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_EXPECTED = {
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "string_pattern_mismatch": "a text",
    "string_too_short": "a text that is not empty",
    "multiple_of": "a multiple of {multiple_of}",
    "is_instance_of": "a {class}",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
}
"""What was expected, by pydantic's type of error."""


@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def settings(kind: C) -> C:
    """Make a class a frozen dataclass that validates its values, wherever they come from.

    Types are strict (no text for a number, no truth value for a number), unknown keys and NaN are refused. Bounds and
    the meaning of a value are those of `Annotated[float, Field(ge=0, le=1, description="a probability")]`. Where the
    class has a static method `key_name`, messages call a key what it returns, such as an option.

    Raises (what is made):
        InputError: When it is given a value that is not valid, naming the key, the value and what is expected.
    """
    made = dataclass(kind, frozen=True, config=_CONFIG)
    validate = made.__init__

    @wraps(validate)
    def __init__(self: object, *values: Any, **named: Any) -> None:  # noqa: N807
        try:
            validate(self, *values, **named)
        except ValidationError as error:
            raise InputError(_message(made, error)) from error

    made.__init__ = __init__  # type: ignore[method-assign]
    return cast(C, made)


def ascending(bounds: tuple[Number, Number]) -> tuple[Number, Number]:
    """Check a setting that is a range: `Annotated[tuple[int, int], AfterValidator(ascending)]`.

    Raises:
        ValueError: If its ends are exchanged.
    """
    if bounds[0] > bounds[1]:
        raise ValueError("the least before the most")
    return bounds


def parse_settings(kind: type[T], values: Mapping[str, Any], source: str) -> T:
    """Settings from plain values, such as those of a YAML document or a stored manifest; lists become tuples.

    Args:
        kind: A class made by `settings`.
        values: By key; nested settings are mappings.
        source: The file they come from, for messages.

    Raises:
        InputError: Naming source, key, value and what is expected.
    """
    try:
        made = TypeAdapter(kind).validate_json(json.dumps(values))  # strict, but lists are tuples, mappings settings
    except ValidationError as error:
        raise InputError(f"{source}: {_message(kind, error)}") from error
    except InputError as error:  # of a class's own __post_init__
        raise InputError(f"{source}: {error}") from error
    return made


def _message(kind: type, error: ValidationError) -> str:
    """The first value that is wrong, in one line: of a list that may be one, what is wrong in it.

    Of a union every alternative is named.
    """
    found = [(_place(kind, one["loc"]), one) for one in error.errors(include_url=False)]
    found.sort(key=lambda one: one[1]["type"] != "unexpected_keyword_argument")  # a key that is missing may be misspelt
    place, first = next((one for one in found if one[0].key.startswith(f"{found[0][0].key}[")), found[0])
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(sorted(one.name for one in fields(place.inner)))
        return f"unknown key '{'.'.join(filter(None, (place.key, str(first['loc'][-1]))))}'; known here: {known}"
    if first["type"] in ("missing", "missing_argument"):
        return f"the key '{place.key}' is missing"
    words = f"{place.named} is {brief(first['input'])}; expected {_alternatives(found, place.key)}"
    return f"{words} ({place.meaning})" if place.meaning else words


def _alternatives(found: list[tuple[_Place, Any]], key: str) -> str:
    """All that a value may be; the literals of a union in one list."""
    errors = [error for place, error in found if place.key == key]
    literals = [_expected(error) for error in errors if error["type"] == "literal_error"]
    listed = ", ".join(literals).replace(" or ", ", ").split(", ") if literals else []
    choices = " or ".join(filter(None, (", ".join(listed[:-1]), *listed[-1:])))
    others = [_expected(error) for error in errors if error["type"] != "literal_error"]
    return " or ".join(filter(None, (*dict.fromkeys(others), f"one of {choices}" if len(listed) > 1 else choices)))


def _expected(error: Any) -> str:
    words = _EXPECTED.get(error["type"])
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()}
    return words.format(**bounds) if words else str(error["msg"]).removeprefix("Value error, ")


class _Place(NamedTuple):
    key: str  # with dots
    named: str  # as messages call it
    meaning: str  # the description of the field, where it has one
    inner: Any  # the class of settings whose keys may follow


def _place(kind: Any, location: tuple[int | str, ...]) -> _Place:
    """What an error is about; members of unions are no keys."""
    parts: list[str] = []
    owner, name, inner, hint, annotated = kind, "", kind, None, None
    for part in location:
        if get_origin(hint) in (Mapping, dict):
            parts.append(str(part))
            hint = get_args(hint)[1]
        elif is_dataclass(inner) and part in {one.name for one in fields(inner)}:
            parts.append(str(part))
            owner, name = inner, str(part)
            annotated = get_type_hints(inner, include_extras=True)[name]
            hint = get_args(annotated)[0] if hasattr(annotated, "__metadata__") else annotated
            inner = _dataclass_in(hint)
        elif isinstance(part, int) and parts:
            parts[-1] += f"[{part}]"
    key = ".".join(parts)
    return _Place(key, owner.key_name(name) if hasattr(owner, "key_name") else key, _description(annotated), inner)


def _dataclass_in(hint: Any) -> Any:
    if is_dataclass(hint):
        return hint
    return next((found for one in get_args(hint) if (found := _dataclass_in(one))), None)


def _description(hint: Any) -> str:
    notes = [note for part in (hint, *get_args(hint)) for note in getattr(part, "__metadata__", ())]
    return next((str(note.description) for note in notes if getattr(note, "description", None)), "")


def describe_field(hint: Any) -> str:
    """What a setting may be, in words: its range or its choices, and what it means.

    Args:
        hint: The type of a field, with its annotations.
    """
    description = _description(hint)
    bounds = {name: f"{value:g}" for part in (hint, *get_args(hint)) for name, value in _bounds(part)}
    words = " to ".join(bounds[name] for name in ("ge", "le") if name in bounds) + (
        "" if "le" in bounds else " or more"
    )
    choices = " or ".join(str(one) for one in get_args(hint)) if get_origin(hint) is Literal else ""
    return ", ".join(filter(None, (words if bounds else "", choices, description)))


def _bounds(hint: Any) -> Iterator[tuple[str, float]]:
    for note in getattr(hint, "__metadata__", ()):
        for one in getattr(note, "metadata", ()):
            yield from ((name, getattr(one, name)) for name in ("ge", "le") if hasattr(one, name))
