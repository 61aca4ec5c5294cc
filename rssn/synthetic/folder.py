"""A folder of synthetic pictures: what the demo and the end-to-end tests start from, with faults made on purpose."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage

from rssn.image.arrays import Image, Pixels, encode_jpeg, encode_png, resize_area, to_uint8
from rssn.storage.atomic import write_bytes
from rssn.storage.location import Location
from rssn.synthetic.backgrounds import render_background
from rssn.synthetic.shots import render_shot

_ASPECTS = (1.5, 4 / 3, 2 / 3, 1.6, 3 / 4)
_ROTATED_CLOCKWISE = 6  # EXIF: the camera was turned; a viewer has to turn the picture by 90 degrees
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class SyntheticPlan:
    """How many pictures are rendered, and how large.

    Attributes:
        foregrounds: Training shots; animals and thin structures, landscape and portrait, take turns.
        evaluation: Held-out shots, of animals: a network cannot know thin structures of a kind that it never saw.
        backgrounds: Good photographs, besides the five of unusual encoding.
        copies: Duplicates of each of the three sorts; at most `backgrounds`.
        small: Photographs whose shorter side is at most half of `photo_side`.
        shot_size: Longer and shorter side of a shot in px.
        photo_side: Shorter side of a good photograph in px; resized copies have 95 % of it.
        seed: Chooses every picture.
    """

    foregrounds: int = 6
    evaluation: int = 3
    backgrounds: int = 14
    copies: int = 2
    small: int = 2
    shot_size: tuple[int, int] = (480, 360)
    photo_side: int = 412
    seed: int = 0


@dataclass(frozen=True)
class _File:
    """A file of `photos/`: its line in `labels.tsv` and its bytes."""

    name: str
    what: str
    verdict: str
    data: bytes
    same_as: str = ""


def write_synthetic(folder: Location, plan: SyntheticPlan) -> None:
    """Render synthetic pictures into a folder; files of the same name are replaced, others stay.

    * `matting/original/*.jpg` and `matting/mask/*.png`: the training shots (JPEG quality 95, 4:4:4; alpha in 8 bits).
    * `evaluation/original` and `evaluation/mask`: the held-out shots.
    * `photos/`: backgrounds, good and faulty, and `labels.tsv` with a header and the columns `file`, `what`, `verdict`
      and `same_as`. The verdict is `good`, `duplicate` (of the file in `same_as`; a curation keeps one of the group),
      `too_small`, `truncated`, `empty` or `not_an_image`.
    """
    for index in range(plan.foregrounds):
        _write_shot(folder / "matting", plan, index)
    first = plan.foregrounds + plan.foregrounds % 2
    for number in range(plan.evaluation):
        _write_shot(folder / "evaluation", plan, first + 2 * number)
    photos = folder / "photos"
    lines = ["file\twhat\tverdict\tsame_as"]
    for file in _photos(plan):
        write_bytes(photos / file.name, file.data, durable=False)
        lines.append(f"{file.name}\t{file.what}\t{file.verdict}\t{file.same_as}")
    write_bytes(photos / "labels.tsv", ("\n".join(lines) + "\n").encode(), durable=False)


def _write_shot(folder: Location, plan: SyntheticPlan, index: int) -> None:
    longer, shorter = plan.shot_size
    width, height = (longer, shorter) if index // 2 % 2 == 0 else (shorter, longer)
    shot = render_shot(plan.seed * 1000 + index, width, height)
    name = f"{'structure' if index % 2 else 'creature'}_{index:02d}"
    for part, suffix in (("original", ".jpg"), ("mask", ".png")):
        data = encode_jpeg(to_uint8(shot.image)) if part == "original" else encode_png(to_uint8(shot.alpha))
        write_bytes(folder / part / f"{name}{suffix}", data, durable=False)


def _photos(plan: SyntheticPlan) -> Iterator[_File]:
    for index in range(plan.backgrounds):
        name, pixels = f"photo_{index:02d}", to_uint8(_background(plan, index, plan.photo_side))
        data = encode_jpeg(pixels)
        yield _File(f"{name}.jpg", "a good photograph", "good", data)
        if index < plan.copies:
            yield from _copies(name, pixels, data)
    for index in range(plan.small):
        pixels = to_uint8(_background(plan, plan.backgrounds + index, plan.photo_side // (2 + index)))
        yield _File(f"small_{index:02d}.jpg", "too few pixels", "too_small", encode_jpeg(pixels))
    first = plan.backgrounds + plan.small
    whole = encode_jpeg(to_uint8(_background(plan, first, plan.photo_side)))
    yield _File("broken_truncated.jpg", "a JPEG cut off in the middle", "truncated", whole[: len(whole) // 2])
    yield _File("broken_empty.jpg", "no bytes at all", "empty", b"")
    yield _File("broken_text.jpg", "a text named .jpg", "not_an_image", b"This is not a photograph.\n" * 40)
    yield from _unusual([_background(plan, first + 1 + index, plan.photo_side) for index in range(5)])


def _copies(name: str, pixels: Pixels, data: bytes) -> Iterator[_File]:
    height, width = pixels.shape[:2]
    source = f"{name}.jpg"
    smaller = resize_area(pixels, round(width * 0.95), round(height * 0.95))
    again, resized = encode_jpeg(pixels, quality=70), encode_jpeg(smaller, quality=85)
    yield _File(f"{name}_copy.jpg", "the same bytes", "duplicate", data, source)
    yield _File(f"{name}_encoded.jpg", "the same picture at JPEG quality 70", "duplicate", again, source)
    yield _File(f"{name}_resized.jpg", "the same picture at 95 % of the size", "duplicate", resized, source)


def _unusual(images: list[Image]) -> Iterator[_File]:
    grey, cmyk, rotated, palette = (PillowImage.fromarray(to_uint8(images[index])) for index in (0, 1, 2, 4))
    exif = PillowImage.Exif()
    exif[_ORIENTATION] = _ROTATED_CLOCKWISE
    lying = rotated.transpose(PillowImage.Transpose.ROTATE_90)
    deep = cv2.cvtColor(np.rint(images[3] * np.float32(65535)).astype(np.uint16), cv2.COLOR_RGB2BGR)
    yield _File("good_grey.jpg", "a JPEG with one channel", "good", _saved(grey.convert("L"), "JPEG"))
    yield _File("good_cmyk.jpg", "a JPEG for print", "good", _saved(cmyk.convert("CMYK"), "JPEG"))
    yield _File("good_rotated.jpg", "a JPEG that EXIF turns upright", "good", _saved(lying, "JPEG", exif))
    yield _File("good_16bit.png", "a PNG with 16 bits per channel", "good", cv2.imencode(".png", deep)[1].tobytes())
    yield _File("good_palette.png", "a PNG with a palette of 256 colours", "good", _saved(palette.quantize(256), "PNG"))


def _saved(picture: PillowImage.Image, kind: str, exif: PillowImage.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    options = {"exif": exif} if exif is not None else {}
    picture.save(buffer, kind, quality=95, **options)
    return buffer.getvalue()


def _background(plan: SyntheticPlan, index: int, side: int) -> Image:
    aspect = _ASPECTS[index % len(_ASPECTS)]
    width, height = (round(side * aspect), side) if aspect > 1 else (side, round(side / aspect))
    return render_background(plan.seed * 1000 + index, width, height)
