"""The tasks of `rssn compose`: one shard each, all K composites of a range of foregrounds.

Floor 3. A task carries a range of the plan; the worker reads the plan itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.clock import StageClock
from pipelines.composites import compose_row
from pipelines.foreground_layers import ForegroundLayers
from pipelines.layers import LayerContext
from pipelines.plan import PlannedForeground, load_plan
from pipelines.runner import Done
from pipelines.warm_up import warm_up
from pipelines.work import enter
from rssn.cache import LayerCache
from rssn.codecs import ImageCodec
from rssn.draw import choose_backgrounds, draw
from rssn.errors import Rejected
from rssn.files import Row
from rssn.recipe import Recipe
from rssn.rows import iter_rows
from rssn.schema import COMPOSITES
from rssn.shards import DatasetFolder, trusted_mark, write_shard


@dataclass(frozen=True)
class ComposeTask:
    """One shard: the composites of the foregrounds `start` to `stop - 1` of the plan."""

    root: Path
    recipe: Recipe
    seed: int
    codec: ImageCodec
    cache: LayerCache
    name: str
    start: int
    stop: int
    retry: bool  # keep the rows that stand, compose those that were refused
    memory: int
    poisoned: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Rows that the shard is planned to have."""
        return (self.stop - self.start) * self.recipe.k

    @property
    def note(self) -> Path:
        """Names the foreground, the background or the sample at hand."""
        return DatasetFolder(self.root).note(self.name)


def compose_shard(task: ComposeTask) -> Done:
    """Make one shard; what cannot be composed becomes a row of its rejects."""
    warm_up(task.recipe)
    task.cache.open()  # on this machine; said once for the shard, not of each of its samples
    shard = _Shard(task)
    folder = DatasetFolder(task.root)
    mark = write_shard(folder, task.name, COMPOSITES, shard.rows(), shard.rejects, shard.statistics)
    return Done(mark, dict(shard.context.clock.seconds), shard.kept)


class _Shard:
    """The rows of one shard, in order, and what was refused among them."""

    def __init__(self, task: ComposeTask) -> None:
        self.rejects: list[dict[str, Any]] = []
        self.kept = 0  # rows that stood before
        self.statistics: dict[str, int] = {"ineligible_pairs": 0}
        self.context = LayerContext(task.recipe, task.codec, task.cache, StageClock(), partial(enter, task))
        self._task = task
        self._plan = load_plan(task.root)
        self._kept = self._kept_rows()

    def rows(self) -> Iterator[Row]:
        """Kept or composed, foreground by foreground."""
        kept = next(self._kept, None)
        members = self._plan.foregrounds[self._task.start : self._task.stop]
        for planned in (member for member in members if not member.replaced):
            layers = ForegroundLayers(planned, self.context)
            chosen = self._choose(planned)
            for k in range(self._task.recipe.k):
                if kept is not None and kept["sample_id"] == f"{planned.foreground_id}/{k}":
                    yield kept
                    self.kept += 1
                    kept = next(self._kept, None)
                    continue
                try:
                    yield self._compose(layers, k, chosen)
                except Exception as error:  # nothing vanishes: whatever happens to a sample is a row of its rejects
                    self.rejects.append(layers.refusal(error, k))

    def _choose(self, planned: PlannedForeground) -> npt.NDArray[np.int64] | Rejected:
        """Numbers of the backgrounds of all K composites, or why there are none."""
        plan, recipe = self._plan, self._task.recipe
        eligible = plan.eligible(planned, recipe.max_upscale)
        self.statistics["ineligible_pairs"] += len(plan.backgrounds) - len(eligible)
        if len(eligible) < recipe.k:
            found, frame = f"{len(eligible)} of {len(plan.backgrounds)}", f"{planned.width} x {planned.height} px"
            words = f"{found} backgrounds cover {frame} enlarged at most {recipe.max_upscale:g} times; K = {recipe.k}"
            return Rejected("background", "too_small", words)
        keys = plan.background_keys[eligible]
        return eligible[choose_backgrounds(self._task.seed, planned.foreground_id, keys, recipe.k)]

    def _compose(self, layers: ForegroundLayers, k: int, chosen: npt.NDArray[np.int64] | Rejected) -> Row:
        if isinstance(chosen, Rejected):
            raise chosen
        drawn = draw(self._task.recipe, self._task.seed, layers.planned.foreground_id, k)
        return compose_row(self.context, layers, self._plan.backgrounds[chosen[k]], k, drawn)

    def _kept_rows(self) -> Iterator[Row]:
        """Rows that stand and need not be composed again; none unless the shard agrees with its mark."""
        folder = DatasetFolder(self._task.root)
        if not self._task.retry or trusted_mark(folder, self._task.name) is None:
            return iter(())
        return iter_rows(folder.data(self._task.name))
