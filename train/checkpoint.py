"""Checkpoints: plain values and tensors, written whole or not at all, read without running any code from the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeAlias

import torch
from torch import Tensor

from rssn.errors import InputError
from train.config import Plain
from train.network.gfm import GFM
from train.network.published import PublishedGFM
from train.rosta import Rosta

FORMAT = "rssn-gfm-1"

Network: TypeAlias = GFM | PublishedGFM
"""What predicts: gives `evidence` and knows its `rosta`."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step: everything that continuing it needs."""

    step: int  # steps done
    config: Mapping[str, Plain]  # of `TrainConfig.to_plain`, or what `train import` knows
    model: Mapping[str, Tensor]
    data_digest: str = ""  # of the shards it was trained on
    optimiser: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    ema: Mapping[str, Tensor] = field(default_factory=dict)  # moving average of the weights; empty where none is kept
    position: int = 0  # samples drawn so far, see `train.order`
    rng: Tensor | None = None  # state of torch's generator on the CPU
    gpu_rng: Tensor | None = None  # and on the GPU, where it has one; drawn from in step by all processes


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a reader sees the old file or the whole new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")  # one name: a killed writer leaves one file, not one each time
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    try:
        with temporary.open("wb") as stream:
            torch.save({"format": FORMAT, **content}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def rotate(path: Path, step: int, keep: int) -> None:
    """Keep a checkpoint under its step's name, too, and of such names the newest `keep`."""
    if not keep:
        return
    name = path.with_name(f"step-{step:08d}.pt")
    name.unlink(missing_ok=True)
    os.link(path, name)  # the next save replaces last.pt by another file
    for old in sorted(path.parent.glob("step-*.pt"))[:-keep]:
        old.unlink()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint to the CPU.

    Raises:
        InputError: If the file is missing or no checkpoint of `train run`.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged, or not a checkpoint of `train run`") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not a checkpoint of `train run` (format {FORMAT})")
    return Checkpoint(**content)


def load_network(path: Path, device: torch.device) -> Network:
    """The trained network of a checkpoint, ready to predict; with the averaged weights where there are some.

    Raises:
        InputError: If the file is missing, no checkpoint of `train run` or `train import`, or holds other weights.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    backbone, rosta = str(config["backbone"]), Rosta(str(config["rosta"]))
    network: Network
    if config.get("published"):
        network = PublishedGFM(backbone, rosta)
    else:
        ablations = config.get("ablations") or ()
        network = GFM(backbone, rosta, ablations=[str(each) for each in ablations])  # type: ignore[union-attr]
    try:
        network.load_state_dict({**checkpoint.model, **checkpoint.ema})
    except RuntimeError as error:
        raise InputError(f"{path}: its weights are not those of {network.name}: {error}".replace("\n", " ")) from error
    if not all(torch.isfinite(each).all() for each in network.parameters()):
        raise InputError(f"{path}: some of its weights are no numbers; take an earlier checkpoint, or train anew")
    return network.to(device).eval()
