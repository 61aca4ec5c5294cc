"""The manifest: what a data set was made from, so that a resumed run cannot mix two recipes in one folder."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from typing import Any

from rssn.dataset.schema import SCHEMA_VERSION
from rssn.errors import DamagedError, InputError, RemoteError
from rssn.storage.files import parse_json, write_json
from rssn.storage.location import Location
from rssn.storage.remote import content
from rssn.versions import version

MANIFEST = "manifest.json"

_REMOVED = "removed"
"""The key of a manifest whose data set is being removed, or was removed in part."""
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


class ForeignManifestError(ValueError):
    """Some other program's `manifest.json`."""


class RemovedDatasetError(ValueError):
    """The manifest says that its data set was removed, or is being removed."""


class NoDatasetError(InputError):
    """There is no data set in a folder, or none any more."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Attributes:
        plan: Everything that decides the rows: kind, schema version, settings, seed, digests of the inputs, and the
            versions of the libraries that make the bytes (`made_by`).
        plan_digest: Names the plan in the marks of its shards, see the function of this name; empty in a data set of an
            earlier version, as in its marks.
        sources: Where the inputs lie, by what they are, and a matting set's layout; may differ between two runs of one
            plan.
        command: What was typed.
        versions: Of Python and of all libraries that took part.
        totals: Counts of a finished run; empty until it is finished.
    """

    plan: Mapping[str, Any]
    plan_digest: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """`composites` or `backgrounds`."""
        return str(self.plan["kind"])

    @property
    def finished(self) -> bool:
        """Whether a run made all of it."""
        return bool(self.totals)

    @property
    def screened_by(self) -> str | None:
        """The networks that looked for salient objects; None where none did."""
        return screened_by(self.plan)


def parse_manifest(data: bytes) -> Manifest:
    """A manifest, from its content.

    Raises:
        ForeignManifestError: If it is none of ours.
        RemovedDatasetError: If it says that the data set was removed.
        ValueError: If it is damaged.
    """
    try:
        facts = parse_json(data)
    except ValueError as error:
        raise ValueError(f"damaged, not JSON: {error}") from error
    if isinstance(facts, dict) and facts.get(_REMOVED):
        raise RemovedDatasetError("its data set was removed by --overwrite")
    if not isinstance(facts, dict) or not isinstance(facts.get("plan"), dict) or "kind" not in facts["plan"]:
        raise ForeignManifestError("not a manifest of rssn")
    digest = str(facts.get("plan_digest", ""))
    absent: Any = None if digest else {}  # an earlier version made it
    sources, versions, totals = facts.get("sources", absent), facts.get("versions", absent), facts.get("totals", {})
    if not all(isinstance(each, dict) for each in (sources, versions, totals)):
        raise ValueError("damaged or edited, its sources, versions or totals are missing or of another type")
    return Manifest(facts["plan"], digest, sources, str(facts.get("command", "")), versions, totals)


