"""`rssn replay`: compose one stored row again, say whether the bytes agree, and show every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.compose.layer_cache import NO_CACHE
from pipelines.inspect.recompose import Recomposed, open_sources
from pipelines.inspect.step_strips import STRIP_SIDE, step_strip
from rssn.dataset.dataset import open_dataset
from rssn.errors import InputError
from rssn.image.arrays import encode_png
from rssn.storage.atomic import write_bytes
from rssn.storage.location import Location


@dataclass(frozen=True)
class Replay:
    """What composing a row again showed."""

    differences: list[str]  # columns whose bytes differ
    strip: Location
    made_with: Mapping[str, str]  # library versions of the stored row


def run_replay(root: Location, sample_id: str, out: Location | None, side: int = STRIP_SIDE) -> Replay:
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
    dataset = open_dataset(root)
    sources = open_sources(dataset, NO_CACHE)
    row = dataset.row(sample_id)
    if row["draw_seed"] is None:
        raise InputError(f"{sample_id}: a packed photograph, not a composite; nothing was drawn for it")
    again = Recomposed(row, sources)
    pictures = again.pictures()
    strip = out or dataset.report / f"replay-{sample_id.replace('/', '-')}.png"
    write_bytes(strip, encode_png(step_strip(row | pictures, sources.context.recipe, again, side)), durable=False)
    different = [name for name, value in pictures.items() if value["bytes"] != row[name]["bytes"]]
    return Replay(different, strip, dataset.manifest.versions)
