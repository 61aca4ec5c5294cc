"""What a network is to the rest of the package: how it is built, trained, frozen, and how its outputs become alpha."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from rssn.errors import InputError, Rejected
from rssn.storage.location import Location
from train.batch import Batch
from train.network.networks import network_named
from train.network.strategy import Scales

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)


class MattingNetwork(nn.Module, ABC):
    """A network that predicts mattes.

    Its state says by `mean` and `std` what its encoders are to see of a picture: ImageNet's, unless it is loaded from
    one that learned otherwise. States of earlier versions lack them.

    Attributes:
        scales: That it was trained at; None where nobody knows.
        encoders: Names of the modules that are encoders, as `--freeze encoder` and `--encoder-rate` mean it.
        beside: Names of the modules that only training needs.
        outputs: Names of what `evidence` gives, and what it means, in words.
        hybrid: Whether the first and the second output may be of pictures of different sizes (section 5.4).
        family: What an ensemble of such networks is called after.
    """

    mean: Tensor
    std: Tensor
    scales: Scales | None
    encoders: ClassVar[tuple[str, ...]] = ("encoder",)
    beside: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[Mapping[str, str]] = {"alpha": "N x 1 x H x W float32, 0 to 1"}
    hybrid: ClassVar[bool] = False
    family: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.scales = None
        self._frozen: tuple[str, ...] = ()
        self._trained: tuple[str, ...] = ()
        self._first: tuple[str, ...] = ()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.register_load_state_dict_pre_hook(_keep_normalisation)  # type: ignore[no-untyped-call]

    @classmethod
    @abstractmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> MattingNetwork:
        """Build it.

        Args:
            settings: Of a run, as `train.config.TrainConfig.to_plain` or a checkpoint has them.
            weights: State dicts of libraries: `encoder` for `--weights`, further ones by the names of parts.

        Raises:
            InputError: If a setting means nothing, or weights do not fit.
        """

    @property
    def name(self) -> str:
        """As the paper's tables call it, with the backbone of its first encoder: `SHM(r50_8)`."""
        return f"{self.family}({self._module(self.encoders[0]).backbone.name})"

    @abstractmethod
    def decode(self, image: Tensor) -> tuple[Tensor, ...]:
        """A normalised image -> what the last layers give, before any sigmoid: an infinite value shows here."""

    @abstractmethod
    def evidence(self, image: Tensor) -> tuple[Tensor, ...]:
        """N x 3 x H x W RGB in [0, 1], sides multiples of 32 -> `outputs`, each N x C x H x W."""

    def matte(self, evidence: Sequence[Tensor]) -> Tensor:
        """What `evidence` gave -> alpha, N x 1 x H x W in [0, 1]; by default that is the evidence."""
        return evidence[0]

    def sure(self, evidence: Sequence[Tensor], tolerance: float) -> Tensor:
        """Where alpha changes by little when the evidence changes by `tolerance`; by default everywhere."""
        return torch.ones_like(self.matte(evidence), dtype=torch.bool)

    @abstractmethod
    def losses(
        self, found: Any, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms of an update's loss, each a scalar, not weighted; `total` is their weighted sum.

        Args:
            found: What the update's method gave.
            batch: What it was given, and the targets.
            weights: The terms, each with its weight.
            count: Transition pixels that a mean over these is divided by, where it is not the batch's: of the parts of
                a large batch the mean, so that the mean of their losses is that of the large one.
        """

    def published(self, weights: Collection[str]) -> set[str]:
        """Names of the tensors that files for these parts bring, see `of`; the others start from random values."""
        places = self.encoders if "encoder" in weights else ()
        return {f"{place}.{name}" for place in places for name in self._module(place).published}

    def normalised(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] as the encoders want it."""
        return (image - self.mean) / self.std

    def frozen(self, parts: Collection[str], stages: int = 0) -> list[str]:
        """Names of the tensors that stay as they are when these parts are frozen, see `freeze`."""
        standing = self._standing(parts, (), self._first_stages(stages))
        frozen = {id(each) for module in standing for each in _own(module)}
        return [name for name, each in self.state_dict(keep_vars=True).items() if id(each) in frozen]

    def freeze(self, parts: Collection[str], trained: Collection[str] = (), stages: int = 0) -> None:
        """Keep parts as they are from now on: no gradients, and in training too norms and drop-out as in use.

        Args:
            parts: `encoder`, all of them, or `norms`: scales, offsets and statistics, in the decoders too.
            trained: Names of the modules that alone learn, where they are not frozen; none: all do.
            stages: How many of the first stages of each encoder stand, too; not of one that gives no list of features.

        Raises:
            InputError: If an encoder has no more stages than that.
        """
        self._frozen, self._trained, self._first = tuple(parts), tuple(trained), self._first_stages(stages)
        self.requires_grad_(True)
        for module in self._standing(parts, trained, self._first):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> MattingNetwork:
        """As everywhere in torch; what is frozen stays as in use."""
        super().train(mode)
        for module in self._standing(self._frozen, self._trained, self._first):
            module.train(False)
        return self

    def _first_stages(self, count: int) -> tuple[str, ...]:
        """Names of the modules of so many stages of each encoder."""
        staged = [place for place in self.encoders if hasattr(self._module(place), "first_stages")]
        return tuple(f"{place}.{name}" for place in staged if count for name in self._module(place).first_stages(count))

    def _standing(
        self, parts: Collection[str], trained: Collection[str], first: Collection[str]
    ) -> Iterator[nn.Module]:
        """The modules that do not learn; looked up each time, as norms may be exchanged for those of several GPUs."""
        if "encoder" in parts:
            for place in self.encoders:
                yield from self._module(place).modules()
        yield from map(self._module, first)
        if "norms" in parts:
            yield from (module for module in self.modules() if isinstance(module, _NORMS))
        for name, module in self.named_modules() if trained else ():
            learns = any(f"{name}.".startswith(f"{each}.") or f"{each}.".startswith(f"{name}.") for each in trained)
            if name and not learns:
                yield module

    def _module(self, place: str) -> Any:
        return self.get_submodule(place)


def build_network(
    settings: Mapping[str, Any], weights: Mapping[str, Location] | None = None, seed: int | None = None
) -> MattingNetwork:
    """The network that settings name; of those of earlier versions GFM.

    Args:
        settings: Of a run, as `train.config.TrainConfig.to_plain` or a checkpoint has them.
        weights: See `MattingNetwork.of`.
        seed: Of the random starting values; torch's own generator is left as it was.

    Raises:
        InputError: If there is no such network, or as `MattingNetwork.of` does.
    """
    name = settings.get("network", "gfm")
    place, _, kind = network_named(name if isinstance(name, str) else repr(name)).module.partition(":")
    found: type[MattingNetwork] = getattr(importlib.import_module(place), kind)
    if seed is None:
        return found.of(settings, weights or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return found.of(settings, weights or {})


def setting(settings: Mapping[str, Any], name: str) -> str:
    """A setting that is a name.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(settings.get(name), str):
        raise InputError(f"its settings name the {name} {settings.get(name)!r}")
    return cast("str", settings[name])


def check_evidence(values: Sequence[Tensor], name: str) -> None:
    """Refuse what is no matte: every comparison with NaN fails, and alpha would be 0.

    Raises:
        Rejected: If a value is infinite or no number.
    """
    if not all(value.isfinite().all() for value in values):
        raise Rejected("predict", "not_finite", f"{name} gives values that are not finite")


def widened(logits: Tensor) -> Tensor:
    """In float32, where the convolutions computed in less."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _keep_normalisation(network: MattingNetwork, state: dict[str, Any], prefix: str, *_: object) -> None:
    for name in ("mean", "std"):
        state.setdefault(f"{prefix}{name}", getattr(network, name))


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
