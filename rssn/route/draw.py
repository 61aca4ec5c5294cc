"""The only dice of the route.

What a sample draws depends on the seed, the foreground's content id and k, never on a list's order or on another
sample; each step has dice of its own, by its name. Two recipes with the same seed differ only where they must: they
draw the same backgrounds, crops and noise, with or without another step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rssn.errors import InputError
from rssn.route.recipe import Recipe
from rssn.route.step import Applied, Layer, Stage, Step, Values


@dataclass(frozen=True)
class Draw:
    """What the dice said for one composite; its row stores it."""

    seed: int  # uint64; rolls this draw again
    crop_x: float  # in [0, 1): where the crop lies between the left and the right edge of the background
    crop_y: float
    steps: Mapping[str, Values | None]  # by step; None where it was not drawn

    def applied(self, recipe: Recipe, stage: Stage, layer: Layer | None = None) -> Iterator[Applied]:
        """The steps that were drawn at a stage, in the recipe's order.

        Args:
            recipe: The one that was drawn from.
            stage: Of the steps.
            layer: Those that act on it alone; None: all of the stage.
        """
        for step in recipe.steps:
            values = self.steps.get(step.name)
            if values is not None and step.stage == stage and (layer is None or layer in step.layers):
                yield Applied(step, values)


def draw(recipe: Recipe, seed: int, foreground_id: str, k: int) -> Draw:
    """Roll the dice for the k-th composite of a foreground (section 4.4).

    Args:
        recipe: The steps with their probabilities and settings.
        seed: The run's seed.
        foreground_id: Content id of the foreground.
        k: 0 to K - 1.
    """
    return roll(recipe, _key("draw", str(seed), foreground_id, str(k)))


def roll(recipe: Recipe, seed: int) -> Draw:
    """Roll the dice of one composite, or roll them again, from the seed that its row stores (uint64).

    Each step tosses its coin first and rolls its values then, whether or not they are used: another probability changes
    which samples have the step, and no value of theirs.

    Raises:
        InputError: If a step draws what it has no column for, or less.
    """
    steps: dict[str, Values | None] = {}
    for step in recipe.steps:
        dice = _dice(seed, step.name)
        coin, values = dice.random(), step.draw(dice)
        if values.keys() != step.columns.keys():
            words = f"draws {', '.join(values) or 'nothing'}, its columns are {', '.join(step.columns) or 'none'}"
            raise InputError(f"the step '{step.name}' {words}; mend the package that it is from")
        steps[step.name] = _as_stored(step, values) if coin < step.probability else None
    x, y = _dice(seed, "").random(2)
    return Draw(seed, float(x), float(y), steps)


def _as_stored(step: Step, values: Values) -> Values:
    """The values as a row gives them back, so that a draw is the same whether it was rolled or read."""
    if not step.columns:
        return {}
    kind = pa.struct(list(step.columns.items()))
    stored: Values = pa.array([dict(values)], kind).to_pylist()[0]
    return stored


def _dice(seed: int, step: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(_key("step", str(seed), step)))


def choose_backgrounds(
    seed: int, foreground_id: str, background_keys: npt.NDArray[np.uint64], count: int
) -> npt.NDArray[np.int64]:
    """Choose backgrounds for one foreground by rendezvous hashing (line 11).

    For each k, every background gets a keyed hash, and the smallest one that is not chosen yet wins. The choice
    is uniform and never repeats a background inside one foreground. A background that is added wins a sample with the
    odds of any other; the other samples keep theirs, but for the rare one that gets what a new winner set free.

    Args:
        seed: The run's seed.
        foreground_id: Content id of the foreground.
        background_keys: One key per background, see `background_key`.
        count: How many to choose.

    Returns:
        Indices into `background_keys`, the k-th for the k-th composite.

    Raises:
        InputError: If there are fewer backgrounds than `count`.
    """
    if len(background_keys) < count:
        raise InputError(f"K = {count} needs at least {count} backgrounds; there are {len(background_keys)}")
    chosen = np.empty(count, dtype=np.int64)
    for k in range(count):
        chosen[k] = next_background(seed, foreground_id, background_keys, k, chosen[:k])
    return chosen


def next_background(
    seed: int, foreground_id: str, background_keys: npt.NDArray[np.uint64], k: int, taken: npt.NDArray[np.int64]
) -> int:
    """The background that wins one sample where some cannot be had: those of other samples, or broken ones.

    Args:
        seed: The run's seed.
        foreground_id: Content id of the foreground.
        background_keys: One key per background, see `background_key`.
        k: The sample's number.
        taken: Indices that cannot be had; fewer than there are backgrounds.

    Returns:
        An index into `background_keys`.
    """
    hashes = _mix(background_keys ^ np.uint64(_key("background", str(seed), foreground_id, str(k))))
    hashes[taken] = np.iinfo(np.uint64).max
    return int(np.argmin(hashes))


def background_key(background_id: str) -> int:
    """The 64-bit key by which a background takes part in `choose_backgrounds`."""
    return _key("background-id", background_id)


def rank_others(drawn: Draw, foreground_keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The foregrounds of a data set in the order in which a sample would take one of them as its second.

    Args:
        drawn: The sample's draw; its seed alone decides.
        foreground_keys: One key per foreground, see `foreground_key`; with that of the sample's own.

    Returns:
        Indices into `foreground_keys`, the best first; one more key moves no other.
    """
    hashes = _mix(foreground_keys ^ np.uint64(_key("other", str(drawn.seed))))
    return np.argsort(hashes, kind="stable")


def foreground_key(foreground_id: str) -> int:
    """The 64-bit key by which a foreground takes part in `rank_others`."""
    return _key("foreground-id", foreground_id)


def _key(*parts: str) -> int:
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64: a bijection of 64-bit words in which every input bit moves every output bit."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
