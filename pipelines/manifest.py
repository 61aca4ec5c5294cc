"""The manifest: what a data set was made from, so that a resumed run cannot mix two recipes in one folder."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rssn.errors import InputError
from rssn.schema import SCHEMA_VERSION
from rssn.shards import DatasetFolder, write_json

_LIBRARIES = ("rssn", "numpy", "opencv-python", "pillow", "pyarrow", "pymatting", "bm3d", "imagehash", "ray")


def open_dataset(
    root: Path, kind: str, plan: Mapping[str, Any], sources: Mapping[str, str], growing: str = ""
) -> DatasetFolder:
    """Start a data set, or go on with the one in the folder if it was planned alike.

    Args:
        root: The output folder.
        kind: `composites` or `backgrounds`.
        plan: Everything that decides the rows: settings, seed, digests of the inputs. Compared key by key.
        sources: Where the inputs lie; may differ between two runs of one plan.
        growing: The one key of the plan that may differ from the last run's.

    Raises:
        InputError: If the folder holds something else; the difference is spelled out.
    """
    folder = DatasetFolder(root)
    planned = json.loads(
        json.dumps({"schema_version": SCHEMA_VERSION, "rssn": version("rssn"), "kind": kind} | dict(plan))
    )
    if folder.manifest.is_file():
        before = read_manifest(folder).get("plan", planned)
        _refuse_difference(root, *({k: v for k, v in each.items() if k != growing} for each in (before, planned)))
    elif root.is_dir() and any(root.iterdir()):
        raise InputError(f"{root}: not empty and no data set of ours; choose another --out")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    manifest = {"plan": planned, "sources": dict(sources), "command": command, "versions": _versions()}
    write_json(folder.manifest, manifest)
    return folder


def remove_dataset(folder: DatasetFolder) -> None:
    """Remove everything that a data set is made of, and nothing else that lies in its folder.

    Raises:
        InputError: If there is no data set of ours.
    """
    read_manifest(folder)
    write_json(folder.manifest, {})  # first: without a plan the folder is ours and holds no data set
    for name in ("data", "marks", "rejects", "plan", "progress", "report", "candidates"):
        shutil.rmtree(folder.root / name, ignore_errors=True)
    for name in ("README.md", "verdicts.parquet"):
        (folder.root / name).unlink(missing_ok=True)


def close_dataset(folder: DatasetFolder, totals: Mapping[str, Any]) -> None:
    """Write the totals of a finished run into the manifest."""
    write_json(folder.manifest, read_manifest(folder) | {"totals": dict(totals)})


def read_manifest(folder: DatasetFolder) -> dict[str, Any]:
    """The manifest of a data set.

    Raises:
        InputError: If there is none, or it is not JSON.
    """
    try:
        manifest: dict[str, Any] = json.loads(folder.manifest.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder.root}: no data set here (manifest.json: {error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{folder.manifest}: not JSON: {error}") from error
    return manifest


def _refuse_difference(root: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    old, new = _flat(before), _flat(now)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changed:
        words = "; ".join(f"{key} was {old.get(key, 'absent')}, is now {new.get(key, 'absent')}" for key in changed)
        raise InputError(f"{root} holds another data set: {words}. Choose another --out, or the settings of that run")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
