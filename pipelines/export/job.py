"""`rssn export`: a data set in the forms that other trainers read, with the stored bytes, never encoded again.

Floor 3. `folder` writes one file for each picture, `webdataset` one tar for each shard. A stopped export resumes: a
file that is there already is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pipelines.export.formats import (
    BACKGROUNDS_LAYOUT,
    COMPOSITES_LAYOUT,
    Layout,
    Named,
    folder_files,
    light_schema,
    split_name,
    tar_members,
    write_file,
    write_index,
    write_tar,
)
from rssn.dataset.manifest import read_manifest
from rssn.dataset.rows import iter_rows, own_parquet
from rssn.dataset.shards import DatasetFolder, Mark
from rssn.dataset.verify import verify
from rssn.errors import InputError
from rssn.progress import Progress
from rssn.storage.files import parse_json, write_json

ExportFormat: TypeAlias = Literal["folder", "webdataset"]
FORMATS: tuple[str, ...] = get_args(ExportFormat)

_PLAN = "export.json"
_INDEX = "index.csv"
_HALF = re.compile(r"\.(export\.json|index\.csv|[\w-]+\.(\w+))\.\d+\.tmp")  # what a killed export was writing
_PREFIX = re.compile(r"(.+)-\d{5}-of-\d{5}")


@dataclass(frozen=True)
class ExportJob:
    """What one `rssn export` is asked to do."""

    dataset: Path
    out: Path
    format: ExportFormat


@dataclass
class Exported:
    """What became of an export."""

    rows: int = 0
    written: int = 0  # picture files or tars
    kept: int = 0  # those that were there already
    missing: Sequence[str] = ()  # shards that are not made or not marked, and so not exported
    files: Counter[str] = field(default_factory=Counter)  # by folder below the output

    def add(self, folder: str, *, written: bool) -> None:
        """Count a file."""
        self.files[folder] += 1
        self.written += written
        self.kept += not written


def run_export(job: ExportJob) -> Exported:
    """Export every marked shard of a data set.

    `folder` gives `original/ mask/ fg/ bg/` for composites (`original` is the composite) and `train/ testval/` for
    backgrounds, with the light columns in `index.csv`. `webdataset` gives `composites-000000.tar` or
    `train-000000.tar` and so on, numbered in order of the shards. `export.json` says which shards went in.

    Raises:
        InputError: If there is no data set or a damaged shard, if `out` holds anything else or cannot be written, or
            if a stored id or file name cannot be a file name.
    """
    folder = DatasetFolder(job.dataset)
    kind = read_manifest(job.dataset).kind
    layout = BACKGROUNDS_LAYOUT if kind == "backgrounds" else COMPOSITES_LAYOUT
    verified = verify(folder)
    if verified.damaged:
        raise InputError(f"nothing was exported: {_listed(verified.damaged)}; repair the data set first")
    if not verified.trusted:
        raise InputError(f"{job.dataset}: no marked shard with rows; there is nothing to export")
    exported = Exported(missing=verified.missing)
    try:
        _open_export(job, {mark.name: mark.sha256 for mark in verified.trusted})
        _export_shards(job, folder, layout, verified.trusted, exported)
    except OSError as error:
        raise InputError(
            f"{error.filename or job.out}: {error.strerror}; run the same command again to resume"
        ) from error
    _refuse_strangers(job, exported)
    return exported


def _export_shards(
    job: ExportJob, folder: DatasetFolder, layout: Layout, marks: Sequence[Mark], exported: Exported
) -> None:
    total = sum(mark.rows for mark in marks)
    with Progress(total, "rows") as progress:
        for mark, tar in zip(marks, _tar_names(marks), strict=True):
            path = folder.data(mark.name)
            if job.format == "webdataset":
                written = write_tar(job.out / tar, partial(_members, path, layout))
                exported.add(".", written=written)
                progress.advance(mark.rows)
            else:
                for row in iter_rows(path):
                    for name, data in folder_files(row, layout):
                        exported.add(name.split("/")[0], written=write_file(job.out / name, data))
                    progress.advance()
            exported.rows += mark.rows
    if job.format == "folder":
        files = [folder.data(mark.name) for mark in marks]
        with own_parquet(files[0]) as first:
            schema = light_schema(first.schema_arrow)
        rows = chain.from_iterable(iter_rows(file, schema.names) for file in files)
        write_index(job.out / _INDEX, schema, rows, layout)


def _members(path: Path, layout: Layout) -> Iterator[Named]:
    for row in iter_rows(path):
        yield from tar_members(row, layout)


def _tar_names(marks: Sequence[Mark]) -> list[str]:
    """`<name>-000000.tar`: counted from 0 for each name, without gaps, so that `{000000..000127}` names them all."""
    seen: Counter[str] = Counter()
    names = []
    for mark in marks:
        found = _PREFIX.fullmatch(mark.name)
        prefix = split_name(found[1] if found else mark.name)
        names.append(f"{prefix}-{seen[prefix]:06d}.tar")
        seen[prefix] += 1
    return names


def _open_export(job: ExportJob, shards: Mapping[str, str]) -> None:
    """Start an export, or go on with the one in the folder if it is of the same shards."""
    if job.out.exists() and not job.out.is_dir():
        raise InputError(f"{job.out}: a file, not a folder; choose another --out")
    if job.out.is_dir() and not all(path.match(f".{_PLAN}.*.tmp") for path in job.out.iterdir()):
        before = _read_plan(job.out)
        if before is None:
            raise InputError(f"{job.out}: holds other files; choose another --out")
        if before["format"] != job.format:
            raise InputError(f"{job.out}: holds an export as {before['format']}; choose another --out")
        if not _goes_on(job, before["shards"], shards):
            raise InputError(f"{job.out}: holds an export of other shards; choose another --out, or remove it")
    for leftover in [*job.out.glob(".*.tmp"), *job.out.glob("*/.*.tmp")]:
        if _HALF.fullmatch(leftover.name):
            leftover.unlink()
    write_json(job.out / _PLAN, {"format": job.format, "shards": dict(shards)})


def _goes_on(job: ExportJob, before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """A folder may grow with its data set; the numbers of tars may not shift."""
    return before.items() <= now.items() if job.format == "folder" else before == now


def _read_plan(out: Path) -> Mapping[str, Any] | None:
    try:
        plan = parse_json((out / _PLAN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(plan, dict) and "format" in plan and isinstance(plan.get("shards"), dict)
    return plan if whole else None


def _refuse_strangers(job: ExportJob, exported: Exported) -> None:
    """A trainer reads whatever lies in a folder: there must be the exported files and no other."""
    own = Counter({".": len({_PLAN, _INDEX}) if job.format == "folder" else 1}) + exported.files
    own["."] += sum(1 for name in exported.files if name != ".")
    for name, count in sorted(own.items()):
        found = sum(1 for _ in (job.out / name).iterdir())
        if found != count:
            remedy = "remove what is not of this data set, or look for two samples of one id"
            raise InputError(f"{job.out / name}: {found} files, {count} were exported; {remedy}")


def _listed(problems: Sequence[str], most: int = 5) -> str:
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
