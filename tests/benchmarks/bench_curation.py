"""The curation: what a photograph costs against OpenCV, and what the screening gets right on labelled photographs.

python tests/benchmarks/bench_curation.py LABELS PHOTOS [DETECTOR]

LABELS is a table of tabs with the columns `file`, `label` (`clean` or `salient`) and `duplicate_group` (empty for
photographs without copies); PHOTOS is the folder of those files. Nothing is asserted: the figures are printed.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from bg20k.candidates import examine
from bg20k.decide import decide
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.salience import Detector, salience
from bg20k.verdict import DUPLICATE, Verdict
from bg20k.yolo import YoloDetector
from rssn.decoding import decode_pixels
from rssn.images import encode_jpeg, fit_inside
from tests.benchmarks.table import Job, Row, measured, table_lines

RULES = CurationRules()
_FACTS = ("background_id", "source_width", "source_height", "phash", "sharpness", "flat", "detail")
_KINDS = {(True, True): "hits", (True, False): "misses", (False, True): "false alarms"}  # salient, rejected
_REPEATS = 7
_TIMED = 5  # photographs


@dataclass(frozen=True)
class Screened:
    """What the curation says of labelled photographs."""

    labels: Mapping[str, Mapping[str, str]]
    records: Sequence[Record]
    verdicts: Mapping[str, Verdict]

    def errors(self) -> dict[str, list[str]]:
        """By kind: `hits`, `misses` (salient, let through) and `false alarms`; copies count as their originals do."""
        found: dict[str, list[str]] = defaultdict(list)
        for record in self.records:
            salient = self.labels[record.source]["label"] == "salient"
            rejected = (record.salience or 0.0) >= RULES.confidence
            if salient or rejected:
                found[_KINDS[salient, rejected]].append(f"{record.source} ({record.salience:.2f})")
        return found

    def groups(self) -> tuple[int, list[str]]:
        """How many groups of copies there are, and those of which not exactly one is kept or judged in its place."""
        left: dict[str, int] = defaultdict(int)
        for record in self.records:
            group = self.labels[record.source]["duplicate_group"]
            if group:
                left[group] += self.verdicts[record.source].reason != DUPLICATE
        return len(left), sorted(group for group, count in left.items() if count != 1)


def screen(labels: Path, photos: Path, detector: Detector | None) -> Screened:
    """Examine, screen and judge all labelled photographs."""
    with labels.open(encoding="utf-8") as stream:
        table = {row["file"]: row for row in csv.DictReader(stream, delimiter="\t")}
    records = [_record(photos / name, name, detector) for name in table]
    return Screened(
        table, records, {r.source: v for r, v in zip(records, decide(Crawl.of(records), RULES), strict=True)}
    )


def rows(photos: Sequence[Path]) -> Iterator[Row]:
    """CPU time per JPEG of 12 megapixels against OpenCV alone, a row for each photograph and one for the median."""
    ratios = []
    for path in photos:
        theirs, ours = (measured(prepare, which, path, repeats=_REPEATS) for which in ("opencv", "ours"))
        ratios.append(theirs.seconds / ours.seconds)
        yield Row(f"curate {path.stem}, 12 MP", theirs, ours)
    if ratios:
        yield Row(f"curate 12 MP, median of {len(ratios)}", None, ours, ratio=median(ratios))


def prepare(which: str, path: Path) -> Job:
    """Decode, resize to 1080 px and encode with OpenCV; or the same with all that the curation measures besides."""
    whole = decode_pixels(path.read_bytes())
    size = (4000, 3000) if whole.shape[1] >= whole.shape[0] else (3000, 4000)
    data = encode_jpeg_420(np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA)))
    if which == "opencv":
        return Job(lambda: _bare(data))
    return Job(lambda: _curated(data))


def encode_jpeg_420(pixels: np.ndarray) -> bytes:
    """A JPEG as cameras write it: quality 92, halved chroma."""
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def _bare(data: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scale = RULES.min_side / min(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _curated(data: bytes) -> bytes:
    found = examine(data, RULES)
    return encode_jpeg(found.pixels) + encode_jpeg(fit_inside(found.pixels, 256), 85)


def _record(path: Path, name: str, detector: Detector | None) -> Record:
    found = examine(path.read_bytes(), RULES)
    score, salient = salience(detector.detect([found.pixels])[0], RULES) if detector else (None, None)
    return Record(**{fact: getattr(found, fact) for fact in _FACTS}, source=name, salience=score, salient=salient)


def screening_lines(found: Screened) -> Iterator[str]:
    """Precision and recall, and which photographs are wrong."""
    errors = found.errors()
    hits, misses, alarms = (len(errors[kind]) for kind in ("hits", "misses", "false alarms"))
    precision = hits / (hits + alarms) if hits + alarms else float("nan")
    recall = hits / (hits + misses) if hits + misses else float("nan")
    yield f"salient screening: precision {precision:.3f}, recall {recall:.3f} on {len(found.records)} photographs"
    for kind in ("misses", "false alarms"):
        yield f"  {kind}: {', '.join(errors[kind]) or 'none'}"
    scores = {
        label: [record.salience or 0.0 for record in found.records if found.labels[record.source]["label"] == label]
        for label in ("salient", "clean")
    }
    if all(scores.values()):
        yield f"  margin: least salient {min(scores['salient']):.2f}, most salient clean {max(scores['clean']):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("detector", type=Path, nargs="?")
    options = parser.parse_args()
    found = screen(options.labels, options.photos, YoloDetector(options.detector) if options.detector else None)
    lines = list(screening_lines(found)) if options.detector else ["salient screening: no detector was given"]
    count, wrong = found.groups()
    kept = f"{count - len(wrong)} of {count} keep exactly one"
    lines.append(f"duplicate groups: {kept}; wrong: {', '.join(wrong) or 'none'}")
    names = sorted(found.labels)
    photos = [options.photos / name for name in names[:: max(1, len(names) // _TIMED)][:_TIMED]]
    print("\n".join([*lines, "", *table_lines(rows(photos))]))  # noqa: T201


if __name__ == "__main__":
    main()
