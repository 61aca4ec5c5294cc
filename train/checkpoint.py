"""Checkpoints: plain values and tensors, written whole or not at all, read without running any code from the file."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from rssn.errors import InputError, Rejected
from rssn.storage.atomic import atomic_path
from rssn.storage.location import Location
from rssn.storage.weights import check_values, is_state, load_tensors
from train.config import Plain
from train.network.network import MattingNetwork, build_network, check_evidence, setting
from train.network.published import PublishedGFM
from train.network.strategy import Scales
from train.targets.rosta import Rosta

FORMAT = "rssn-gfm-1"

_PROBE = 64  # px, the side of a picture that a network must answer with numbers

Network: TypeAlias = MattingNetwork | PublishedGFM
"""What predicts: gives `evidence`, makes a `matte` of it, and knows the `scales` that it was trained at."""


@dataclass(frozen=True)
class Checkpoint:
    """A run at a step: everything that continuing it needs."""

    step: int  # steps done
    config: Mapping[str, Plain]  # of `TrainConfig.to_plain`, or what `train import` knows
    model: Mapping[str, Tensor]
    data_digest: str = ""  # of the shards it was trained on
    optimiser: Mapping[str, Any] = field(default_factory=dict)
    scaler: Mapping[str, Any] = field(default_factory=dict)  # of fp16's loss; empty in other precisions
    ema: Mapping[str, Tensor] = field(default_factory=dict)  # moving average of the weights; empty where none is kept
    position: int = 0  # samples drawn so far, see `train.data.order.Place`, as below
    order_size: int = 0
    rng: Tensor | None = None  # state of torch's generator on the CPU
    scales: Mapping[str, Any] = field(default_factory=dict)  # of `train.network.strategy.Scales.to_plain`
    gpu_rng: Tensor | None = None  # and on the GPU, where it has one; drawn from in step by all processes
    stage: str = ""  # of `train.network.networks.Stage`, that `optimiser` is of; of earlier versions the only one
    further: Mapping[str, Any] = field(
        default_factory=dict
    )  # optimisers of a stage's further updates, by their methods
    best: Mapping[str, Plain] = field(default_factory=dict)  # of `train.loop.best.Best.to_plain`, after this step


def save_checkpoint(path: Location, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a reader sees the old file or the whole new one, also after a crash."""
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    with atomic_path(path, only_writer=True) as temporary, temporary.open("wb") as stream:
        torch.save({"format": FORMAT, "digest": _digest(content), **content}, stream)


def rotate(path: Path, step: int, keep: int) -> None:
    """Keep a checkpoint under its step's name, too, and of such names the newest `keep`."""
    if not keep:
        return
    for left in path.parent.glob(".step-*.pt.tmp"):  # by a killed writer
        left.unlink()
    duplicate(path, path.with_name(f"step-{step:08d}.pt"))
    drop_old_steps(path.parent, keep)


def drop_old_steps(folder: Location, keep: int) -> None:
    """Remove of the checkpoints that `rotate` made in a folder, here or in a bucket, all but the newest `keep`.

    With 0 none is made, and those that earlier runs left stay.
    """
    if keep:
        ours = [each for each in folder.glob("step-*.pt") if re.fullmatch(r"step-\d{8}\.pt", each.name)]
        for old in sorted(ours)[:-keep]:
            old.unlink(missing_ok=True)


def duplicate(path: Path, name: Path) -> None:
    """Copy a checkpoint so that a reader sees the old file or the whole new one, also after a crash.

    No second link: whoever copies an earlier checkpoint over `last.pt` would write into all of its names.
    """
    with atomic_path(name, only_writer=True) as temporary:
        shutil.copyfile(path, temporary)


