"""Does a row hold what the dice say: its draw rolled again, and compared; and how often each step was drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rssn.route.compose import fitted_size, place_crop
from rssn.route.draw import draw
from rssn.route.recipe import Recipe
from rssn.route.step import Step, Values

_MOST = 12  # different values that are listed


def mismatch(recipe: Recipe, seed: int, row: Mapping[str, Any], background: tuple[int, int] | None) -> str | None:
    """What of a row is not as the recipe and the seed draw it; None where all is.

    Args:
        recipe: The data set's.
        seed: The run's.
        row: The columns `foreground_id`, `k`, `recipe`, `draw_seed`, `width`, `height`, `background_crop` and `steps`.
        background: Width and height of its background at its own size; None where nobody knows it.
    """
    drawn = draw(recipe, seed, row["foreground_id"], row["k"])
    expected: dict[str, object] = {"recipe": recipe.label, "draw_seed": drawn.seed}
    found: dict[str, object] = {name: row[name] for name in expected}
    stored = row.get("steps") or {}
    for step in recipe.steps:
        expected[step.name] = drawn.steps[step.name]
        found[step.name] = stored_values(step, stored.get(step.name))
    if background is not None:
        frame = (row["width"], row["height"])
        expected["background_crop"] = asdict(place_crop(fitted_size(background, frame, recipe.fit), frame, drawn))
        found["background_crop"] = row["background_crop"]
    wrong = [name for name in expected if found[name] != expected[name]]
    return "; ".join(f"{name} is {found[name]}, the dice say {expected[name]}" for name in wrong) or None


def stored_values(step: Step, stored: Values | None) -> Values | None:
    """What a step drew, from its struct in a row's column `steps`, without what it measured."""
    return None if stored is None else {name: stored.get(name) for name in step.columns}


def count_draws(recipe: Recipe, rows: Iterable[Mapping[str, Values | None]]) -> dict[str, str]:
    """How often each step was drawn and, where that is short, what it drew: by the step's name.

    Args:
        recipe: Its steps, in order.
        rows: What each row's steps drew, as a draw or the column `steps` has it.
    """
    total, drawn = 0, {step.name: Counter[str]() for step in recipe.steps}
    for row in rows:
        total += 1
        for step in recipe.steps:
            values = row.get(step.name)
            if values is not None:
                counts = drawn[step.name]
                words = step.describe(values) if len(counts) <= _MOST else ""
                counts[words if words in counts or len(counts) < _MOST else ""] += 1  # "": one of too many to list
    return {name: _count(counts, total) for name, counts in drawn.items()}


def _count(counts: Counter[str], total: int) -> str:
    words = f"{counts.total()} of {total}"
    if counts and "" not in counts:
        words += f": {', '.join(f'{count} x {value}' for value, count in sorted(counts.items()))}"
    return words
