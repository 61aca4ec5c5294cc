"""Overlays, frames, collages and graphics: which flags labelled photographs and made pictures have.

python -m tests.benchmarks.bench_flags DATA

DATA holds the folders `photos` and `crawl`; what the pictures show was seen by eye and stands in `flag_labels.tsv`:
`overlay` (`text`, `logo` or `both` put on it), `scene_text` (`yes`: signs and labels in the scene) and `kind`
(`photograph`, `painting`, `render`, `graphic`). On photographs without overlays text and logos are drawn at any place,
frames put around them, two of them put together. The limits that `left out` means were chosen on four fifths of the
photographs, for at most 2 % false alarms, and judged on the last fifth.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from bg20k.candidates import examine
from bg20k.flatness import flat_share
from bg20k.frames import border_share, seam_share
from bg20k.overlays import drawn_length, letters_in_line
from bg20k.rules import CurationRules
from bg20k.strokes import find_strokes
from bg20k.verdict import THRESHOLDS
from rssn.image.arrays import Pixels, encode_jpeg, resize_area, to_uint8
from rssn.image.decoding import decode_pixels
from rssn.synthetic.backgrounds import render_scene
from tests.pictures import read_table

LABELS = Path(__file__).parent / "flag_labels.tsv"
FLAGS = ("drawn_on", "text", "frame", "collage", "flat_graphic")
_SIDE = 1080  # px
_SMALLEST = 700  # px; one of the crawl has 768
_FOLDS = 5
_FALSE = 0.02  # share of false alarms for which a limit is chosen
_GRAPHICS = 24  # rendered
_WORDS = ("(c) 2019 Jane Miller", "Sample Photo", "www.example.org", "WATERMARK", "Holiday in the Alps", "PREVIEW ONLY")


@dataclass(frozen=True)
class Labelled:
    """A labelled picture: its row of `flag_labels.tsv`, its pixels at 1080 px, and what is measured on it, by flag."""

    row: Mapping[str, str]
    pixels: Pixels
    values: Mapping[str, float]

    @property
    def is_plain(self) -> bool:
        """Whether it is a photograph with nothing put on it."""
        return self.row["kind"] == "photograph" and not self.row["overlay"]


def measure(pixels: Pixels) -> dict[str, float]:
    """The measure of each flag."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    strokes = find_strokes(grey)
    return {
        "drawn_on": drawn_length(strokes, min(grey.shape)),
        "text": letters_in_line(strokes),
        "frame": border_share(pixels),
        "collage": seam_share(grey),
        "flat_graphic": flat_share(grey) or 0.0,
    }


def labelled(data: Path) -> list[Labelled]:
    """All labelled pictures but the copies."""
    rows = [row for row in read_table(LABELS) if not row["file"].startswith("copy-")]
    rules = CurationRules(min_side=_SMALLEST)
    pixels = (examine((data / row["set"] / row["file"]).read_bytes(), rules).pixels for row in rows)
    return [Labelled(row, one, measure(one)) for row, one in zip(rows, map(_fitted, pixels), strict=True)]


def _fitted(pixels: Pixels) -> Pixels:
    """With 1080 px on the shorter side, as the curation has it."""
    scale = _SIDE / min(pixels.shape[:2])
    return resize_area(pixels, round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))


