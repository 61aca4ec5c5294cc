"""What lies beside an exported network: how it sees a photograph, and the lines of code that make a matte with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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


def card_path(path: Path) -> Path:
    """Where the card of an exported file lies."""
    return path.with_name(f"{path.name}.md")


def write_card(path: Path, kind: str, metadata: Mapping[str, str], extra: str) -> None:
    """Write the card of an exported file.

    Args:
        path: The file.
        kind: `onnx` or `torchscript`.
        metadata: What the file's metadata hold.
        extra: Where a TorchScript file holds them.
    """
    opened = _OPENED[kind].format(file=path.name, extra=extra)
    card_path(path).write_text(
        _CARD.format(
            network=metadata["network"],
            file=path.name,
            where="`metadata_props`" if kind == "onnx" else f"JSON in its extra file `{extra}`",
            table="\n".join(
                ["| key | value |", "| --- | --- |", *(f"| `{key}` | {metadata[key]} |" for key in metadata)]
            ),
            code=_CODE.format(opened=opened, run=_RUN[kind]),
        ),
        encoding="utf-8",
    )
