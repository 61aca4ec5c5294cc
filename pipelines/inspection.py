"""`rssn inspect`: is a data set whole, what does it hold, and what does it look like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.manifest import read_manifest
from pipelines.sheets import background_sheets, composite_sheets, reject_sheets
from rssn.images import Pixels, encode_png, fit_inside
from rssn.report import Section, page
from rssn.shards import DatasetFolder, Mark, check_shard

_NAME = re.compile(r"(?P<prefix>.+)-\d{5}-of-(?P<total>\d{5})")
_EMBEDDED_SIDE = 1100  # px; a page must stay small enough to open


@dataclass(frozen=True)
class Inspection:
    """What was found in a data set."""

    kind: str
    problems: Sequence[str]
    facts: Mapping[str, object]
    page: Path
    sheets: Sequence[Path]


def run_inspect(root: Path, samples: int = 48) -> Inspection:
    """Verify a data set, count it, and write its report.

    Args:
        root: The data set's folder.
        samples: How many samples the contact sheets show, spread evenly.

    Raises:
        InputError: If the folder holds no data set.
    """
    folder = DatasetFolder(root)
    manifest = read_manifest(folder)
    kind = str(manifest["plan"]["kind"])
    marks = folder.marks()
    checked = [(mark, check_shard(folder, mark)) for mark in marks]
    trusted = [mark for mark, problem in checked if problem is None and mark.rows]
    problems = [problem for _, problem in checked if problem] + _missing(folder, marks)
    facts = _facts(folder, kind, manifest, trusted)
    sections = [Section("What it holds", facts=facts), _verification(problems)]
    sheets = _sheets(folder, kind, manifest, trusted, samples)
    for title, pictures in sheets.items():
        sections.append(Section(title, pictures=[fit_inside(p, _EMBEDDED_SIDE) for p in pictures]))
    return Inspection(kind, problems, facts, _write_page(folder, sections), _write_sheets(folder, sheets))


def _missing(folder: DatasetFolder, marks: Sequence[Mark]) -> list[str]:
    """Shards that the others' names promise, and files that no mark vouches for."""
    known = {mark.name for mark in marks}
    expected: set[str] = set()
    for name in known:
        found = _NAME.fullmatch(name)
        if found:
            total = int(found["total"])
            expected |= {f"{found['prefix']}-{index:05d}-of-{total:05d}" for index in range(total)}
    unmarked = {path.stem for path in (folder.root / "data").glob("*.parquet")} - known
    problems = [f"{name}: not made yet" for name in sorted(expected - known)]
    return problems + [f"{name}.parquet: has no mark; it does not count" for name in sorted(unmarked)]


def _facts(folder: DatasetFolder, kind: str, manifest: Mapping[str, Any], marks: Sequence[Mark]) -> dict[str, object]:
    rows = sum(mark.rows for mark in marks)
    facts: dict[str, object] = {
        "folder": str(folder.root),
        "rows": rows,
        "shards": len(marks),
        "size": f"{sum(mark.bytes for mark in marks) / 1e6:.1f} MB",
        "rejected": _rejects(folder),
    }
    if rows:
        facts |= _draw_facts(folder, marks) if kind == "composites" else _background_facts(folder, manifest, marks)
    return facts


def _rejects(folder: DatasetFolder) -> str:
    reasons: Counter[str] = Counter()
    for path in sorted((folder.root / "rejects").glob("*.parquet")):
        reasons.update(pq.read_table(path, columns=["reason"])["reason"].to_pylist())
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return f"{reasons.total()} ({words})" if reasons else "0"


def _draw_facts(folder: DatasetFolder, marks: Sequence[Mark]) -> dict[str, object]:
    columns = ["foreground_id", "background_id", "recipe", "denoised", "blur_size", "noise_sigma", "foreground_method"]
    table = pq.read_table([folder.data(mark.name) for mark in marks], columns=columns)
    sizes = Counter(size for size in table["blur_size"].to_pylist() if size is not None)
    noisy = pc.sum(pc.greater(table["noise_sigma"], 0)).as_py()
    return {
        "recipe": ", ".join(pc.unique(table["recipe"]).to_pylist()),
        "foregrounds": len(pc.unique(table["foreground_id"])),
        "backgrounds": len(pc.unique(table["background_id"])),
        "F estimated by": _share(Counter(table["foreground_method"].to_pylist())),
        "denoised": f"{pc.sum(table['denoised']).as_py()} of {len(table)}",
        "blurred": f"{sizes.total()} of {len(table)}" + (f": {_share(sizes, ' px')}" if sizes else ""),
        "noise added": f"{noisy} of {len(table)}",
    }


def _background_facts(folder: DatasetFolder, manifest: Mapping[str, Any], marks: Sequence[Mark]) -> dict[str, object]:
    table = pq.read_table([folder.data(mark.name) for mark in marks], columns=["split", "width", "height"])
    return {
        "split": _share(Counter(table["split"].to_pylist())),
        "mean size": f"{pc.mean(table['width']).as_py():.0f} x {pc.mean(table['height']).as_py():.0f} px",
        "screened by": manifest["plan"]["detector"] or "nobody: salient objects may be in the pictures",
    }


def _share(counts: Counter[Any], unit: str = "") -> str:
    return ", ".join(f"{count} x {value}{unit}" for value, count in sorted(counts.items()))


def _verification(problems: Sequence[str]) -> Section:
    if problems:
        return Section("Verification: FAILED", facts={str(n): problem for n, problem in enumerate(problems, 1)})
    return Section("Verification: passed", "Every shard agrees with its mark: size, rows, footer and sha256.")


def _sheets(
    folder: DatasetFolder, kind: str, manifest: Mapping[str, Any], marks: Sequence[Mark], samples: int
) -> dict[str, list[Pixels]]:
    if kind == "composites":
        sheets = {"Samples": composite_sheets(folder, marks, Path(manifest["sources"]["matting"]), samples)}
    else:
        sheets = {"Kept": background_sheets(folder, marks, samples)}
    return {title: pages for title, pages in (sheets | {"Rejected": reject_sheets(folder, samples)}).items() if pages}


def _write_sheets(folder: DatasetFolder, sheets: Mapping[str, Sequence[Pixels]]) -> list[Path]:
    written = []
    for title, pages in sheets.items():
        for number, pixels in enumerate(pages, 1):
            path = folder.report / f"contact-sheet-{title.lower()}-{number:02d}.png"
            path.write_bytes(encode_png(pixels))
            written.append(path)
    return written


def _write_page(folder: DatasetFolder, sections: Sequence[Section]) -> Path:
    folder.report.mkdir(parents=True, exist_ok=True)
    path = folder.report / "index.html"
    path.write_text(page(f"Report: {folder.root.name}", sections), encoding="utf-8")
    return path
