"""Light records of a whole crawl: one photograph as the global stages see it, and millions of them as columns.

A record as an object takes some 2 KB. `Crawl` holds the same in a packed row of 151 bytes and the source's characters,
and creates the object again on demand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bg20k.evidence import object_score
from bg20k.objects import Detection
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.verdict import FLAGS, SHARED_MARK
from rssn.storage.stores import STORES

PLACES: Final = (
    *("upper left", "top", "upper right"),
    *("left", "middle", "right"),
    *("lower left", "bottom", "lower right"),
)
"""Where a mark may stand, row by row."""

_ID_BYTES = 20  # of a content id, see rssn.storage.files.content_id
_BLOCK = 4096  # records turned into columns at a time
_ROW = np.dtype(
    [
        ("background_id", f"S{_ID_BYTES}"),
        ("source_width", np.int32),
        ("source_height", np.int32),
        ("phash", np.uint64),
        ("sharpness", np.float64),
        ("bits_per_pixel", np.float64),
        ("low_texture", np.bool_),
        ("grey", np.bool_),
        ("flag", np.int16),  # place in FLAGS; -1: none
        ("flag_value", np.float64),
        ("object_score", np.float64),  # NaN: None, as below
        ("label", np.int16),  # -1: no salient detection
        ("confidence", np.float64),
        ("box", np.float64, 4),
        ("saliency", np.float64, 3),
        ("site", np.uint64),
        ("mark_pictures", np.int32),  # 0: no mark
        ("mark_place", np.int8),  # of PLACES
    ]
)
_PLAIN = (
    "source_width",
    "source_height",
    "phash",
    "sharpness",
    "bits_per_pixel",
    "low_texture",
    "grey",
)  # packed as they are
_Floats: TypeAlias = npt.NDArray[np.float32]
_Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark on a photograph.

    Attributes:
        pictures: Different ones of the source that have it, this one included.
        place: Of `PLACES`.
    """

    pictures: int
    place: str

    def __str__(self) -> str:
        others = self.pictures - 1
        return f"at the {self.place}, as in {others} other pictures of its source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A photograph as the global stages see it: without its pixels.

    Attributes:
        background_id: Content id of the source file.
        source: Path or URL; unique, because two sources may hold the same bytes.
        source_width: Width in px of the source, after EXIF orientation.
        source_height: Height in px.
        phash: 64-bit perceptual hash, the first bit is the most significant one.
        sharpness: Variance of the Laplacian, see `bg20k.measures.sharpness`.
        low_texture: Nearly constant: the perceptual hash is noise and must not be compared.
        bits_per_pixel: Of the source file.
        grey: Without colours.
        refused_flag: The flag that rejects it and the value that raised it, see `CurationRules.refused_flag`.
        object_score: See `bg20k.evidence.object_score`; None where no network looked.
        salient: The detection that says most about it, if any; a crawl forgets its view.
        saliency: What the class-free network marked; None where none looked.
        site: A number for where it came from, see `site_of`.
        mark: What it shares with others of its source, see `bg20k.marks`; None where nothing, or nobody looked yet.
        embedding: Vector of length 1; None where no network made one.
    """

    background_id: str
    source: str
    source_width: int
    source_height: int
    phash: int
    sharpness: float
    low_texture: bool
    bits_per_pixel: float = 0.0
    grey: bool = False
    refused_flag: tuple[str, float] | None = None
    object_score: float | None = None
    salient: Detection | None = None
    saliency: Saliency | None = None
    site: int = 0
    mark: Mark | None = None
    embedding: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, row: Mapping[str, Any], rules: CurationRules) -> Record:
        """The record of a stored row, or of what was measured a moment ago.

        Args:
            row: `background_id`, `source`, `origin`, every measure, and `embedding` where there is one.
            rules: What flags and detections are judged by.
        """
        score, salient = screened(row, rules)
        embedding = row.get("embedding")
        return cls(
            **{name: row[name] for name in ("background_id", "source", *_PLAIN)},
            refused_flag=rules.refused_flag({**row, "object_score": score}),
            object_score=score,
            salient=salient,
            saliency=None if row["saliency"] is None else Saliency(**row["saliency"]),
            site=site_of(row["source"], row.get("origin")),
            embedding=None if embedding is None else np.asarray(embedding, dtype=np.float32),
        )


def site_of(source: str, origin: str | None) -> int:
    """A 64-bit number for the source that photographs have in common.

    It is the host of a URL, in the table's column `source` (`origin`) or in the photograph's own name; else what that
    column says, or the folder of the file, in an archive and in a bucket too.
    """
    hosts = (_host(text) for text in (origin or "", source))
    site = next(filter(None, hosts), None) or origin or PurePosixPath(source).parent.as_posix()
    return int.from_bytes(hashlib.sha256(site.encode(errors="surrogateescape")).digest()[:8], "big")


def _host(text: str) -> str | None:
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets that are no address
        return None
    return None if parts.scheme in STORES else parts.hostname


def screened(row: Mapping[str, Any], rules: CurationRules) -> tuple[float | None, Detection | None]:
    """Score and salient detection of a row's `boxes` and `saliency`, see `object_score`."""
    boxes, saliency = row["boxes"], row["saliency"]
    found = None if boxes is None else list(map(Detection.of_box, boxes))
    return object_score(found, None if saliency is None else Saliency(**saliency), rules)


