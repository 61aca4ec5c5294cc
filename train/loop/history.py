"""The record of a run: `metrics.jsonl`, one line of losses per step, with the metrics of a validation after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rssn.errors import DependencyError, InputError
from rssn.image.arrays import Pixels
from rssn.storage.atomic import write_bytes
from rssn.storage.files import is_count, parse_json


class History:
    """Appends to a file, and forgets what came after the checkpoint that a run resumes from.

    Args:
        path: The file; made where it is missing.
        keep: Lines of later steps than this are dropped.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        kept = [line for line in self.read() if line["step"] <= keep]
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode(), only_writer=True)

    def append(self, step: int, losses: Mapping[str, float], seconds: float) -> None:
        """Add one step."""
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **losses, "seconds": round(seconds, 3)}) + "\n")

    def read(self) -> list[dict[str, float]]:
        """All lines; a last one that was cut short by a crash is left out.

        Raises:
            InputError: If any other line is none of ours.
        """
        if not self._path.is_file():
            return []
        *whole, _ = self._path.read_bytes().split(b"\n")
        try:
            return [_figures(line) for line in whole]
        except ValueError as error:
            words = f"not the record of a run, or damaged ({error})"
            raise InputError(f"{self._path}: {words}; move it away, or give another --out") from error


def _figures(line: bytes) -> dict[str, float]:
    found = parse_json(line)
    if not isinstance(found, dict) or not is_count(found.get("step")):
        raise ValueError("a line without its step")
    if not all(type(value) in (int, float) for value in found.values()):
        raise ValueError(f"a figure of step {found['step']} is no number")
    return found


class TensorBoardLogger:
    """The same figures for TensorBoard, where it is wanted.

    Args:
        folder: Of its event files; None: nothing is written.
        purge: Later steps of an earlier start are forgotten.

    Raises:
        DependencyError: If it is wanted and tensorboard is not installed.
    """

    def __init__(self, folder: Path | None, purge: int) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (optional)
            except ModuleNotFoundError as error:
                raise DependencyError("--tensorboard: it is not installed: pip install 'rssn[tensorboard]'") from error
            self._writer = SummaryWriter(str(folder), purge_step=purge + 1)

    def append(self, step: int, losses: Mapping[str, float], pictures: Mapping[str, Pixels]) -> None:
        """Add one step, and what there is to see of each validation set."""
        if self._writer is not None:
            for name, value in losses.items():
                self._writer.add_scalar(name if "/" in name else f"loss/{name}", value, step)
            for name, pixels in pictures.items():
                self._writer.add_image(f"validation/{name}", pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is buffered, and end."""
        if self._writer is not None:
            self._writer.close()
