"""`train eval`: a trained network judged on real photographs as in the paper's Table 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pyarrow as pa

from rssn.errors import InputError, Rejected
from rssn.images import Alpha, Pixels, encode_png, fit_inside, to_float, to_uint8
from rssn.layouts import find_pairs
from rssn.matting import Pair, load_pair
from rssn.report import Tile, contact_sheet
from rssn.shards import write_json, write_parquet
from train.inference import predict_alpha
from train.metrics import METRICS, matting_metrics
from train.network.gfm import GFM
from train.rosta import make_trimap

Row: TypeAlias = dict[str, str | float]

_SCHEMA = pa.schema([("name", pa.string()), *((metric, pa.float64()) for metric in METRICS)])
_HEADINGS = ("SAD", "MSE", "MAD", "Grad", "Conn", "SAD-TRAN", "SAD-FG", "SAD-BG")
_DECIMALS = (2, 4, 4, 2, 2, 2, 2, 2)
_WORST = 8


@dataclass(frozen=True)
class Judgement:
    """A judged photograph, and the row of pictures that shows it."""

    name: str
    metrics: dict[str, float]
    tiles: list[Tile]


@dataclass(frozen=True)
class Failure:
    """A photograph that could not be judged, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """The result on a data set."""

    rows: list[Row]  # per photograph, in order of name
    failures: list[Failure]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over photographs."""
        return {metric: float(np.mean([float(row[metric]) for row in self.rows])) for metric in METRICS}


def evaluate_folder(network: GFM, data: Path, out: Path, max_side: int, on_image: Callable[[int], None]) -> Evaluation:
    """Judge a network on a folder of photographs with mattes.

    Predictions are rounded to 8 bits, trimaps made with 25 px. Writes `per_image.parquet`, `summary.json` and
    `worst.png`, which shows the photographs with the largest SAD: photo, prediction, truth, error.

    Args:
        network: In `eval` mode.
        data: A data set with `original/` and `mask/`.
        out: The folder for results.
        max_side: See `train.inference.predict_alpha`.
        on_image: Told the number of photographs before the first, and 0 after each.

    Returns:
        The judgements; photographs that failed are among its `failures`.

    Raises:
        InputError: If the data set is none, or every photograph failed.
    """
    found = find_pairs(data)
    failures = [Failure(problem.source, f"{problem.reason}: {problem.message}") for problem in found.problems]
    judged: list[Row] = []
    worst: list[Judgement] = []
    on_image(len(found.pairs))
    for pair in found.pairs:
        try:
            judgement = judge(network, pair, max_side)
        except Rejected as error:
            failures.append(Failure(pair.name, str(error)))
        else:
            judged.append({"name": judgement.name, **judgement.metrics})
            worst = sorted([*worst, judgement], key=lambda each: -each.metrics["sad"])[:_WORST]
        on_image(0)
    if not judged:
        raise InputError(
            f"--data {data}: no photograph could be judged; the first: {failures[0].name}: {failures[0].reason}"
        )
    evaluation = Evaluation(judged, failures)
    _write(evaluation, worst, out)
    return evaluation


def judge(network: GFM, pair: Pair, max_side: int) -> Judgement:
    """Predict one photograph and compare with its matte.

    Raises:
        Rejected: If a file cannot be read, or the pair has no photograph.
    """
    if pair.image is None:
        raise Rejected(
            "read", "no_photograph", "the data set ships the foreground only; there is nothing to predict from"
        )
    sample = load_pair(pair)
    predicted = to_float(to_uint8(predict_alpha(network, sample.picture, max_side)))
    metrics = matting_metrics(predicted, sample.alpha, make_trimap(sample.alpha))
    captions = (pair.name, f"SAD {metrics['sad']:.2f}", f"MSE {metrics['mse']:.4f}", f"Grad {metrics['grad']:.2f}")
    pictures = (to_uint8(sample.picture), to_uint8(predicted), to_uint8(sample.alpha), _error(predicted, sample.alpha))
    tiles = [Tile(_thumbnail(pixels), caption) for pixels, caption in zip(pictures, captions, strict=True)]
    return Judgement(pair.name, metrics, tiles)


def format_table(rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    """Lines of text with the columns of Table 1."""
    width = max(6, *(len(name) for name, _ in rows))
    lines = [" " * width + "".join(f"{heading:>10}" for heading in _HEADINGS)]
    for name, metrics in rows:
        cells = zip(METRICS, _DECIMALS, strict=True)
        lines.append(f"{name:<{width}}" + "".join(f"{metrics[key]:>10.{digits}f}" for key, digits in cells))
    return "\n".join(lines)


def _write(evaluation: Evaluation, worst: Sequence[Judgement], out: Path) -> None:
    write_parquet(out / "per_image.parquet", _SCHEMA, evaluation.rows)
    sheet = contact_sheet([judgement.tiles for judgement in worst], ("photo", "prediction", "truth", "error"), side=300)
    (out / "worst.png").write_bytes(encode_png(sheet))
    summary = {
        "images": len(evaluation.rows),
        "mean": evaluation.mean,
        "region": "whole picture; TRAN, FG and BG by a trimap of 25 px",
        "failures": [{"name": each.name, "reason": each.reason} for each in evaluation.failures],
    }
    write_json(out / "summary.json", summary)


def _error(predicted: Alpha, alpha: Alpha) -> Pixels:
    """|p - a| from black over red and yellow to white."""
    coloured = cv2.applyColorMap(to_uint8(np.abs(predicted - alpha)), cv2.COLORMAP_HOT)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _thumbnail(pixels: Pixels) -> Pixels:
    """Small enough to keep until the sheet is drawn, large enough for it."""
    colour = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
    return fit_inside(colour, 300)
