"""The two kinds of task of `rssn build-bg20k`: examine a range of photographs, publish what was kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bg20k.candidates import examine
from bg20k.rules import CurationRules
from bg20k.salience import Detection, Detector, salience
from bg20k.yolo import YoloDetector
from pipelines.runner import Done
from pipelines.work import refusal
from rssn.images import encode_jpeg, fit_inside, read_bytes
from rssn.rows import iter_rows
from rssn.schema import BACKGROUNDS, CANDIDATES, picture
from rssn.shards import DatasetFolder, Row, write_shard

_THUMBNAIL_SIDE = 256  # px


@dataclass(frozen=True)
class ExamineTask:
    """One candidate shard: the photographs `start` to `stop - 1` of the plan."""

    root: Path
    rules: CurationRules
    detector: Path | None
    name: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Photographs in the range."""
        return self.stop - self.start

    @property
    def memory(self) -> int:
        """Room for the detector and for a photograph of 50 megapixels; larger ones are rare."""
        return 2 << 30


@dataclass(frozen=True)
class PublishTask:
    """One shard of the set: what was kept of a candidate shard for one split."""

    root: Path
    rules: CurationRules
    detector: str | None
    name: str
    candidates: str
    split: str
    size: int  # rows that it will have
    memory: int = 500 << 20


def examine_shard(task: ExamineTask) -> Done:
    """Read, measure, resize and screen photographs; what cannot be examined becomes a row of the rejects."""
    rejects: list[dict[str, Any]] = []
    planned = pq.read_table(photos_plan(task.root)).slice(task.start, task.size).to_pylist()
    rows = _candidate_rows(task, planned, rejects)
    return Done(write_shard(candidates_folder(task.root), task.name, CANDIDATES, rows, rejects))


def publish_shard(task: PublishTask) -> Done:
    """Copy kept photographs of a candidate shard into the set; the first split also writes the shard's rejects."""
    wanted = [("candidate_shard", "=", task.candidates)]
    verdicts = {row["source"]: row for row in pq.read_table(verdicts_path(task.root), filters=wanted).to_pylist()}
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


def _candidate_rows(task: ExamineTask, planned: list[dict[str, str]], rejects: list[dict[str, Any]]) -> Iterator[Row]:
    for photo in planned:
        try:
            yield _candidate_row(task, photo)
        except Exception as error:  # nothing vanishes: whatever happens to one photograph is a row of the rejects
            rejects.append(refusal(error, photo["source"], photo["source"]))


def _candidate_row(task: ExamineTask, photo: dict[str, str]) -> Row:
    found = examine(read_bytes(Path(photo["path"])), task.rules)
    detections = load_detector(task.detector).detect([found.pixels])[0] if task.detector else None
    return {
        "background_id": found.background_id,
        "source": photo["source"],
        "image": picture(encode_jpeg(found.pixels), f"{found.background_id}.jpg"),
        "thumbnail": picture(encode_jpeg(fit_inside(found.pixels, _THUMBNAIL_SIDE), 85), "thumbnail.jpg"),
        "width": found.pixels.shape[1],
        "height": found.pixels.shape[0],
        "source_width": found.source_width,
        "source_height": found.source_height,
        "phash": found.phash,
        "sharpness": found.sharpness,
        "flat": found.flat,
        "detections": None if detections is None else [asdict(detection) for detection in detections],
    }


def read_detections(row: Row) -> list[Detection] | None:
    """The detections of a candidate row; None where no detector looked."""
    if row["detections"] is None:
        return None
    return [Detection(d["label"], d["confidence"], tuple(d["box"])) for d in row["detections"]]


def _background_rows(task: PublishTask, candidates: DatasetFolder, verdicts: dict[str, Any]) -> Iterator[Row]:
    columns = [name for name in CANDIDATES.names if name not in ("thumbnail", "sharpness", "flat")]
    for row in iter_rows(candidates.data(task.candidates), columns):
        if verdicts[row["source"]]["split"] == task.split:
            detections = read_detections(row)
            yield {name: row[name] for name in columns if name != "detections"} | {
                "licence": None,
                "split": task.split,
                "screened_by": task.detector,
                "salience": None if detections is None else salience(detections, task.rules)[0],
            }


def _rejects(candidates: DatasetFolder, name: str, verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    rejects = list(iter_rows(candidates.rejects(name)))
    for row in iter_rows(candidates.data(name), ["background_id", "source", "thumbnail"]):
        verdict = verdicts[row["source"]]
        if not verdict["keep"]:
            reason = {key: verdict[key] for key in ("stage", "reason", "message")}
            rejects.append(
                {"item_id": row["background_id"], "source": row["source"], **reason, "thumbnail": row["thumbnail"]}
            )
    return rejects
