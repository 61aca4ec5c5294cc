"""`rssn recipe` and `rssn steps`: what recipes ship, and what they may be made of."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

import click

from rssn.errors import InputError
from rssn.route.recipe import shipped_recipes, shipped_text
from rssn.route.step import Step
from rssn.route.steps import find_step, package_of, step_names
from rssn.storage.settings import describe_field

_WHERE = {
    "source": "at their own size, before a background is fitted",
    "placement": "before a background is fitted to its size",
    "frame": "in the frame, before the blend",
    "composite": "after the blend",
}


@click.command()
@click.argument("name", required=False)
def recipe(name: str | None) -> None:
    """Print a recipe that ships, as a start for your own.

    Without NAME, lists their names.

    \b
    rssn recipe comp-rssn > mine.yaml
    rssn compose --recipe mine.yaml ...
    """  # noqa: D301
    click.echo("\n".join(shipped_recipes()) if name is None else shipped_text(name), nl=name is None)


@click.command()
def steps() -> None:
    """List the steps that a recipe may name.

    Of each: what it acts on, its settings with their units, where it comes from, and its cost.
    """
    for name in step_names():
        try:
            lines = _step_lines(find_step(name))
        except InputError as error:
            lines = [f"{name}: cannot be used: {error}"]
        click.echo("\n".join([*lines, ""]))


def _step_lines(kind: type[Step]) -> list[str]:
    default = kind()
    package = package_of(kind)
    alike = "; on the stored layers in the same way" if kind.also_on_layers else ""
    return [
        f"{kind.name}: {kind.summary()}",
        f"  acts on   {kind.acts_on}, {_WHERE[kind.stage]}{alike}",
        f"  source    {kind.reference} (package {package})",
        f"  cost      about {default.cpu_seconds:g} CPU-seconds a megapixel" + (", cached" if kind.cached else ""),
        "  settings",
        *(f"    {line}" for line in _setting_lines(default)),
    ]


def _setting_lines(default: Step) -> list[str]:
    hints = get_type_hints(type(default), include_extras=True)
    lines = []
    for field in fields(default):
        value = getattr(default, field.name)
        shown = list(value) if isinstance(value, tuple) else value
        lines.append(f"{field.name}: {shown}  # {describe_field(hints[field.name])}")
    return lines
