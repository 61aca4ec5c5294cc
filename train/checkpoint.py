"""Checkpoints: plain values and tensors, written whole or not at all, read without running any code from the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from rssn.errors import InputError
from train.config import Plain
from train.network.gfm import GFM
from train.rosta import Rosta

FORMAT = "rssn-gfm-1"


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step: everything that continuing it needs. The loader's position follows from the step."""

    step: int  # steps done
    config: Mapping[str, Plain]  # of `TrainConfig.to_plain`
    data_digest: str  # of the shards it was trained on
    model: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a reader sees the old file or the whole new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    try:
        with temporary.open("wb") as stream:
            torch.save({"format": FORMAT, **content}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def load_network(path: Path, device: torch.device) -> GFM:
    """The trained network of a checkpoint, ready to predict.

    Raises:
        InputError: If the file is missing or no checkpoint of `train run`.
    """
    checkpoint = load_checkpoint(path)
    network = GFM(str(checkpoint.config["backbone"]), Rosta(str(checkpoint.config["rosta"])))
    network.load_state_dict(checkpoint.model)
    return network.to(device).eval()
