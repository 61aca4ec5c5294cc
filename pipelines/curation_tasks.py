"""The two kinds of task of `rssn build-bg20k`: examine a range of photographs, publish what was kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq

from bg20k.candidates import Candidate, examine
from bg20k.embedding import Embedder, load_embedder
from bg20k.onnx_model import Scaling
from bg20k.rules import CurationRules
from bg20k.salience import Detection, Detector
from bg20k.saliency import OnnxSaliency, SaliencyModel, find_salient
from bg20k.yolo import YoloDetector
from pipelines.curation_rows import ORIGIN, PUBLISHED, THUMBNAIL_SIDE, background_row, candidate_row, origin_of
from pipelines.runner import Done
from pipelines.work import enter, refusal
from rssn.crawl import Place, read_photographs
from rssn.errors import Rejected
from rssn.files import Row
from rssn.images import Pixels, encode_jpeg, fit_inside
from rssn.photograph import decode_photograph, salvage
from rssn.rows import iter_rows, read_range
from rssn.schema import BACKGROUNDS, CANDIDATES
from rssn.shards import DatasetFolder, write_shard


@dataclass(frozen=True)
class Models:
    """The networks that look at each photograph; None: none does."""

    detector: Path | None = None
    saliency: Path | None = None
    embedder: str | None = None
    scaling: Scaling = "imagenet"  # of the class-free network's input

    def names(self) -> dict[str, str | None]:
        """What each calls itself, file and digest, for the manifest; loads them.

        Raises:
            InputError: If one cannot be loaded.
            DependencyError: If its package is not installed.
        """
        return {
            "detector": load_detector(self.detector).name if self.detector else None,
            "saliency": load_saliency(self.saliency, self.scaling).name if self.saliency else None,
            "deep_duplicates": embedder_of(self.embedder).name if self.embedder else None,
        }


@dataclass(frozen=True)
class ExamineTask:
    """One candidate shard: the photographs `start` to `stop - 1` of the plan."""

    root: Path
    rules: CurationRules
    name: str
    start: int
    stop: int
    models: Models = field(default_factory=Models)
    poisoned: frozenset[str] = frozenset()

    @property
    def note(self) -> Path:
        """Names the photograph at hand."""
        return candidates_folder(self.root).note(self.name)

    @property
    def size(self) -> int:
        """Photographs in the range."""
        return self.stop - self.start

    @property
    def memory(self) -> int:
        """Room for the networks and for a photograph of 50 megapixels; larger ones are rare."""
        return 2 << 30


@dataclass(frozen=True)
class PublishTask:
    """One shard of the set: what was kept of a candidate shard for one split."""

    root: Path
    rules: CurationRules
    screened_by: str | None
    name: str
    candidates: str
    split: str
    size: int  # rows that it will have
    memory: int = 500 << 20
    poisoned: frozenset[str] = frozenset()

    @property
    def note(self) -> Path:
        """Nothing is decoded here, so that no item is ever named."""
        return DatasetFolder(self.root).note(self.name)


def examine_shard(task: ExamineTask) -> Done:
    """Read, measure, resize and screen photographs; what cannot be examined becomes a row of the rejects."""
    rejects: list[dict[str, Any]] = []
    places = [Place(**row) for row in read_range(photos_plan(task.root), task.start, task.stop)]
    rows = _candidate_rows(task, places, _Rejects(task, rejects))
    return Done(write_shard(candidates_folder(task.root), task.name, CANDIDATES, rows, rejects))


def publish_shard(task: PublishTask) -> Done:
    """Copy kept photographs of a candidate shard into the set; the first split also writes the shard's rejects."""
    wanted = [("candidate_shard", "=", task.candidates)]
    columns = ["source", "keep", "stage", "reason", "message", "split"]
    table = pq.read_table(verdicts_path(task.root), columns=columns, filters=wanted)
    verdicts = {row["source"]: row for row in table.to_pylist()}
    candidates = candidates_folder(task.root)
    rejects: list[dict[str, Any]] = []
    if task.split == "train":
        rejects = _rejects(candidates, task.candidates, verdicts)
    rows = _background_rows(task, candidates, verdicts)
    return Done(write_shard(DatasetFolder(task.root), task.name, BACKGROUNDS, rows, rejects))


def candidates_folder(root: Path) -> DatasetFolder:
    """The working set: every photograph that could be examined, resized, with its fingerprint."""
    return DatasetFolder(root / "candidates")


def verdicts_path(root: Path) -> Path:
    """One row per photograph that came in."""
    return root / "verdicts.parquet"


