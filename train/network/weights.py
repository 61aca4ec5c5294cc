"""Published weights of an encoder: every tensor is used, known as unused, or refused with the difference."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from rssn.errors import InputError

_LEGACY_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def read_state(path: Path, flag: str) -> dict[str, Tensor]:
    """Read a state dict without running any code from the file.

    Args:
        path: The file.
        flag: What the user gave it with, for the message.

    Raises:
        InputError: If it is none.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{flag} {path}: {error.strerror or error}") from error
    except (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{flag} {path}: no state dict that torch can load safely: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{flag} {path}: holds no state dict (names with tensors)")
    return dict(state)


def load_encoder_weights(model: nn.Module, path: Path, name: str, unused: Collection[str]) -> None:
    """Load a library's state dict into its model.

    Args:
        model: The backbone, as the library builds it.
        path: The file.
        name: What it should hold, for the message.
        unused: Prefixes of tensors that no stage of the encoder uses; they may be absent.

    Raises:
        InputError: If the file does not fit; the message names the difference.
    """
    given = {_LEGACY_DENSE.sub(r"\1\2", key): value for key, value in read_state(path, "--weights").items()}
    expected, prefixes = model.state_dict(), tuple(unused)
    optional = {key for key in expected if key.endswith("num_batches_tracked") or key.startswith(prefixes)}
    relevant = {key: value for key, value in given.items() if not key.startswith(prefixes)}
    problems = differences(relevant, {key: tuple(value.shape) for key, value in expected.items()}, optional)
    if problems:
        raise InputError(f"--weights {path}: not {name}: {problems}")
    model.load_state_dict(relevant, strict=False)


def differences(
    given: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], optional: Collection[str] = ()
) -> str:
    """What is missing, unknown or of another shape, in words; the first four. Empty where nothing is."""
    problems = [f"lacks {key}" for key in expected.keys() - given.keys() - set(optional)]
    problems += [f"has an unknown {key}" for key in given.keys() - expected.keys()]
    problems += [
        f"{key} is {tuple(given[key].shape)}, expected {expected[key]}"
        for key in expected.keys() & given.keys()
        if tuple(given[key].shape) != expected[key]
    ]
    rest = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
    return "; ".join(sorted(problems)[:4]) + rest
