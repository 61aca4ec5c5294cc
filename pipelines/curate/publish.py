"""The second kind of task of `rssn build-bg20k`: publish what was kept of a range of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bg20k.rules import CurationRules
from bg20k.schema import PUBLISHED
from pipelines.curate.rows import COPIED, CRAWL_FACTS, ORIGIN, background_row, candidates_folder, verdicts_path
from pipelines.executor.runner import Done
from rssn.dataset.rows import iter_rows
from rssn.dataset.shards import DatasetFolder, write_shard
from rssn.storage.files import Row
from rssn.storage.remote import opened


@dataclass(frozen=True, slots=True)
class PublishTask:
    """One shard of the set: what was kept of a candidate shard for one split."""

    folder: DatasetFolder
    rules: CurationRules
    screened_by: str | None
    name: str
    candidates: str
    split: str
    size: int  # rows that it will have
    memory: int = 500 << 20
    quarantined: frozenset[str] = frozenset()

    @property
    def current_item(self) -> Path:
        """Nothing is decoded here, so that no item is ever named."""
        return self.folder.current_item(self.name)


def publish_shard(task: PublishTask) -> Done:
    """Copy kept photographs of a candidate shard into the set; the first split also writes the shard's rejects."""
    wanted = [("candidate_shard", "=", task.candidates)]
    columns = ["source", "keep", "stage", "reason", "message", "split", *CRAWL_FACTS]
    with opened(verdicts_path(task.folder.root)) as stream:
        table = pq.read_table(stream, columns=columns, filters=wanted)
    verdicts = {row["source"]: row for row in table.to_pylist()}
    candidates = candidates_folder(task.folder)
    rejects: list[dict[str, Any]] = []
    if task.split == "train":
        rejects = _rejects(candidates, task.candidates, verdicts)
    rows = _background_rows(task, candidates, verdicts)
    return Done(write_shard(task.folder, task.name, PUBLISHED, rows, rejects))


def _background_rows(task: PublishTask, candidates: DatasetFolder, verdicts: dict[str, Any]) -> Iterator[Row]:
    for row in iter_rows(candidates.data(task.candidates), COPIED):
        verdict = verdicts[row["source"]]
        if verdict["split"] == task.split:
            yield background_row(
                row | {name: verdict[name] for name in CRAWL_FACTS}, task.split, task.screened_by, task.rules
            )


def _rejects(candidates: DatasetFolder, name: str, verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    rejects = list(iter_rows(candidates.rejects_path(name)))
    for row in iter_rows(candidates.data(name), ["background_id", "thumbnail", *ORIGIN]):
        verdict = verdicts[row["source"]]
        if not verdict["keep"]:
            reason = {key: verdict[key] for key in ("stage", "reason", "message")}
            rejects.append({"item_id": row["background_id"], **row, **reason})
    return rejects
