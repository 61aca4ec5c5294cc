"""Matting samples: a photograph or a ready foreground, and its alpha matte; where they lie and what they hold.

`rssn.sources.layouts` finds the pairs of a data set; here a pair is named by its content, and decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rssn.errors import Rejected
from rssn.image.arrays import Alpha, Image
from rssn.image.decoding import decode_image, picture_size
from rssn.image.turning import with_picture
from rssn.sources.folder_walk import Problem
from rssn.sources.mattes import NEAR_WHITE, Matte, read_cutout, read_matte
from rssn.sources.picture_ref import PictureRef
from rssn.storage.files import content_id

_SIDES = ("image", "alpha", "foreground")


@dataclass(frozen=True)
class Pair:
    """A photograph, a ready foreground or both, and the alpha matte.

    Where `alpha` is the same picture as the photograph or the foreground, the matte is that picture's alpha channel.
    """

    name: str  # what the partners share, below the data set's root; a table may give it
    image: PictureRef | None  # the photograph
    alpha: PictureRef
    foreground: PictureRef | None  # F, where the data set ships it
    source: str  # the colour file, below the data set's root or as a table names it
    licence: str = ""  # empty where nobody said
    label: str = ""  # its row in a table, as problems name it
    alpha_scale: float | None = None  # the value of the matte that means opaque; None goes by the values
    files: tuple[str, ...] = ()  # its pictures, as problems name them

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Pair:
        """What `to_row` gave; other columns do not count."""
        image, alpha, foreground = (row[key] and PictureRef.from_row(row[key]) for key in _SIDES)
        names = row["source"], row["licence"]
        return cls(row["name"], image, alpha, foreground, *names, alpha_scale=row["alpha_scale"])

    def to_row(self) -> dict[str, Any]:
        """The columns of `rssn.dataset.schema.PLANNED_FOREGROUNDS` that say what it is."""
        sides = {key: (ref := getattr(self, key)) and ref.to_row() for key in _SIDES}
        return sides | {key: getattr(self, key) for key in ("name", "source", "licence", "alpha_scale")}

    @property
    def colours(self) -> tuple[PictureRef, ...]:
        """The photograph, then F: those that there are."""
        return tuple(ref for ref in (self.image, self.foreground) if ref is not None)

    @property
    def picture(self) -> PictureRef:
        """The colour picture: the photograph, or F where there is no photograph."""
        return self.colours[0]

    @property
    def of_objects(self) -> bool:
        """Whether each of its pictures is an object in a bucket, see `PictureRef.is_object`."""
        return all(ref.is_object for ref in (*self.colours, self.alpha))


@dataclass(frozen=True)
class PairSet:
    """The pairs of a matting data set, in order of name or as in the table."""

    pairs: list[Pair]
    problems: list[Problem]
    layout: str  # its name, one of `rssn.sources.layouts.LAYOUT_NAMES`
    unread: Counter[str] = field(default_factory=Counter)  # files that are no pictures, by suffix


@dataclass(frozen=True)
class MattingSample:
    """A decoded pair."""

    foreground_id: str  # content id of its files
    picture: Image  # the photograph, or F where there is no photograph
    alpha: Alpha
    foreground: Image | None  # F, where the data set ships it
    flags: tuple[str, ...] = ()  # of the matte, see `rssn.image.matte_flags`


def load_pair(pair: Pair) -> MattingSample:
    """Read and decode a pair; each picture once. Its matte may be empty or full: networks are judged on such, too.

    Raises:
        Rejected: stage `read`: a file is unreadable or broken (see `image.arrays`), its matte is none or doubtful (see
            `rssn.sources.mattes`), `size_mismatch` or `orientation_unclear` (see `rssn.image.turning`).
    """
    data = _read(pair)
    own, matte = _own_colours(pair, data)
    alpha = matte.alpha
    colours = {ref: decode_image(data[ref]) for ref in pair.colours if own is None or ref != pair.alpha}
    if own is not None:
        colours[pair.alpha] = own
    colours = {ref: with_picture(colour, data[ref], data[pair.picture]) for ref, colour in colours.items()}
    for picture in colours.values():
        if picture.shape[:2] != alpha.shape:
            sizes = f"{picture.shape[1]} x {picture.shape[0]} px, its alpha {alpha.shape[1]} x {alpha.shape[0]} px"
            raise Rejected("read", "size_mismatch", f"the picture has {sizes}")
    foreground = colours[pair.foreground] if pair.foreground else None
    return MattingSample(_content_id(pair, data), colours[pair.picture], alpha, foreground, matte.flags)


def load_foreground(pair: Pair) -> MattingSample:
    """Read and decode a pair that is to be composed with other backgrounds.

    Raises:
        Rejected: stage `read`, as `load_pair` does, or `alpha_empty` (nowhere above 0) or `alpha_full` (nowhere below
            0.9).
    """
    sample = load_pair(pair)
    if sample.alpha.max() == 0.0:
        raise Rejected("read", "alpha_empty", "alpha is 0 everywhere: there is no foreground")
    if sample.alpha.min() >= NEAR_WHITE:
        words = f"alpha is nowhere below {sample.alpha.min():.3g}: no background would show"
        raise Rejected("read", "alpha_full", words)
    return sample


def load_matte(pair: Pair) -> Matte:
    """Read the matte of a pair alone.

    Raises:
        Rejected: stage `read`, as `load_pair` does.
    """
    return _own_colours(pair, _read(pair))[1]


def measure_pair(pair: Pair) -> tuple[str, tuple[int, int]]:
    """The content id of a pair, which `load_pair` gives too, and its width and height; nothing is decoded.

    Raises:
        Rejected: stage `read`: a file is unreadable, or its header broken.
    """
    data = _read(pair)
    return _content_id(pair, data), picture_size(data[pair.picture])


def _own_colours(pair: Pair, data: Mapping[PictureRef, bytes]) -> tuple[Image | None, Matte]:
    """The matte of a pair, turned as its picture; and its colours, where it is a cut-out that carries both."""
    own = data[pair.alpha]
    if pair.alpha in pair.colours:
        colours, matte = read_cutout(own, pair.alpha_scale)
    else:
        colours, matte = None, read_matte(own, pair.alpha_scale)
    return colours, replace(matte, alpha=with_picture(matte.alpha, own, data[pair.picture]))


def _read(pair: Pair) -> dict[PictureRef, bytes]:
    return {ref: ref.read() for ref in dict.fromkeys((*pair.colours, pair.alpha))}


def _content_id(pair: Pair, data: Mapping[PictureRef, bytes]) -> str:
    return content_id(*(data[ref] for ref in pair.colours), data[pair.alpha])
