"""Pipeline 1 as printed, with the libraries that people have: bm3d, pymatting, OpenCV and NumPy; and ours beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import bm3d
import cv2
import numpy as np
import pymatting

from rssn.image.arrays import Image, encode_png, to_uint8
from rssn.image.codecs import encode_picture
from rssn.image.decoding import decode_image
from rssn.route import compose as route
from rssn.route import denoise as denoiser
from rssn.route import foreground
from rssn.route.draw import Draw
from rssn.route.recipe import load_recipe
from rssn.route.step import CutOut, Values
from rssn.sources.mattes import read_matte
from tests.benchmarks.bench_bm3d import SIGMA
from tests.benchmarks.inputs import Pair, picture_bytes
from tests.benchmarks.table import Job

RECIPE = load_recipe("comp-rssn")
_DRAWN: dict[str, Values] = {"denoise": {}, "blur": {"size": 40}, "noise": {"sigma": 10.0, "seed": 7}}
ALL_STEPS = Draw(7, crop_x=0.5, crop_y=0.5, steps=_DRAWN)
BLEND_ONLY = Draw(7, crop_x=0.5, crop_y=0.5, steps={})


@dataclass(frozen=True)
class Files:
    """What one composite is made of, encoded."""

    photo: bytes
    alpha: bytes
    background: bytes


class Composed(NamedTuple):
    """The composite before noise, and everything that is stored, encoded."""

    blended: Image  # H x W x 3
    encoded: list[bytes]


def as_printed(files: Files, draw: Draw, *, closed_form: bool = True) -> Composed:
    """Lines 3 to 23. The background is denoised at its own size and then cut to the frame, as in ours."""
    image, alpha = _read(files.photo), _read(files.alpha, cv2.IMREAD_GRAYSCALE)
    foreground = pymatting.estimate_foreground_cf(image, alpha) if closed_form else image
    background = _read(files.background)
    if "denoise" in draw.steps:
        foreground, background = (_bm3d(layer) for layer in (foreground, background))
    fitted, crop = _place(background, alpha, draw)
    background = cv2.resize(background, fitted, interpolation=cv2.INTER_AREA)
    background = background[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    if blur := draw.steps.get("blur"):
        background = cv2.blur(background, (blur["size"], blur["size"]))
    blended = foreground * alpha[:, :, None] + background * (1 - alpha[:, :, None])
    noisy = blended
    if noise := draw.steps.get("noise"):
        noisy = blended + np.random.default_rng(noise["seed"]).normal(0, noise["sigma"] / 255, blended.shape)
    layers = [_write(layer, ".jpg") for layer in (noisy, foreground, background)]
    return Composed(blended.astype(np.float32), [*layers, _write(alpha, ".png")])


def ours(files: Files, draw: Draw) -> Composed:
    """The same with this project's parts, in the same order."""
    image, alpha, background = decode_image(files.photo), read_matte(files.alpha).alpha, decode_image(files.background)
    front = foreground.estimate_layers(image, alpha).foreground
    if "denoise" in draw.steps:
        front, background = (denoiser.denoise(layer, SIGMA / 255) for layer in (front, background))
    background = route.fit_background(background, *_place(background, alpha, draw))
    composite = route.compose(CutOut(front, alpha), background, RECIPE, draw)
    layers = (composite.image, composite.foreground, composite.background)
    encoded = [encode_picture(to_uint8(layer), "jpeg") for layer in layers]
    without_noise = (
        route.blend(composite.foreground, composite.background, alpha) if "noise" in draw.steps else layers[0]
    )
    return Composed(without_noise, [*encoded, encode_png(to_uint8(alpha))])


def prepare(which: Literal["printed", "rest", "ours"], pair: Pair, background: Path, side: int | None) -> Job:
    """Compose once, from encoded files to encoded pictures, every step drawn; keeps the composite before noise.

    `rest` is Pipeline 1 as printed without its two dear steps, and without blur and noise.
    """
    photo, matte = pair
    files = Files(picture_bytes(photo, side), picture_bytes(matte, side, alpha=True), picture_bytes(background, side))
    works: dict[str, Callable[[], Composed]] = {
        "printed": lambda: as_printed(files, ALL_STEPS),
        "rest": lambda: as_printed(files, BLEND_ONLY, closed_form=False),
        "ours": lambda: ours(files, ALL_STEPS),
    }
    if which == "ours":
        denoiser.warm_up("native")
        foreground.warm_up("levin")
    return Job(works[which], lambda composed: composed.blended)


def _bm3d(image: np.ndarray) -> np.ndarray:
    profile = bm3d.BM3DProfile()
    profile.num_threads = 1
    return np.asarray(np.clip(bm3d.bm3d_rgb(image, SIGMA / 255, profile), 0, 1))


def _place(background: np.ndarray, alpha: np.ndarray, draw: Draw) -> tuple[tuple[int, int], route.Crop]:
    frame = (alpha.shape[1], alpha.shape[0])
    fitted = route.fitted_size((background.shape[1], background.shape[0]), frame, "cover")
    return fitted, route.place_crop(fitted, frame, draw)


def _read(data: bytes, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flag))
    return np.asarray(pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) / 255.0


def _write(image: np.ndarray, suffix: str) -> bytes:
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    swapped = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(suffix, swapped, options if suffix == ".jpg" else [])[1])
