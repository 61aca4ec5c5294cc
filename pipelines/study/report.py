"""The pages and files of a finished study: table, differences, mattes side by side, training curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from pipelines.study.definition import Study
from pipelines.study.statistics import Line, compare, read_figures, summarise
from pipelines.study.steps import Plan, Training
from pipelines.study.table import TEST, differences, legend, markdown, table
from rssn.decoding import decode_pixels
from rssn.files import write_parquet
from rssn.images import Pixels, encode_png, fit_inside, to_uint8
from rssn.layouts import find_pairs
from rssn.matting import load_pair
from rssn.report import Section, Tile, contact_sheet, page
from train.columns import METRICS

_SIDE = 260  # px of a picture in the sheets
_SHOWN = 3  # photographs of each kind
_SCHEMA = pa.schema(
    [
        ("row", pa.string()),
        ("rosta", pa.string()),
        ("seed", pa.int64()),
        ("image", pa.string()),
        *((name, pa.float64()) for name in METRICS),
    ]
)


def write_report(study: Study, plan: Plan, root: Path, notes: Sequence[str]) -> str:
    """Write `index.html`, `README.md`, `per_image.parquet` and `mattes.png` into the study's folder.

    Returns:
        The result in Markdown.
    """
    figures = read_figures(plan.cells, root)
    write_parquet(root / "per_image.parquet", _SCHEMA, figures)
    lines = summarise(figures)
    comparisons = compare(lines, study.pairs)
    text = markdown(study, lines, comparisons, notes)
    (root / "README.md").write_text(text, encoding="utf-8")
    mattes = _mattes(study, plan.cells, lines, root)
    (root / "mattes.png").write_bytes(encode_png(mattes))
    sections = [
        Section("Table", f"{study.about} {legend(study)}", table=table(lines, study.paper)),
        Section("Differences", TEST, table=differences(comparisons)),
        Section("Mattes of the same photographs", _WHICH, pictures=[mattes]),
        Section("Training curves", "The first seed of each.", pictures=_curves(plan.cells, root)),
        Section("Notes", " ".join(notes)),
    ]
    (root / "index.html").write_text(page(study.name, sections), encoding="utf-8")
    return text


_WHICH = (
    "The first seed of each row; under each matte its SAD, mean over the seeds. First the photographs on which the "
    "rows differ most, then those that are hardest for all, then the easiest."
)


def choose_images(lines: Sequence[Line], count: int) -> list[str]:
    """Photographs to show: those on which the lines differ most, the hardest and the easiest; each once."""
    images = list(lines[0].by_image)
    scores = np.array([[line.by_image[image] for image in images] for line in lines])
    spread = scores.max(axis=0) - scores.min(axis=0)
    orders = [np.argsort(-spread), np.argsort(-scores.mean(axis=0)), np.argsort(scores.mean(axis=0))]
    return list(dict.fromkeys(images[number] for order in orders for number in order[:count].tolist()))


def _mattes(study: Study, cells: Sequence[Training], lines: Sequence[Line], root: Path) -> Pixels:
    first = {(cell.row, cell.rosta): cell for cell in cells[::-1]}
    images = choose_images(lines, _SHOWN)
    pictures = _truths(study, images)
    rows = []
    for image in images:
        photo, alpha = pictures.get(image, (None, None))
        tiles = [Tile(photo, image), Tile(alpha, "truth")]
        for line in lines:
            place = first[line.row, line.rosta].judged.out(root) / "mattes" / f"{image}.png"
            tiles.append(Tile(_read(place), f"SAD {line.by_image[image]:.1f}"))
        rows.append(tiles)
    heading = ["photograph", "truth", *(f"{line.row}, {line.rosta}" for line in lines)]
    return contact_sheet(rows, heading, side=_SIDE)


def _truths(study: Study, images: Collection[str]) -> Mapping[str, tuple[Pixels, Pixels]]:
    """Small photographs and mattes of a folder data set; none of shards, whose mattes stand alone."""
    data = Path(study.evaluation.data)
    if (data / "manifest.json").is_file():
        return {}
    found = {}
    for pair in (pair for pair in find_pairs(data).pairs if pair.name in images):
        sample = load_pair(pair)
        found[pair.name] = (fit_inside(to_uint8(sample.picture), _SIDE), _small(to_uint8(sample.alpha)))
    return found


def _curves(cells: Sequence[Training], root: Path) -> list[Pixels]:
    shown: dict[str, Path] = {}
    for cell in cells:
        for step in cell.judged.needs:
            shown.setdefault(f"{cell.row}, {cell.rosta}", step.out(root) / "curve.png")
    tiles = [Tile(_read(path), name) for name, path in shown.items()]
    return [contact_sheet([tiles[start : start + 2]], side=720) for start in range(0, len(tiles), 2)]


def _read(path: Path) -> Pixels | None:
    return decode_pixels(path.read_bytes()) if path.is_file() else None


def _small(alpha: Pixels) -> Pixels:
    return fit_inside(np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), dtype=np.uint8), _SIDE)