@dataclass(frozen=True, slots=True, eq=False)
class Crawl:
    """The records of n photographs as columns; gives a record back by its row.

    Attributes:
        rows: n packed rows.
        sources: n paths or URLs.
        labels: Names of the classes that the rows number.
        embeddings: n x d, a row of NaN where there is none; d is 0 where no photograph has one.
    """

    rows: npt.NDArray[np.void]
    sources: pa.LargeStringArray
    labels: tuple[str, ...]
    embeddings: _Floats

    @classmethod
    def of(cls, records: Iterable[Record]) -> Crawl:
        """Pack records; at no time are more than 4,096 of them at hand, so that an iterator needs little memory.

        Raises:
            ValueError: If a content id has more than 20 bytes.
        """
        labels: dict[str, int] = {}
        rows, sources, embeddings = [np.empty(0, _ROW)], [pa.array([], pa.large_string())], [np.empty((0, 0), "f4")]
        stream = iter(records)
        while block := list(islice(stream, _BLOCK)):
            rows.append(np.array([_packed(record, labels) for record in block], dtype=_ROW))
            sources.append(pa.array([record.source for record in block], pa.large_string()))
            embeddings.append(_stacked([record.embedding for record in block]))
        width = max(part.shape[1] for part in embeddings)
        wide = [part if part.shape[1] else np.full((len(part), width), np.nan, "f4") for part in embeddings]
        return cls(np.concatenate(rows), pa.concat_arrays(sources), tuple(labels), np.concatenate(wide))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Record]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Record:
        name, *plain, flag, value, score, label, confidence, box, saliency, site, count, place = self.rows[row].item()
        return Record(
            background_id=name.decode(),
            source=self.source(row),
            **dict(zip(_PLAIN, plain, strict=True)),
            refused_flag=None if flag < 0 else (FLAGS[flag], value),
            object_score=None if np.isnan(score) else score,
            salient=None if label < 0 else Detection(self.labels[label], confidence, tuple(box.tolist())),
            saliency=None if np.isnan(saliency[0]) else Saliency(*saliency.tolist()),
            site=site,
            mark=Mark(count, PLACES[place]) if count else None,
            embedding=self.embeddings[row] if self.embedded[row] else None,
        )

    @property
    def ids(self) -> npt.NDArray[np.bytes_]:
        """The n content ids."""
        return np.asarray(self.rows["background_id"])

    @property
    def embedded(self) -> npt.NDArray[np.bool_]:
        """Which of the n photographs have an embedding."""
        if not self.embeddings.shape[1]:
            return np.broadcast_to(np.False_, len(self))
        return ~np.isnan(self.embeddings[:, 0])

    def id_of(self, row: int) -> str:
        """The content id of a row."""
        name: bytes = self.ids[row]
        return name.decode()

    def source(self, row: int) -> str:
        """The source of a row."""
        name: str = self.sources[row].as_py()
        return name

    def rows_of(self, ids: Iterable[str]) -> _Rows:
        """The rows with any of these content ids, ascending."""
        return np.flatnonzero(np.isin(self.ids, np.array([name.encode() for name in ids], dtype=np.bytes_)))

    def take(self, rows: _Rows) -> Crawl:
        """Some of the photographs."""
        return Crawl(self.rows[rows], self.sources.take(pa.array(rows)), self.labels, self.embeddings[rows])

    def marked(self, marks: Mapping[int, Mark], rules: CurationRules) -> Crawl:
        """The same with marks, by row; and with the flag of those for which the rules refuse a photograph.

        What refuses a photograph by itself stays its reason.
        """
        rows = self.rows.copy()
        chosen = np.array(list(marks), np.int64)
        rows["mark_pictures"][chosen] = [mark.pictures for mark in marks.values()]
        rows["mark_place"][chosen] = [PLACES.index(mark.place) for mark in marks.values()]
        if SHARED_MARK in rules.refused_flags:
            crossed = rows["mark_pictures"] >= rules.thresholds[SHARED_MARK]
            crossed &= (rows["flag"] < 0) & ~rows["low_texture"]
            rows["flag"][crossed] = FLAGS.index(SHARED_MARK)
            rows["flag_value"][crossed] = rows["mark_pictures"][crossed]
        return replace(self, rows=rows)


def _packed(record: Record, labels: dict[str, int]) -> tuple[Any, ...]:
    name, found, part = record.background_id.encode(), record.salient, record.saliency
    if len(name) > _ID_BYTES:
        raise ValueError(f"{record.background_id}: a content id has at most {_ID_BYTES} bytes")
    flag, nan = record.refused_flag, float("nan")
    return (
        name,
        *(getattr(record, column) for column in _PLAIN),
        FLAGS.index(flag[0]) if flag else -1,
        flag[1] if flag else nan,
        nan if record.object_score is None else record.object_score,
        -1 if found is None else labels.setdefault(found.label, len(labels)),
        nan if found is None else found.confidence,
        (nan,) * 4 if found is None else found.box,
        (nan,) * 3 if part is None else (part.confidence, part.area, part.compactness),
        record.site,
        *((0, 0) if record.mark is None else (record.mark.pictures, PLACES.index(record.mark.place))),
    )


def _stacked(embeddings: list[_Floats | None]) -> _Floats:
    some = next((vector for vector in embeddings if vector is not None), np.empty(0, np.float32))
    none = np.full(some.shape, np.nan, np.float32)
    return np.stack([none if vector is None else vector for vector in embeddings])