def made(plain: Sequence[Labelled]) -> Iterator[tuple[str, Pixels]]:
    """What people do to photographs, by name; the next photograph is the other half of a collage."""
    for one, other in zip(plain, [*plain[1:], *plain[:1]], strict=True):
        rng = np.random.default_rng(zlib.crc32(one.row["file"].encode()))
        for what, draw in (("text", _text), ("logo", _logo)):
            for opacity, quality in ((1.0, 90), (1.0, 75), (0.5, 90)):
                name = f"{what}, opacity {opacity}, JPEG {quality}"
                yield name, _stored(_drawn(one.pixels, draw, opacity, rng), quality)
        yield "frame, JPEG 75 to 95", _stored(_framed(one.pixels, rng), int(rng.choice([75, 85, 95])))
        bar = int(rng.uniform(0.05, 0.12) * _SIDE)
        bars = cv2.copyMakeBorder(one.pixels, bar, bar, 0, 0, cv2.BORDER_CONSTANT)
        yield "letterbox, JPEG 85", _stored(_fitted(np.asarray(bars, np.uint8)), 85)
        height, width = one.pixels.shape[:2]
        second = resize_area(other.pixels, width, height)
        beside = np.hstack([one.pixels[:, : width // 2], second[:, width // 2 :]])
        yield "collage side by side, JPEG 85", _stored(beside, 85)
        yield "collage stacked, JPEG 75", _stored(np.vstack([one.pixels[: height // 2], second[height // 2 :]]), 75)
        beside[:, width // 2 - 6 : width // 2 + 6] = 255
        yield "collage with a white gutter, JPEG 85", _stored(beside, 85)


def rendered() -> Iterator[tuple[str, Pixels]]:
    """Scenes of `rssn.synthetic` without a camera's noise, and the same in few colours, as posters have them."""
    for seed in range(_GRAPHICS):
        scene = to_uint8(render_scene(seed, 1440, _SIDE))
        yield "rendered scene, JPEG 90", _stored(scene, 90)
        smooth = cv2.GaussianBlur(scene, (0, 0), 12)
        yield "poster of few colours, JPEG 90", _stored(np.asarray(smooth // 64 * 64 + 32, np.uint8), 90)


def _stored(pixels: Pixels, quality: int) -> Pixels:
    return decode_pixels(encode_jpeg(np.ascontiguousarray(pixels), quality))


_Draw = Callable[[ImageDraw.ImageDraw, tuple[int, int], tuple[int, int, int, int], np.random.Generator], None]


def _drawn(pixels: Pixels, draw: _Draw, opacity: float, rng: np.random.Generator) -> Pixels:
    picture = PillowImage.fromarray(pixels).convert("RGBA")
    layer = PillowImage.new("RGBA", picture.size, (0, 0, 0, 0))
    level = 255 if rng.random() < 0.6 else 0
    draw(ImageDraw.Draw(layer), picture.size, (level, level, level, round(255 * opacity)), rng)
    return np.asarray(PillowImage.alpha_composite(picture, layer).convert("RGB"))


def _text(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], ink: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    height = int(size[1] * rng.uniform(0.03, 0.08))
    words, font = str(rng.choice(_WORDS)), ImageFont.load_default(size=height)
    left = rng.uniform(0.03, 0.95) * max(1.0, size[0] - pen.textlength(words, font=font))
    pen.text((left, rng.uniform(0.03, 0.92) * (size[1] - 1.3 * height)), words, font=font, fill=ink)


def _logo(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], ink: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    radius = int(size[1] * rng.uniform(0.03, 0.07))
    x, y = (rng.uniform(0.05, 0.95) * (length - 2 * radius) + radius for length in size)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ink, width=max(3, radius // 5))
    turns = 2 * np.pi * np.arange(int(rng.integers(3, 6)))
    turns /= len(turns)
    corners = np.stack([x + 0.55 * radius * np.cos(turns), y + 0.55 * radius * np.sin(turns)], axis=1)
    pen.polygon([tuple(corner) for corner in corners.tolist()], fill=ink)


def _framed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    wide = int(rng.uniform(0.01, 0.08) * _SIDE)
    colour = ((255, 255, 255), (0, 0, 0), (90, 60, 40))[rng.integers(3)]
    bordered = cv2.copyMakeBorder(pixels, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=colour)
    return _fitted(np.asarray(bordered, np.uint8))


def rate_lines(found: Sequence[Labelled]) -> Iterator[str]:
    """How many labelled pictures of each kind have each flag, and how the limits do on photographs left out."""
    groups: Mapping[str, Callable[[Labelled], bool]] = {
        "photographs, nothing put on them": lambda one: one.is_plain,
        "text or text and logo put on": lambda one: one.row["overlay"] in ("text", "both"),
        "a logo alone put on": lambda one: one.row["overlay"] == "logo",
        "signs or labels in the scene": lambda one: one.row["scene_text"] == "yes",
        "graphics": lambda one: one.row["kind"] == "graphic",
        "renders and paintings": lambda one: one.row["kind"] in ("render", "painting"),
    }
    for name, belongs in groups.items():
        if chosen := [one.values for one in found if belongs(one)]:
            yield _rates(name, chosen)
    plain = [one for one in found if one.is_plain]
    for flag in FLAGS:
        wrong = [one.row["file"] for one in plain if _raised(one.values, flag)]
        yield f"  {flag} on photographs with nothing put on them: {', '.join(wrong) or 'none'}"
    wanted = {
        "drawn_on": [one for one in found if one.row["overlay"]],
        "text": [one for one in found if one.row["overlay"] in ("text", "both")],
        "flat_graphic": [one for one in found if one.row["kind"] == "graphic"],
    }
    yield from (_left_out(flag, plain, those) for flag, those in wanted.items() if those)


def _left_out(flag: str, plain: Sequence[Labelled], wanted: Sequence[Labelled]) -> str:
    """Rates on each fifth with the lowest limit that the other four fifths allow."""
    false, hits, limits = [], [], []
    for fold in range(_FOLDS):
        others, own = (
            [one.values[flag] for one in plain if (_fold(one) == fold) == inside] for inside in (False, True)
        )
        limit = float(np.quantile(others, 1 - _FALSE, method="higher")) + 1e-6
        limits.append(limit)
        false += [value >= limit for value in own]
        hits += [one.values[flag] >= limit for one in wanted if _fold(one) == fold]
    span = f"{min(limits):.3g} to {max(limits):.3g}"
    return f"{flag} left out: limits {span}, false {np.mean(false):.3f}, found {np.mean(hits):.3f}"


def _fold(one: Labelled) -> int:
    """Pictures whose names begin alike are copies."""
    return zlib.crc32(one.row["file"][:10].encode()) % _FOLDS


def _raised(values: Mapping[str, float], flag: str) -> bool:
    return THRESHOLDS[flag].is_crossed(values[flag], THRESHOLDS[flag].limit)


def _rates(name: str, found: Sequence[Mapping[str, float]]) -> str:
    shares = (f"{flag} {np.mean([_raised(values, flag) for values in found]):.3f}" for flag in FLAGS)
    return f"{name} ({len(found)}): {', '.join(shares)}"


def cost_line(found: Sequence[Labelled]) -> str:
    """CPU time of all five measures, per photograph of 1080 px."""
    times = []
    for one in found[::6]:
        start = time.process_time()
        measure(one.pixels)
        times.append(time.process_time() - start)
    return f"CPU time of the five measures per photograph: {1000 * median(times):.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = labelled(options.data)
    by_name: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for pictures in (made([one for one in found if one.is_plain]), rendered()):
        for name, pixels in pictures:
            by_name[name].append(measure(pixels))
    lines = [*rate_lines(found), *(_rates(name, values) for name, values in by_name.items()), cost_line(found)]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
