"""`train eval`: methods evaluated on photographs as in the paper's Table 1, or as alphamatting's heirs do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import cv2
import numpy as np
import pyarrow as pa

from rssn.errors import InputError, Rejected
from rssn.image.arrays import Alpha, Pixels, encode_png, fit_inside, to_float, to_uint8
from rssn.image.matte_flags import describe_flags
from rssn.report.page import Tile, contact_sheet
from rssn.storage.atomic import write_bytes
from rssn.storage.files import write_json, write_parquet
from rssn.storage.location import Location
from rssn.storage.urls import is_plain
from train.evaluation.examples import Example, ExampleSet, Failure, find_examples, read_trimap
from train.evaluation.method import Method
from train.metrics.dim import DIM_METRICS, dim_metrics
from train.metrics.metric import Metric
from train.metrics.paper import METRICS, matting_metrics
from train.targets.rosta import make_trimap

Row: TypeAlias = dict[str, str | float]

_WORST, _FIRST = 8, 4
_CAPTIONED = ("sad", "mse", "grad")


class Protocol(StrEnum):
    """Whose definitions the metrics follow."""

    GFM = "gfm"  # the paper's tables
    DIM = "dim"  # Deep Image Matting's code, the unknown part of the trimap alone

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Its metrics by their names."""
        return METRICS if self is Protocol.GFM else DIM_METRICS

    def compare(self, predicted: Alpha, alpha: Alpha, trimap: Pixels) -> dict[str, float]:
        """Every metric of a matte; empty where the protocol looks at unknown pixels, and there are none."""
        compare = matting_metrics if self is Protocol.GFM else dim_metrics
        return compare(predicted, alpha, trimap) or {}


@dataclass(frozen=True)
class Evaluator:
    """A method, and the rules that it is evaluated by."""

    method: Method
    protocol: Protocol = Protocol.GFM
    trimaps: Location | None = None  # a folder of the data set's own; made of alpha with 25 px where None
    mattes: Location | None = None  # a folder into which each prediction is written as <name>.png

    @property
    def region(self) -> str:
        """Where errors are counted, in words."""
        trimap = f"trimaps of {self.trimaps}" if self.trimaps else "a trimap of 25 px"
        whole = f"whole picture; TRAN, FG and BG by {trimap}"
        return whole if self.protocol is Protocol.GFM else f"unknown part of {trimap}"

    def evaluate(self, example: Example) -> Result:
        """Predict one photograph and compare with its matte; the prediction is rounded to 8 bits first.

        Raises:
            Rejected: If a file cannot be read, or there is no photograph, or the method gives no matte of it.
        """
        truth = example.load()
        picture, alpha = truth.picture, truth.alpha
        matte = to_uint8(self.method.predict(example.name, truth))
        if self.mattes:
            _write_matte(self.mattes, example.name, matte)
        predicted = to_float(matte)
        trimap = read_trimap(self.trimaps, example.name) if self.trimaps else make_trimap(alpha)
        if trimap.shape != alpha.shape:
            raise Rejected("read", "size_mismatch", f"the trimap is {trimap.shape}, its alpha {alpha.shape}")
        metrics = self.protocol.compare(predicted, alpha, trimap)
        if not metrics:
            return Result(example.name, {}, [], truth.flags)
        known = self.protocol.metrics
        captions = [example.name, *(f"{known[name].heading} {known[name].show(metrics[name])}" for name in _CAPTIONED)]
        pictures = (to_uint8(picture), matte, to_uint8(alpha), _error(predicted, alpha))
        tiles = [Tile(_thumbnail(pixels), caption) for pixels, caption in zip(pictures, captions, strict=True)]
        return Result(example.name, metrics, tiles, truth.flags)


@dataclass(frozen=True)
class Result:
    """An evaluated photograph, and the row of pictures that shows it: photo, prediction, truth, error."""

    name: str
    metrics: dict[str, float]  # empty where the protocol looks at unknown pixels, and there are none
    tiles: list[Tile]
    flags: tuple[str, ...]  # of its matte, see `rssn.image.matte_flags`


