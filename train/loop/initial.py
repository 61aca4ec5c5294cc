"""What a new run starts from: the weights of another one, or of a released network, as far as they fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.weights import load_tensors
from train.checkpoint import FORMAT, load_checkpoint
from train.network.network import MattingNetwork
from train.network.networks import network_named
from train.network.published import RELEASED_INPUT, from_released
from train.network.weights import first_of, read_state

_PUBLISHED = "gfm."  # before the names of a `PublishedGFM`
_RELEASED = "encoder0."  # before some of a released file's
_INPUT = {"mean", "std"}
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Initial:
    """Which tensors of a network came from a file, by their names, and what there is to say of it."""

    loaded: set[str]
    words: str


def initialise(network: MattingNetwork, path: Location) -> Initial:
    """Give a network the weights of a file, as far as they fit; the rest keeps its values.

    A stage of the encoder fits whole or not at all, and so does a layer of a decoder. Of a checkpoint of ours the
    moving average is taken where it has one. After a network as the authors released it, the encoder sees 0 to 255.

    Args:
        network: Changed in place.
        path: A checkpoint of `train run` or `train import`, or a file of weights as `weights.read_state` reads it.

    Raises:
        InputError: If it is none of these, or nothing of it fits.
    """
    given, kind = _read(path, network)
    own = network.state_dict()
    given = {**{name: own[name] for name in _INPUT}, **given}
    units: dict[str, list[str]] = defaultdict(list)
    for name in own:
        units[_unit(name, own)].append(name)
    fits = [name for names in units.values() if all(_fits(name, given, own) for name in names) for name in names]
    loaded = {name for name in fits if name in given}
    if loaded <= _INPUT:
        raise InputError(f"--init {path}: nothing of it fits {network.name}; {kind}")
    network.load_state_dict({name: given[name] for name in loaded}, strict=False)
    return Initial(loaded, f"--init {path}: {_summary(loaded, fits, given, own)}")


def _read(path: Location, network: MattingNetwork) -> tuple[dict[str, Tensor], str]:
    """Weights by the names that the network has for them, and what they are of, in words."""
    state, kind = _weights(path, network)
    published = all(name.startswith(_PUBLISHED) for name in state)
    state = {name.removeprefix(_PUBLISHED if published else ""): value for name, value in state.items()}
    if any(name.startswith(_RELEASED) for name in state):
        return from_released(state, network.state_dict()), kind
    return {**state, **(RELEASED_INPUT if published else {})}, kind


def _weights(path: Location, network: MattingNetwork) -> tuple[dict[str, Tensor], str]:
    try:
        content = load_tensors(path)
    except InputError:
        content = None  # wrapped in more than tensors, or broken
    if isinstance(content, dict) and content.get("format") == FORMAT:
        stored = load_checkpoint(path)
        row = network_named(str(stored.config.get("network", "gfm")))
        if row.module.rpartition(":")[2] != type(network).__name__:
            raise InputError(f"--init {path}: it is of the network {row.name}, and this run's is {network.name}")
        kind = f"it is of --backbone {stored.config.get('backbone')} --rosta {stored.config.get('rosta')}"
        return {**stored.model, **stored.ema}, kind
    return read_state(path, "--init"), "an encoder's weights alone are given with --weights"


def _unit(name: str, own: Iterable[str]) -> str:
    """What fits or does not fit as a whole; what the encoder is to see goes with its first stage."""
    if name in _INPUT:
        name = next((each for each in own if "encoder" in each.split(".")), name)
    places = name.split(".")
    return ".".join(places[: places.index("encoder") + 3] if "encoder" in places else places[:-1])


def _fits(name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return given[name].shape == own[name].shape if name in given else name.endswith(_COUNTER)


def _summary(loaded: set[str], fits: list[str], given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    words = f"{len(loaded)} of {len(own)} tensors taken"
    new, unused = sorted(own.keys() - set(fits)), sorted(given.keys() - loaded)
    if new:
        words += f"; missing or of another shape, left at random values: {first_of(new)}"
    if unused:
        words += f"; unused: {first_of(unused)}"
    return words
