"""Layers of photographs on disk: each is segmented once, and a run that was stopped goes on behind the last."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rssn.errors import Rejected
from rssn.image.arrays import Image, encode_png, png_note, read_bytes, to_uint16
from rssn.storage.atomic import write_bytes
from rssn.storage.files import content_id
from rssn.storage.location import Location
from rssn.storage.urls import is_plain
from rssn.versions import version
from train.evaluation.inference import resized
from train.soft_segments.encoder import FeatureSource
from train.soft_segments.features import semantic_features
from train.soft_segments.libraries import one_thread
from train.soft_segments.segment import segment
from train.soft_segments.settings import Settings

_FORMAT = "layers-2"  # another one where the method gives other layers


@dataclass(frozen=True)
class Segmented:
    """A photograph at the size of its layers."""

    image: Image  # H x W x 3
    layers: Image  # K x H x W in [0, 1]; they add up to 1 but for the rounding to 16 bits


@dataclass(frozen=True)
class LayerStore:
    """A folder with a 16-bit picture for each photograph, its layers one below the other.

    A note in the picture says what it was made from: of other photographs, settings or weights it is made again.
    """

    folder: Location
    source: FeatureSource
    settings: Settings

    def layers(self, name: str, picture: Image) -> Segmented:
        """Read a photograph's layers, or make them.

        Args:
            name: Of the photograph; slashes give folders.
            picture: H x W x 3 RGB in [0, 1], at its own size.

        Raises:
            Rejected: If there is nothing to segment, or the name leads out of the folder.
        """
        if not is_plain(f"{name}.png"):
            raise Rejected("write", "unsafe_path", f"the name {name} leads out of {self.folder}")
        path = self.folder / f"{name}.png"
        size = self.settings.reduced(picture.shape[1], picture.shape[0])
        image = resized(picture, size)
        note = self._made_from(picture)
        if not path.is_file() or png_note(path) != note:
            # sums of several threads depend on how many there are, and round upon round of weights enlarges that
            with one_thread():
                features = semantic_features(self.source.stages(picture), image)
                found = segment(image, features, self.settings)
            write_bytes(path, encode_png(to_uint16(found.reshape(-1, size[0])), note), durable=False)
        stored = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is None:
            raise Rejected("read", "damaged", f"{path} cannot be read; remove it")
        layers = stored.astype(np.float32) / np.float32(65535)
        return Segmented(image, layers.reshape(-1, size[1], size[0]))

    def _made_from(self, picture: Image) -> str:
        versions = [f"{package} {version(package)}" for package in ("scipy", "scikit-image", "torch")]
        words = (each.encode() for each in (_FORMAT, self.source.digest, *versions))
        return content_id(np.ascontiguousarray(picture).tobytes(), self.settings.to_bytes(), *words)
