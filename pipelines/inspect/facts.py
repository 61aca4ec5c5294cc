"""What `rssn inspect` tells of a data set in words and figures, and the check of its draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bg20k.review import describe_effects
from pipelines.compose.plan import Plan, has_plan, load_plan
from rssn.dataset.batches import Superseded
from rssn.dataset.dataset import DataSet
from rssn.dataset.manifest import Manifest
from rssn.dataset.rows import iter_rows
from rssn.dataset.statistics import ColumnCounts, DistinctCounts, MatteFlags, share
from rssn.dataset.verify import Verified
from rssn.image.picture_files import unread_words
from rssn.route.draw_check import count_draws, mismatch
from rssn.route.recipe import Recipe, recipe_from_dict
from rssn.route.step import Values
from rssn.sources.picture_ref import PictureRef

_SHOWN = 5
_DRAWN = ("foreground_id", "background_id", "k", "width", "height", "recipe", "draw_seed", "background_crop")


@dataclass(frozen=True)
class Counted:
    """What the light columns hold."""

    columns: ColumnCounts
    distinct: DistinctCounts = field(default_factory=lambda: DistinctCounts(("foreground_id", "background_id")))
    mattes: MatteFlags = field(default_factory=MatteFlags)


@dataclass(frozen=True)
class Found:
    """What is known before pictures are drawn."""

    folder: DataSet
    manifest: Manifest
    verified: Verified
    counted: Counted
    rejects: Counter[str]
    superseded: Superseded  # what rejects count no more

    @property
    def rows(self) -> int:
        """Rows of the shards that agree with their marks."""
        return sum(mark.rows for mark in self.verified.trusted)

    @property
    def composed(self) -> bool:
        """Whether its rows have F, B and alpha; if not they are backgrounds."""
        return self.manifest.kind != "backgrounds"

    @cached_property
    def recipe(self) -> Recipe | None:
        """What its composites were made by; None of backgrounds."""
        return recipe_from_dict(self.manifest.plan["recipe"], str(self.folder.manifest_path)) if self.composed else None

    def original(self, foreground_id: str) -> PictureRef | None:
        """Where the photograph of a foreground is, as it was planned; None where its plan is lost."""
        planned = self.plan.find_foreground(foreground_id) if self.plan else None
        return planned.pair.picture if planned else None

    @cached_property
    def plan(self) -> Plan | None:
        """What was planned; None where that is lost."""
        return load_plan(self.folder.root) if has_plan(self.folder.root) else None


@dataclass(frozen=True)
class Draws:
    """What the rows of a data set drew, and whether the dice say the same."""

    counts: Mapping[str, str]  # by step: how often it was drawn, and what
    rows: int  # that were rolled again
    wrong: Sequence[str]  # a line for each row that differs

    def problems(self) -> list[str]:
        """The first few lines, and how many there are."""
        more = len(self.wrong) - _SHOWN
        return [*self.wrong[:_SHOWN], *([f"draws: {more} more rows differ"] if more > 0 else [])]


def check_draws(found: Found) -> Draws | None:
    """Roll the draw of every row again and compare (section 4.4); None where nothing was drawn."""
    recipe, plan = found.recipe, found.manifest.plan
    if recipe is None or "backgrounds" not in found.manifest.sources:
        return None
    folder = found.folder
    planned = found.plan
    columns = [*_DRAWN, *(["steps"] if recipe.steps else [])]
    wrong: list[str] = []

    def drawn() -> Iterator[Mapping[str, Values | None]]:
        for mark in found.verified.trusted:
            for row in iter_rows(folder.data(mark.name), columns):
                yield row.get("steps") or {}
                size = planned.background_size(row["background_id"]) if planned else None
                if words := mismatch(recipe, plan["seed"], row, size):
                    wrong.append(f"draws: {row['foreground_id']}/{row['k']}: {words}")

    return Draws(count_draws(recipe, drawn()), found.rows, wrong)


def facts_of(found: Found, draws: Draws | None) -> dict[str, object]:
    """What stands at the top of the report: names and values."""
    marks = found.verified.trusted
    facts: dict[str, object] = {
        "folder": str(found.folder.root),
        "rows": found.rows,
        "shards": len(marks),
        "size": f"{sum(mark.bytes for mark in marks) / 1e6:.1f} MB",
        "rejected": f"{found.rejects.total()} ({share(found.rejects)})" if found.rejects else "0",
    }
    for name, unread in found.manifest.totals.get("unread", {}).items():
        facts[f"in {name}"] = unread_words(unread)
    if found.rows:
        facts |= _composite_facts(found, draws) if found.composed else _background_facts(found)
    return facts


def _composite_facts(found: Found, draws: Draws | None) -> dict[str, object]:
    counts, distinct = found.counted.columns.counts, found.counted.distinct.counts
    facts: dict[str, object] = {
        "recipe": ", ".join(sorted(map(str, counts["recipe"]))),
        "foregrounds": distinct["foreground_id"],
        "backgrounds": distinct["background_id"],
        "F estimated by": share(counts["foreground_method"]),
    }
    if doubts := found.counted.mattes.sentences:
        facts["mattes"] = "; ".join(doubts)
    if draws:
        facts |= draws.counts
        same = "every row is as the recipe and the seed draw it"
        facts["draws"] = f"{len(draws.wrong)} of {draws.rows} rows DIFFER from the dice" if draws.wrong else same
    return facts


def _background_facts(found: Found) -> dict[str, object]:
    counts = found.counted.columns.counts
    width, height = (_mean(counts[name]) for name in ("width", "height"))
    return {
        "split": share(counts["split"]),
        "mean size": f"{width:.0f} x {height:.0f} px",
        "screened by": found.manifest.screened_by or "nobody: salient objects may be in the pictures",
        "reviewed": describe_effects(found.manifest.totals.get("review")),
    }


def _mean(counts: Counter[Any]) -> float:
    return float(sum(value * count for value, count in counts.items()) / counts.total())
