"""`train predict`: for each photograph an alpha PNG, a cut-out with its foreground's own colours, and a composite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rssn.decoding import background_pixels, decode_image, open_header
from rssn.errors import InputError, Rejected
from rssn.files import write_whole
from rssn.folder_walk import is_utf8, list_pictures, printable
from rssn.foreground import estimate_foreground
from rssn.images import Alpha, Image, Pixels, encode_png, read_bytes, to_float, to_uint8
from rssn.route import Crop, blend, fit_background, fitted_size
from train.checkpoint import Network
from train.inference import Strategy, predict_alpha


@dataclass(frozen=True)
class Photos:
    """What there is to predict."""

    found: list[tuple[Path, str]]  # each with the name of its results
    failures: list[str]  # what cannot be looked at, and why
    unread: Counter[str]  # files that are no pictures, by suffix


def find_photos(given: Sequence[Path], out: Path) -> Photos:
    """The photographs of files and folders, each with the name of its results.

    A file's name is its stem; what lies below a folder keeps its place there. Results of an earlier run do not count.

    Args:
        given: Files and folders.
        out: Where results go.

    Raises:
        InputError: If something is missing, there are no pictures, two would have the same name, or results would lie
            among the photographs of a folder.
    """
    photos = Photos([], [], Counter())
    for path in given:
        if path.is_dir():
            listing = list_pictures(path, out)
            photos.found.extend((each, str(each.relative_to(path).with_suffix(""))) for each in listing.pictures)
            photos.failures.extend(f"{path}/{one.source}: {one.reason}: {one.message}" for one in listing.problems)
            photos.unread.update(listing.unread)
        elif is_utf8(str(path)):
            photos.found.append((path, path.stem))
        else:
            photos.failures.append(f"{printable(str(path))}: unsafe_path: the name is not UTF-8; rename the file")
    if not photos.found:
        why = f"; the first of {len(photos.failures)}: {photos.failures[0]}" if photos.failures else ""
        raise InputError(f"{', '.join(printable(str(path)) for path in given)}: no pictures in there{why}")
    twice = [name for name, count in Counter(name for _, name in photos.found).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: several photos have this name; predict them into different --out folders")
    return photos


def read_background(path: Path) -> Image:
    """Read the picture that subjects are composed on.

    Raises:
        InputError: If it cannot be read, or is transparent somewhere.
    """
    try:
        return to_float(background_pixels(open_header(read_bytes(path))))
    except Rejected as error:
        raise InputError(f"--background {path}: {error}") from error


@dataclass(frozen=True)
class Cutter:
    """Networks that cut subjects out, and where the results go."""

    networks: Sequence[Network]  # in `eval` mode
    strategy: Strategy
    out: Path
    background: Image | None = None  # what to compose on

    def cut(self, photo: Path, name: str) -> list[Path]:
        """Write `<name>-alpha.png`, `<name>-cutout.png` and, with a background, `<name>-composite.png`.

        All have the photograph's size; a background covers it, cropped, not distorted.

        Raises:
            Rejected: If the photograph cannot be read, a network gives no matte, or no foreground can be estimated.
        """
        image = decode_image(read_bytes(photo))
        alpha = predict_alpha(self.networks, image, self.strategy)
        foreground = own_colours(image, alpha)
        pictures = {"alpha": to_uint8(alpha), "cutout": np.dstack([to_uint8(foreground), to_uint8(alpha)])}
        if self.background is not None:
            pictures["composite"] = composite(foreground, alpha, self.background)
        files = []
        for kind, pixels in pictures.items():
            path = self.out / f"{name}-{kind}.png"
            write_whole(path, encode_png(pixels))
            files.append(path)
        return files


def own_colours(image: Image, alpha: Alpha) -> Image:
    """The foreground's colours, free of the old background's, by the closed form; H x W x 3 float32 in [0, 1]."""
    foreground, _ = estimate_foreground(image, alpha, method="levin")
    return foreground


def composite(foreground: Image, alpha: Alpha, background: Image) -> Pixels:
    """A subject on another background, equation 1; H x W x 3 uint8."""
    frame = (alpha.shape[1], alpha.shape[0])
    width, height = fitted_size((background.shape[1], background.shape[0]), frame, "cover")
    middle = Crop((width - frame[0]) // 2, (height - frame[1]) // 2, *frame)
    return to_uint8(blend(foreground, fit_background(background, (width, height), middle), alpha))
