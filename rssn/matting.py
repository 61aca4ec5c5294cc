"""Matting data sets: which photograph belongs to which alpha matte.

Two layouts are read: `original/` with `mask/` (AM-2k, P3M-10k: photographs, F is estimated) and `fg/` with `alpha/`
(Composition-1k, Distinctions-646: F is given). Partners share the stem of their names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rssn.errors import InputError, Rejected
from rssn.images import Alpha, Image, decode_alpha, decode_image, list_images, read_bytes
from rssn.shards import content_id

_LAYOUTS = (("original", "mask"), ("fg", "alpha"))


@dataclass(frozen=True)
class Pair:
    """A photograph (or a ready foreground) and its alpha matte."""

    name: str  # the common stem, below the data set's root
    image: Path | None  # the photograph
    alpha: Path
    foreground: Path | None  # F, where the data set ships it

    @property
    def picture(self) -> Path:
        """The colour file: the photograph, or F where there is no photograph."""
        found = self.image or self.foreground
        assert found is not None  # noqa: S101  (find_pairs always sets one of the two)
        return found


@dataclass(frozen=True)
class Problem:
    """A file that takes part in no pair, and why."""

    source: Path
    reason: str
    message: str


@dataclass(frozen=True)
class MattingSample:
    """A decoded pair."""

    foreground_id: str  # content id of both files
    picture: Image  # the photograph, or F where the data set ships it
    alpha: Alpha


def find_pairs(root: Path) -> tuple[list[Pair], list[Problem]]:
    """Find the pairs of a matting data set, in order of name.

    Raises:
        InputError: If the folder has none of the known layouts, or no pair at all.
    """
    for colour, matte in _LAYOUTS:
        if (root / colour).is_dir() and (root / matte).is_dir():
            pairs, problems = _match(root, colour, matte)
            if not pairs:
                raise InputError(f"{root}: no picture in {colour}/ has a partner of the same name in {matte}/")
            return pairs, problems
    known = " or ".join(f"{colour}/ and {matte}/" for colour, matte in _LAYOUTS)
    raise InputError(f"{root}: no matting data set found; expected the folders {known} in it")


def load_pair(pair: Pair) -> MattingSample:
    """Read and decode a pair.

    Raises:
        Rejected: stage `read`: a file is unreadable or broken (see `rssn.images`), `size_mismatch`, `alpha_empty`
            (nowhere above 0) or `alpha_full` (everywhere 1).
    """
    colour, matte = read_bytes(pair.picture), read_bytes(pair.alpha)
    picture, alpha = decode_image(colour), decode_alpha(matte)
    if picture.shape[:2] != alpha.shape:
        sizes = f"{picture.shape[1]} x {picture.shape[0]} px, its alpha {alpha.shape[1]} x {alpha.shape[0]} px"
        raise Rejected("read", "size_mismatch", f"the picture has {sizes}")
    if alpha.max() == 0.0:
        raise Rejected("read", "alpha_empty", "alpha is 0 everywhere: there is no foreground")
    if alpha.min() == 1.0:
        raise Rejected("read", "alpha_full", "alpha is 1 everywhere: no background would show")
    return MattingSample(content_id(colour, matte), picture, alpha)


def pair_id(pair: Pair) -> str:
    """The content id of a pair, without decoding it; `load_pair` gives the same one."""
    return content_id(read_bytes(pair.picture), read_bytes(pair.alpha))


def _match(root: Path, colour: str, matte: str) -> tuple[list[Pair], list[Problem]]:
    pictures, mattes = _by_stem(root / colour), _by_stem(root / matte)
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for stem in sorted(pictures.keys() | mattes.keys()):
        here, there = pictures.get(stem, []), mattes.get(stem, [])
        if len(here) == 1 and len(there) == 1:
            image, foreground = (here[0], None) if colour == "original" else (None, here[0])
            pairs.append(Pair(name=stem, image=image, alpha=there[0], foreground=foreground))
        else:
            problems.extend(_problems(here, there, matte if here else colour))
    return pairs, problems


def _problems(here: list[Path], there: list[Path], missing: str) -> list[Problem]:
    files = here + there
    if here and there:
        names = ", ".join(file.name for file in files)
        return [Problem(file, "two_candidates", f"more than one partner: {names}") for file in files]
    return [Problem(file, "missing_partner", f"{missing}/ has no file of this name") for file in files]


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in list_images(folder):
        found[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    return found
