"""The one door to torchvision, an optional extra: torch is imported when the door is opened.

A torchvision that was built for CUDA cannot load its C++ extension beside a CPU-only torch. Its models are pure
Python and need none of it, but importing them registers fake kernels for two operators that only the extension
declares, and fails: "operator torchvision::nms does not exist".
"""

from __future__ import annotations

import importlib
from types import ModuleType

_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def torchvision_models() -> ModuleType:
    """Import `torchvision.models`.

    Where the extension is missing, the two operators are declared (without a kernel: calling them stays an error)
    and the import is repeated. Where torchvision is whole, the first import succeeds and nothing is declared.
    """
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    import torch  # noqa: PLC0415  (optional extra)

    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", _SUPPRESSION)
    return importlib.import_module("torchvision.models")
