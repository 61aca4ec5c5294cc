"""Marks that photographs of one source share: how many are found, how many false alarms, and what it costs.

python -m tests.benchmarks.bench_marks DATA [--many 200000]

DATA holds the folders `photos` and `crawl`, see `bench_flags`. Text and logos are drawn at the lower right, at the
upper left or in the middle of photographs with nothing put on them; a source is 20 of those, of which 3, 5 or 10 have
the same mark. The limits were chosen on the first half of the photographs (every other one by name); both halves are
shown. False alarms: photographs without the mark in those sources, each set as one source, and `--crops` sections of
the photographs as one source of strangers. `--many` random sets of edges, as dense as those of photographs, of which
one in a thousand has a mark, are one source for time and memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from bg20k.edges import COLUMNS, DIRECTIONS, ROWS, Edges, find_edges, pack_edges, unpack_edges
from bg20k.marks import EdgeTable, shared_marks
from bg20k.records import Mark
from rssn.image.arrays import Pixels, encode_jpeg
from rssn.image.decoding import decode_pixels
from tests.benchmarks.bench_flags import Labelled, labelled

OPACITIES = (1.0, 0.5, 0.3)
QUALITIES = (75, 90)
SHARING = (3, 5, 10)
SOURCE = 20
_TRIES = 2
_MARGIN = 30  # px
_EDGES = 4000
_MARKED = 5
_WORDS = ("(c) 2019 Jane Miller", "Sample Photo", "2004/08/17 14:05")
_PLACES = {"lower right": (1.0, 1.0), "middle": (0.5, 0.5), "upper left": (0.0, 0.0)}


@dataclass(frozen=True)
class Drawing:
    """A mark: what is drawn, its ink, and where.

    Attributes:
        shape: How much each pixel is covered, 0 to 1.
        level: Of the ink, 0 or 255.
        place: Of `_PLACES`.
    """

    name: str
    shape: npt.NDArray[np.float32]
    level: int
    place: str

    def put(self, pixels: Pixels, opacity: float) -> Pixels:
        """A photograph with the mark."""
        height, width = self.shape.shape
        down, across = _PLACES[self.place]
        top = int(_MARGIN + down * (pixels.shape[0] - height - 2 * _MARGIN))
        left = int(_MARGIN + across * (pixels.shape[1] - width - 2 * _MARGIN))
        drawn, share = pixels.copy(), opacity * self.shape[..., None]
        part = drawn[top : top + height, left : left + width]
        part[:] = part * (1 - share) + self.level * share
        return drawn


def drawings() -> Iterator[Drawing]:
    """Three lines of text and three logos, of 2.8 to 6 % and 6 to 14 % of the shorter side."""
    for number, place in enumerate(_PLACES):
        rng = np.random.default_rng(number)
        font = ImageFont.load_default(size=int(1080 * rng.uniform(0.028, 0.06)))
        right, bottom = font.getbbox(_WORDS[number])[2:]
        layer = PillowImage.new("L", (int(right) + 4, int(bottom) + 4))
        ImageDraw.Draw(layer).text((2, 2), _WORDS[number], font=font, fill=255)
        yield _drawing("text", layer, rng, place)
        radius = int(1080 * rng.uniform(0.03, 0.07))
        layer = PillowImage.new("L", (2 * radius + 2, 2 * radius + 2))
        ImageDraw.Draw(layer).ellipse((0, 0, 2 * radius, 2 * radius), outline=255, width=max(3, radius // 5))
        turns = 2 * np.pi * np.arange(3 + number) / (3 + number)
        corners = radius + 0.55 * radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        ImageDraw.Draw(layer).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
        yield _drawing("logo", layer, rng, place)


def _drawing(name: str, layer: PillowImage.Image, rng: np.random.Generator, place: str) -> Drawing:
    level = 255 if rng.random() < 0.7 else 0
    return Drawing(f"{name} at the {place}", np.asarray(layer, np.float32) / 255, level, place)


@dataclass(frozen=True)
class Half:
    """One half of the photographs: the edges of each, plain and with each mark.

    Attributes:
        plain: By quality.
        marked: By quality, opacity and number of the drawing.
    """

    plain: Mapping[int, list[Edges]] = field(default_factory=lambda: {quality: [] for quality in QUALITIES})
    marked: dict[tuple[int, float, int], list[Edges]] = field(default_factory=dict)

    @classmethod
    def of(cls, photographs: Sequence[Pixels], marks: Sequence[Drawing]) -> Half:
        """Draw the marks, store each picture as JPEG, and find its edges."""
        half = cls()
        for pixels in photographs:
            for quality in QUALITIES:
                half.plain[quality].append(_stored_edges(pixels, quality))
                for opacity in OPACITIES:
                    for number, mark in enumerate(marks):
                        found = _stored_edges(mark.put(pixels, opacity), quality)
                        half.marked.setdefault((quality, opacity, number), []).append(found)
        return half

    def rates(self, opacity: float, sharing: int) -> tuple[float, int, int]:
        """Share of the marked photographs that are found, how many others are flagged, and of how many."""
        hits: list[bool] = []
        false: list[bool] = []
        for (quality, _, number), marked in self.marked.items():
            for attempt in range(_TRIES if _ == opacity else 0):
                rng = np.random.default_rng([sharing, number, attempt, quality])
                chosen = rng.permutation(len(marked))[:SOURCE].tolist()
                edges = [marked[one] for one in chosen[:sharing]] + [
                    self.plain[quality][one] for one in chosen[sharing:]
                ]
                found = one_source(edges)
                hits += [row in found for row in range(min(sharing, len(edges)))]
                false += [row in found for row in range(sharing, len(edges))]
        return float(np.mean(hits)), sum(false), len(false)


def one_source(edges: Sequence[Edges]) -> dict[int, Mark]:
    """The marks of different pictures of one source."""
    rows = np.arange(len(edges))
    return shared_marks(np.zeros(len(edges)), np.zeros(len(edges), np.bool_), rows, rows, edges)


def _stored_edges(pixels: Pixels, quality: int) -> Edges:
    return find_edges(_grey(decode_pixels(encode_jpeg(pixels, quality))))


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), np.uint8)


def recall_lines(name: str, half: Half) -> Iterator[str]:
    """Recall by opacity and number of pictures that share the mark."""
    for opacity in OPACITIES:
        found = [half.rates(opacity, sharing) for sharing in SHARING]
        words = ", ".join(
            f"{sharing} of {SOURCE}: {hits:.2f}" for sharing, (hits, _, _) in zip(SHARING, found, strict=True)
        )
        false = sum(wrong for _, wrong, _ in found)
        yield f"{name}, opacity {opacity}: {words}; false alarms {false} of {sum(count for *_, count in found)}"


def real_lines(found: Sequence[Labelled]) -> Iterator[str]:
    """Each set as one source: what is flagged, by what the labels say."""
    for name in ("photos", "crawl"):
        those = [one for one in found if one.row["set"] == name]
        marks = one_source([find_edges(_grey(one.pixels)) for one in those])
        plain = sum(not those[row].row["overlay"] for row in marks)
        yield f"{name} as one source ({len(those)}): {len(marks)} flagged, {plain} of those have nothing put on them"
        for row, mark in sorted(marks.items()):
            yield f"  {those[row].row['file']}: {mark} ({those[row].row['overlay'] or 'nothing put on it'})"


def strangers(photographs: Sequence[Pixels], count: int) -> Iterator[Edges]:
    """Edges of random sections of photographs, half of them mirrored, as JPEG."""
    for number in range(count):
        pixels = photographs[number % len(photographs)]
        rng = np.random.default_rng(number)
        height = int(rng.uniform(560, 1000))
        width = min(pixels.shape[1], int(height * rng.choice([4 / 3, 3 / 2, 16 / 9])))
        top, left = rng.integers(0, pixels.shape[0] - height + 1), rng.integers(0, pixels.shape[1] - width + 1)
        section = pixels[top : top + height, left : left + width, :][:, :: int(rng.choice([1, -1]))]
        yield _stored_edges(np.ascontiguousarray(section), int(rng.integers(75, 96)))


class _Random(EdgeTable):
    """Random edges as stored ones, as many as photographs have; of each thousand the first five have a mark of 300."""

    def __init__(self) -> None:
        rows, columns = np.divmod(np.random.default_rng(0).choice(900, 300, replace=False), 30)
        self._mark = (rows * COLUMNS + columns) * DIRECTIONS + columns % 7

    def __getitem__(self, row: int, /) -> Edges:
        """The edges of a row; the same whenever it is asked for."""
        edges = np.random.default_rng(row).integers(0, ROWS * COLUMNS * DIRECTIONS, _EDGES)
        return unpack_edges(pack_edges(np.unique(np.append(edges, self._mark) if row % 1000 < _MARKED else edges)))


def cost_lines(found: Sequence[Labelled], many: int) -> Iterator[str]:
    """CPU time and bytes a photograph, and time and memory of one large source."""
    greys = [_grey(one.pixels) for one in found[::6]]
    edges, times = [], []
    for grey in greys:
        start = time.process_time()
        edges.append(find_edges(grey))
        times.append(time.process_time() - start)
    size = np.mean([len(pack_edges(one)) for one in edges])
    yield f"CPU time of the edges per photograph: {1000 * median(times):.1f} ms; stored: {size / 1000:.1f} KB"
    table, rows = _Random(), np.arange(many)
    one_source([table[row] for row in range(9)])  # compiles
    before, start = _peak(), time.process_time()
    some = min(many, 2000)
    for row in range(some):
        table[row]
    made = 2 * (time.process_time() - start) / some  # every photograph is read twice
    start = time.process_time()
    marks = shared_marks(np.zeros(many), np.zeros(many, np.bool_), rows, rows, table)
    spent = (time.process_time() - start) / many - made
    yield (
        f"{many} photographs of one source: {1000 * spent:.2f} ms of CPU each, {_peak() - before:.0f} MB more; marked "
        f"{sum(row % 1000 < _MARKED for row in marks)} of {sum(row % 1000 < _MARKED for row in range(many))} "
        f"and {sum(row % 1000 >= _MARKED for row in marks)} others"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--crops", type=int, default=2000)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = labelled(options.data)
    plain = [one.pixels for one in sorted(found, key=lambda one: one.row["file"]) if one.is_plain]
    marks = [*drawings()]
    for name, those in (("chosen on", plain[::2]), ("judged on", plain[1::2])):
        for line in recall_lines(name, Half.of(those, marks)):
            print(line, flush=True)  # noqa: T201
    flagged = one_source([*strangers(plain, options.crops)])
    print(f"strangers as one source ({options.crops}): {len(flagged)} flagged")  # noqa: T201
    for lines in (real_lines(found), cost_lines(found, options.many)):
        print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
