"""A data set is started, resumed, finished and removed here; its manifest says by what plan."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rssn.dataset.manifest import (
    Manifest,
    full_plan,
    is_removed,
    library_versions,
    plan_digest,
    read_manifest,
    refuse_other_plan,
    stored_manifest,
    write_manifest,
    write_removed,
)
from rssn.dataset.shards import DatasetFolder
from rssn.errors import InputError
from rssn.storage.location import BucketPath, Location
from rssn.storage.lock import is_lease
from rssn.storage.remote import list_files
from rssn.storage.urls import scrub


def check_dataset(root: Location, kind: str, settings: Mapping[str, Any], may_differ: str = "") -> None:
    """Whether a folder can take a data set, or resume the same one; nothing is written.

    Args:
        root: The output folder.
        kind: `composites` or `backgrounds`.
        settings: Everything that decides the rows: settings, seed, digests of the inputs. Compared key by key, together
            with the versions of the libraries that make the bytes.
        may_differ: The one key that may differ from the last run's.

    Raises:
        InputError: If the folder holds something else; the difference is spelled out.
    """
    before = stored_manifest(root)
    if before is None:
        refuse_foreign(root)
    else:
        refuse_other_plan(root, before.plan, full_plan(kind, settings), may_differ)


def refuse_foreign(root: Location) -> None:
    """Refuse a folder that is neither free nor holds a data set of ours.

    Raises:
        InputError: Naming the folder.
    """
    if not DatasetFolder(root).manifest_path.is_file() and not _is_free(root):
        raise InputError(f"{root}: not empty, and not a data set of rssn; choose another --out")


def open_dataset(
    root: Location, kind: str, settings: Mapping[str, Any], sources: Mapping[str, str], may_differ: str = ""
) -> DatasetFolder:
    """Start a data set, or resume the one in the folder if it was planned alike; see `check_dataset`.

    Args:
        root: The output folder.
        kind: `composites` or `backgrounds`.
        settings: Everything that decides the rows.
        sources: Where the inputs lie; may differ between two runs of one plan.
        may_differ: The one key of the settings that may differ from the last run's.

    Returns:
        The folder, with the digest that marks have to name.
    """
    check_dataset(root, kind, settings, may_differ)
    if is_removed(root):
        DatasetFolder(root).remove()  # the removal was interrupted: what it left must not pass for work that is done
    plan = full_plan(kind, settings)
    manifest = Manifest(
        plan=plan,
        plan_digest=plan_digest(plan),
        sources=dict(sources),
        command=scrub(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        versions=library_versions(),
    )
    write_manifest(root, manifest)
    return DatasetFolder(root, manifest.plan_digest)


def close_dataset(root: Location, totals: Mapping[str, Any]) -> None:
    """Write the totals of a finished run into the manifest."""
    write_manifest(root, replace(read_manifest(root), totals=dict(totals)))


def remove_dataset(root: Location) -> None:
    """Remove everything that a data set is made of, and nothing else in its folder.

    The manifest says so first: a removal that is interrupted leaves a folder that is ours and holds no data set.

    Raises:
        InputError: Naming what cannot be removed.
    """
    DatasetFolder(root).refuse_links()
    write_removed(root)
    DatasetFolder(root).remove()


def _is_free(root: Location) -> bool:
    """None, or an empty folder, or one in which a run was killed before it had written its first manifest."""
    if isinstance(root, BucketPath):
        return all(name.startswith(".lease") for name in list_files(root))
    if not root.exists():
        return True
    return root.is_dir() and all(is_lease(path) or path.match(".manifest.json.*.tmp") for path in root.iterdir())
