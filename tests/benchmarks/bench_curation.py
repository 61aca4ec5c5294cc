"""The curation: what a photograph costs against OpenCV, and what the screening gets right on labelled photographs.

python -m tests.benchmarks.bench_curation LABELS PHOTOS [DETECTOR] [--saliency FILE.onnx] [--embedder MODEL]

LABELS is a table of tabs with the columns `file`, `label` (`clean` or `salient`) and `duplicate_group` (empty for
photographs without copies); PHOTOS is the folder of those files. Nothing is asserted: the figures are printed.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple, get_args

import cv2
import numpy as np

from bg20k.candidates import examine
from bg20k.decide import decide
from bg20k.embedding import Embedder, load_embedder
from bg20k.measures import measured as measures_of
from bg20k.objects import Detector, look
from bg20k.onnx_model import Scaling
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.saliency import OnnxSaliency, SaliencyModel, find_salient
from bg20k.verdict import DUPLICATE, Verdict
from bg20k.yolo import YoloDetector
from rssn.image.arrays import Pixels, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from tests.benchmarks.bench_examine import curated
from tests.benchmarks.table import Job, Row, measured, table_lines
from tests.pictures import read_table

RULES = CurationRules()
_KINDS = {(True, True): "hits", (True, False): "misses", (False, True): "false alarms"}  # salient, rejected
_REPEATS = 7
_TIMED = 5  # photographs


class Networks(NamedTuple):
    """What looks at the photographs."""

    detector: Detector | None = None
    saliency: SaliencyModel | None = None
    embedder: Embedder | None = None


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
            score = record.object_score or 0.0
            if salient or score >= RULES.salient_limit:
                found[_KINDS[salient, score >= RULES.salient_limit]].append(f"{record.source} ({score:.2f})")
        return found

    def scores(self, label: str) -> list[float]:
        """The object scores of the photographs with a label."""
        return [record.object_score or 0.0 for record in self.records if self.labels[record.source]["label"] == label]

    def groups(self) -> tuple[int, list[str]]:
        """How many groups of copies there are, and those of which not exactly one is kept or judged in its place."""
        left: dict[str, int] = defaultdict(int)
        for record in self.records:
            group = self.labels[record.source]["duplicate_group"]
            if group:
                left[group] += self.verdicts[record.source].reason != DUPLICATE
        return len(left), sorted(group for group, count in left.items() if count != 1)


def screen(labels: Path, photos: Path, networks: Networks) -> Screened:
    """Examine, screen and judge all labelled photographs."""
    table = {row["file"]: row for row in read_table(labels)}
    records = [_record(photos / name, name, networks) for name in table]
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
    """Decode, resize to 1080 px and encode with OpenCV; or all that the curation makes of it."""
    whole = decode_pixels(path.read_bytes())
    size = (4000, 3000) if whole.shape[1] >= whole.shape[0] else (3000, 4000)
    data = encode_jpeg_420(np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA)))
    if which == "opencv":
        return Job(lambda: _bare(data))
    return Job(lambda: curated(data))


def encode_jpeg_420(pixels: np.ndarray) -> bytes:
    """A JPEG as cameras write it: quality 92, halved chroma."""
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def _bare(data: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    scale = RULES.min_side / min(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _record(path: Path, name: str, networks: Networks) -> Record:
    found = examine(path.read_bytes(), RULES)
    if networks.detector:
        found = replace(found, detections=look(networks.detector, [found.pixels])[0])
    if networks.saliency:
        found = replace(found, saliency=find_salient(networks.saliency.mask(found.pixels)))
    return Record.of({"background_id": found.background_id, "source": name} | measures_of(found), RULES)


def screening_lines(found: Screened) -> Iterator[str]:
    """Precision and recall, and which photographs are wrong."""
    errors = found.errors()
    hits, misses, alarms = (len(errors[kind]) for kind in ("hits", "misses", "false alarms"))
    precision = hits / (hits + alarms) if hits + alarms else float("nan")
    recall = hits / (hits + misses) if hits + misses else float("nan")
    yield f"salient screening: precision {precision:.3f}, recall {recall:.3f} on {len(found.records)} photographs"
    for kind in ("misses", "false alarms"):
        yield f"  {kind}: {', '.join(errors[kind]) or 'none'}"
    salient, clean = found.scores("salient"), found.scores("clean")
    if salient and clean:
        yield f"  margin: least salient {min(salient):.2f}, most salient clean {max(clean):.2f}"


def embedding_lines(photos: Sequence[Path], embedder: Embedder) -> Iterator[str]:
    """How alike copies of a photograph look to a network, and how alike two photographs."""
    pixels = [examine(path.read_bytes(), RULES).pixels for path in photos]
    found = np.stack([embedder.embed(each) for each in pixels])
    strangers = (found @ found.T)[np.triu_indices(len(photos), 1)]
    yield f"embeddings of {embedder.name}: of {len(photos)} photographs the two most alike reach {strangers.max():.2f}"
    for name, change in COPIES.items():
        cosines = np.array([one @ embedder.embed(change(each)) for one, each in zip(found, pixels, strict=True)])
        reach = (cosines >= RULES.cosine).mean()
        words = f"{cosines.min():.2f} and more, median {np.median(cosines):.2f}"
        yield f"  {name}: {words}; {reach:.0%} reach {RULES.cosine}"


def _without_a_tenth(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return pixels[height // 10 : -(height // 10), width // 10 : -(width // 10)]


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "without a tenth on each side": _without_a_tenth,
    "a corner of 60 %": lambda pixels: pixels[: pixels.shape[0] * 3 // 5, : pixels.shape[1] * 3 // 5],
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "darkened, gamma 1.8": lambda pixels: to_uint8(to_float(pixels) ** np.float32(1.8)),
    "warmed": lambda pixels: to_uint8(to_float(pixels) * np.array([1.25, 1.0, 0.75], np.float32)),
    "grey": lambda pixels: np.repeat(to_uint8(to_float(pixels).mean(axis=2))[..., None], 3, axis=2),
}
"""What people do to a photograph that a perceptual hash does not bear."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("detector", type=Path, nargs="?")
    parser.add_argument("--saliency", type=Path, help="a class-free network, .onnx")
    parser.add_argument("--saliency-scaling", choices=get_args(Scaling), default="imagenet")
    parser.add_argument("--embedder", help="as --deep-duplicates of rssn build-bg20k takes it")
    options = parser.parse_args()
    networks = Networks(
        YoloDetector(options.detector) if options.detector else None,
        OnnxSaliency(options.saliency, options.saliency_scaling) if options.saliency else None,
        load_embedder(options.embedder) if options.embedder else None,
    )
    found = screen(options.labels, options.photos, networks)
    screened = networks.detector or networks.saliency
    lines = list(screening_lines(found)) if screened else ["salient screening: no network was given"]
    count, wrong = found.groups()
    kept = f"{count - len(wrong)} of {count} keep exactly one"
    lines.append(f"duplicate groups: {kept}; wrong: {', '.join(wrong) or 'none'}")
    names = sorted(found.labels)
    if networks.embedder:
        firsts = {found.labels[name]["duplicate_group"] or name: name for name in names[::-1]}
        lines += embedding_lines([options.photos / name for name in sorted(firsts.values())], networks.embedder)
    photos = [options.photos / name for name in names[:: max(1, len(names) // _TIMED)][:_TIMED]]
    print("\n".join([*lines, "", *table_lines(rows(photos))]))  # noqa: T201


if __name__ == "__main__":
    main()
