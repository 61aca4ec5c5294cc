"""`rssn replay`: compose one stored row again, say whether the bytes agree, and show every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.compose.layer_cache import LayerCache
from pipelines.compose.recompose import Recomposed, open_sources
from pipelines.inspect.step_strips import STRIP_SIDE, step_strip
from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import iter_rows, place_of, read_row
from rssn.dataset.shards import DatasetFolder
from rssn.errors import DamagedError, InputError
from rssn.image.arrays import encode_png


@dataclass(frozen=True)
class Replay:
    """What composing a row again showed."""

    differences: list[str]  # columns whose bytes differ
    strip: Path
    made_with: Mapping[str, str]  # library versions of the stored row


def run_replay(root: Path, sample_id: str, out: Path | None, side: int = STRIP_SIDE) -> Replay:
    """Compose a row again from its stored draw and the sources; nothing is taken from a cache.

    Args:
        root: A data set of composites.
        sample_id: `<foreground_id>/<k>`.
        out: The step strip's PNG; `report/replay-<sample>.png` in the data set where None.
        side: The longer side of each of its pictures, px.

    Raises:
        InputError: If the data set has no such row, or its plan no longer leads to the sources.
        Rejected: If a source cannot be read or has changed.
    """
    folder = DatasetFolder(root)
    sources = open_sources(folder, LayerCache(root, 0))
    row = _find_row(folder, sample_id)
    if row["draw_seed"] is None:
        raise InputError(f"{sample_id}: a packed photograph, not a composite; nothing was drawn for it")
    again = Recomposed(row, sources)
    pictures = again.pictures()
    strip = out or folder.report / f"replay-{sample_id.replace('/', '-')}.png"
    strip.parent.mkdir(parents=True, exist_ok=True)
    strip.write_bytes(encode_png(step_strip(row | pictures, sources.context.recipe, again, side)))
    different = [name for name, value in pictures.items() if value["bytes"] != row[name]["bytes"]]
    return Replay(different, strip, read_manifest(root).versions)


def _find_row(folder: DatasetFolder, sample_id: str) -> dict[str, Any]:
    damaged = []
    for mark in folder.marks():
        path = folder.data(mark.name)
        try:
            for number, row in enumerate(iter_rows(path, ["sample_id"])):
                if row["sample_id"] == sample_id:
                    return read_row(path, place_of(path, number))
        except (DamagedError, OSError):
            damaged.append(mark.name)
    folder.all_marks()  # of a finished set it may be in a shard whose mark is lost
    words = f"; damaged, the same rssn compose makes them again: {', '.join(damaged)}" if damaged else ""
    raise InputError(f"{folder.root}: no sample {sample_id}; a sample is <foreground_id>/<k>, see rssn inspect{words}")