@dataclass(frozen=True)
class Evaluation:
    """The results on a data set."""

    rows: list[Row]  # per photograph, as they came; without figures where nothing is unknown to the DIM protocol
    failures: list[Failure]
    worst: list[Result]  # those with the largest SAD, first of all the largest
    first: list[Result] = field(default_factory=list)  # of the first few photographs, always the same ones
    unread: Counter[str] = field(default_factory=Counter)  # files of the data set that are no pictures, by suffix
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of each photograph's matte

    @property
    def doubts(self) -> list[str]:
        """What is odd about the mattes, in sentences."""
        return describe_flags(self.flags.items())

    @property
    def counted(self) -> list[Row]:
        """The rows that have figures."""
        return [row for row in self.rows if len(row) > 1]

    @property
    def left_out(self) -> list[str]:
        """Names of the photographs without figures."""
        return [str(row["name"]) for row in self.rows if len(row) == 1]

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the photographs that have figures."""
        rows = self.counted
        return {name: float(np.mean([float(row[name]) for row in rows])) for name in rows[0] if name != "name"}


def evaluate(
    evaluator: Evaluator,
    data: Location,
    on_image: Callable[[int], None],
    without: Location | None = None,
    alpha_scale: float | None = None,
) -> Evaluation:
    """Evaluate a method on a data set.

    Args:
        evaluator: Method and rules.
        data: See `train.evaluation.examples.find_examples`.
        on_image: Told the number of photographs before the first, and 0 after each.
        without: A folder that does not count, wherever it lies: where results go.
        alpha_scale: See `train.evaluation.examples.find_examples`.

    Returns:
        The results; photographs that failed are among its `failures`.

    Raises:
        InputError: If the data set is none, or every photograph failed, or none has what the protocol looks at.
    """
    return evaluate_examples(evaluator, find_examples(data, without, alpha_scale), on_image, f"--data {data}")


def evaluate_examples(
    evaluator: Evaluator, found: ExampleSet, on_image: Callable[[int], None], source: str
) -> Evaluation:
    """Evaluate a method on examples that were found; see `evaluate`.

    Args:
        evaluator: Method and rules.
        found: The examples.
        on_image: As for `evaluate`.
        source: What they are of, for the message.

    Raises:
        InputError: As `evaluate` does of the photographs.
    """
    result = Evaluation([], list(found.failures), [], unread=found.unread)
    on_image(len(found.examples))
    for number, example in enumerate(found.examples):
        try:
            one = evaluator.evaluate(example)
        except Rejected as error:
            result.failures.append(Failure(example.name, str(error)))
        else:
            result.rows.append({"name": one.name, **one.metrics})
            result.flags[one.name] = one.flags
            if number < _FIRST and one.metrics:
                result.first.append(one)
            ranked = [*result.worst, one] if one.metrics else result.worst
            result.worst[:] = sorted(ranked, key=lambda each: -each.metrics["sad"])[:_WORST]
        on_image(0)
    if not result.counted:
        raise InputError(f"{source}: {_why_nothing(result)}")
    return result


def _why_nothing(result: Evaluation) -> str:
    if result.left_out:
        words = "no trimap has an unknown pixel, and --protocol dim looks at nothing else"
        return f"{words}; give --trimaps that have some, or take --protocol gfm; the first: {result.left_out[0]}"
    first = result.failures[0] if result.failures else Failure("the data set", "it holds none")
    return f"no photograph could be evaluated; the first: {first.name}: {first.reason}"


def write_evaluation(evaluation: Evaluation, evaluator: Evaluator, out: Location) -> None:
    """Write `per_image.parquet`, `summary.json` and `worst.png`, which shows the photographs with the largest SAD.

    Photographs without figures (see `train.metrics.dim.dim_metrics`) have a row of nulls in the table, are named as
    `left_out` in the summary, and are not among its `images`, which the mean is taken over.
    """
    schema = pa.schema([("name", pa.string()), *((metric, pa.float64()) for metric in evaluator.protocol.metrics)])
    write_parquet(out / "per_image.parquet", schema, evaluation.rows)
    write_bytes(out / "worst.png", encode_png(strip(evaluation.worst)))
    summary = {
        "name": evaluator.method.name,
        "row": format_table([(evaluator.method.name, evaluation.mean)], evaluator.protocol.metrics).splitlines()[-1],
        "images": len(evaluation.counted),
        "left_out": evaluation.left_out,
        "mean": evaluation.mean,
        "protocol": str(evaluator.protocol),
        "region": evaluator.region,
        "strategy": evaluator.method.view,
        "networks": evaluator.method.networks,
        "unread": dict(evaluation.unread),
        "flags": {name: list(flags) for name, flags in evaluation.flags.items() if flags},
        "failures": [{"name": each.name, "reason": each.reason} for each in evaluation.failures],
    }
    write_json(out / "summary.json", summary)


def strip(results: Sequence[Result], side: int = 300) -> Pixels:
    """A contact sheet of results."""
    return contact_sheet([each.tiles for each in results], ("photo", "prediction", "truth", "error"), side=side)


def format_table(rows: Sequence[tuple[str, Mapping[str, float]]], metrics: Mapping[str, Metric] = METRICS) -> str:
    """Lines of text: a heading, and for each name its figures, a column for each metric."""
    width = max(6, *(len(name) for name, _ in rows))
    lines = [" " * width + "".join(f"{metric.heading:>10}" for metric in metrics.values())]
    for name, figures in rows:
        lines.append(f"{name:<{width}}" + "".join(f"{each.show(figures[each.name]):>10}" for each in metrics.values()))
    return "\n".join(lines)


def _write_matte(folder: Location, name: str, matte: Pixels) -> None:
    """As 8-bit PNG; a name with slashes gives folders."""
    if not is_plain(f"{name}.png"):
        raise Rejected("write", "unsafe_path", f"the name {name} leads out of {folder}")
    write_bytes(folder / f"{name}.png", encode_png(matte), durable=False, only_writer=True)


def _error(predicted: Alpha, alpha: Alpha) -> Pixels:
    """|p - a| from black over red and yellow to white."""
    coloured = cv2.applyColorMap(to_uint8(np.abs(predicted - alpha)), cv2.COLORMAP_HOT)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _thumbnail(pixels: Pixels) -> Pixels:
    """Small enough to keep until the sheet is drawn, large enough for it."""
    colour = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
    return fit_inside(colour, 300)
