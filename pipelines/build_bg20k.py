"""`rssn build-bg20k`: a folder of photographs in, a background set out (section 4.1).

Three steps, each resumable. Examine: one task per range of photographs fills `candidates/`. Decide: the driver compares
light columns of all candidates, applies a person's decisions, and writes `verdicts.parquet`. Publish: one task per
candidate shard and split copies what was kept into `data/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bg20k.decide import Record, decide
from bg20k.review import Decision, apply_review
from bg20k.rules import CurationRules
from bg20k.salience import salience
from bg20k.verdict import Verdict
from pipelines.card import write_card
from pipelines.curation_tasks import (
    ExamineTask,
    PublishTask,
    candidates_folder,
    examine_shard,
    load_detector,
    photos_plan,
    publish_shard,
    read_detections,
    verdicts_path,
)
from pipelines.manifest import close_dataset, open_dataset
from pipelines.plan import digest
from pipelines.review_log import review_path
from pipelines.reviewed import SOURCE, decisions_to_apply, effects, outdated_shards
from pipelines.runner import Runner, shard_ranges
from pipelines.work import Budget, Tally, Work, run_tasks
from rssn.errors import InputError, Rejected
from rssn.images import list_images
from rssn.rows import iter_rows
from rssn.schema import CANDIDATES, PLANNED_PHOTOS, VERDICTS
from rssn.shards import DatasetFolder, shard_name, write_parquet

SPLITS = ("train", "validation")
_PHOTOS_PER_SHARD = 400  # about 256 MiB of photographs of 1080 px


@dataclass(frozen=True)
class CurationJob:
    """What one `rssn build-bg20k` is asked to do."""

    photos: Path
    out: Path
    rules: CurationRules
    detector: Path | None
    budget: Budget
    apply_review: bool | None = None  # None: as the last run did


@dataclass(frozen=True)
class Curated:
    """What a curation came to."""

    tally: Tally
    reasons: Counter[str]  # photographs by reason, those kept included
    splits: Counter[str]  # kept photographs by split
    review: Mapping[str, int] | None = None  # what a person's decisions did; None where none were applied


def run_curation(job: CurationJob, runner: Runner) -> Curated:
    """Curate a folder of photographs.

    Raises:
        InputError: If the photographs, the detector, the review or the output folder cannot be used, or the budget is
            spent.
        DependencyError: If the detector's package is not installed.
    """
    photos = list_images(job.photos)
    if not photos:
        raise InputError(f"{job.photos}: no pictures found in it")
    detector = load_detector(job.detector).name if job.detector else None
    folder = DatasetFolder(job.out)
    decisions = decisions_to_apply(folder, job.apply_review)
    open_dataset(folder, "backgrounds", _facts(job, photos, detector), _sources(job, decisions))
    rows = [{"source": photo.relative_to(job.photos).as_posix(), "path": str(photo.resolve())} for photo in photos]
    write_parquet(photos_plan(job.out), PLANNED_PHOTOS, rows)
    examined = run_tasks(_examine_work(job, len(photos)), runner)
    if examined.failed:
        return Curated(examined, Counter(), Counter())
    verdicts = list(_verdicts(job, decisions or {}))
    write_parquet(verdicts_path(job.out), VERDICTS, verdicts)
    tally = run_tasks(_publish_work(job, folder, detector, verdicts), runner)
    tally.damaged += examined.damaged
    tally.rejected = sum(not row["keep"] for row in verdicts)
    review = None if decisions is None else effects(decisions, verdicts)
    splits = Counter(row["split"] for row in verdicts if row["keep"])
    curated = Curated(tally, Counter(row["reason"] for row in verdicts), splits, review)
    totals: dict[str, Any] = {split: splits[split] for split in SPLITS} | {"review": review}
    close_dataset(folder, {"rows": curated.splits.total(), "rejected": tally.rejected, **totals})
    write_card(folder)
    return curated


def _sources(job: CurationJob, decisions: Mapping[str, Decision] | None) -> dict[str, str]:
    photos = {"photos": str(job.photos.resolve())}
    return photos if decisions is None else photos | {SOURCE: str(review_path(job.out).resolve())}


def _facts(job: CurationJob, photos: Sequence[Path], detector: str | None) -> dict[str, Any]:
    """Everything that decides the rows, for the manifest."""
    names = (f"{photo.relative_to(job.photos).as_posix()}:{photo.stat().st_size}" for photo in photos)
    return {
        "rules": asdict(job.rules),
        "detector": detector,
        "photos": {"count": len(photos), "digest": digest(names)},
    }


def _examine_work(job: CurationJob, count: int) -> Work[ExamineTask]:
    ranges = shard_ranges([1] * count, _PHOTOS_PER_SHARD)
    tasks = [
        ExamineTask(job.out, job.rules, job.detector, shard_name("candidates", index, len(ranges)), start, stop)
        for index, (start, stop) in enumerate(ranges)
    ]
    return Work(candidates_folder(job.out), tasks, examine_shard, "photos", job.budget, 0)


def _verdicts(job: CurationJob, decisions: Mapping[str, Decision]) -> Iterator[dict[str, Any]]:
    """Judge every photograph: those that were refused while they were read, then the candidates among themselves."""
    folder = candidates_folder(job.out)
    shards = [mark.name for mark in folder.marks()]
    for name in shards:
        for row in iter_rows(folder.rejects(name)):
            refused = Verdict.refused(Rejected(row["stage"], row["reason"], row["message"]))
            yield {"source": row["source"], "background_id": None, "candidate_shard": name, **asdict(refused)}
    records = [(name, record) for name in shards for record in _records(folder, name, job.rules)]
    judged = apply_review([r for _, r in records], decisions, job.rules, partial(decide, rules=job.rules))
    for (name, record), verdict in zip(records, judged, strict=True):
        ids = {"source": record.source, "background_id": record.background_id, "candidate_shard": name}
        yield ids | asdict(verdict)


def _records(folder: DatasetFolder, name: str, rules: CurationRules) -> Iterator[Record]:
    columns = [column for column in CANDIDATES.names if column not in ("image", "thumbnail", "width", "height")]
    for row in iter_rows(folder.data(name), columns):
        detections = read_detections(row)
        score, salient = (None, None) if detections is None else salience(detections, rules)
        del row["detections"]
        yield Record(**row, salience=score, salient=salient)


def _publish_work(
    job: CurationJob, folder: DatasetFolder, detector: str | None, verdicts: Sequence[dict[str, Any]]
) -> Work[PublishTask]:
    kept = Counter((row["candidate_shard"], row["split"]) for row in verdicts if row["keep"])
    shards = sorted({row["candidate_shard"] for row in verdicts})
    tasks = [
        PublishTask(
            job.out, job.rules, detector, shard_name(split, index, len(shards)), name, split, kept[(name, split)]
        )
        for split in SPLITS
        for index, name in enumerate(shards)
    ]
    redo = outdated_shards(folder, tasks, verdicts)  # a review changes verdicts of shards that are done
    return Work(folder, tasks, publish_shard, "backgrounds", Budget(), 0, redo)