def read_manifest(root: Location, *, any_version: bool = False) -> Manifest:
    """The manifest of a data set.

    Args:
        root: The data set's folder.
        any_version: Take those with other columns too; to remove them, say.

    Raises:
        NoDatasetError: If there is none, or it was removed.
        DamagedError: If it is not as it was written.
        InputError: If it is none of ours, or its rows have the columns of another version.
    """
    path = root / MANIFEST
    try:
        manifest = parse_manifest(content(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NoDatasetError(f"{root}: no data set here ({MANIFEST} is missing)") from error
    except RemovedDatasetError as error:
        raise NoDatasetError(f"{root}: {error}; run that command again") from error
    except ForeignManifestError as error:
        raise InputError(f"{path}: {error}; choose another --out") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    made = manifest.plan.get("schema_version", SCHEMA_VERSION)
    if made != SCHEMA_VERSION and not any_version:
        remedy = "use the release that made it, choose another --out, or compose again with --overwrite"
        raise InputError(f"{root}: its columns are of version {made}, ours of {SCHEMA_VERSION}; {remedy}")
    if made == SCHEMA_VERSION and manifest.plan_digest not in ("", plan_digest(manifest.plan)):
        raise _damaged(path, "damaged or edited, its plan is not the one that the marks name")
    return manifest


def _damaged(path: Location, words: str) -> DamagedError:
    return DamagedError(f"{path}: {words}; restore a copy of it, or choose another --out")


def stored_manifest(root: Location, *, any_version: bool = False) -> Manifest | None:
    """The manifest of the data set in a folder; None where there is no data set, or none any more.

    Raises:
        InputError: As `read_manifest` does otherwise.
    """
    try:
        return read_manifest(root, any_version=any_version)
    except NoDatasetError:
        return None


def holds_dataset(root: Location) -> bool:
    """Whether there is a data set of ours in a folder, of whatever version.

    Raises:
        InputError: If the manifest is none of ours.
    """
    return stored_manifest(root, any_version=True) is not None


def is_removed(root: Location) -> bool:
    """Whether a folder holds what an interrupted removal left of a data set."""
    try:
        parse_manifest(content(root / MANIFEST))
    except RemovedDatasetError:
        return True
    except RemoteError:
        raise
    except (OSError, ValueError):
        return False
    return False


def write_manifest(root: Location, manifest: Manifest) -> None:
    """Write `manifest.json`; a reader sees the old one or the new one."""
    write_json(root / MANIFEST, {name: value for name, value in vars(manifest).items() if name != "totals" or value})


def write_removed(root: Location) -> None:
    """Say that the data set in a folder is being removed."""
    write_json(root / MANIFEST, {_REMOVED: True})


def full_plan(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as JSON holds it: the settings, with the versions that decide bytes besides."""
    made_by = {name: number for name, number in library_versions().items() if name in _DECIDING}
    facts = {"schema_version": SCHEMA_VERSION, "kind": kind, "made_by": made_by} | dict(settings)
    values: dict[str, Any] = json.loads(json.dumps(facts))
    return values


def plan_digest(plan: Mapping[str, Any]) -> str:
    """What names a plan in the marks of its shards, so that a mark of another plan counts nowhere.

    It covers all that decides the rows: recipe, seed, output, inputs, and the versions that make the bytes. A plan that
    grows stays the same one, and the marks of existing shards stay valid: of the foregrounds it covers the first batch,
    which neither `--extend` nor `--retry-rejects` ever changes.
    """
    foregrounds = plan.get("foregrounds")
    if isinstance(foregrounds, dict) and foregrounds.get("batches"):
        foregrounds = foregrounds["batches"][0]
    facts = dict(plan) | {"foregrounds": foregrounds}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def refuse_other_plan(root: Location, before: Mapping[str, Any], now: Mapping[str, Any], may_differ: str = "") -> None:
    """Refuse to resume a data set by another plan.

    Args:
        root: The data set's folder.
        before: The plan that it was started with.
        now: The plan of this run.
        may_differ: The one key that may differ.

    Raises:
        InputError: If there is a difference; it is spelled out.
    """
    if before["kind"] != now["kind"]:
        raise InputError(f"{root} holds {before['kind']}, not {now['kind']}; choose another --out")
    old, new = (_flat({key: value for key, value in each.items() if key != may_differ}) for each in (before, now))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if changed:
        words = "; ".join(f"{key} was {old.get(key, 'absent')}, is now {new.get(key, 'absent')}" for key in changed)
        raise InputError(f"{root} holds another data set: {words}. Choose another --out, or the settings of that run")


def screened_by(plan: Mapping[str, Any]) -> str | None:
    """The networks of a plan that look for salient objects; None where none does."""
    return " and ".join(name for key in ("detector", "saliency") if (name := plan.get(key))) or None


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that may take part, those that are installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
