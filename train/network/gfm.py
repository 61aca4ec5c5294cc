"""GFM: a shared encoder, two decoders, and collaborative matting (section 3).

Both decoders give logits; sigmoid and argmax belong to the fusion, so the cross-entropy of equation 2 is a proper one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rssn.errors import InputError
from rssn.storage.location import Location
from train.batch import Batch
from train.losses import alpha_loss, composition_loss, laplacian_loss, with_total
from train.network.backbones import backbone_named
from train.network.decoders import FocusDecoder, GlanceDecoder
from train.network.encoders import build_encoder
from train.network.network import MattingNetwork, setting, widened
from train.network.networks import NETWORKS
from train.targets.rosta import FOREGROUND, TRANSITION, Rosta

EQUAL = dict.fromkeys(NETWORKS["gfm"].terms, 1.0)
"""Equation 8: every term counts 1."""


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


class GFM(MattingNetwork):
    """The Glance and Focus Matting network.

    Args:
        backbone: A name that `train.network.backbones.backbone_named` knows.
        rosta: What the glance decoder is asked for; TT where a single decoder does everything.
        weights: A state dict for the encoder; random values where None.
        ablations: What to leave out.

    Raises:
        InputError: If there is no such backbone or ablation, or the weights do not fit.
    """

    family: ClassVar[str] = "GFM"
    hybrid: ClassVar[bool] = True
    outputs: ClassVar[Mapping[str, str]] = {
        "scores": "N x C x H x W float32; the largest is the class that the glance sees",
        "focus": "N x 1 x H x W float32, 0 to 1, what alpha is where the glance sees a transition",
    }

    def __init__(
        self, backbone: str, rosta: Rosta | str, weights: Location | None = None, ablations: Collection[str] = ()
    ) -> None:
        super().__init__()
        for ablation in ablations:
            if ablation not in list(Ablation):
                raise InputError(f"--ablation {ablation}: unknown; choose one of {', '.join(Ablation)}")
        self.rosta = Rosta(rosta)
        self.encoder = build_encoder(backbone_named(backbone), weights)
        parts = self.encoder.backbone
        single = Ablation.SINGLE in ablations
        self.glance = None if single else GlanceDecoder(parts, self.rosta.classes, Ablation.NO_PPM not in ablations)
        self.focus = FocusDecoder(parts, Ablation.NO_BB not in ablations)

    @classmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> GFM:
        """As in `MattingNetwork`."""
        backbone, rosta, ablations = setting(settings, "backbone"), settings.get("rosta"), settings.get("ablations")
        if rosta not in list(Rosta):
            raise InputError(f"its settings name the RoSTa {rosta!r}; there are {', '.join(Rosta)}")
        if not isinstance(ablations, list | None):
            raise InputError(f"its settings name the ablations {ablations!r}")
        return cls(backbone, Rosta(str(rosta)), weights.get("encoder"), [str(each) for each in ablations or []])

    @property
    def name(self) -> str:
        """As the paper's tables call it: `GFM-TT(r34)`."""
        return f"GFM-{self.rosta}({self.encoder.backbone.name})"

    def forward(self, image: Tensor) -> Prediction:
        """Predict a batch.

        Args:
            image: N x 3 x H x W RGB in [0, 1]; H and W are multiples of 32.
        """
        glance, focus = (widened(logits) for logits in self.decode(self.normalised(image)))
        return Prediction(glance, focus, fuse(decide(glance), focus.sigmoid(), self.rosta))

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder and decoders alone: an image as the encoder wants it -> both logits."""
        features = self.encoder(image)
        focus = self.focus(features)
        return focus[:, :0] if self.glance is None else self.glance(features), focus

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """N x C x H x W scores, whose largest is the class, and the focus in [0, 1]."""
        prediction = self(image)
        return prediction.glance, prediction.focus.sigmoid()

    def matte(self, evidence: Sequence[Tensor]) -> Tensor:
        """Collaborative matting, see `fuse`."""
        scores, focus = evidence
        return fuse(decide(scores), focus, self.rosta)

    def sure(self, evidence: Sequence[Tensor], tolerance: float) -> Tensor:
        """Where the two largest scores are apart: where they nearly meet the last digit decides the class."""
        scores, focus = evidence
        if not scores.numel():
            return torch.ones_like(focus, dtype=torch.bool)
        best = scores.topk(2, dim=1).values
        return best[:, :1] - best[:, 1:] > 4 * tolerance * max(1.0, float(scores.abs().max()))

    def losses(
        self, found: Prediction, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Equation 8, see `gfm_losses`."""
        return gfm_losses(found, batch, weights, count)


def gfm_losses(
    prediction: Prediction, batch: Batch, weights: Mapping[str, float] = EQUAL, count: Tensor | None = None
) -> dict[str, Tensor]:
    """The terms of equation 8, each a scalar, not weighted; `total` is their weighted sum.

    `cross_entropy` is L_CE, `focus_alpha` and `focus_laplacian` are L_FD, `alpha`, `laplacian` and `composition`
    are L_CM. A network with a single decoder has L_CM alone. Without weight the composition loss is not computed, as
    its F and B are not read then. For `count` see `MattingNetwork.losses`.
    """
    terms = {
        "alpha": alpha_loss(prediction.alpha, batch.alpha),
        "laplacian": laplacian_loss(prediction.alpha, batch.alpha),
    }
    if weights["composition"]:
        colours = (batch.foreground, batch.background)
        terms["composition"] = composition_loss(prediction.alpha, batch.alpha, *colours)
    if prediction.glance.shape[1]:
        focus = prediction.focus.sigmoid()
        terms = {
            "cross_entropy": F.cross_entropy(prediction.glance, batch.glance),
            "focus_alpha": alpha_loss(focus, batch.focus, batch.transition, count),
            "focus_laplacian": laplacian_loss(focus, batch.focus, batch.transition, count),
            **terms,
        }
    return with_total(terms, weights)


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
