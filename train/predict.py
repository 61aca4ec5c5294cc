"""`train predict`: for each photograph an alpha PNG, a cut-out with its foreground's own colours, and a composite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from threading import Event
from typing import Literal, TypeAlias

import numpy as np

from rssn.errors import InputError, Rejected
from rssn.image.arrays import (
    Alpha,
    Pixels,
    Pixels16,
    encode_png,
    png_note,
    read_bytes,
    to_float,
    to_uint8,
    to_uint16,
)
from rssn.image.decoding import background_pixels, open_header
from rssn.image.picture_files import archive_format, file_kind
from rssn.route.compose import Crop, blend, fit_background, fitted_size
from rssn.route.foreground_tiles import foreground_colours
from rssn.sources.names import is_utf8, printable
from rssn.sources.picture_ref import PictureRef
from rssn.sources.tree import list_tree
from rssn.storage.atomic import write_bytes
from rssn.storage.files import content_id
from rssn.storage.location import BucketPath, Location
from rssn.storage.remote import size_of

Depth: TypeAlias = Literal[8, 16]

_STRIP = 256
"""Rows that are blended at a time."""


@dataclass(frozen=True)
class Photos:
    """What there is to predict."""

    found: list[tuple[PictureRef, str]]  # each with the name of its results
    failures: list[str]  # what cannot be looked at, and why
    unread: Counter[str]  # files that are no pictures, by suffix


def find_photos(given: Sequence[Location], out: Location) -> Photos:
    """The photographs of files, folders and archives, each with the name of its results.

    A file's name is its stem; what lies in a folder or an archive keeps its place there. Results of an earlier run do
    not count. What lies in a bucket is listed once: there a name that ends as a picture's is a photograph's.

    Args:
        given: Files, folders and archives, here or in buckets.
        out: Where results go.

    Raises:
        InputError: If something is missing, there are no pictures, two would have the same name, or results would lie
            among the photographs of a folder.
    """
    photos = Photos([], [], Counter())
    for path in given:
        if _is_folder(path):
            tree = list_tree(path, out)
            photos.found.extend((ref, str(PurePosixPath(name).with_suffix(""))) for name, ref in tree.pictures.items())
            problems = (*tree.problems, *tree.closed)
            photos.failures.extend(f"{path}/{one.source}: {one.reason}: {one.message}" for one in problems)
            photos.unread.update(tree.unread)
        elif is_utf8(str(path)):
            photos.found.append((PictureRef.of(path), path.stem))
        else:
            photos.failures.append(f"{printable(str(path))}: unsafe_path: the name is not UTF-8; rename the file")
    if not photos.found:
        why = f"; the first of {len(photos.failures)}: {photos.failures[0]}" if photos.failures else ""
        raise InputError(f"{', '.join(printable(str(path)) for path in given)}: no pictures in there{why}")
    twice = [name for name, count in Counter(name for _, name in photos.found).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: several photos have this name; predict them into different --out folders")
    return photos


def _is_folder(place: Location) -> bool:
    if isinstance(place, BucketPath):
        return file_kind(place.name, lambda: b"") != "picture"
    return place.is_dir() or (archive_format(place) is not None and place.is_file())


def read_background(path: Location) -> Pixels:
    """Read the picture that subjects are composed on, H x W x 3 uint8.

    Raises:
        InputError: If it cannot be read, or is transparent somewhere.
    """
    try:
        return background_pixels(open_header(read_bytes(path)))
    except Rejected as error:
        raise InputError(f"--background {path}: {error}") from error


@dataclass(frozen=True)
class Wanted:
    """What is made of each photograph.

    Attributes:
        out: Where the results go.
        made_by: A name for all that they depend on besides the photograph.
        depth: Bits of the matte's values; a cut-out has 8.
        alpha_only: Whether the matte is all.
        background: What to compose on.
        there: Names of what lies in `out`, from one listing of a bucket; None: each is asked for.
    """

    out: Location
    made_by: str
    depth: Depth = 8
    alpha_only: bool = False
    background: Pixels | None = None
    there: frozenset[str] | None = None

    def stands(self, path: Location, note: str) -> bool:
        """Whether a result is there already.

        Raises:
            Rejected: If a file has its name of which nobody knows whether it was made by `train predict`.
        """
        if self.there is not None and str(path).removeprefix(f"{self.out}/") not in self.there:
            return False
        try:
            found = png_note(path)
            if found is None and size_of(path):
                words = (
                    f"{path} is there, and does not say that train predict made it; remove it, or give another --out"
                )
                raise Rejected("write", "not_ours", words)
        except FileNotFoundError:
            return False
        return found == note

    def files(self, name: str) -> dict[str, Location]:
        """The kinds of results, each with its file."""
        kinds = {
            "alpha": True,
            "cutout": not self.alpha_only,
            "composite": self.background is not None and not self.alpha_only,
        }
        return {kind: self.out / f"{name}-{kind}.png" for kind, wanted in kinds.items() if wanted}


@dataclass(frozen=True)
class Results:
    """The files of a photograph."""

    files: list[Location]
    stood: bool = False  # whether they were there, made of the same photograph by the same networks in the same way


@dataclass(frozen=True)
class Cutter:
    """What cuts subjects out.

    Attributes:
        matte: Predicts the alpha, H x W float32 in [0, 1], of a photograph, H x W x 3 uint8.
        wanted: What is made of it.
        threads: Of the closed form of one photograph; nothing depends on it.
    """

    matte: Callable[[Pixels], Alpha]
    wanted: Wanted
    threads: int = 1

    def cut(self, photo: PictureRef, name: str, go_on: Callable[[], None] = lambda: None) -> Results:
        """Write `<name>-alpha.png` and, as wanted, `<name>-cutout.png` and `<name>-composite.png`.

        All have the photograph's size, and each says in a note what it was made from: files that say the same are left
        as they are. A background covers the photograph, cropped, not distorted.

        Args:
            photo: Where it is; of a moving picture its first frame counts.
            name: Of the results.
            go_on: Called before each part of the work; what it raises ends it.

        Raises:
            Rejected: If the photograph cannot be read, or is transparent somewhere, a network gives no matte, or a file
                that is none of ours has a result's name.
        """
        go_on()
        data = photo.read()
        files, note = self.wanted.files(name), content_id(self.wanted.made_by.encode(), data)
        standing = [
            self.wanted.stands(path, note) for path in files.values()
        ]  # a file that is not ours is refused before work
        if all(standing):
            return Results(list(files.values()), stood=True)
        pixels = background_pixels(open_header(data, first_frame=True))  # seen all over
        del data
        go_on()
        for kind, picture in self._pictures(pixels, self.matte(pixels), go_on):
            go_on()
            write_bytes(files[kind], encode_png(picture, note), durable=False, only_writer=True)
        return Results(list(files.values()))

    def _pictures(
        self, pixels: Pixels, alpha: Alpha, go_on: Callable[[], None]
    ) -> Iterator[tuple[str, Pixels | Pixels16]]:
        yield "alpha", to_uint8(alpha) if self.wanted.depth == 8 else to_uint16(alpha)
        if self.wanted.alpha_only:
            return
        matte = to_uint8(alpha)
        if self.wanted.background is None:
            del alpha  # the closed form takes the most memory
        foreground = foreground_colours(pixels, matte, go_on=go_on, threads=self.threads)
        yield "cutout", np.dstack([foreground, matte])
        if self.wanted.background is not None:
            yield "composite", composite(foreground, alpha, self.wanted.background)


def cut_all(
    cutter: Cutter, photos: Sequence[tuple[PictureRef, str]], at_once: int
) -> Generator[tuple[PictureRef, Results | Rejected], None, None]:
    """What becomes of each photograph, in their order, the same for any number at once.

    The networks see one photograph after the other; meanwhile others are decoded, cut out and written. Whoever closes
    this early waits for the parts of the work that have begun, and for no more.

    Args:
        cutter: What does it.
        photos: Each with the name of its results.
        at_once: How many photographs are worked on at a time.
    """
    ended = Event()

    def go_on() -> None:
        if ended.is_set():
            raise CancelledError

    with ThreadPoolExecutor(1) as networks, ThreadPoolExecutor(at_once) as workers:
        shared = replace(cutter, matte=lambda pixels: networks.submit(cutter.matte, pixels).result())
        waiting = [(photo, workers.submit(shared.cut, photo, name, go_on)) for photo, name in photos]
        try:
            for photo, future in waiting:
                yield photo, _outcome(future)
        finally:
            ended.set()
            workers.shutdown(cancel_futures=True)


def _outcome(future: Future[Results]) -> Results | Rejected:
    try:
        return future.result()
    except Rejected as error:
        return error


def composite(foreground: Pixels, alpha: Alpha, background: Pixels) -> Pixels:
    """A subject on another background, equation 1.

    Args:
        foreground: H x W x 3 uint8.
        alpha: H x W float32 in [0, 1].
        background: Of any size, uint8.

    Returns:
        H x W x 3 uint8.
    """
    width, height = frame = alpha.shape[1], alpha.shape[0]
    size = fitted_size((background.shape[1], background.shape[0]), frame, "cover")
    behind = fit_background(background, size, Crop((size[0] - width) // 2, (size[1] - height) // 2, *frame))
    blended = np.empty_like(foreground)
    for top in range(0, len(alpha), _STRIP):
        rows = slice(top, top + _STRIP)
        blended[rows] = to_uint8(blend(to_float(foreground[rows]), to_float(behind[rows]), alpha[rows]))
    return blended
