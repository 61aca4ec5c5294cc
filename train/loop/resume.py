"""Resuming an earlier run: what must be as it was, and what may be overridden."""

from __future__ import annotations

from dataclasses import replace

from rssn.errors import InputError
from rssn.storage.location import Location
from train.checkpoint import Checkpoint
from train.config import FIXED, ORDER, TrainConfig


def resume(path: Location, stored: Checkpoint, config: TrainConfig, data_digest: str) -> tuple[Checkpoint, list[str]]:
    """The checkpoint to resume from, and what the user overrides, in words.

    The next sample is the one after the last, also where the batch has another size now: a position counts samples, and
    the order stays the one that was made for the steps of before.
    In another order, of other data, another seed or mixture, positions mean other samples, so that it begins anew.

    Args:
        path: The checkpoint, for the message.
        stored: What it holds.
        config: The settings of now.
        data_digest: Of the shards of now.

    Raises:
        InputError: If the run was started otherwise and `config.override` is not set, or with another network.
    """
    found = config.difference(stored.config)
    if stored.data_digest != data_digest:
        found["data"] = f"--data {' '.join(config.data)} holds other shards than before"
    if found and not config.override:
        remedy = "" if FIXED & found.keys() else f", with --init {path} for its weights, or --override to resume anyway"
        words = "; ".join(found.values())
        raise InputError(f"{path}: this run was started with other settings: {words}; give another --out{remedy}")
    if FIXED & found.keys():
        fixed = "; ".join(found[name] for name in sorted(FIXED & found.keys()))
        raise InputError(f"{path}: --override cannot change what a run has for good: {fixed}; give another --out")
    if (ORDER | {"data"}) & found.keys():
        return replace(stored, position=0, order_size=0), [*found.values(), "the order of the samples starts again"]
    size = stored.order_size or stored.config.get("step_size")
    return replace(stored, order_size=size if isinstance(size, int) else 0), list(found.values())
