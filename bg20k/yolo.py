"""The detector on ultralytics YOLO: a `.pt` or `.onnx` file by path, on the machine alone.

ultralytics is AGPL-3.0 and an optional extra. It is imported on first use, configured to stay offline, install
nothing, send nothing, keep its settings in a private folder and load weights without running code from them. Files are
checked before it reads them, because releases differ in how far they respect that.
"""

from __future__ import annotations

import ast
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bg20k.classes import CREATURES, OBJECTS
from bg20k.objects import Detection
from bg20k.onnx_model import model_name, open_session
from bg20k.yolo_weights import copy_weights
from rssn.errors import DependencyError, InputError, first_line
from rssn.image.arrays import Pixels
from rssn.storage.location import Location
from rssn.storage.weights import weights_copy

_FLOOR = 0.05
"""Findings below this confidence are not reported; far below any sensible threshold, so that scores stay continuous."""

_BATCH = 8

_EVALUATED = frozenset({"imgsz", "names", "kpt_shape", "kpt_names", "args"})
"""Entries of an ONNX file's metadata that releases of ultralytics evaluate as Python."""


class YoloDetector:
    """A YOLO detection model trained on COCO.

    Each image is letterboxed to the model's square, and its boxes are suppressed, on its own. On a CPU, where batches
    gain nothing, images go through one by one, so that a finding depends on nothing else to the last bit; on a GPU
    eight at a time, if the model takes them.

    ONNX models run on one thread on the CPU (workers run side by side); for `.pt` set `OMP_NUM_THREADS`, as Ray does.

    Args:
        path: A `.pt` file of ultralytics or an ONNX export of one, here or in a bucket.

    Raises:
        InputError: If the file is missing, cannot be loaded, or is no detection model of COCO classes.
        DependencyError: If ultralytics, or onnxruntime for an ONNX file, is not installed.
    """

    def __init__(self, path: Location) -> None:
        _check_path(path)
        self.name = model_name(path)
        self._predictor = _load(path)
        model = self._predictor.model
        self.batch = 1 if model.device.type == "cpu" or not (path.suffix == ".pt" or model.dynamic) else _BATCH

    def detect(self, images: Sequence[Pixels]) -> list[list[Detection]]:
        """Find objects; see `Detector.detect`."""
        found: list[list[Detection]] = []
        for start in range(0, len(images), self.batch):
            some = [np.ascontiguousarray(image[..., ::-1]) for image in images[start : start + self.batch]]  # BGR
            found += [list(_detections(result)) for result in self._predictor(source=some)]
        return found


def _check_path(path: Location) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a YOLO model (.pt or .onnx), nothing is downloaded")
    if path.suffix not in (".pt", ".onnx"):
        raise InputError(f"{path}: a detector must be a .pt or .onnx file; export the model to ONNX")
    if path.suffix == ".onnx" and find_spec("onnxruntime") is None:
        raise DependencyError(f"{path}: needs onnxruntime; run: pip install 'rssn[curate]'")


def _load(path: Location) -> Any:
    """A predictor of ultralytics with the model of a file, checked."""
    settings = {"mode": "predict", "conf": _FLOOR, "rect": False, "save": False, "verbose": False}
    predictor = _predictor_class()(path, overrides=settings)
    session = open_session(path) if path.suffix == ".onnx" else None
    with tempfile.TemporaryDirectory(prefix="rssn-detector-") as folder:
        safe = Path(folder, path.name)
        if session:
            _check_metadata(path, session)
            shutil.copy(weights_copy(path), safe)
        else:
            copy_weights(path, safe)
        try:
            predictor.setup_model(str(safe), verbose=False)
        except Exception as error:  # ultralytics, torch and onnxruntime raise whatever a broken file makes them raise
            raise InputError(f"{path}: not a YOLO model that can be loaded safely: {first_line(error)}") from error
    model = predictor.model
    task = model.task or getattr(model.model, "task", None)
    if task != "detect" or not (CREATURES | OBJECTS) & set(model.names.values()):
        raise InputError(
            f"{path}: a {task} model of {len(model.names)} classes; give a detection model trained on COCO"
        )
    if model.device.type == "cpu":
        # On the CPU the warm-up does nothing but import torchvision, whose CUDA build does not import beside a
        # CPU-only torch. Without it ultralytics suppresses overlapping boxes in torch.
        predictor.done_warmup = True
        if session:
            model.backend.session = session
    return predictor


def _check_metadata(path: Location, session: Any) -> None:
    """Refuse an ONNX file whose metadata are not plain values: old releases of ultralytics evaluate them."""
    metadata = session.get_modelmeta().custom_metadata_map
    for name in _EVALUATED & metadata.keys():
        try:
            ast.literal_eval(metadata[name])
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise InputError(f"{path}: refused because it could run code: its {name} is not a plain value") from error


def _predictor_class() -> Any:
    os.environ.update(
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="0",
        YOLO_VERBOSE="0",
        ULTRALYTICS_SAFE_LOAD="true",  # the first releases that know it ignore a 1
        YOLO_CONFIG_DIR=_settings_folder().name,
    )
    threads = cv2.getNumThreads()
    try:
        from ultralytics import settings  # noqa: PLC0415  (optional extra; reads the variables above)
        from ultralytics.models.yolo.detect import DetectionPredictor  # noqa: PLC0415
    except ImportError as error:
        raise DependencyError(
            f"the YOLO detector needs ultralytics ({error}); run: pip install 'rssn[curate]'"
        ) from error
    cv2.setNumThreads(threads)  # the import sets it to 0 for the whole process
    settings.update({"sync": False})

    class Predictor(DetectionPredictor):  # type: ignore[misc]  # ultralytics is not typed
        def __init__(self, path: Location, **settings: Any) -> None:
            super().__init__(**settings)
            self._file = path

        def postprocess(self, preds: Any, img: Any, orig_imgs: Any, **options: Any) -> Any:
            """Image by image: after two seconds ultralytics silently leaves the rest of a batch without findings."""
            values = preds[0] if isinstance(preds, list | tuple) else preds
            if not values.isfinite().all():
                raise InputError(f"{self._file}: the network's output is not finite")
            ones = [slice(number, number + 1) for number in range(len(img))]
            found = [super(Predictor, self).postprocess(values[n], img[n], orig_imgs[n], **options) for n in ones]
            return [result for [result] in found]

    return Predictor


@functools.cache
def _settings_folder() -> tempfile.TemporaryDirectory[str]:
    """One folder per process, removed at its end."""
    return tempfile.TemporaryDirectory(prefix="rssn-ultralytics-")


def _detections(result: Any) -> Iterator[Detection]:
    boxes = result.boxes
    for label, confidence, corners in zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxyn.tolist(), strict=True):
        left, top, right, bottom = (min(max(corner, 0.0), 1.0) for corner in corners)
        yield Detection(result.names[int(label)], confidence, (left, top, right, bottom))
