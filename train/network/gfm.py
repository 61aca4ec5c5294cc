"""GFM: a shared encoder, two decoders, and collaborative matting (section 3).

Both decoders give logits; sigmoid and argmax belong to the fusion, so the cross-entropy of equation 2 is a proper one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rssn.errors import InputError, Rejected
from rssn.storage.location import Location
from train.network.backbones import backbone_named
from train.network.decoders import FocusDecoder, GlanceDecoder
from train.network.encoders import build_encoder
from train.network.strategy import Scales
from train.targets.rosta import FOREGROUND, TRANSITION, Rosta

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)


class Ablation(StrEnum):
    """What section 5.5 takes away."""

    SINGLE = "single"  # one decoder, with shortcuts and bridge block, predicts alpha everywhere
    NO_PPM = "no-ppm"  # no pyramid pooling module in the glance decoder
    NO_BB = "no-bb"  # no bridge block in the focus decoder


class Prediction(NamedTuple):
    """What GFM says about a batch, in float32 where the convolutions computed in less."""

    glance: Tensor  # N x C x H x W logits; C is 0 where a single decoder does everything
    focus: Tensor  # N x 1 x H x W logits
    alpha: Tensor  # N x 1 x H x W in [0, 1]


class GFM(nn.Module):
    """The Glance and Focus Matting network.

    Its state says by `mean` and `std` what its encoder is to see of a picture: ImageNet's, unless it is loaded from
    one that learned otherwise. States of earlier versions lack them.

    Args:
        backbone: A name that `train.network.backbones.backbone_named` knows.
        rosta: What the glance decoder is asked for; TT where a single decoder does everything.
        weights: A state dict for the encoder; random values where None.
        ablations: What to leave out.

    Raises:
        InputError: If there is no such backbone or ablation, or the weights do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: str, rosta: Rosta | str, weights: Location | None = None, ablations: Collection[str] = ()
    ) -> None:
        super().__init__()
        for ablation in ablations:
            if ablation not in list(Ablation):
                raise InputError(f"--ablation {ablation}: unknown; choose one of {', '.join(Ablation)}")
        self.rosta = Rosta(rosta)
        self._frozen: tuple[str, ...] = ()
        self.scales: Scales | None = None  # that it was trained at
        self.encoder = build_encoder(backbone_named(backbone), weights)
        parts = self.encoder.backbone
        single = Ablation.SINGLE in ablations
        self.glance = None if single else GlanceDecoder(parts, self.rosta.classes, Ablation.NO_PPM not in ablations)
        self.focus = FocusDecoder(parts, Ablation.NO_BB not in ablations)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.register_load_state_dict_pre_hook(_keep_normalisation)  # type: ignore[no-untyped-call]

    @property
    def name(self) -> str:
        """As the paper's tables call it: `GFM-TT(r34)`."""
        return f"GFM-{self.rosta}({self.encoder.backbone.name})"

    def frozen(self, parts: Collection[str]) -> list[str]:
        """Names of the tensors that stay as they are when these parts are frozen, see `freeze`."""
        frozen = {id(each) for module in self._standing(parts) for each in _own(module)}
        return [name for name, each in self.state_dict(keep_vars=True).items() if id(each) in frozen]

    def freeze(self, parts: Collection[str]) -> None:
        """Keep parts as they are from now on: no gradients, and in training too norms and drop-out as in use.

        Args:
            parts: `encoder`, all of it, or `norms`: scales, offsets and statistics, in the decoders too.
        """
        self._frozen = tuple(parts)
        for module in self._standing(parts):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> GFM:
        """As everywhere in torch; what is frozen stays as in use."""
        super().train(mode)
        for module in self._standing(self._frozen):
            module.train(False)
        return self

    def _standing(self, parts: Collection[str]) -> Iterator[nn.Module]:
        """The modules of these parts; looked up each time, as norms may be exchanged for those of several GPUs."""
        if "encoder" in parts:
            yield from self.encoder.modules()
        if "norms" in parts:
            yield from (module for module in self.modules() if isinstance(module, _NORMS))

    def forward(self, image: Tensor) -> Prediction:
        """Predict a batch.

        Args:
            image: N x 3 x H x W RGB in [0, 1]; H and W are multiples of 32.
        """
        glance, focus = (_widened(logits) for logits in self.decode((image - self.mean) / self.std))
        return Prediction(glance, focus, fuse(decide(glance), focus.sigmoid(), self.rosta))

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder and decoders alone: an image as the encoder wants it -> both logits."""
        features = self.encoder(image)
        focus = self.focus(features)
        return focus[:, :0] if self.glance is None else self.glance(features), focus

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What `inference` fuses: N x C x H x W scores, whose largest is the class, and the focus in [0, 1]."""
        prediction = self(image)
        return prediction.glance, prediction.focus.sigmoid()


def _keep_normalisation(network: GFM, state: dict[str, Any], prefix: str, *_: object) -> None:
    for name in ("mean", "std"):
        state.setdefault(f"{prefix}{name}", getattr(network, name))


def _own(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _widened(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def seeded_gfm(
    backbone: str, rosta: Rosta, seed: int, weights: Location | None = None, ablations: Collection[str] = ()
) -> GFM:
    """A GFM whose random starting values depend on `seed` alone; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GFM(backbone, rosta, weights, ablations)


def check_evidence(scores: Tensor, focus: Tensor, name: str) -> None:
    """Refuse what `evidence` gave where it is no matte: every comparison with NaN fails, and alpha would be 0.

    Raises:
        Rejected: If a value is infinite or no number.
    """
    if not (scores.isfinite().all() and focus.isfinite().all()):
        raise Rejected("predict", "not_finite", f"{name} gives values that are not finite")


def decide(scores: Tensor) -> Tensor:
    """N x C x H x W scores -> N x 1 x H x W labels; without any class everything is transition, for the one decoder."""
    if scores.shape[1] == 0:
        return torch.full((scores.shape[0], 1, *scores.shape[2:]), TRANSITION, device=scores.device)
    return scores.argmax(dim=1, keepdim=True)


def fuse(labels: Tensor, focus: Tensor, rosta: Rosta) -> Tensor:
    """Collaborative matting (section 3.5).

    TT: the transition area of the glance takes the focus. FT: glance plus focus. BT: glance minus focus. The class
    decision is hard, so the gradient of the fused matte reaches the focus decoder and the encoder.

    Args:
        labels: N x 1 x H x W class labels of the glance decoder.
        focus: N x 1 x H x W in [0, 1].
        rosta: The representation.

    Returns:
        Alpha, N x 1 x H x W in [0, 1].
    """
    if rosta is Rosta.TT:
        return torch.where(labels == TRANSITION, focus, (labels == FOREGROUND).to(focus.dtype))
    glance = labels.to(focus.dtype)
    return (glance + focus if rosta is Rosta.FT else glance - focus).clamp(0.0, 1.0)
