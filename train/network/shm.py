"""SHM, Semantic Human Matting (Chen et al. 2018): T-Net says where the subject is, M-Net finds its details.

Built by the layers of a public re-implementation (github.com/tsing90/pytorch_semantic_human_matting), whose counts are
those of the GFM paper to 0.02 %: this is certain. The GFM authors' schedule is not known. Ours: T-Net and M-Net apart
on GFM's crops, then both with a tenth of the rate and norms as they are, since both trained together from the start
are reported to be unstable.

One order of the classes everywhere: 0 background, 1 unknown, 2 foreground, as `train.targets.rosta` has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.vision import torchvision_models
from train.batch import Batch
from train.losses import smooth_absolute, with_total
from train.network.backbones import backbone_named
from train.network.decoders import PyramidPooling
from train.network.encoders import build_encoder
from train.network.layers import conv, plain_conv, scaled
from train.network.network import MattingNetwork, setting, widened
from train.network.weights import load_encoder_weights, read_state
from train.targets.rosta import FOREGROUND, TRANSITION

EPSILON = 1e-3
"""Of |x| = sqrt(x^2 + EPSILON^2)."""

_CLASSES = 3
_STRIDE = 8  # px of the picture for a px of T-Net's bottleneck
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # of VGG-16


class Segmentation(NamedTuple):
    """What T-Net says."""

    logits: Tensor  # N x 3 x H x W


class Refinement(NamedTuple):
    """What M-Net says of a true trimap."""

    raw: Tensor  # N x 1 x H x W, of any value; meaningless where nothing is unknown
    alpha: Tensor  # N x 1 x H x W, not clipped


class Prediction(NamedTuple):
    """What both say."""

    logits: Tensor
    raw: Tensor
    alpha: Tensor


class SHM(MattingNetwork):
    """Semantic Human Matting.

    Args:
        backbone: T-Net's encoder; in the paper `r50_8`.
        width: Factor of the other channels, M-Net's encoder included.
        weights: State dicts: `encoder` for T-Net's, `mnet` a VGG-16 or VGG-16-BN for M-Net's.

    Raises:
        InputError: If there is no such backbone, or weights do not fit.
    """

    family: ClassVar[str] = "SHM"
    encoders: ClassVar[tuple[str, ...]] = ("tnet.encoder", "mnet.encoder")
    outputs: ClassVar[Mapping[str, str]] = {
        "classes": "N x 3 x H x W float32, probabilities of background, unknown, foreground",
        "raw": "N x 1 x H x W float32, what alpha is where unknown is 1",
    }

    def __init__(self, backbone: str, width: float = 1.0, weights: Mapping[str, Location] | None = None) -> None:
        super().__init__()
        given = weights or {}
        self.tnet = TNet(backbone, width, given.get("encoder"))
        self.mnet = MNet(width, given.get("mnet"))

    @classmethod
    def of(cls, settings: Mapping[str, Any], weights: Mapping[str, Location]) -> SHM:
        """As in `MattingNetwork`."""
        return cls(setting(settings, "backbone"), float(settings.get("width", 1.0)), weights)

    def published(self, weights: Collection[str]) -> set[str]:
        """Each encoder has a file of its own."""
        files = zip(("encoder", "mnet"), self.encoders, strict=True)
        places = [place for part, place in files if part in weights]
        return {f"{place}.{name}" for place in places for name in self._module(place).published}

    def forward(self, image: Tensor) -> Prediction:
        """N x 3 x H x W RGB in [0, 1] -> what both say of it; sides are multiples of 32."""
        logits, raw = (widened(each) for each in self.decode(self.normalised(image)))
        return Prediction(logits, raw, fuse(logits.softmax(dim=1), raw))

    def segment(self, image: Tensor) -> Segmentation:
        """T-Net alone."""
        return Segmentation(widened(self.tnet(self.normalised(image))))

    def refine(self, image: Tensor, labels: Tensor) -> Refinement:
        """M-Net alone, on a true trimap: N x H x W class labels."""
        classes = F.one_hot(labels, _CLASSES).permute(0, 3, 1, 2).to(image.dtype)
        raw = widened(self.mnet(torch.cat([self.normalised(image), classes], dim=1)))
        return Refinement(raw, fuse(classes, raw))

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """A normalised image -> T-Net's logits and M-Net's raw alpha."""
        logits = self.tnet(image)
        return logits, self.mnet(torch.cat([image, logits.softmax(dim=1)], dim=1))

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of the classes, and raw alpha."""
        found = self(image)
        return found.logits.softmax(dim=1), found.raw

    def matte(self, evidence: Sequence[Tensor]) -> Tensor:
        """The fusion, clipped."""
        classes, raw = evidence
        return fuse(classes, raw).clamp(0.0, 1.0)

    def losses(
        self, found: Any, batch: Batch, weights: Mapping[str, float], count: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`cross_entropy` of T-Net; `alpha` and `composition` of the fused matte, means over all pixels.

        The composites of both mattes are made from F and B, as in `train.losses.composition_loss`, so that noise in the
        picture costs nothing.
        """
        terms = {name: self._term(name, found, batch) for name, weight in weights.items() if weight}
        return with_total(terms, weights)

    def _term(self, name: str, found: Any, batch: Batch) -> Tensor:
        if name == "cross_entropy":
            return F.cross_entropy(found.logits, batch.glance)
        difference = found.alpha - batch.alpha
        if name == "composition":
            difference = difference * (batch.foreground - batch.background)
        return smooth_absolute(difference, EPSILON).mean()


def fuse(classes: Tensor, raw: Tensor) -> Tensor:
    """Alpha = F + U a: foreground from T-Net, details from M-Net, without a threshold.

    Args:
        classes: N x 3 x H x W probabilities of background, unknown and foreground.
        raw: N x 1 x H x W.
    """
    unknown, foreground = (classes[:, at : at + 1] for at in (TRANSITION, FOREGROUND))
    return foreground + unknown * raw


class TNet(nn.Module):
    """PSPNet on an encoder of stride 8, with three steps back to the picture's size.

    The features of an encoder of a larger stride are enlarged behind the pyramid.
    """

    def __init__(self, backbone: str, width: float, weights: Location | None) -> None:
        super().__init__()
        self.encoder = build_encoder(backbone_named(backbone), weights)
        found = self.encoder.backbone
        if found.strides[-1] < _STRIDE:
            raise InputError(f"--backbone {backbone}: its last stride is {found.strides[-1]}; SHM needs 8 px at least")
        self._enlarge = found.strides[-1] // _STRIDE
        pooled, *widths = (scaled(channels, width) for channels in (1024, 256, 64, 64))
        self.pyramid = PyramidPooling(found.channels[-1], (1, 2, 3, 6), pooled)
        self.drop = nn.Dropout2d(0.3)
        self.up = nn.Sequential(*(_Up(*pair) for pair in pairwise((pooled, *widths))))
        self.head = nn.Conv2d(widths[-1], _CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """A normalised image -> N x 3 x H x W logits."""
        x: Tensor = self.drop(self.pyramid(self.encoder(image)[-1]))
        if self._enlarge > 1:
            x = _enlarged(x, self._enlarge)
        logits: Tensor = self.head(self.up(x))
        return logits


class _Up(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(plain_conv(before, after), nn.BatchNorm2d(after), nn.PReLU(), nn.Dropout2d(0.15))

    def forward(self, x: Tensor) -> Tensor:
        """Twice the resolution."""
        found: Tensor = self.layers(_enlarged(x, 2))
        return found


def _enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True)


class MNet(nn.Module):
    """VGG-16 with batch norms, and a decoder that unpools where the encoder pooled."""

    def __init__(self, width: float, weights: Location | None) -> None:
        super().__init__()
        self.encoder = VGGEncoder(width, weights)
        widths = [scaled(stage[-1], width) for stage in _STAGES]
        self.deepest = conv(widths[-1], widths[-1], 5)
        self.blocks = nn.ModuleList(
            conv(before, after, 5) for before, after in pairwise((*widths[:0:-1][1:], widths[0], widths[0]))
        )
        self.head = plain_conv(widths[0], 1, 5)

    def forward(self, seen: Tensor) -> Tensor:
        """N x 6 x H x W, a normalised image and the probabilities of its classes -> N x 1 x H x W raw alpha."""
        x, pooled = self.encoder(seen)
        x = self.deepest(x)
        for block, (places, like) in zip(self.blocks, reversed(pooled), strict=True):
            x = block(unpool(x, places, like))
        raw: Tensor = self.head(x)
        return raw


class VGGEncoder(nn.Module):
    """The convolutions of VGG-16 on six channels, of which all stages but the last are pooled.

    Attributes:
        published: Names of its tensors that the weights brought.
    """

    def __init__(self, width: float, weights: Location | None) -> None:
        super().__init__()
        before, stages = 3 + _CLASSES, []
        for channels in _STAGES:
            widths = [scaled(each, width) for each in channels]
            stages.append(nn.Sequential(*(conv(*pair) for pair in pairwise((before, *widths)))))
            before = widths[-1]
        self.stages = nn.ModuleList(stages)
        self.published: set[str] = set()
        if weights is not None:
            if width != 1.0:
                raise InputError(f"--part-weights mnet={weights}: VGG-16 fits a --width of 1 alone")
            self.published = self._load(weights)

    def forward(self, seen: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The last feature, and for each pooling the places of its largest values, and the feature itself."""
        pooled = []
        for stage in self.stages[:-1]:
            feature = stage(seen)
            seen, places = F.max_pool2d(feature, 2, return_indices=True)
            pooled.append((places, feature))
        return self.stages[-1](seen), pooled

    def _load(self, path: Location) -> set[str]:
        """Take torchvision's VGG-16; the three further channels of the first convolution start at 0."""
        normed = any("running_mean" in name for name in read_state(path, "--part-weights"))
        kinds = nn.Conv2d, nn.BatchNorm2d
        library: Any = torchvision_models().vgg
        source = nn.Module()
        source.features = library.make_layers(library.cfgs["D"], batch_norm=normed)
        name = "torchvision's vgg16_bn" if normed else "torchvision's vgg16"
        load_encoder_weights(source, path, name, ("classifier.",), "--part-weights mnet")
        known = set()
        for kind in kinds if normed else kinds[:1]:
            theirs = [each for each in source.modules() if isinstance(each, kind)]
            ours = [(place, each) for place, each in self.named_modules() if isinstance(each, kind)]
            for (place, own), other in zip(ours, theirs, strict=True):
                state = other.state_dict()
                if own.weight.shape != other.weight.shape:
                    state["weight"] = F.pad(state["weight"], (0, 0, 0, 0, 0, _CLASSES))
                own.load_state_dict(state)
                known |= {f"{place}.{each}" for each in state}
        return known


def unpool(x: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Put each value where a 2 x 2 max pooling of `like` found its own, and 0 elsewhere.

    As `torch.nn.functional.max_unpool2d`, in words that every runtime knows.

    Args:
        x: N x C x h x w.
        places: N x C x h x w, in the plane of `like`.
        like: N x C x H x W.
    """
    flat = torch.zeros_like(like, dtype=x.dtype).flatten(2)
    return flat.scatter(2, places.flatten(2), x.flatten(2)).view_as(like)
