"""What a photograph costs `rssn build-bg20k`, stage by stage, beside a bare decode and the detector's network alone.

python -m tests.benchmarks.bench_examine PHOTOS [DETECTOR]

PHOTOS is a folder; photographs of 8 megapixels and more ("4K") count. Printed are CPU milliseconds of one thread: the
median over the photographs of the median of three runs each, in one process, so that they can be set in relation.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from bg20k.candidates import Candidate, examine
from bg20k.edges import find_edges, pack_edges
from bg20k.lookalikes import print_of
from bg20k.measures import MEASURES
from bg20k.objects import VIEWS, Detector, look
from bg20k.onnx_model import open_session
from bg20k.rules import CurationRules
from bg20k.sketch import Sketch
from bg20k.strokes import find_strokes
from bg20k.yolo import YoloDetector
from pipelines.curate.rows import candidate_row
from rssn.image.arrays import encode_jpeg, resize_area
from rssn.image.decoding import decode_pixels
from rssn.image.photograph import decode_photograph
from rssn.sources.crawl import Photograph
from rssn.storage.files import Row

RULES = CurationRules()
_LEAST_PIXELS = 8_000_000
_REPEATS = 3
_SMALL = 1.0  # ms; measures below this are counted together

Work: TypeAlias = Callable[[], Any]

ALONE: Final = "for comparison"
STAGES: Final = "stages"
MEASURED: Final = "measures"
DETECTED: Final = "detector"


def stages(data: bytes, found: Candidate) -> Iterator[tuple[str, str, Work]]:
    """The stages of one photograph, each as it is called: group, name, work."""
    size = (found.pixels.shape[1], found.pixels.shape[0])
    decoded = decode_photograph(data, RULES.min_side).pixels
    sketch = Sketch.of(found.grey)
    yield ALONE, "bare decode (OpenCV)", lambda: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    yield STAGES, "decode, with grey samples of the full resolution", lambda: decode_photograph(data, RULES.min_side)
    yield STAGES, "shrink to 1080 px", lambda: resize_area(decoded, *size)
    yield STAGES, "find strokes", lambda: find_strokes(found.grey)
    yield STAGES, "local features (SIFT)", lambda: Sketch.of(found.grey)
    yield STAGES, "hashes of views", lambda: print_of(found.grey, sketch, RULES.flat_std)
    yield STAGES, "edges", lambda: pack_edges(find_edges(found.grey))
    yield STAGES, "encode the picture", lambda: encode_jpeg(found.pixels)
    yield STAGES, "all of it", lambda: curated(data)
    for measure in MEASURES:
        yield MEASURED, measure.name, partial(measure.compute, found)


def curated(data: bytes) -> Row:
    """All that the curation makes of a photograph, without networks."""
    return candidate_row(Photograph("photograph"), examine(data, RULES), None)


def detector_stages(found: Candidate, detector: Detector, network: Work) -> Iterator[tuple[str, str, Work]]:
    """The detector's network alone, and the detector at the resized picture."""
    yield ALONE, "the detector's network alone, once", network
    yield DETECTED, "detect in the whole frame", lambda: detector.detect([found.pixels])
    yield DETECTED, f"detect in {len(VIEWS)} views", lambda: look(detector, [found.pixels])


def milliseconds(work: Work) -> float:
    """CPU time of a piece of work: the median of three runs."""
    times = []
    for _ in range(_REPEATS):
        start = process_time()
        work()
        times.append(1000 * (process_time() - start))
    return median(times)


def table(found: Mapping[tuple[str, str], list[float]]) -> Iterator[str]:
    """A line for each stage and for each measure that takes a millisecond or more; the others together."""
    medians = {place: median(times) for place, times in found.items()}
    small = [place for place, time in medians.items() if place[0] == MEASURED and time < _SMALL]
    yield f"{max(map(len, found.values()), default=0)} photographs; CPU-ms, median"
    for (group, name), time in medians.items():
        if (group, name) not in small:
            yield f"{group}: {name}: {time:.1f}"
    yield f"{MEASURED}: the other {len(small)} together: {sum(medians[place] for place in small):.1f}"


def _network(path: Path) -> Work:
    """One run of an ONNX network on a grey picture of its own size."""
    session = open_session(path)
    [asked] = session.get_inputs()
    picture = np.full(asked.shape, 0.5, np.float32)
    return lambda: session.run(None, {asked.name: picture})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("detector", type=Path, nargs="?", help="an ONNX file")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector = YoloDetector(options.detector) if options.detector else None
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for path in sorted(options.photos.glob("*.jpg")):
        data = path.read_bytes()
        if decode_pixels(data).size < 3 * _LEAST_PIXELS:
            continue
        found = examine(data, RULES)
        work = [*stages(data, found)]
        if detector:
            work += detector_stages(found, detector, _network(options.detector))
        for group, name, one in work:
            times[group, name].append(milliseconds(one))
    print("\n".join(table(times)))  # noqa: T201


if __name__ == "__main__":
    main()
