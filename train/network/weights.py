"""Published weights of an encoder: every tensor is used, known as unused, or refused with the difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from torch import Tensor, nn

from rssn.errors import InputError, RssnError
from rssn.storage import weights
from rssn.storage.location import Location

_STAGED = re.compile(r"^(blocks\.\d+\.\d+)\.", re.MULTILINE)
_EFFICIENT_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_EFFICIENT_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LEGACY_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


def read_state(path: Location, flag: str) -> dict[str, Tensor]:
    """Read the weights of one network, however they were saved; see `rssn.storage.weights.read_state`.

    Args:
        path: The file, or an object.
        flag: What the user gave it with, for the message.

    Raises:
        InputError: If it has none, several, is damaged, or holds values that are not finite.
    """
    try:
        return weights.read_state(path)
    except RssnError as error:
        raise type(error)(f"{flag} {error}") from error


def load_encoder_weights(
    model: nn.Module, path: Location, name: str, unused: Collection[str], flag: str = "--weights"
) -> None:
    """Load a library's state dict into its model.

    Args:
        model: The backbone, as the library builds it.
        path: The file.
        name: What it should hold, for the message.
        unused: Prefixes of tensors that no stage of the encoder uses; they may be absent.
        flag: What the user gave it with, for the message.

    Raises:
        InputError: If the file does not fit; the message names the difference.
    """
    expected, prefixes = model.state_dict(), tuple(unused)
    rename = _efficient_names(expected)
    given = {rename(_LEGACY_DENSE.sub(r"\1\2", key)): value for key, value in read_state(path, flag).items()}
    optional = {key for key in expected if key.endswith("num_batches_tracked") or key.startswith(prefixes)}
    relevant = {key: value for key, value in given.items() if not key.startswith(prefixes)}
    problems = differences(relevant, {key: tuple(value.shape) for key, value in expected.items()}, optional)
    if problems:
        raise InputError(f"{flag} {path}: not {name}: {problems}")
    model.load_state_dict(relevant, strict=False)


def _efficient_names(expected: Iterable[str]) -> Callable[[str], str]:
    """From the names of efficientnet-pytorch and its lite descendants to timm's; all others stay.

    The former number the blocks from first to last, the latter by stage; a block without expansion lacks its first
    convolution, so that the numbers of its batch norms are one less.
    """
    stages = list(dict.fromkeys(_STAGED.findall("\n".join(expected))))

    def rename(key: str) -> str:
        top, block = _EFFICIENT_TOP.get(key.partition(".")[0]), _EFFICIENT_BLOCK.match(key)
        if block and int(block[1]) < len(stages):
            stage = stages[int(block[1])]
            parts = _EXPANDED if f"{stage}.conv_pwl.weight" in expected else _SEPARABLE
            return f"{stage}.{parts.get(block[2], block[2])}.{block[3]}"
        return key if top is None else f"{top}.{key.partition('.')[2]}"

    return rename


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
    return first_of(sorted(problems), "; ")


def first_of(names: Sequence[str], between: str = ", ") -> str:
    """The first four, and how many more."""
    rest = [f"and {len(names) - 4} more"] if len(names) > 4 else []
    return between.join([*names[:4], *rest])
