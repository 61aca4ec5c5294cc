"""Which pickles of ultralytics are loaded: those that create objects of its networks, and call only what restores data.

Releases of ultralytics differ in how they load, and some execute whatever a file says. So a file is checked here first,
whichever release is installed. A network's constructor never runs: it could be given a description of a network, which
old releases evaluate.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from rssn.errors import InputError
from rssn.storage.location import Location
from rssn.storage.pickles import Name, Uses, copy_checked

_NETWORKS = ("torch.nn.modules", "ultralytics.nn.modules")
"""Packages of which every module of the first level may be named, for classes of networks."""

_LOSSES = ("ultralytics.utils.loss", "ultralytics.utils.tal", "ultralytics.nn.distill_model")
"""Modules whose own classes a network keeps beside it."""

_MADE = {
    "collections.OrderedDict",
    # names of old files for which ultralytics puts another class: Identity, DetectionModel, E2EDetectLoss
    "ultralytics.nn.modules.block.Silence",
    "ultralytics.nn.tasks.YOLOv10DetectionModel",
    "ultralytics.utils.loss.v10DetectLoss",
}
_CALLED = {
    "collections.OrderedDict",
    "__builtin__.set",
    "builtins.set",
    "_codecs.encode",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "torch.Size",
    "torch.device",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "ultralytics.utils.IterableSimpleNamespace",
    "ultralytics.yolo.utils.IterableSimpleNamespace",
}
_STORED = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_NAMED = {f"torch.{name}Storage" for name in _STORED} | {f"torch.{name}" for name in _TYPES}


def copy_weights(path: Location, copy: Path) -> None:
    """Copy a `.pt` file of ultralytics to where it can be loaded without running code of its author.

    Raises:
        InputError: If it is missing, damaged, or would import what no network needs.
    """
    foreign = sorted(map(str, _foreign(copy_checked(path, copy))))
    if foreign:
        newer = "; a newer version of ultralytics may support it" if foreign[0].startswith("ultralytics.") else ""
        raise InputError(f"{path}: refused because it could run code: it uses {', '.join(foreign[:4])}{newer}")


def _foreign(uses: Uses) -> set[Name]:
    made = {name for name in uses.made if str(name) not in _MADE and not _is_network(name)}
    called = {name for name in uses.called if str(name) not in _CALLED}
    return made | called | {name for name in uses.named if str(name) not in _NAMED}


def _is_network(name: Name) -> bool:
    """Whether a class is a network, or a part that goes with one; only modules of torch and ultralytics are asked."""
    parent = name.module.rpartition(".")[0]
    if name.module not in (*_NETWORKS, *_LOSSES, "ultralytics.nn.tasks") and parent not in _NETWORKS:
        return False
    from torch import nn  # noqa: PLC0415  (optional extra)

    try:
        found = getattr(importlib.import_module(name.module), name.name, None)
    except ImportError:
        return False
    own = name.module in _LOSSES and getattr(found, "__module__", None) == name.module
    return inspect.isclass(found) and (own or issubclass(found, nn.Module))
