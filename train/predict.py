"""`train predict`: for each photograph an alpha PNG and a cut-out with its foreground's own colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rssn.errors import InputError
from rssn.foreground import estimate_foreground
from rssn.images import Alpha, Image, Pixels, decode_image, encode_png, read_bytes, to_uint8
from train.inference import predict_alpha
from train.network.gfm import GFM


@dataclass(frozen=True)
class PredictedFiles:
    """What was written for a photograph."""

    alpha: Path  # 8-bit grey PNG
    cutout: Path  # RGBA PNG, straight alpha


def check_photos(photos: Sequence[Path]) -> None:
    """Refuse photographs whose results would overwrite each other.

    Raises:
        InputError: If two have the same stem.
    """
    twice = [stem for stem, count in Counter(photo.stem for photo in photos).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: several photos have this name; predict them into different --out folders")


def predict_photo(network: GFM, photo: Path, out: Path, max_side: int) -> PredictedFiles:
    """Write `<stem>-alpha.png` and `<stem>-cutout.png`, both of the photograph's size.

    Raises:
        Rejected: If the photograph cannot be read, or its foreground not be estimated.
    """
    image = decode_image(read_bytes(photo))
    alpha = predict_alpha(network, image, max_side)
    files = PredictedFiles(out / f"{photo.stem}-alpha.png", out / f"{photo.stem}-cutout.png")
    out.mkdir(parents=True, exist_ok=True)
    files.alpha.write_bytes(encode_png(to_uint8(alpha)))
    files.cutout.write_bytes(encode_png(cut_out(image, alpha)))
    return files


def cut_out(image: Image, alpha: Alpha) -> Pixels:
    """The foreground alone: its estimated colours, free of the old background's, with alpha.

    Args:
        image: H x W x 3 RGB float32 in [0, 1].
        alpha: H x W float32 in [0, 1].

    Returns:
        H x W x 4 uint8 RGBA, not premultiplied.
    """
    foreground, _ = estimate_foreground(image, alpha, method="multilevel")
    return np.dstack([to_uint8(foreground), to_uint8(alpha)])
