"""The tasks of `rssn compose`: one shard each, all K composites of a range of foregrounds.

Floor 3. A task carries a range of the plan; the worker reads the plan itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder, Findings, trusted_mark, write_shard
from rssn.errors import Rejected
from rssn.image.codecs import ImageCodec
from rssn.route.draw import choose_backgrounds, draw, next_background
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background
from rssn.storage.files import Row


@dataclass(frozen=True)
class ComposeTask:
    """One shard: the composites of the foregrounds `start` to `stop - 1` of the plan."""

    folder: DatasetFolder
    recipe: Recipe
    seed: int
    codec: ImageCodec
    cache: LayerCache
    name: str
    start: int
    stop: int
    retry: bool  # keep the rows that stand, compose those that were refused
    memory: int
    quarantined: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Rows that the shard is planned to have."""
        return (self.stop - self.start) * self.recipe.k

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
    return Done(mark, dict(shard.context.clock.seconds), shard.kept)


class _Shard:
    """The rows of one shard, in order, and what was refused among them."""

    def __init__(self, task: ComposeTask) -> None:
        self.rejects: list[dict[str, Any]] = []
        self.kept = 0  # rows that stood before
        self.context = LayerContext(task.recipe, task.codec, task.cache, StageClock(), partial(begin_item, task))
        self._task = task
        self._plan = load_plan(task.folder.root)
        self._stands = trusted_mark(task.folder, task.name) if task.retry else None
        self.findings = Findings({"ineligible_pairs": 0}, dict(self._stands.unusable) if self._stands else {})
        self._kept = self._kept_rows()
        self._existing = self._existing_backgrounds()

    def rows(self) -> Iterator[Row]:
        """Kept or composed, foreground by foreground."""
        kept = next(self._kept, None)
        members = self._plan.foregrounds[self._task.start : self._task.stop]
        for planned in (member for member in members if not member.replaced):
            layers = ForegroundLayers(planned, self.context)
            backgrounds = self._draw(planned)
            for k in range(self._task.recipe.k):
                if kept is not None and kept["sample_id"] == f"{planned.foreground_id}/{k}":
                    yield kept
                    self.kept += 1
                    kept = next(self._kept, None)
                    continue
                try:
                    yield self._compose(layers, k, backgrounds)
                except Exception as error:  # nothing vanishes: whatever happens to a sample is a row of its rejects
                    self.rejects.append(layers.refusal(error, k))

    def _draw(self, planned: PlannedForeground) -> DrawnBackgrounds | Rejected:
        """The backgrounds of all K composites, or why there are none."""
        plan, recipe, existing = self._plan, self._task.recipe, self._existing.get(planned.foreground_id, set())
        eligible = plan.eligible(planned, recipe)
        self.findings.statistics["ineligible_pairs"] += len(plan.backgrounds) - len(eligible)
        try:
            return DrawnBackgrounds(plan, eligible, recipe, self._task.seed, planned, existing)
        except Rejected as error:
            return error

    def _compose(self, layers: ForegroundLayers, k: int, backgrounds: DrawnBackgrounds | Rejected) -> Row:
        if isinstance(backgrounds, Rejected):
            raise backgrounds
        drawn = draw(self._task.recipe, self._task.seed, layers.planned.foreground_id, k)
        while True:
            background = backgrounds[k]
            if background.background_id not in self.findings.unusable:
                try:
                    other = OtherForeground(self.context, drawn, self._plan.others(layers.planned, drawn))
                    return compose_row(self.context, Sample(layers, background, k, drawn, other))
                except UnusableBackground as error:
                    self.findings.unusable[background.background_id] = (error.reason, error.message)
            backgrounds.replace(k)

    def _kept_rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Rows that stand and need not be composed again; none unless the shard agrees with its mark."""
        return iter_rows(self._task.folder.data(self._task.name), columns) if self._stands else iter(())

    def _existing_backgrounds(self) -> dict[str, set[str]]:
        """The backgrounds of the kept rows of each foreground."""
        found: dict[str, set[str]] = {}
        for row in self._kept_rows(["foreground_id", "background_id"]):
            found.setdefault(row["foreground_id"], set()).add(row["background_id"])
        return found


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
        planned: The foreground.
        existing: Ids of the backgrounds of its rows that stand already.

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
        existing: Collection[str] = (),
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
        others = (place for place, number in enumerate(self._numbers) if existing and self._id(number) in existing)
        self._taken = {*self._chosen.tolist(), *others}
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

    def _id(self, number: int) -> str:
        return self._plan.backgrounds[number].background_id
