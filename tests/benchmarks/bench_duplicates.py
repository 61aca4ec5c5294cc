"""Duplicates by geometry: what is found of made copies, which strangers are merged, and what it costs.

python -m tests.benchmarks.bench_duplicates FOLDER... [--count 1000000]

FOLDER is that of `bench_salient`. Of every group the first photograph stands for it; copies are made of
those. With --count as many random prints are searched as well. Nothing is asserted: the figures are printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from bg20k.alignment import Comparison, compare
from bg20k.copies import Match, copies_of
from bg20k.decide import compared, decide, leaders
from bg20k.hamming import Hashes
from bg20k.lookalikes import lookalikes, print_of, unpacked
from bg20k.measures import hash_picture
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.sketch import CODES, Sketch
from bg20k.verdict import ALTERED, DUPLICATE
from bg20k.views import VIEWS
from rssn.image.arrays import Pixels, encode_jpeg, resize_area, to_float, to_uint8
from rssn.image.decoding import decode_pixels
from tests.pictures import group_of, read_table

RULES: Final = CurationRules()
_SIDE = 720  # px of the shorter side of what copies are made of
_SEARCHED = 50  # prints that are searched once before the clock starts

Change = Callable[[Pixels], Pixels]


@dataclass(frozen=True, slots=True)
class Seen:
    """A photograph as the search for copies sees it."""

    phash: int
    low_texture: bool
    prints: Hashes
    sketch: bytes

    @classmethod
    def of(cls, pixels: Pixels, quality: int = 90) -> Seen:
        """What is kept of an H x W x 3 picture after a JPEG of some quality."""
        grey = np.asarray(cv2.cvtColor(decode_pixels(encode_jpeg(pixels, quality)), cv2.COLOR_RGB2GRAY), np.uint8)
        sketch = Sketch.of(grey)
        stored = print_of(grey, sketch, RULES.flat_std)
        return cls(*hash_picture(grey, RULES), unpacked(stored)[0], sketch.to_bytes())

    def compare(self, other: Seen) -> Comparison:
        """As a task of the curation does it, from what is stored."""
        views = self.prints[:VIEWS], other.prints[:VIEWS]
        return compare(Sketch.from_bytes(self.sketch), Sketch.from_bytes(other.sketch), views)

    def is_near(self, other: Seen) -> bool:
        """Whether the hash of the whole frame makes them duplicates already."""
        return (self.phash ^ other.phash).bit_count() <= RULES.phash_distance


def middle(ratio: float) -> Change:
    """The largest part of a ratio of width to height, from the middle."""

    def crop(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        wide, high = min(width, round(height * ratio)), min(height, round(width / ratio))
        left, top = (width - wide) // 2, (height - high) // 2
        return pixels[top : top + high, left : left + wide]

    return crop


def part(left: float, top: float, share: float) -> Change:
    """A part with a share of both sides."""

    def crop(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        y, x = round(top * height), round(left * width)
        return pixels[y : y + round(share * height), x : x + round(share * width)]

    return crop


def with_logo(pixels: Pixels) -> Pixels:
    """A disc of 5 % of the frame in its middle, with a ring and a word."""
    height, width = pixels.shape[:2]
    radius, centre, out = int((0.05 * height * width / np.pi) ** 0.5), (width // 2, height // 2), pixels.copy()
    cv2.circle(out, centre, radius, (255, 255, 255), -1)
    cv2.circle(out, centre, int(radius * 0.7), (40, 140, 60), -1)
    place = (centre[0] - int(radius * 0.6), centre[1] + radius // 5)
    cv2.putText(out, "MATE", place, 0, radius / 60, (255, 255, 255), max(1, radius // 15))
    return out


def with_text(pixels: Pixels) -> Pixels:
    """A line across the middle and a small one at the lower edge."""
    height, width = pixels.shape[:2]
    out = pixels.copy()
    cv2.putText(out, "Sample Watermark", (width // 10, height // 2), 0, height / 270, (255, 255, 255), height // 135)
    place = (width // 10, height - height // 27)
    cv2.putText(out, "(c) photographer 2024 example.com", place, 0, height / 700, (255, 255, 255), height // 270)
    return out


def with_border(pixels: Pixels) -> Pixels:
    """A white frame of 6 % of the height around it."""
    width = round(0.06 * pixels.shape[0])
    return np.asarray(
        cv2.copyMakeBorder(pixels, *(width,) * 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)), dtype=np.uint8
    )


def _mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


COPIES: Final[Mapping[str, Change]] = {
    "16:9": middle(16 / 9),
    "3:2": middle(3 / 2),
    "4:3": middle(4 / 3),
    "1:1": middle(1.0),
    "60 %, upper left": part(0.0, 0.0, 0.6),
    "60 %, upper right": part(0.4, 0.0, 0.6),
    "60 %, lower left": part(0.0, 0.4, 0.6),
    "60 %, lower right": part(0.4, 0.4, 0.6),
    "75 %, off the middle": part(0.05, 0.15, 0.75),
    "mirrored": _mirrored,
    "mirrored 4:3": lambda pixels: _mirrored(middle(4 / 3)(pixels)),
    "grey": lambda pixels: np.repeat(to_uint8(to_float(pixels).mean(axis=2))[..., None], 3, axis=2),
    "darkened, gamma 1.8": lambda pixels: to_uint8(to_float(pixels) ** np.float32(1.8)),
    "tinted": lambda pixels: to_uint8(to_float(pixels) * np.array([1.25, 0.95, 0.65], np.float32)),
    "logo of 5 %": with_logo,
    "text": with_text,
    "border": with_border,
    "JPEG 30": lambda pixels: pixels,
    "blurred": lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 5 * pixels.shape[0] / 1080), np.uint8),
}
"""What people do to a photograph."""

_QUALITY: Final = {"JPEG 30": 30}
_STAMPS: Final = ("logo of 5 %", "text")  # strangers with the same one on them must stay strangers


@dataclass(frozen=True)
class Labelled:
    """Photographs, the group of each (its own name where it has no copies), and their pixels."""

    groups: Mapping[str, str]
    pixels: Mapping[str, Pixels]

    @classmethod
    def read(cls, folder: Path) -> Labelled:
        """Decode all labelled photographs of a folder, and shrink them."""
        groups = {row["file"]: group_of(row) for row in read_table(folder / "labels.tsv")}
        return cls(groups, {name: _shrunk((folder / name).read_bytes()) for name in groups})

    def originals(self) -> list[str]:
        """The first of each group."""
        return sorted({group: name for name, group in reversed([*self.groups.items()])}.values())


def _shrunk(data: bytes) -> Pixels:
    pixels = decode_pixels(data)
    scale = min(1.0, _SIDE / min(pixels.shape[:2]))
    return resize_area(pixels, round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))


def group_lines(found: Labelled) -> Iterator[str]:
    """Of which groups not exactly one photograph is kept or judged in the place of the others."""
    seen = {name: Seen.of(pixels) for name, pixels in found.pixels.items()}
    crawl = Crawl.of(_record(number, name, found.pixels[name], one) for number, (name, one) in enumerate(seen.items()))
    names = list(seen)
    keepers = leaders(crawl, RULES)
    prints = np.stack([one.prints for one in seen.values()]) * compared(crawl, keepers)[:, None].astype(np.uint64)
    pairs = lookalikes(prints, np.zeros(len(crawl), np.bool_)).tolist()
    matches = [Match(crawl.id_of(a), crawl.id_of(b), seen[names[a]].compare(seen[names[b]])) for a, b in pairs]
    copies = copies_of(
        (match for match in matches if match.found.is_copy(RULES.agreement)),
        {crawl.id_of(row): crawl.id_of(int(keeper)) for row, keeper in enumerate(keepers)},
    )
    kept: dict[str, int] = defaultdict(int)
    wrong = []
    for name, verdict in zip(names, decide(crawl, RULES, copies=copies), strict=True):
        kept[found.groups[name]] += verdict.reason not in (DUPLICATE, ALTERED)
        if verdict.duplicate_of and found.groups[names[int(verdict.duplicate_of)]] != found.groups[name]:
            wrong.append(f"{name}: {verdict.message}")
    several = sorted(group for group, count in kept.items() if count != 1)
    yield f"groups: {len(kept) - len(several)} of {len(kept)} keep exactly one; others: {', '.join(several) or 'none'}"
    yield f"  merged with another group: {'; '.join(wrong) or 'none'}; {len(pairs)} pairs were compared"


def _record(number: int, name: str, pixels: Pixels, seen: Seen) -> Record:
    return Record(
        background_id=str(number),
        source=name,
        source_width=pixels.shape[1],
        source_height=pixels.shape[0],
        phash=seen.phash,
        sharpness=0.0,
        low_texture=seen.low_texture,
    )


class Made:
    """Originals, their copies, and how many milliseconds of CPU a comparison took."""

    def __init__(self, originals: Mapping[str, Pixels]) -> None:
        self.names = list(originals)
        self._originals = originals
        self.seen = [Seen.of(pixels) for pixels in originals.values()]
        self.stamped: dict[str, list[Seen]] = {"as they are": self.seen}
        self.milliseconds: list[float] = []

    def lines(self) -> Iterator[str]:
        """How many copies of each kind are found among all originals and their copies, and which are not."""
        for kind, change in COPIES.items():
            copies = [Seen.of(change(pixels), _QUALITY.get(kind, 90)) for pixels in self._originals.values()]
            if kind in _STAMPS:
                self.stamped[kind] = copies
            found, asked = self._found(copies)
            missed = [name for name, there in zip(self.names, found, strict=True) if not there]
            words = f"  {kind}: recall {np.mean(found):.2f}, of candidates {np.mean(asked):.2f}"
            yield f"{words}; not found: {', '.join(missed) or 'none'}"

    def _found(self, copies: Sequence[Seen]) -> tuple[list[bool], list[bool]]:
        prints = np.stack([one.prints for one in [*self.seen, *copies]])
        pairs = {tuple(pair) for pair in lookalikes(prints, np.zeros(len(prints), np.bool_)).tolist()}
        both = list(zip(self.seen, copies, strict=True))
        asked = [one.is_near(copy) or (n, n + len(both)) in pairs for n, (one, copy) in enumerate(both)]
        return [there and self._same(*pair) for there, pair in zip(asked, both, strict=True)], asked

    def strangers(self) -> Iterator[str]:
        """Which of all pairs of different originals would be merged; also where all carry one logo, or one text."""
        for kind, seen in self.stamped.items():
            merged, nearest, count = [], 0.0, 0
            for (one, first), (other, second) in combinations(zip(self.names, seen, strict=True), 2):
                found = self._compare(first, second)
                nearest, count = max(nearest, found.evidence if max(found.covered) > 0.5 else 0.0), count + 1
                if first.is_near(second) or found.is_copy(RULES.agreement):
                    merged.append(f"{one} and {other}")
            words = f"strangers {kind}: {len(merged)} of {count} pairs merged ({', '.join(merged) or 'none'})"
            yield f"{words}; the nearest has {nearest:.2f}, the limit is {RULES.agreement}"

    def _same(self, one: Seen, other: Seen) -> bool:
        return one.is_near(other) or self._compare(one, other).is_copy(RULES.agreement)

    def _compare(self, one: Seen, other: Seen) -> Comparison:
        started = time.process_time()
        found = one.compare(other)
        self.milliseconds.append(1e3 * (time.process_time() - started))
        return found


def cost_lines(made: Made, pixels: Sequence[Pixels]) -> Iterator[str]:
    """CPU time of a comparison and of a sketch, and what a sketch takes."""
    taken = made.milliseconds
    yield f"a pair: {np.median(taken):.1f} ms of CPU, {np.quantile(taken, 0.99):.1f} in 99 of 100 ({len(taken)} pairs)"
    greys = [np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in pixels]
    started = time.process_time()
    for grey in greys:
        print_of(grey, Sketch.of(grey), RULES.flat_std)
    each = 1e3 * (time.process_time() - started) / len(greys)
    sizes = [len(one.sketch) for one in made.seen]
    yield f"a photograph: {each:.0f} ms of CPU; {np.mean(sizes) / 1e3:.0f} KB, at most {max(sizes) / 1e3:.0f}"


def million_lines(count: int) -> Iterator[str]:
    """CPU time and memory of the search among random prints, and among such that all have five codes in common."""
    prints = np.random.default_rng(0).integers(0, 2**64, (count, VIEWS + CODES), np.uint64)
    lookalikes(prints[:_SEARCHED], np.zeros(_SEARCHED, np.bool_))  # compiles, or loads what is compiled
    for what in ("random prints", "random prints with five codes that all have"):
        started = time.process_time()
        pairs = lookalikes(prints, np.zeros(count, np.bool_))
        seconds, peak = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        yield f"{count} {what}: {seconds:.0f} s of CPU, {peak / 2**20:.1f} GiB, {len(pairs)} pairs by chance"
        prints[:, VIEWS : VIEWS + 5] = prints[0, VIEWS : VIEWS + 5]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--count", type=int, default=0, help="random prints to search")
    options = parser.parse_args()
    if options.count:
        for line in million_lines(options.count):
            print(line, flush=True)  # noqa: T201
    originals: dict[str, Pixels] = {}
    for folder in options.folders:
        found = Labelled.read(folder)
        for line in group_lines(found):
            print(f"{folder}: {line}", flush=True)  # noqa: T201
        originals |= {f"{folder.name}/{name}": found.pixels[name] for name in found.originals()}
    if originals:
        made = Made(originals)
        print(f"copies of {len(originals)} photographs:")  # noqa: T201
        for lines in (made.lines(), made.strangers(), cost_lines(made, list(originals.values()))):
            for line in lines:
                print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
