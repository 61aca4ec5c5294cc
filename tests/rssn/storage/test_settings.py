from __future__ import annotations

from dataclasses import asdict, field, replace
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field

from rssn.errors import InputError
from rssn.storage.settings import ascending, parse_settings, settings


@settings
class Inner:
    share: Annotated[float, Field(ge=0, le=1, description="of the pictures")] = 0.5
    strength: Annotated[float, Field(ge=0)] | Literal["auto"] = 10.0


@settings
class Outer:
    name: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1)] = 5
    sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (20,)
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    bounds: Annotated[tuple[float, float], AfterValidator(ascending), Field(description="px")] = (1.0, 2.0)
    choice: (
        Literal["other"] | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(description="a range or other")]
    ) = "other"


def test_plain_values_become_settings_and_back() -> None:
    made = Outer("a", 3, (1, 2), Inner(0.25, "auto"), (Inner(),))
    assert parse_settings(Outer, asdict(made), "file") == made
    assert parse_settings(Outer, {"name": "a", "inner": {"share": 1}}, "file").inner == Inner(1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the key 'name' is missing"),
        ({"name": ""}, "name is ''; expected a text that is not empty"),
        ({"name": "a", "count": 0}, "count is 0; expected 1 or more"),
        ({"name": "a", "count": True}, "count is True; expected a whole number"),
        ({"name": "a", "count": "5"}, "count is '5'; expected a whole number"),
        ({"name": "a", "count": 1.5}, "count is 1.5; expected a whole number"),
        ({"name": "a", "other": 1}, "unknown key 'other'; known here: bounds, choice, count, inner, many, name, sizes"),
        ({"name": "a", "inner": {"other": 1}}, "unknown key 'inner.other'; known here: share, strength"),
        ({"name": "a", "inner": {"share": 1.5}}, "inner.share is 1.5; expected 1 or less (of the pictures)"),
        (
            {"name": "a", "inner": {"share": float("nan")}},
            "inner.share is nan; expected a finite number (of the pictures)",
        ),
        ({"name": "a", "inner": {"strength": -1}}, "inner.strength is -1; expected 0 or more or 'auto'"),
        ({"name": "a", "inner": 3}, "inner is 3; expected a mapping"),
        ({"name": "a", "sizes": []}, "sizes is []; expected at least 1 of them"),
        ({"name": "a", "sizes": [3, 0]}, "sizes[1] is 0; expected 1 or more"),
        ({"name": "a", "choice": [1, -2]}, "choice[1] is -2; expected 0 or more (a range or other)"),
        ({"name": "a", "choice": "oter"}, "choice is 'oter'; expected a list or 'other' (a range or other)"),
        ({"name": "a", "bounds": [2, 1.5]}, "bounds is [2, 1.5]; expected the least before the most (px)"),
        ({"name": "a", "sizes": 3}, "sizes is 3; expected a list"),
        ({"name": "a", "many": [{}, {"share": 2}]}, "many[1].share is 2; expected 1 or less (of the pictures)"),
        ({"name": "a", "many": [{"x": 2}]}, "unknown key 'many[0].x'; known here: share, strength"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_settings(Outer, values, "file.yaml")
    assert str(refused.value) == f"file.yaml: {message}"


def test_code_is_checked_as_files_are() -> None:
    with pytest.raises(InputError, match=r"^count is 0; expected 1 or more$"):
        Outer("a", count=0)
    with pytest.raises(InputError, match="share"):
        replace(Inner(), share=3.0)
