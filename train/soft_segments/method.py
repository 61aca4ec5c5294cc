"""SSS as methods of `train eval`: a choice of layers each, on layers that are made once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rssn.image.arrays import Alpha, Image, Pixels, encode_png, fit_inside, to_uint8
from rssn.report.page import Tile, contact_sheet
from rssn.storage.atomic import write_bytes
from rssn.storage.location import Location
from train.evaluation.examples import Truth
from train.evaluation.inference import resized
from train.soft_segments.choice import CentreRule, choose_by_truth, unite
from train.soft_segments.guided import GuidedFilter
from train.soft_segments.store import LayerStore, Segmented

_RADIUS, _EPSILON = 1, 1e-5  # of the filter that enlarges layers, in px of the layers
_TILE = 240  # px


class Choice(StrEnum):
    """How layers become the foreground."""

    AUTOMATIC = "automatic"
    ORACLE = "oracle"  # by the true matte: an upper bound


@dataclass(frozen=True)
class SoftSegmentation:
    """Semantic Soft Segmentation with one choice of layers.

    Attributes:
        store: Where layers are kept.
        choice: Of layers.
        sheets: A folder for a picture of each photograph's layers, `<name>.png`, which the automatic choice draws.
    """

    store: LayerStore
    choice: Choice
    sheets: Location

    @property
    def name(self) -> str:
        """As Table 1 has it, with the choice."""
        return f"SSS ({self.choice})"

    @property
    def view(self) -> str:
        """At which size layers are made, and of which features."""
        return f"longer side at most {self.store.settings.side} px; features of {self.store.source.name}"

    @property
    def networks(self) -> int:
        """None predicts the matte."""
        return 0

    def predict(self, name: str, truth: Truth) -> Alpha:
        """Segment a photograph, or read its layers; choose some, and enlarge them.

        Args:
            name: Of the photograph.
            truth: Its matte is for the oracle and for the sheet.

        Raises:
            Rejected: If it cannot be segmented.
        """
        found = self.store.layers(name, truth.picture)
        large = enlarge_layers(found, truth.picture)
        if self.choice is Choice.ORACLE:
            return unite(large, choose_by_truth(large, truth.alpha))
        sheet = encode_png(draw_sheet(found, truth))
        write_bytes(self.sheets / f"{name}.png", sheet, durable=False, only_writer=True)
        return unite(large, CentreRule().choose(found.layers))


def enlarge_layers(found: Segmented, picture: Image) -> Image:
    """K x H x W layers at the size of the photograph, by its colours; they still add up to 1."""
    if found.image.shape == picture.shape:
        return found.layers
    smooth = GuidedFilter(found.image, _RADIUS, _EPSILON)
    return np.stack([smooth.enlarge(layer, picture) for layer in found.layers])


def draw_sheet(found: Segmented, truth: Truth) -> Pixels:
    """Photograph, layers, both choices and the true matte beside each other."""
    size = (found.image.shape[1], found.image.shape[0])
    alpha = resized(truth.alpha, size)
    automatic, oracle = CentreRule().choose(found.layers), choose_by_truth(found.layers, alpha)
    tiles = [Tile(fit_inside(to_uint8(found.image), _TILE), "photograph")]
    tiles += [_tile(layer, f"layer {number}") for number, layer in enumerate(found.layers)]
    for words, chosen in (("automatic", automatic), ("oracle", oracle)):
        tiles.append(_tile(unite(found.layers, chosen), f"{words}: {' + '.join(map(str, chosen))}"))
    return contact_sheet([[*tiles, _tile(alpha, "truth")]], side=_TILE)


def _tile(matte: Alpha, caption: str) -> Tile:
    return Tile(fit_inside(np.dstack([to_uint8(matte)] * 3), _TILE), caption)
