"""`train export`: a trained network for other runtimes, checked against itself before the file gets its name."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rssn.errors import DependencyError, InputError, RssnError
from train.checkpoint import Network
from train.network.gfm import check_evidence, decide, fuse

TOLERANCE = 1e-4
"""Largest difference of the focus, and of the scores relative to their largest, that a runtime may show."""

_OUTPUTS = ("alpha", "focus", "scores")


class Exported(nn.Module):
    """A network as other runtimes see it: RGB in [0, 1] in; alpha, focus and the glance's scores out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.rosta = network.rosta

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """1 x 3 x H x W in [0, 1] -> 1 x 1 x H x W, 1 x 1 x H x W, 1 x C x H x W."""
        scores, focus = self.network.evidence(image)
        return fuse(decide(scores), focus, self.rosta), focus, scores


def export_network(network: Network, path: Path, kind: str, size: tuple[int, int]) -> float:
    """Write a network and compare what the written file computes with the network itself.

    Args:
        network: In `eval` mode, on the CPU.
        path: The file; it appears only when the comparison held.
        kind: `onnx` or `torchscript`.
        size: Height and width of its input, px: multiples of 32.

    Returns:
        The largest difference of a focus value.

    Raises:
        InputError: If the size is none.
        DependencyError: If a package is missing.
        Rejected: If the network gives values that are not finite.
        RssnError: If the written file computes something else.
    """
    if min(size) < 32 or size[0] % 32 or size[1] % 32:
        raise InputError(f"--size {size[0]} {size[1]}: must be multiples of 32")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    module = Exported(network).eval()
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            expected = dict(zip(_OUTPUTS, module(image), strict=True))
            check_evidence(expected["scores"], expected["focus"], network.name)
            run = (_write_onnx if kind == "onnx" else _write_torchscript)(module, image, temporary)
        difference = _compare(expected, run, path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _write_torchscript(module: nn.Module, image: Tensor, path: Path) -> Sequence[np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing: sizes become constants, as `size` says; deprecation
        traced: Any = torch.jit.trace(module, image, check_trace=False)  # type: ignore[no-untyped-call]
        traced.save(str(path))
        written: Any = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return [value.numpy() for value in written(image)]


def _write_onnx(module: nn.Module, image: Tensor, path: Path) -> Sequence[np.ndarray]:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise DependencyError(f"--format onnx: {package} is not installed: pip install 'rssn[onnx]'")
    import onnxruntime  # noqa: PLC0415  (optional)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (image,),
            str(path),
            input_names=["image"],
            output_names=list(_OUTPUTS),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Sequence[np.ndarray] = session.run(None, {"image": image.numpy()})
    return found


def _compare(expected: Mapping[str, Tensor], found: Sequence[np.ndarray], path: Path) -> float:
    """Alpha is not compared where the two largest scores nearly meet: there the last digit decides the class."""
    alpha, focus, scores = found
    largest = max(1.0, float(expected["scores"].abs().max())) if scores.size else 1.0
    worst = {
        "focus": float(np.abs(focus - expected["focus"].numpy()).max()),
        "scores": float(np.abs(scores - expected["scores"].numpy()).max(initial=0.0)) / largest,
    }
    sure = np.ones(alpha.shape, bool)
    if scores.size:
        ordered = np.sort(scores, axis=1)
        sure = (ordered[:, -1:] - ordered[:, -2:-1]) > 4 * TOLERANCE * largest
    worst["alpha"] = float(np.abs(alpha - expected["alpha"].numpy())[sure].max(initial=0.0))
    wrong = {name: value for name, value in worst.items() if not value <= TOLERANCE}
    if wrong:
        shown = ", ".join(f"{name} by {value:.2g}" for name, value in wrong.items())
        raise RssnError(f"{path}: not written; what it computes differs from the network: {shown}")
    return worst["focus"]
