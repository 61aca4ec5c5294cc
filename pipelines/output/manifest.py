"""The manifest: what a data set was made from, so that a resumed run cannot mix two recipes in one folder."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from pipelines.output.lease import is_lease
from pipelines.output.staging import clear
from rssn.dataset.schema import SCHEMA_VERSION
from rssn.dataset.shards import PLAN_DIGEST, REMOVED, DatasetFolder
from rssn.errors import DamagedError, InputError
from rssn.storage.files import read_json, write_json
from rssn.storage.urls import scrub, shown
from rssn.versions import version

_DECIDING = (
    "rssn",
    "numpy",
    "opencv-python",
    "pillow",
    "simplejpeg",
    "pyarrow",
    "pymatting",
    "numba",
    "llvmlite",
    "imagehash",
)
"""Whose versions may change a byte of a shard; a denoiser's own stand in the plan of a composition."""
_LIBRARIES = (*_DECIDING, "bm3d", "bm4d", "ray", "ultralytics", "onnxruntime", "torch", "torchvision")


def check_dataset(folder: DatasetFolder, kind: str, plan: Mapping[str, Any], growing: str = "") -> None:
    """Whether a folder can take a data set, or goes on with the same one; nothing is written.

    Args:
        folder: The output folder.
        kind: `composites` or `backgrounds`.
        plan: Everything that decides the rows: settings, seed, digests of the inputs. Compared key by key, together
            with the versions of the libraries that make the bytes.
        growing: The one key of the plan that may differ from the last run's.

    Raises:
        InputError: If the folder holds something else; the difference is spelled out.
    """
    before = stored_plan(folder)
    if before is not None:
        planned = _planned(kind, plan)
        _refuse_difference(folder, *({k: v for k, v in each.items() if k != growing} for each in (before, planned)))
    else:
        refuse_foreign(folder)


def refuse_foreign(folder: DatasetFolder) -> None:
    """Refuse a folder that is neither free nor holds a data set of ours.

    Raises:
        InputError: Naming the folder.
    """
    if not folder.manifest.is_file() and folder.root.exists() and not _is_free(folder.root):
        raise InputError(f"{folder.root}: not empty and no data set of ours; choose another --out")


