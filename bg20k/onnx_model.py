"""A network in an ONNX file, run on one thread of the CPU: a picture in, its first output out.

onnxruntime is an optional extra and imported on first use.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rssn.errors import DependencyError, InputError, first_line
from rssn.image.arrays import Pixels
from rssn.storage.location import Location
from rssn.storage.weights import weights_copy

Floats: TypeAlias = npt.NDArray[np.float32]

Scaling: TypeAlias = Literal["imagenet", "centred"]
"""How a network wants colours in [0, 1]: by the mean and deviation of ImageNet (U^2-Net, BiRefNet, most others), or
less 0.5 (IS-Net, RMBG-1.4)."""

_SCALINGS: dict[Scaling, tuple[Floats, Floats]] = {
    "imagenet": (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)),
    "centred": (np.full(3, 0.5, np.float32), np.ones(3, np.float32)),
}


class OnnxModel:
    """A network of one input, 1 x 3 x H x W float32.

    Args:
        path: The file, here or in a bucket.
        side: H and W where the network leaves them open.
        scaling: What it was trained with.

    Raises:
        InputError: If the file is missing, or no such network.
        DependencyError: If onnxruntime is not installed.
    """

    def __init__(self, path: Location, side: int, scaling: Scaling = "imagenet") -> None:
        self.name = model_name(path) + (f", {scaling}" if scaling != "imagenet" else "")
        self._scaling: Scaling = scaling
        self._path = path
        self._session = open_session(path)
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)":
            raise InputError(f"{path}: the network must have one input, 1 x 3 x H x W of 32-bit floats, not {shape}")
        self._input = inputs[0].name
        height, width = (length if isinstance(length, int) else side for length in shape[2:])
        self._size = (width, height)

    def __call__(self, pixels: Pixels) -> Floats:
        """Run the network on a picture.

        Args:
            pixels: H x W x 3 uint8 RGB; squeezed to the network's size and scaled.

        Returns:
            The first output.

        Raises:
            InputError: If the network fails, or gives something else than finite numbers.
        """
        tensor = normalised(pixels, self._size, self._scaling)
        try:
            output = self._session.run(None, {self._input: tensor})[0]
        except Exception as error:  # onnxruntime raises errors of its own for whatever is wrong inside
            raise InputError(f"{self._path}: the network failed: {first_line(error)}") from error
        values = np.asarray(output, dtype=np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{self._path}: the network's output is not finite")
        return values


def model_name(path: Location) -> str:
    """File name and the beginning of the digest of a model; the same wherever it lies.

    Raises:
        InputError: If there is no such file, or something else lies in its place.
        RemoteError: If the bucket does not give it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a model, nothing is downloaded")
    with weights_copy(path).open("rb") as stream:
        return f"{path.name}@{hashlib.file_digest(stream, 'sha256').hexdigest()[:8]}"


def normalised(pixels: Pixels, size: tuple[int, int], scaling: Scaling = "imagenet") -> Floats:
    """A picture as a network wants it: 1 x 3 x H x W, at the given width and height."""
    mean, deviation = _SCALINGS[scaling]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255.0)
    return np.ascontiguousarray(((small - mean) / deviation).transpose(2, 0, 1)[None])


def open_session(path: Location) -> Any:
    """A session of onnxruntime on one thread; by default each takes all cores and lets them spin.

    The network must be one file: `model_name` vouches for that alone.

    Raises:
        InputError: If the file is not an ONNX network, or its weights are in another file.
        DependencyError: If onnxruntime is not installed.
    """
    try:
        import onnxruntime  # noqa: PLC0415  (optional extra)
    except ImportError as error:
        raise DependencyError(f"{path}: needs onnxruntime; run: pip install 'rssn[curate]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # workers run side by side
    options.log_severity_level = 3
    file = weights_copy(path)
    with tempfile.TemporaryDirectory(prefix="rssn-network-") as folder:  # nothing lies beside it there
        try:
            alone = shutil.copy(file, Path(folder, path.name))
            return onnxruntime.InferenceSession(alone, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # as above
            outside = "xternal data" in str(error)
            words = "its weights are in another file; save the model as a single file" if outside else first_line(error)
            raise InputError(f"{path}: not an ONNX network: {words}") from error
