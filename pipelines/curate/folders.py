"""Where the parts of a curated set lie that other data sets do not have."""

from __future__ import annotations

from pathlib import Path

from rssn.dataset.shards import DatasetFolder


def candidates_folder(folder: DatasetFolder) -> DatasetFolder:
    """The working set of a set: every photograph that could be examined, resized, with its fingerprint."""
    return DatasetFolder(folder.root / "candidates", folder.plan_digest)


def verdicts_path(root: Path) -> Path:
    """One row per photograph that came in."""
    return root / "verdicts.parquet"


def photos_plan(root: Path) -> Path:
    """The photographs in the order of the candidate shards."""
    return root / "plan" / "photos.parquet"
