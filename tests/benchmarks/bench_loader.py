"""One training sample: ours from packed shards, a faithful stand-in of the authors' loader on the same pictures.

Their loader (RSSN, layers and denoised layers precomputed) does for each sample, at full size: decode five pictures
whole, resize the background to the foreground with scikit-image, blur and blend, add noise; dilate and erode for a
trimap of 25 px and with 50 px kernels for FT and BT; cut one crop out of the stack and resize it to 320.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.transform import resize

from rssn.image.arrays import Pixels, encode_jpeg, encode_png
from tests.benchmarks.table import Cost, Job, Row, command_cost, measured
from train.config import TrainConfig
from train.data.loader import ShardDataset

_SAMPLES = 24
_CROPS = (640, 960, 1280)
_INPUT = 320
Files = dict[str, bytes]


def rows(matting: Path, work: Path) -> Iterator[Row]:
    """The cost of a sample with and without the layers that the composition loss needs."""
    shards = work / "packed"
    command_cost(["-m", "pipelines.cli", "pack", "--matting", str(matting), "--out", str(shards), "--workers", "0"])
    theirs = _each(measured(prepare_reference, shards))
    yield Row("training sample, with F and B", theirs, _each(measured(prepare, shards, 1.0)))
    yield Row("training sample, image and alpha alone", theirs, _each(measured(prepare, shards, 0.0)))


def prepare(shards: Path, composition: float) -> Job:
    """Ours: `_SAMPLES` samples of shards, their reading included."""
    dataset = ShardDataset(_config(shards, composition))
    keys = [(visit, index) for visit in range(_SAMPLES) for index in range(len(dataset))][:_SAMPLES]
    return Job(lambda: [dataset[key] for key in keys])


def prepare_reference(shards: Path) -> Job:
    """Theirs: as many samples of files with the same pictures; the denoised layers are the layers again."""
    dataset = ShardDataset(_config(shards, 1.0))
    files = [_files(dataset._row(index)) for index in range(len(dataset))]
    rng = np.random.default_rng(0)
    return Job(lambda: [reference_sample(files[number % len(files)], rng) for number in range(_SAMPLES)])


def reference_sample(files: Files, rng: np.random.Generator) -> np.ndarray:
    """A sample as the authors' loader makes it; 320 x 320 x 14 float32."""
    mask = cv2.imdecode(np.frombuffer(files["mask"], np.uint8), cv2.IMREAD_GRAYSCALE)
    pictures = {name: _decode(files[name]) for name in ("fg", "fg_denoise", "bg", "bg_denoise")}
    kind = "_denoise" if rng.random() < 0.5 else ""
    front, back = pictures[f"fg{kind}"], pictures[f"bg{kind}"]
    height, width = mask.shape
    back = (resize(back, (height, width)) * 255.0).astype(np.uint8)
    if rng.random() < 0.5:
        side = int(rng.choice((20, 30, 40, 50, 60)))
        back = cv2.blur(back, (side, side))
    alpha = (mask / 255.0)[:, :, None]
    image = alpha * front + (1 - alpha) * back
    if rng.random() < 0.5:
        noise = rng.normal(0, 10, image.shape)
        image, front, back = image + noise, front + noise, back + noise
    dilation, erosion = (_morphology(mask, 50, which) for which in (cv2.dilate, cv2.erode))
    near, core = (_morphology(mask, 25, which) for which in (cv2.dilate, cv2.erode))
    trimap = np.where(core == 255, 255, np.where(near == 0, 0, 128))
    planes = [image, mask, front, back, trimap, dilation, erosion]
    stack = np.concatenate([each.reshape(height, width, -1).astype(np.float32) for each in planes], axis=2)
    side = min(int(rng.choice(_CROPS)), height, width)
    spots = np.argwhere(trimap == 128) if rng.random() < 0.5 else np.argwhere(trimap > -100)
    corner = zip(spots[rng.integers(len(spots))], mask.shape, strict=True)
    top, left = (min(int(at), length - side) for at, length in corner)
    crop = cv2.resize(stack[top : top + side, left : left + side], (_INPUT, _INPUT), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def _morphology(mask: Pixels, size: int, operation: Any) -> Pixels:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    source = (mask > 0) if operation is cv2.dilate else (mask == 255)
    return np.asarray(operation(source.astype(np.uint8) * 255, kernel), dtype=np.uint8)


def _files(row: dict[str, Any]) -> Files:
    """The pictures of a row as their folders hold them: the background with a size of its own."""
    back = _decode(row["background"]["bytes"])
    other = encode_jpeg(cv2.resize(back, None, fx=1.1, fy=1.1, interpolation=cv2.INTER_LINEAR))
    mask = cv2.imdecode(np.frombuffer(row["alpha"]["bytes"], np.uint8), cv2.IMREAD_GRAYSCALE)
    front = row["foreground"]["bytes"]
    return {"mask": encode_png(mask), "fg": front, "fg_denoise": front, "bg": other, "bg_denoise": other}


def _decode(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1], dtype=np.uint8)


def _config(shards: Path, composition: float) -> TrainConfig:
    losses = {"composition": composition}
    return TrainConfig(data=(str(shards),), out=shards / "run", losses=losses, crop_sizes=_CROPS, input_size=_INPUT)


def _each(cost: Cost) -> Cost:
    return Cost(cost.seconds / _SAMPLES, cost.peak)
