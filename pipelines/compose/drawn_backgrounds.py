"""Which backgrounds the composites of one foreground are made with, also where some turn out to be broken."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from pipelines.compose.plan import Plan, PlannedForeground
from rssn.errors import Rejected
from rssn.route.draw import choose_backgrounds, next_background
from rssn.route.recipe import Recipe
from rssn.sources.backgrounds import Background


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
        frame = f"{planned.width} x {planned.height} px"
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