def open_dataset(
    folder: DatasetFolder, kind: str, plan: Mapping[str, Any], sources: Mapping[str, str], growing: str = ""
) -> DatasetFolder:
    """Start a data set, or go on with the one in the folder if it was planned alike; see `check_dataset`.

    Args:
        folder: The output folder.
        kind: `composites` or `backgrounds`.
        plan: Everything that decides the rows.
        sources: Where the inputs lie; may differ between two runs of one plan.
        growing: The one key of the plan that may differ from the last run's.

    Returns:
        The folder, with the digest that marks have to name.
    """
    check_dataset(folder, kind, plan, growing)
    if folder.manifest.is_file() and _read_json(folder).get(REMOVED):
        _clear(folder)  # the removal was interrupted: what it left must not pass for work that is done
    command = scrub(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    places = {name: shown(place) for name, place in sources.items()}
    planned = _planned(kind, plan)
    named = plan_digest(planned)
    facts = {"plan": planned, PLAN_DIGEST: named, "sources": places, "command": command, "versions": _versions()}
    write_json(folder.manifest, facts)
    return DatasetFolder(folder.root, named)


def plan_digest(planned: Mapping[str, Any]) -> str:
    """What names a plan in the marks of its shards, so that a mark of another plan counts nowhere.

    It covers all that decides the rows: recipe, seed, output, inputs, and the versions that make the bytes. A plan that
    grows stays the same one, and the marks that stand stay valid: of the foregrounds it covers the first generation,
    which neither `--extend` nor `--retry-rejects` ever changes.
    """
    foregrounds = planned.get("foregrounds")
    if isinstance(foregrounds, dict) and foregrounds.get("generations"):
        foregrounds = foregrounds["generations"][0]
    facts = dict(planned) | {"foregrounds": foregrounds}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def remove_dataset(folder: DatasetFolder) -> None:
    """Remove everything that a data set is made of, and nothing else that lies in its folder.

    The manifest says so first: a removal that is interrupted leaves a folder that is ours and holds no data set.

    Raises:
        InputError: Naming what cannot be removed.
    """
    folder.refuse_links()
    write_json(folder.manifest, {REMOVED: True})
    _clear(folder)


def _clear(folder: DatasetFolder) -> None:
    folder.remove()
    clear(folder.root)


def close_dataset(folder: DatasetFolder, totals: Mapping[str, Any]) -> None:
    """Write the totals of a finished run into the manifest."""
    write_json(folder.manifest, read_manifest(folder) | {"totals": dict(totals)})


def read_manifest(folder: DatasetFolder, *, any_version: bool = False) -> dict[str, Any]:
    """The manifest of a data set.

    Args:
        folder: Where it lies.
        any_version: Take those with other columns too; to remove them, say.

    Raises:
        InputError: If there is none, it is none of ours, or its rows have the columns of another version.
    """
    if not folder.manifest.is_file():
        raise InputError(f"{folder.root}: no data set here (it has no manifest.json)")
    manifest = _read_json(folder)
    if manifest.get(REMOVED):
        raise InputError(f"{folder.root}: its data set was removed by --overwrite; run that command again")
    if not isinstance(manifest.get("plan"), dict) or "kind" not in manifest["plan"]:
        raise InputError(f"{folder.manifest}: not a manifest of ours")
    made = manifest["plan"].get("schema_version", SCHEMA_VERSION)
    if made != SCHEMA_VERSION and not any_version:
        remedy = "use the release that made it, choose another --out, or compose again with --overwrite"
        raise InputError(f"{folder.root}: its columns are of version {made}, ours of {SCHEMA_VERSION}; {remedy}")
    if made == SCHEMA_VERSION:
        _refuse_altered(folder, manifest)
    return manifest


def _refuse_altered(folder: DatasetFolder, manifest: Mapping[str, Any]) -> None:
    """A manifest says which plan it holds; one that does not hold it, or lacks a part, is not as it was written."""
    if PLAN_DIGEST not in manifest:  # an earlier version made it
        return
    parts = all(isinstance(manifest.get(name), dict) for name in ("sources", "versions"))
    if not parts or manifest[PLAN_DIGEST] != plan_digest(manifest["plan"]):
        words = "damaged or edited, its plan is not the one that the marks name"
        raise DamagedError(f"{folder.manifest}: {words}; put back what was there, or choose another --out")


def screened_by(plan: Mapping[str, Any]) -> str | None:
    """The networks that looked for salient objects; None where none did."""
    return " and ".join(name for key in ("detector", "saliency") if (name := plan.get(key))) or None


def holds_dataset(folder: DatasetFolder) -> bool:
    """Whether there is a data set of ours in a folder, of whatever version.

    Raises:
        InputError: If the manifest is none of ours.
    """
    if not folder.manifest.is_file() or _read_json(folder).get(REMOVED):
        return False
    return bool(read_manifest(folder, any_version=True))


def stored_plan(folder: DatasetFolder) -> dict[str, Any] | None:
    """The plan of the data set in a folder; None where there is no data set, or none any more.

    Raises:
        InputError: As `read_manifest` does.
    """
    plan: dict[str, Any] | None = read_manifest(folder)["plan"] if holds_dataset(folder) else None
    return plan


def _read_json(folder: DatasetFolder) -> dict[str, Any]:
    return read_json(folder.manifest, "without it nobody knows what was made here; choose another --out")


def _planned(kind: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as JSON holds it, with what decides bytes besides."""
    made_by = {name: number for name, number in _versions().items() if name in _DECIDING}
    facts = {"schema_version": SCHEMA_VERSION, "kind": kind, "made_by": made_by} | dict(plan)
    values: dict[str, Any] = json.loads(json.dumps(facts))
    return values


def _is_free(root: Path) -> bool:
    """An empty folder, or one in which a run was killed before it had written its first manifest."""
    return root.is_dir() and all(is_lease(path) or path.match(".manifest.json.*.tmp") for path in root.iterdir())


def _refuse_difference(folder: DatasetFolder, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if before["kind"] != now["kind"]:
        raise InputError(f"{folder.root} holds {before['kind']}, not {now['kind']}; choose another --out")
    old, new = _flat(before), _flat(now)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changed:
        words = "; ".join(f"{key} was {old.get(key, 'absent')}, is now {new.get(key, 'absent')}" for key in changed)
        raise InputError(
            f"{folder.root} holds another data set: {words}. Choose another --out, or the settings of that run"
        )


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
