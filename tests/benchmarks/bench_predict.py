"""`train predict` on a large photograph: the matte alone, and the colours of a cut-out, by tiles against the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rssn.image.arrays import Pixels, encode_jpeg, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.route.foreground import estimate_foreground, warm_up
from rssn.route.foreground_tiles import foreground_colours
from rssn.sources.mattes import read_matte
from tests.benchmarks.inputs import Pair
from tests.benchmarks.table import Job, Row, command_cost, measured
from tests.train.seeded import seeded_gfm
from train.checkpoint import Checkpoint, save_checkpoint
from train.config import TrainConfig
from train.network.strategy import PAPER_SCALES

LARGE = 24_000_000
"""Pixels of a photograph as cameras take it."""


def rows(pair: Pair, work: Path, pixels: int = LARGE) -> Iterator[Row]:
    """The cost of a command with a random r34, and of the colours with the true matte.

    Args:
        pair: A photograph and its matte, which are enlarged.
        work: A folder for what is made here.
        pixels: To so many pixels.
    """
    photo, checkpoint = work / "large.jpg", work / "random.pt"
    photo.write_bytes(encode_jpeg(enlarged(decode_pixels(pair[0].read_bytes()), pixels)))
    settings = TrainConfig(data=(str(work),), out=work)
    state = seeded_gfm(settings.backbone, settings.rosta, 0).state_dict()
    save_checkpoint(checkpoint, Checkpoint(0, settings.to_plain(), state, scales=PAPER_SCALES.to_plain()))
    size = f"{pixels / 1e6:.3g} MP"
    words = ["-m", "train.cli", "predict", "--alpha-only", "--checkpoint", str(checkpoint), str(photo)]
    for seen in ([], ["--max-side", "1600"]):
        cost = command_cost([*words, *seen, "--out", str(work / f"predicted{len(seen)}")])
        yield Row(f"`{' '.join(['train predict --alpha-only', *seen])}`, {settings.backbone}, {size}", None, cost)
    whole, tiles = (measured(prepare, pair, pixels, tiled) for tiled in (False, True))
    alpha = enlarged(matte_of(pair), pixels)[..., None] / np.float32(255)
    apart = float(np.abs(alpha * (tiles.kept - 255 * whole.kept)).max())
    yield Row(
        f"colours of a cut-out, {size}, by tiles", whole, tiles, quality=f"at most {apart:.2g}/255 from the whole"
    )


def prepare(pair: Pair, pixels: int, tiled: bool) -> Job:
    """The foreground's colours by tiles or by the whole closed form; keeps them."""
    photo, matte = enlarged(decode_pixels(pair[0].read_bytes()), pixels), enlarged(matte_of(pair), pixels)
    warm_up("levin")
    if tiled:
        return Job(lambda: foreground_colours(photo, matte), lambda colours: colours)
    return Job(lambda: estimate_foreground(to_float(photo), to_float(matte))[0], lambda colours: colours)


def matte_of(pair: Pair) -> Pixels:
    """H x W uint8."""
    return to_uint8(read_matte(pair[1].read_bytes()).alpha)


def enlarged(picture: Pixels, pixels: int) -> Pixels:
    """A picture with about so many pixels."""
    height, width = picture.shape[:2]
    scale = (pixels / (height * width)) ** 0.5
    size = round(width * scale), round(height * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
