"""The pages and files of a finished study: table, differences, mattes side by side, training curves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from pipelines.study.comparisons import SetResult, by_set
from pipelines.study.correlation import read_measured
from pipelines.study.parts import EvaluationSet
from pipelines.study.results import Line, read_figures
from pipelines.study.schema import Study
from pipelines.study.steps import Cell, Plan
from pipelines.study.table import (
    DESCRIBED,
    TEST,
    design_facts,
    differences,
    heading,
    introduction,
    legend,
    markdown,
    meter_words,
    table,
)
from rssn.image.arrays import Pixels, encode_png, fit_inside, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.report.page import Section, Tile, contact_sheet, page
from rssn.sources.layouts import find_pairs
from rssn.sources.matting import load_pair
from rssn.storage.atomic import write_bytes
from rssn.storage.files import write_parquet
from rssn.storage.location import Location, parse_location
from rssn.storage.remote import contents
from train.metrics.paper import METRICS

_SIDE = 260  # px of a picture in the sheets
_SHOWN = 3  # photographs of each kind
_SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("row", pa.string()),
        ("variant", pa.string()),
        ("seed", pa.int64()),
        ("image", pa.string()),
        *((name, pa.float64()) for name in METRICS),
    ]
)


def write_report(study: Study, plan: Plan, root: Location, notes: Sequence[str]) -> str:
    """Write `index.html`, `README.md`, `per_image.parquet` and `mattes-<set>-<network>.png` into the study's folder.

    Returns:
        The result in Markdown.
    """
    figures = read_figures(plan.cells, root)
    write_figures(root, figures)
    results = by_set(study, figures, read_measured(plan, root))
    text = markdown(study, results, notes)
    write_bytes(root / "README.md", text.encode())
    sections = [Section("Design", facts=design_facts(study.design))] if study.design else []
    sections += [section for one in results for section in _sections(study, plan.cells, one, root)]
    sections += [
        Section("Training curves", "The first seed of each.", pictures=_curves(plan.cells, root)),
        Section("Notes", " ".join(notes)),
    ]
    write_bytes(root / "index.html", page(study.name, sections).encode())
    return text


def _sections(study: Study, cells: Sequence[Cell], one: SetResult, root: Location) -> Iterator[Section]:
    """Of one set of photographs."""
    title = f"{heading(one)}: " if one.name else ""
    words = f"{study.about} {introduction(one)} {legend(study, one)} {meter_words(one)}"
    yield Section(f"{title}Table", words, table=table(one.lines, study.paper if one.tested else {}, one.measured))
    if one.comparisons:
        told = TEST if one.tested else DESCRIBED
        yield Section(f"{title}Differences", told, table=differences(one.comparisons, one.tested))
    here = [cell for cell in cells if cell.set == one.name]
    for name, shown in _groups(study, one.lines).items():
        sheet = _mattes(study, here, shown, one.about, root)
        write_bytes(root / f"mattes-{'-'.join(filter(None, (one.name, name)))}.png", encode_png(sheet))
        yield Section(f"{title}Mattes of the same photographs: {name}", _WHICH, pictures=[sheet])


def write_figures(root: Location, figures: Sequence[Mapping[str, Any]]) -> None:
    """Write what `pipelines.study.results.read_figures` found as `per_image.parquet`."""
    write_parquet(root / "per_image.parquet", _SCHEMA, map(dict, figures))


_WHICH = (
    "The mattes of the first seed; below each its SAD, and the mean over the seeds in brackets. First the photographs "
    "on which compared rows differ most, then those that are hardest for all, then the easiest."
)


def choose_images(lines: Sequence[Line], pairs: Sequence[tuple[str, str]], count: int) -> dict[str, str]:
    """Photographs to show, each once, and why: those on which compared rows differ most, the hardest, the easiest.

    Args:
        lines: One of each row.
        pairs: The rows that are compared.
        count: Of each kind.
    """
    images = list(lines[0].by_image)
    scores = {line.row: np.array([line.by_image[image] for image in images]) for line in lines}
    apart = [np.abs(scores[a] - scores[b]) for a, b in pairs if a in scores and b in scores]
    mean = np.mean(list(scores.values()), axis=0)
    orders = {"differs most": -np.max(apart, axis=0)} if apart else {}
    chosen: dict[str, str] = {}
    for why, order in (orders | {"hardest": -mean, "easiest": mean}).items():
        for number in np.argsort(order, kind="stable")[:count].tolist():
            chosen.setdefault(images[number], why)
    return chosen


def _groups(study: Study, lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of each sheet, by the variants in it: the first variants of all rows, then their second ones."""
    sheets: dict[int, list[Line]] = {}
    for line in lines:
        sheets.setdefault(list(study.network_of(line.row).variants).index(line.variant), []).append(line)
    return {"-".join(dict.fromkeys(line.variant for line in sheet)): sheet for _, sheet in sorted(sheets.items())}


def _mattes(study: Study, cells: Sequence[Cell], lines: Sequence[Line], about: EvaluationSet, root: Location) -> Pixels:
    first = {(cell.row, cell.variant): cell for cell in cells[::-1]}
    images = choose_images(lines, study.pairs, _SHOWN)
    pictures = _truths(about, images)
    rows = []
    for image, why in images.items():
        photo, alpha = pictures.get(image, (None, None))
        tiles = [Tile(photo, f"{why}: {image}"), Tile(alpha, "truth")]
        for line in lines:
            cell = first[line.row, line.variant]
            matte = _read(cell.results(root) / "mattes" / f"{image}.png")
            tiles.append(Tile(matte, f"SAD {line.sad[cell.seed][image]:.1f} ({line.by_image[image]:.1f})"))
        rows.append(tiles)
    return contact_sheet(rows, ["photograph", "truth", *(f"{line.row}, {line.variant}" for line in lines)], side=_SIDE)


def _truths(about: EvaluationSet, images: Collection[str]) -> Mapping[str, tuple[Pixels, Pixels]]:
    """Small photographs and mattes of a folder data set; none of shards, whose mattes stand alone."""
    data = parse_location(about.data)
    if (data / "manifest.json").is_file():
        return {}
    found = {}
    for pair in (pair for pair in find_pairs(data, alpha_scale=about.alpha_scale).pairs if pair.name in images):
        sample = load_pair(pair)
        found[pair.name] = (fit_inside(to_uint8(sample.picture), _SIDE), _small(to_uint8(sample.alpha)))
    return found


def _curves(cells: Sequence[Cell], root: Location) -> list[Pixels]:
    shown: dict[str, Location] = {}
    for cell in cells:
        if len(cell.evaluation.needs) == 1:  # an ensemble has none but its members', SSS none at all
            [step] = cell.evaluation.needs
            shown.setdefault(f"{cell.row}, {cell.variant}", step.out(root) / "curve.png")
    tiles = [Tile(_read(path), name) for name, path in shown.items()]
    return [contact_sheet([tiles[start : start + 2]], side=720) for start in range(0, len(tiles), 2)]


def _read(path: Location) -> Pixels | None:
    [data] = contents([path])
    return decode_pixels(data) if data else None


def _small(alpha: Pixels) -> Pixels:
    return fit_inside(np.asarray(cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), dtype=np.uint8), _SIDE)
