"""What `rssn inspect` tells of a data set in words and figures, and the test of its draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bg20k.review import describe_effects
from rssn.dataset.manifest import Manifest
from rssn.dataset.shards import DatasetFolder
from rssn.dataset.statistics import count_distinct, describe_mattes, share
from rssn.dataset.verify import Verified
from rssn.image.picture_files import unread_words
from rssn.route.draw_check import DrawCounts, Fit, fit_draws
from rssn.route.recipe import recipe_from_dict
from rssn.storage.urls import shown


@dataclass(frozen=True)
class Found:
    """What is known before pictures are drawn."""

    folder: DatasetFolder
    manifest: Manifest
    verified: Verified
    counts: Mapping[str, Counter[Any]]
    rejects: Counter[str]

    @property
    def rows(self) -> int:
        """Rows of the shards that agree with their marks."""
        return sum(mark.rows for mark in self.verified.trusted)

    @property
    def composed(self) -> bool:
        """Whether its rows have F, B and alpha; if not they are backgrounds."""
        return self.manifest.kind != "backgrounds"

    @property
    def originals(self) -> Path | None:
        """The matting data set that it was made from."""
        source = self.manifest.sources.get("matting")
        return Path(source) if source else None  # of a URL too, see rssn.storage.urls


def facts_of(found: Found, fits: Sequence[Fit]) -> dict[str, object]:
    """What stands at the top of the report: names and values."""
    marks = found.verified.trusted
    facts: dict[str, object] = {
        "folder": shown(str(found.folder.root)),
        "rows": found.rows,
        "shards": len(marks),
        "size": f"{sum(mark.bytes for mark in marks) / 1e6:.1f} MB",
        "rejected": f"{found.rejects.total()} ({share(found.rejects)})" if found.rejects else "0",
    }
    for name, unread in found.manifest.totals.get("unread", {}).items():
        facts[f"in {name}"] = unread_words(unread)
    if found.rows:
        facts |= _draw_facts(found, fits) if found.composed else _background_facts(found)
    return facts


def _draw_facts(found: Found, fits: Sequence[Fit]) -> dict[str, object]:
    counts, rows = _draw_counts(found), found.rows
    distinct = count_distinct(found.folder, found.verified.trusted, ["foreground_id", "background_id"])
    facts: dict[str, object] = {
        "recipe": ", ".join(sorted(map(str, found.counts["recipe"]))),
        "foregrounds": distinct["foreground_id"],
        "backgrounds": distinct["background_id"],
        "F estimated by": share(found.counts["foreground_method"]),
        "denoised": f"{counts.denoised} of {rows}",
        "blurred": f"{counts.blurred} of {rows}" + (f": {share(counts.blur_sizes, ' px')}" if counts.blurred else ""),
        "noise added": f"{counts.noisy} of {rows}",
    }
    doubts = describe_mattes(found.folder, found.verified.trusted)
    if doubts:
        facts["mattes"] = "; ".join(doubts)
    if fits:
        least = min(fits, key=lambda fit: fit.p)
        misfits = ", ".join(fit.step for fit in fits if fit.misfit)
        facts["draws"] = (
            f"DO NOT FIT the recipe: {misfits}" if misfits else f"fit the recipe (smallest p {least.p:.2g})"
        )
    return facts


def _background_facts(found: Found) -> dict[str, object]:
    width, height = (_mean(found.counts[name]) for name in ("width", "height"))
    return {
        "split": share(found.counts["split"]),
        "mean size": f"{width:.0f} x {height:.0f} px",
        "screened by": found.manifest.screened_by or "nobody: salient objects may be in the pictures",
        "reviewed": describe_effects(found.manifest.totals.get("review")),
    }


def _mean(counts: Counter[Any]) -> float:
    return float(sum(value * count for value, count in counts.items()) / counts.total())


def _draw_counts(found: Found) -> DrawCounts:
    sizes = {size: count for size, count in found.counts["blur_size"].items() if size is not None}
    noisy = sum(count for sigma, count in found.counts["noise_sigma"].items() if sigma)
    return DrawCounts(found.rows, found.counts["denoised"][True], noisy, sizes)


def fit_recipe(found: Found) -> list[Fit]:
    """The draws against the recipe, step by step; nothing where nothing was drawn."""
    if not found.rows or "backgrounds" not in found.manifest.sources:  # curated or packed: nothing was drawn
        return []
    recipe = recipe_from_dict(found.manifest.plan["recipe"], str(found.folder.manifest))
    return fit_draws(recipe, _draw_counts(found))
