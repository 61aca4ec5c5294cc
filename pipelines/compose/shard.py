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

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.layers import ForegroundLayers, LayerContext, UnusableBackground
from pipelines.compose.plan import Plan, PlannedForeground, load_plan
from pipelines.compose.rows import OtherForeground, Sample, compose_row, composite_schema
from pipelines.executor.clock import StageClock
from pipelines.executor.runner import Done
from pipelines.executor.warm_up import warm_up
from pipelines.executor.work import begin_item
from rssn.dataset.batches import superseded
from rssn.dataset.shards import DatasetFolder, Findings, write_shard
from rssn.errors import Rejected
from rssn.image.codecs import ImageCodec
from rssn.route.draw import background_key, choose_backgrounds, draw, next_background
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background
from rssn.storage.files import Row


@dataclass(frozen=True, slots=True)
class ComposeTask:
    """One shard: the composites of the foregrounds `start` to `stop - 1` of the plan."""

    folder: DatasetFolder
    recipe: Recipe
    seed: int
    codec: ImageCodec
    cache: LayerCache
    name: str
    batch: int  # whose foregrounds they are
    batches: int  # that are planned
    plan_stamp: str  # so that no worker lists the plan's files
    start: int
    stop: int
    size: int  # rows that the shard is planned to have
    memory: int
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        """Names the foreground, the background or the sample at hand."""
        return self.folder.current_item(self.name)


def compose_shard(task: ComposeTask) -> Done:
    """Make one shard; what cannot be composed becomes a row of its rejects."""
    warm_up(task.recipe)
    task.cache.open()  # on this machine; said once for the shard, not of each of its samples
    shard = _Shard(task)
    mark = write_shard(
        task.folder, task.name, composite_schema(task.recipe), shard.rows(), shard.rejects, shard.findings
    )
    return Done(mark, dict(shard.context.clock.seconds))


class _Shard:
    """The rows of one shard, in order, and what was refused among them."""

    def __init__(self, task: ComposeTask) -> None:
        self.rejects: list[dict[str, Any]] = []
        self.context = LayerContext(task.recipe, task.codec, task.cache, StageClock(), partial(begin_item, task))
        self.findings = Findings({"ineligible_pairs": 0})
        self._task = task
        self._plan = load_plan(task.folder.root, task.batches, task.plan_stamp)
        self._superseded = superseded(task.folder.root, task.batches, task.plan_stamp)

    def rows(self) -> Iterator[Row]:
        """The composites, foreground by foreground."""
        for planned in self._plan.foregrounds[self._task.start : self._task.stop]:
            backgrounds = self._draw(planned)
            layers = ForegroundLayers(planned, self.context)
            for k in self._ks(planned):
                try:
                    yield self._compose(layers, k, backgrounds)
                except Exception as error:  # nothing vanishes: whatever happens to a sample is a row of its rejects
                    self.rejects.append(layers.refusal(error, k))

    def _ks(self, planned: PlannedForeground) -> Iterator[int]:
        """Those that no later batch has and that were not pruned: a shard may be made again after either."""
        for sample in planned.samples(self._task.recipe.k):
            if not self._superseded.has(self._task.batch, sample) and not self._plan.pruned.holds(sample):
                yield int(sample.rpartition("/")[2])

    def _draw(self, planned: PlannedForeground) -> DrawnBackgrounds | Rejected:
        """The backgrounds of all K composites, or why there are none."""
        plan, recipe = self._plan, self._task.recipe
        eligible = plan.eligible(planned, recipe)
        if not planned.ks:
            self.findings.statistics["ineligible_pairs"] += len(plan.backgrounds) - len(eligible)
        try:
            return DrawnBackgrounds(plan, eligible, recipe, self._task.seed, planned)
        except Rejected as error:
            return error

    def _compose(self, layers: ForegroundLayers, k: int, backgrounds: DrawnBackgrounds | Rejected) -> Row:
        if isinstance(backgrounds, Rejected):
            raise backgrounds
        drawn = draw(self._task.recipe, self._task.seed, layers.planned.foreground_id, k)
        while True:
            background = backgrounds[k]
            if not self._is_unusable(background.background_id):
                try:
                    others = self._plan.others(layers.planned, drawn, self._task.batch)
                    other = OtherForeground(self.context, drawn, others)
                    return compose_row(self.context, Sample(layers, background, k, drawn, other))
                except UnusableBackground as error:
                    self.findings.unusable[background.background_id] = (error.reason, error.message)
            backgrounds.replace(k)

    def _is_unusable(self, background_id: str) -> bool:
        return background_id in self.findings.unusable or background_id in self._plan.pruned.backgrounds


class DrawnBackgrounds:
    """K different backgrounds for one foreground, drawn by content.

    A broken one is replaced by the next that the same dice rank, among those that no composite of the foreground was
    drawn with. So the other composites keep theirs, and the same inputs give the same rows wherever and whenever they
    are made.

    Args:
        plan: Foregrounds and backgrounds.
        eligible: Numbers of those that cover the foreground's frame, see `Plan.eligible`.
        recipe: K, and how much a background may be enlarged.
        seed: The run's.
        planned: The foreground; no composite that it has already shares its background with another.

    Raises:
        Rejected: stage `background`, reason `too_small`, if fewer than K backgrounds cover the frame.
    """

    def __init__(
        self,
        plan: Plan,
        eligible: npt.NDArray[np.int64],
        recipe: Recipe,
        seed: int,
        planned: PlannedForeground,
    ) -> None:
        self._plan, self._dice = plan, (seed, planned.foreground_id)
        self._numbers, self._keys = eligible, plan.background_keys[eligible]
        width, height = recipe.frame(planned.width, planned.height)
        frame = f"{width} x {height} px"
        found = f"{len(self._numbers)} of {len(plan.backgrounds)} backgrounds cover {frame}"
        self._words = f"{found} enlarged at most {recipe.max_upscale:g} times"
        if len(self._numbers) < recipe.k:
            raise Rejected("background", "too_small", f"{self._words}; K = {recipe.k}")
        self._chosen = choose_backgrounds(*self._dice, self._keys, recipe.k)
        existing = np.array([background_key(name) for name in planned.existing], np.uint64)
        self._taken = {*self._chosen.tolist(), *np.flatnonzero(np.isin(self._keys, existing)).tolist()}
        self._broken = 0

    def __getitem__(self, k: int) -> Background:
        return self._plan.backgrounds[int(self._numbers[self._chosen[k]])]

    def replace(self, k: int) -> None:
        """Draw another background for a composite whose own is broken.

        Raises:
            Rejected: stage `background`, reason `none_left`.
        """
        self._broken += 1
        if len(self._taken) == len(self._numbers):
            most = len(self._numbers) - self._broken
            words = f"{self._words}, {self._broken} of them cannot be decoded, and none is left; K = {most} at most"
            raise Rejected("background", "none_left", words)
        self._chosen[k] = next_background(*self._dice, self._keys, k, np.array(sorted(self._taken)))
        self._taken.add(int(self._chosen[k]))