def load_checkpoint(path: Location) -> Checkpoint:
    """Read a checkpoint to the CPU; one that an earlier version wrote, without a digest, by the file's checksums alone.

    Raises:
        InputError: If the file is missing, damaged, or no checkpoint of `train run` or `train import`.
    """
    content = load_tensors(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        words = f"not a checkpoint of `train run` (format {FORMAT}); `train import` takes one that the authors released"
        raise InputError(f"{path}: {words}")
    digest = content.pop("digest", None)
    if digest not in (None, _digest(content)):
        raise InputError(f"{path}: damaged: it differs from its digest; take an earlier checkpoint, or train anew")
    content.pop("scheduler", None)  # of earlier versions; the rate is a function of the step
    problem = _misfit(content)
    if problem:
        raise InputError(f"{path}: no checkpoint of this version: {problem}")
    checkpoint = Checkpoint(**content)
    for state in (checkpoint.model, checkpoint.ema):
        check_values(state, str(path))
    return checkpoint


def load_network(path: Location, device: torch.device, weights: str | None = None) -> Network:
    """The trained network of a checkpoint, ready to predict.

    Args:
        path: The checkpoint, here or in a bucket.
        device: Where it is to predict.
        weights: One of `train.config.WEIGHTS`; None takes the averaged ones where there are some.

    Raises:
        InputError: If the file is none that `load_checkpoint` takes, holds other weights than its settings say,
            weights of which no matte comes, or no average although that is asked for.
        DependencyError: If the library of its backbone is not installed.
    """
    checkpoint = load_checkpoint(path)
    if weights == "ema" and not checkpoint.ema:
        raise InputError(f"{path}: holds no moving average; it was trained without --ema, give --weights raw")
    try:
        network = _build(checkpoint.config)
    except InputError as error:
        raise InputError(f"{path}: its network cannot be built: {error}") from error
    try:
        network.scales = Scales.from_plain(checkpoint.scales)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    try:
        network.load_state_dict({**checkpoint.model, **({} if weights == "raw" else checkpoint.ema)})
    except RuntimeError as error:
        raise InputError(f"{path}: its weights are not those of {network.name}: {error}".replace("\n", " ")) from error
    network = network.to(device).eval()
    try:
        _probe(network, device)
    except Rejected as error:
        raise InputError(f"{path}: {error.message}; take an earlier checkpoint, or train anew") from error
    return network


def _probe(network: Network, device: torch.device) -> None:
    """Look at the logits of a small picture: behind the sigmoid an infinite one is 0 or 1."""
    picture = torch.rand((1, 3, _PROBE, _PROBE), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        check_evidence(network.decode(picture.to(device)), network.name)


def _build(config: Mapping[str, Plain]) -> Network:
    if config.get("published"):
        return PublishedGFM(setting(config, "backbone"), Rosta(str(config.get("rosta"))))
    return build_network(config)


def _misfit(content: Mapping[Any, Any]) -> str:
    """What of a checkpoint's parts is missing, unknown or of another kind, in words; empty where nothing is."""
    unknown = [str(name) for name in content if name not in Checkpoint.__dataclass_fields__]
    missing = [name for name in ("step", "config", "model") if name not in content]
    if unknown or missing:
        return f"it lacks {', '.join(missing)}" if missing else f"it holds an unknown {', '.join(unknown)}"
    checkpoint = Checkpoint(**content)
    wrong = [
        *(
            name
            for name in ("step", "position", "order_size")
            if type(content.get(name, 0)) is not int or content.get(name, 0) < 0
        ),
        *(name for name in ("model", "ema") if not is_state(getattr(checkpoint, name))),
        *(
            name
            for name in ("config", "optimiser", "further", "scaler", "scales", "best")
            if not isinstance(getattr(checkpoint, name), Mapping)
        ),
        *(name for name in ("rng", "gpu_rng") if not isinstance(getattr(checkpoint, name), Tensor | None)),
        *(name for name in ("data_digest", "stage") if not isinstance(getattr(checkpoint, name), str)),
    ]
    return "; ".join(f"its {name} is {content[name]!r:.60}" for name in wrong)


def _digest(content: Mapping[str, Any]) -> str:
    """A name for all that a checkpoint holds: names, numbers, and of tensors the kind, shape and bytes."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping | list | tuple):
            digest.update(f"{len(value)} ".encode())
            for each in value.items() if isinstance(value, Mapping) else value:
                add(each)
        else:
            digest.update(f"{value!r} ".encode())

    add(content)
    return digest.hexdigest()
