"""The first kind of task of `rssn build-bg20k`: read, measure, resize and screen a range of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bg20k.candidates import THUMBNAIL_SIDE, Candidate, examine
from bg20k.embedding import Embedder, load_embedder
from bg20k.objects import Detection, Detector, look
from bg20k.onnx_model import Scaling
from bg20k.rules import CurationRules
from bg20k.saliency import OnnxSaliency, SaliencyModel, find_salient
from bg20k.schema import CANDIDATES
from bg20k.yolo import YoloDetector
from pipelines.curate.rows import candidate_row, candidates_folder, origin_of, photos_plan
from pipelines.executor.clock import StageClock
from pipelines.executor.runner import Done
from pipelines.executor.work import begin_item, refusal
from rssn.dataset.rows import read_range
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.errors import Rejected
from rssn.image.arrays import Pixels, encode_jpeg, fit_inside
from rssn.image.photograph import decode_photograph, salvaged
from rssn.sources.crawl import Photograph, read_photographs
from rssn.storage.files import Row, content_id
from rssn.storage.location import Location


@dataclass(frozen=True)
class Models:
    """The networks that look at each photograph; None: not used."""

    detector: Location | None = None
    saliency: Location | None = None
    embedder: str | None = None
    scaling: Scaling = "imagenet"  # of the class-free network's input

    def names(self) -> dict[str, str | None]:
        """File name and digest of each, for the manifest; loads them.

        Raises:
            InputError: If one cannot be loaded.
            DependencyError: If its package is not installed.
        """
        found = {
            "detector": load_detector(self),
            "saliency": load_saliency(self),
            "deep_duplicates": load_deep_embedder(self),
        }
        return {role: network.name if network else None for role, network in found.items()}


@dataclass(frozen=True, slots=True)
class ExamineTask:
    """One candidate shard: the photographs `start` to `stop - 1` of the plan."""

    folder: DatasetFolder  # of the set
    rules: CurationRules
    name: str
    start: int
    stop: int
    models: Models = field(default_factory=Models)
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        """Names the photograph at hand."""
        return candidates_folder(self.folder).current_item(self.name)

    @property
    def size(self) -> int:
        """Photographs in the range."""
        return self.stop - self.start

    @property
    def memory(self) -> int:
        """Room for the networks and for a photograph of 50 megapixels; larger ones are rare."""
        return 2 << 30


def examine_shard(task: ExamineTask) -> Done:
    """Read, measure, resize and screen photographs; what cannot be examined becomes a row of the rejects."""
    shard = _Shard(task)
    places = [Photograph.from_row(row) for row in read_range(photos_plan(task.folder.root), task.start, task.stop)]
    mark = write_shard(candidates_folder(task.folder), task.name, CANDIDATES, shard.rows(places), shard.rejects)
    return Done(mark, dict(shard.clock.seconds))


class _Examined(NamedTuple):
    place: Photograph
    data: bytes
    found: Candidate


class _Shard:
    """The rows of one candidate shard, in order, and the refused photographs among them."""

    def __init__(self, task: ExamineTask) -> None:
        self.rejects: list[dict[str, Any]] = []
        self.clock = StageClock()
        self._task = task
        self._detector = load_detector(task.models)

    def rows(self, places: list[Photograph]) -> Iterator[Row]:
        """Photographs are examined one by one, and go to the detector in batches of its size."""
        examined = self._examined(places)
        while some := list(islice(examined, self._detector.batch if self._detector else 1)):
            for one, detections in zip(some, self._detections(some), strict=True):
                try:
                    if isinstance(detections, Exception):
                        raise detections
                    yield self._row(one, detections)
                except Exception as error:  # every error becomes a row of the rejects
                    self._reject(one.place, one.data, error)

    def _examined(self, places: list[Photograph]) -> Iterator[_Examined]:
        photographs = read_photographs(places, self._task.rules.max_bytes)
        for place in places:
            with self.clock.stage("read"):
                data = next(photographs)
            try:
                if isinstance(data, Rejected):
                    raise data
                begin_item(self._task, place.source)
                with self.clock.stage("examine"):
                    found = examine(data, self._task.rules, place.source)
            except Exception as error:
                self._reject(place, data, error)
            else:
                yield _Examined(place, data, found)

    def _detections(self, some: list[_Examined]) -> list[list[Detection] | Exception | None]:
        """The findings in each photograph, or the error where the detector failed on that one alone."""
        if self._detector is None:
            return [None] * len(some)
        try:
            with self.clock.stage("detect"):
                return [*look(self._detector, [one.found.pixels for one in some])]
        except Exception as error:
            return [error] if len(some) == 1 else [found for one in some for found in self._detections([one])]

    def _row(self, one: _Examined, detections: list[Detection] | None) -> Row:
        network, embedder = load_saliency(self._task.models), load_deep_embedder(self._task.models)
        with self.clock.stage("saliency"):
            saliency = find_salient(network.mask(one.found.pixels)) if network else None
        with self.clock.stage("embed"):
            embedding = embedder.embed(one.found.pixels).tolist() if embedder else None
        with self.clock.stage("encode"):
            return candidate_row(one.place, replace(one.found, detections=detections, saliency=saliency), embedding)

    def _reject(self, place: Photograph, data: bytes | Rejected, error: Exception) -> None:
        name, picture = place.source, None
        if not isinstance(data, Rejected):
            name, picture = content_id(data), _thumbnail(data, self._task.rules, error)
        self.rejects.append(refusal(error, name, place.source, picture) | origin_of(place))


def _thumbnail(data: bytes, rules: CurationRules, error: Exception) -> bytes | None:
    """A small JPEG of a photograph that is too small, or of what is left of a damaged one; others have none."""
    if not isinstance(error, Rejected):
        return None
    with suppress(Rejected):
        if error.reason in ("truncated", "damaged"):
            return _small_jpeg(salvaged(data, THUMBNAIL_SIDE, rules.max_pixels))
        if error.stage == "resolution":
            return _small_jpeg(decode_photograph(data, THUMBNAIL_SIDE, rules.max_pixels).pixels)
    return None


def _small_jpeg(pixels: Pixels) -> bytes:
    return encode_jpeg(fit_inside(pixels, THUMBNAIL_SIDE), 85)


@lru_cache(maxsize=1)
def load_detector(models: Models) -> Detector | None:
    """The detector of this process."""
    return YoloDetector(models.detector) if models.detector else None


@lru_cache(maxsize=1)
def load_saliency(models: Models) -> SaliencyModel | None:
    """The class-free network of this process."""
    return OnnxSaliency(models.saliency, models.scaling) if models.saliency else None


@lru_cache(maxsize=1)
def load_deep_embedder(models: Models) -> Embedder | None:
    """The embedder of this process."""
    return load_embedder(models.embedder) if models.embedder else None
