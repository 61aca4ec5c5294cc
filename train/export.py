"""`train export`: a trained network for other runtimes, checked against itself before the file gets its name."""

from __future__ import annotations

import copy
import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from rssn.errors import DependencyError, RssnError, first_line
from rssn.storage.atomic import atomic_path, write_bytes
from rssn.storage.location import Location
from train.checkpoint import Network
from train.network.network import check_evidence
from train.network.strategy import STRIDE, Strategy

TOLERANCE = 1e-4
"""Largest difference that a runtime may show, relative to the largest value where that is above 1."""

EXTRA_FILE = "rssn.json"
"""Where a TorchScript file keeps what an ONNX file has in its metadata."""

_TRACED = (1, 64, 96)  # batch, height and width
_CHECKED = ((1, 32, 64), (2, 160, 96), (1, 224, 128))
_OPSET = 18

Run: TypeAlias = Callable[[Tensor], Sequence[np.ndarray]]
"""A written file at work: an image in; what `output_names` says out."""


def output_names(network: Network) -> tuple[str, ...]:
    """What a file gives: alpha, and what it was made of."""
    return tuple(dict.fromkeys(("alpha", *list(network.outputs)[::-1])))


def _named(network: Network, evidence: Sequence[Tensor]) -> dict[str, Tensor]:
    """The values of `output_names`, in that order."""
    found = {**dict(zip(network.outputs, evidence, strict=True)), "alpha": network.matte(evidence)}
    return {name: found[name] for name in output_names(network)}


class Exported(nn.Module):
    """A network as other runtimes see it: RGB in [0, 1] in; alpha and what it was made of out.

    Its sizes are free: where the runtimes' own pooling to a grid wants a fixed size, another takes its place.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        _free_pooling(self.network)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """N x 3 x H x W in [0, 1], sides multiples of 32 -> `output_names`, each N x C x H x W."""
        return tuple(_named(self.network, self.network.evidence(image)).values())


class FreePooling(nn.Module):
    """`AdaptiveAvgPool2d` as two matrix products, which no runtime needs to know the size for.

    Args:
        cells: A side.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, feature: Tensor) -> Tensor:
        """N x C x H x W -> N x C x cells x cells."""
        rows, columns = (self._shares(feature, axis) for axis in (2, 3))
        return torch.einsum("ih,nchw,jw->ncij", rows, feature, columns)

    def _shares(self, feature: Tensor, axis: int) -> Tensor:
        """Cells x side: what each place counts in each cell; cells that do not divide the side overlap."""
        side = feature.shape[axis]
        at = torch.arange(side, device=feature.device)
        first = torch.arange(self.cells, device=feature.device).unsqueeze(1) * side
        low, high = first // self.cells, (first + side + self.cells - 1) // self.cells
        return ((at >= low) & (at < high)).to(feature.dtype) / (high - low)


def export_network(network: Network, path: Location, kind: str, strategy: Strategy) -> float:
    """Write a network for any batch and size, and compare what the file computes at three of them with the network.

    Args:
        network: In `eval` mode, on the CPU.
        path: The file or object; it appears only when the comparisons held, with a card beside it.
        kind: `onnx` or `torchscript`.
        strategy: How it is to see a photograph, for the file's metadata; without `hybrid`.

    Returns:
        The largest difference of a value of the last of `MattingNetwork.outputs`.

    Raises:
        DependencyError: If a package is missing.
        Rejected: If the network gives values that are not finite.
        RssnError: If the runtime has no words for the network, or the written file computes something else.
    """
    module, metadata = Exported(network).eval(), describe(network, strategy)
    write = _write_onnx if kind == "onnx" else _write_torchscript
    with atomic_path(path, suffix=f".tmp{path.suffix}") as temporary, torch.no_grad():
        run = write(module, _picture(_TRACED), temporary, metadata)
        difference = max(_compare(network, run, _picture(shape), path) for shape in (_TRACED, *_CHECKED))
    write_card(path, kind, metadata)
    return difference


_ALPHA = "N x 1 x H x W float32, 0 to 1"


def describe(network: Network, strategy: Strategy) -> dict[str, str]:
    """What a user of the file must know, as the file's metadata holds it."""
    return {
        "network": network.name,
        "image": f"N x 3 x H x W float32, RGB, 0 to 1; H and W are multiples of {STRIDE}",
        **{name: {"alpha": _ALPHA, **network.outputs}[name] for name in output_names(network)},
        "stride": str(STRIDE),
        "max_side": str(strategy.max_side),
        "share": str(strategy.share),
        "scale": "resize a photograph to `share` of what it is with a longer side of at most `max_side` px (0: any)"
        f", to multiples of `stride`: {strategy.describe()}; then resize alpha to the photograph",
    }


def _free_pooling(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d) and isinstance(child.output_size, int) and child.output_size > 1:
            setattr(module, name, FreePooling(child.output_size))
        else:
            _free_pooling(child)


def _picture(shape: tuple[int, int, int]) -> Tensor:
    batch, height, width = shape
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(height))