def photos_plan(root: Path) -> Path:
    """The photographs in the order of the candidate shards."""
    return root / "plan" / "photos.parquet"


@lru_cache(maxsize=1)
def load_detector(path: Path) -> Detector:
    """The detector of this process, loaded once."""
    return YoloDetector(path)


@lru_cache(maxsize=1)
def load_saliency(path: Path, scaling: Scaling) -> SaliencyModel:
    """The class-free network of this process, loaded once."""
    return OnnxSaliency(path, scaling)


@lru_cache(maxsize=1)
def embedder_of(model: str) -> Embedder:
    """The embedder of this process, loaded once."""
    return load_embedder(model)


@dataclass(frozen=True)
class _Rejects:
    """The rows of the rejects of a task: nothing vanishes, whatever happens to one photograph."""

    task: ExamineTask
    rows: list[dict[str, Any]]

    def add(self, place: Place, data: bytes | Rejected, error: Exception) -> None:
        """A photograph's bytes, or why there are none, and what happened to it."""
        thumbnail = None if isinstance(data, Rejected) else _thumbnail(data, self.task.rules, error)
        self.rows.append(refusal(error, place.source, place.source, thumbnail) | origin_of(place))


_Examined: TypeAlias = tuple[Place, bytes, Candidate]


def _candidate_rows(task: ExamineTask, places: list[Place], rejects: _Rejects) -> Iterator[Row]:
    detector = load_detector(task.models.detector) if task.models.detector else None
    examined = _examined(task, places, rejects)
    while some := list(islice(examined, detector.batch if detector else 1)):
        for (place, data, found), detections in zip(some, _detections(detector, some), strict=True):
            try:
                if isinstance(detections, Exception):
                    raise detections
                yield _candidate_row(task, place, found, detections)
            except Exception as error:
                rejects.add(place, data, error)


def _examined(task: ExamineTask, places: list[Place], rejects: _Rejects) -> Iterator[_Examined]:
    for place, data in zip(places, read_photographs(places, task.rules.max_bytes), strict=True):
        try:
            if isinstance(data, Rejected):
                raise data
            enter(task, place.source)
            yield place, data, examine(data, task.rules)
        except Exception as error:
            rejects.add(place, data, error)


def _detections(detector: Detector | None, some: list[_Examined]) -> list[list[Detection] | Exception | None]:
    """The findings in each photograph; the error, where the detector failed on it alone."""
    if detector is None:
        return [None] * len(some)
    try:
        return [*detector.detect([found.pixels for _, _, found in some])]
    except Exception as error:
        return [error] if len(some) == 1 else [each for one in some for each in _detections(detector, [one])]


def _candidate_row(task: ExamineTask, place: Place, found: Candidate, detections: list[Detection] | None) -> Row:
    models = task.models
    network = load_saliency(models.saliency, models.scaling) if models.saliency else None
    saliency = find_salient(network.mask(found.pixels)) if network else None
    embedding = embedder_of(models.embedder).embed(found.pixels).tolist() if models.embedder else None
    return candidate_row(place, found, detections, saliency, embedding)


def _thumbnail(data: bytes, rules: CurationRules, error: Exception) -> bytes | None:
    """A small JPEG of a photograph that is too small, or of what is left of a truncated one; others have none."""
    if not isinstance(error, Rejected):
        return None
    with suppress(Rejected):
        if error.reason == "truncated":
            return _small_jpeg(salvage(data, THUMBNAIL_SIDE, rules.max_pixels))
        if error.stage == "resolution":
            return _small_jpeg(decode_photograph(data, THUMBNAIL_SIDE, rules.max_pixels).pixels)
    return None


def _small_jpeg(pixels: Pixels) -> bytes:
    return encode_jpeg(fit_inside(pixels, THUMBNAIL_SIDE), 85)


def _background_rows(task: PublishTask, candidates: DatasetFolder, verdicts: dict[str, Any]) -> Iterator[Row]:
    for row in iter_rows(candidates.data(task.candidates), PUBLISHED):
        if verdicts[row["source"]]["split"] == task.split:
            yield background_row(row, task.split, task.screened_by, task.rules)


def _rejects(candidates: DatasetFolder, name: str, verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    rejects = list(iter_rows(candidates.rejects(name)))
    for row in iter_rows(candidates.data(name), ["background_id", "thumbnail", *ORIGIN]):
        verdict = verdicts[row["source"]]
        if not verdict["keep"]:
            reason = {key: verdict[key] for key in ("stage", "reason", "message")}
            rejects.append({"item_id": row["background_id"], **row, **reason})
    return rejects