def _write_torchscript(module: Exported, image: Tensor, path: Path, metadata: Mapping[str, str]) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation
        traced: Any = torch.jit.trace(module, image, check_trace=False)  # type: ignore[no-untyped-call]
        traced.save(str(path), _extra_files={EXTRA_FILE: json.dumps(metadata)})
        written: Any = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return lambda picture: [value.numpy() for value in written(picture)]


def _write_onnx(module: Exported, image: Tensor, path: Path, metadata: Mapping[str, str]) -> Run:
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise DependencyError(f"--format onnx: {package} is not installed: pip install 'rssn[onnx]'")
    import onnx  # noqa: PLC0415  (optional, as the next)
    import onnxruntime  # noqa: PLC0415

    names = list(output_names(module.network))
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not with dynamo=True: there sides that are free take minutes for encoders with "same" padding.
        try:
            torch.onnx.export(
                module,
                (image,),
                str(path),
                input_names=["image"],
                output_names=names,
                dynamic_axes=dict.fromkeys(("image", *names), axes),
                opset_version=_OPSET,
                dynamo=False,
            )
        except RuntimeError as error:  # of which its own errors are
            raise RssnError(
                f"--format onnx: nothing written; it cannot express the network: {first_line(error)}"
            ) from error
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(picture: Tensor) -> Sequence[np.ndarray]:
        found: Sequence[np.ndarray] = session.run(None, {"image": picture.numpy()})
        return found

    return run


def _compare(network: Network, run: Run, image: Tensor, path: Location) -> float:
    """Alpha is not compared where a digit decides it, see `MattingNetwork.sure`."""
    evidence = network.evidence(image)
    check_evidence(evidence, network.name)
    expected = {name: value.numpy() for name, value in _named(network, evidence).items()}
    try:
        found = dict(zip(expected, run(image), strict=True))
    except Exception as error:  # each runtime raises errors of its own
        shape = " x ".join(map(str, image.shape))
        raise RssnError(f"{path}: not written; the file fails on {shape} px: {first_line(error)}") from error
    apart = {name: np.abs(found[name] - value) for name, value in expected.items()}
    apart["alpha"] = apart["alpha"][network.sure(evidence, TOLERANCE).numpy()]
    worst = {
        name: float(each.max(initial=0.0)) / max(1.0, float(np.abs(expected[name]).max(initial=0.0)))
        for name, each in apart.items()
    }
    wrong = [f"{name} by {value:.2g}" for name, value in worst.items() if not value <= TOLERANCE]
    if wrong:
        raise RssnError(f"{path}: not written; what it computes differs from the network: {', '.join(wrong)}")
    return worst[list(network.outputs)[-1]]


_OPENED = {
    "onnx": """\
import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({file!r}, providers=["CPUExecutionProvider"])
how = session.get_modelmeta().custom_metadata_map""",
    "torchscript": """\
import json

import cv2
import numpy as np
import torch

kept = {{"{extra}": ""}}
network = torch.jit.load({file!r}, _extra_files=kept)
how = json.loads(kept["{extra}"])""",
}
_RUN = {
    "onnx": 'session.run(["alpha"], {"image": image})[0][0, 0]',
    "torchscript": "network(torch.from_numpy(image))[0][0, 0].detach().numpy()",
}
_CODE = """\
{opened}
photo = cv2.imread("photo.jpg")[:, :, ::-1] / np.float32(255)
size, stride, limit = photo.shape[1::-1], int(how["stride"]), int(how["max_side"])
scale = min(1.0, (limit or max(size)) / max(size)) * float(how["share"])
seen = [max(1, round(side * scale / stride)) * stride for side in size]
way = lambda a, to: cv2.INTER_AREA if to[0] * to[1] < a.shape[0] * a.shape[1] else cv2.INTER_LINEAR
image = np.ascontiguousarray(cv2.resize(photo, seen, interpolation=way(photo, seen)).transpose(2, 0, 1)[None])
alpha = {run}
alpha = cv2.resize(alpha, size, interpolation=way(alpha, size))
cv2.imwrite("alpha.png", np.rint(255 * alpha).astype(np.uint8))"""
_CARD = """\
# {network}

`{file}` holds what this table says as its metadata ({where}). Batch, height and width are free.

{table}

With `photo.jpg` in, `alpha.png` out, as `train predict` makes it:

```python
{code}
```
"""


def card_path(path: Location) -> Location:
    """Where the card of an exported file lies."""
    return path.with_name(f"{path.name}.md")


def write_card(path: Location, kind: str, metadata: Mapping[str, str]) -> None:
    """Write the card of an exported file, which shows its metadata and the lines of Python that make a matte with it.

    Args:
        path: The file.
        kind: `onnx` or `torchscript`.
        metadata: What the file's metadata hold.
    """
    opened = _OPENED[kind].format(file=path.name, extra=EXTRA_FILE)
    card = _CARD.format(
        network=metadata["network"],
        file=path.name,
        where="`metadata_props`" if kind == "onnx" else f"JSON in its extra file `{EXTRA_FILE}`",
        table="\n".join(["| key | value |", "| --- | --- |", *(f"| `{key}` | {metadata[key]} |" for key in metadata)]),
        code=_CODE.format(opened=opened, run=_RUN[kind]),
    )
    write_bytes(card_path(path), card.encode())
