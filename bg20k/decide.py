"""The global verdicts: flags that reject, duplicates, salient objects in the keepers, the split.

Works on light records, held as columns, of all photographs that could be examined; those that could not have their
verdict already (`Verdict.refused`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bg20k.copies import NO_COPIES, Copies, Link, describe
from bg20k.duplicates import FingerprintColumns, find_duplicates
from bg20k.embedding import find_similar
from bg20k.lookalikes import unpacked
from bg20k.marks import EdgeTable, shared_marks
from bg20k.objects import Detection
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.verdict import (
    ALTERED,
    DUPLICATE,
    KEPT,
    KEPT_UNSCREENED,
    KNOWN,
    SALIENT_OBJECT,
    SALIENT_REGION,
    SHARED_MARK,
    SIMILAR,
    Verdict,
    explain,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownSet:
    """The photographs of an existing set, against which a crawl is checked; columns of equal length.

    Attributes:
        ids: Content ids.
        phashes: Perceptual hashes.
        low_texture: True where the hash means nothing.
        prints: By what altered copies are looked for, see `bg20k.lookalikes.unpacked`; without rows, by nothing.
    """

    ids: npt.NDArray[np.bytes_]
    phashes: npt.NDArray[np.uint64]
    low_texture: npt.NDArray[np.bool_]
    prints: npt.NDArray[np.uint64] = field(default_factory=lambda: unpacked(b""))


NOTHING_KNOWN = KnownSet(
    ids=np.array([], np.bytes_), phashes=np.array([], np.uint64), low_texture=np.array([], np.bool_)
)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The verdicts on a crawl: holds a keeper for each photograph, and words a verdict when it is asked for.

    Attributes:
        crawl: The n photographs.
        rules: What they were judged by.
        known: The existing set.
        nearest: n rows: what a photograph is a duplicate of, itself where of none; -1 - m for the m-th of the
            existing set. That one may be a duplicate itself: of a copy that was found in another way.
        keepers: Likewise, the end of that chain.
        similar: n truth values: whether the embeddings made it a duplicate.
        altered: By row, what it matches on the way to its keeper.
    """

    crawl: Crawl
    rules: CurationRules
    known: KnownSet
    nearest: npt.NDArray[np.int64]
    keepers: npt.NDArray[np.int64]
    similar: npt.NDArray[np.bool_]
    altered: Mapping[int, Link] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.crawl)

    def __iter__(self) -> Iterator[Verdict]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Verdict:
        record, nearest, keeper = self.crawl[row], int(self.nearest[row]), int(self.keepers[row])
        if keeper == row:
            return _judge(record, self.rules)
        reason, score, message = self._likeness(row, record, nearest)
        if nearest != keeper:
            message += f"; of that one {self._name(keeper)} is kept or judged"
        return Verdict(False, "duplicates", reason, message, score, duplicate_of=self._id(keeper))

    def _likeness(self, row: int, record: Record, nearest: int) -> tuple[str, float | None, str]:
        """Why a photograph is a duplicate: reason, score, message."""
        if self.similar[row]:
            cosine = float(self.crawl.embeddings[row] @ self.crawl.embeddings[nearest])
            return SIMILAR, cosine, f"looks like {self._name(nearest)}: the embeddings have a cosine of {cosine:.3f}"
        if row in self.altered:
            link = self.altered[row]
            other = self._name(nearest)
            shown = f"{link.through}, which was refused, as {other} does" if link.through else other
            return ALTERED, link.match.found.agreement, describe(link.match.found, shown)
        reason = KNOWN if self.keepers[row] < 0 else DUPLICATE
        if record.background_id == self._id(nearest):
            return reason, None, f"the same bytes as {self._name(nearest)}"
        phashes = self.known.phashes if nearest < 0 else self.crawl.rows["phash"]
        bits = (record.phash ^ int(phashes[-1 - nearest if nearest < 0 else nearest])).bit_count()
        return reason, bits, f"looks like {self._name(nearest)}: the perceptual hashes differ in {bits} of 64 bits"

    def _name(self, row: int) -> str:
        return f"{self._id(row)} of the existing set" if row < 0 else self.crawl.source(row)

    def _id(self, row: int) -> str:
        return self.known.ids[-1 - row].decode() if row < 0 else self.crawl.id_of(row)


def decide(crawl: Crawl, rules: CurationRules, known: KnownSet = NOTHING_KNOWN, copies: Copies = NO_COPIES) -> Judged:
    """Judge a whole crawl; the verdicts do not depend on the order of the records.

    Flags that the rules refuse come first, so that such a photograph is never a keeper. A duplicate is judged by its
    keeper, so a group whose keeper shows a salient object keeps none. The reason names what says most about a salient
    object: the detector's finding, or the class-free network's region.

    Args:
        crawl: All photographs that could be examined.
        rules: All but those of reading apply.
        known: An existing set: what looks like one of its photographs is rejected.
        copies: Altered copies that were found among the photographs that `leaders` leaves.

    Returns:
        One verdict per record, in the order of the records.
    """
    nearest, similar = leaders(crawl, rules, known), np.zeros(len(crawl), np.bool_)
    altered: dict[int, Link] = {}
    if copies.matches:
        altered = _claim_copies(crawl, known, copies, nearest)
    left = _left(crawl, nearest)
    left = left[crawl.embedded[left] & ~crawl.rows["low_texture"][left]]  # those look all alike
    if len(left):
        nearest[left] = left[_by_embedding(crawl.take(left), rules.cosine)]
        similar[left] = nearest[left] != left
    return Judged(crawl, rules, known, nearest, _ends(nearest), similar, altered)


def _ends(nearest: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where the chain of duplicates ends that begins at each row."""
    ends = nearest
    while ((further := np.where(ends < 0, ends, nearest[np.maximum(ends, 0)])) != ends).any():
        ends = further
    return ends


def find_marks(
    crawl: Crawl, edges: EdgeTable, rules: CurationRules, known: KnownSet = NOTHING_KNOWN, copies: Copies = NO_COPIES
) -> Crawl:
    """A crawl with the marks that its photographs share, and with the flag of those for which the rules refuse one.

    Copies of one picture count once, whatever flags they have; so `decide` may refuse marked ones and keep a copy
    without the mark. Copies that were altered are known of photographs that were compared, see `compared`.

    Args:
        crawl: All photographs that could be examined.
        edges: By row, of `bg20k.edges.find_edges`.
        rules: As of `decide`.
        known: Likewise.
        copies: Likewise.
    """
    upright = crawl.rows["source_height"] > crawl.rows["source_width"]
    order = pc.sort_indices(crawl.sources).to_numpy().astype(np.int64)
    pictures = _pictures(crawl, rules, known, copies)
    found = shared_marks(crawl.rows["site"], upright, pictures, order, edges)
    return crawl.marked(found, rules)


def _pictures(crawl: Crawl, rules: CurationRules, known: KnownSet, copies: Copies) -> npt.NDArray[np.int64]:
    """A number for each photograph, the same for all that are linked by any likeness."""
    rows = crawl.rows.copy()
    rows["flag"] = -1
    near = leaders(replace(crawl, rows=rows), rules, known)
    near = np.where(near < 0, len(crawl) - 1 - near, near)
    pairs = [np.stack([np.arange(len(crawl)), near], axis=1)]
    ids = np.concatenate([crawl.ids, known.ids])
    named = [(one.one, one.other) for one in copies.matches] + [*copies.leaders.items()]
    if named:
        order = np.argsort(ids, kind="stable")
        wanted = np.array(named, dtype=np.bytes_)
        places = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
        there = (ids[order][places] == wanted).all(axis=1)
        pairs.append(order[places[there]])
    left = np.flatnonzero(crawl.embedded & ~crawl.rows["low_texture"])
    if len(left):
        pairs.append(np.stack([left, left[_by_embedding(crawl.take(left), rules.cosine)]], axis=1))
    one, other = np.concatenate(pairs).T
    links = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(len(ids), len(ids)))
    return np.asarray(connected_components(links, directed=False)[1][: len(crawl)], np.int64)


def leaders(crawl: Crawl, rules: CurationRules, known: KnownSet = NOTHING_KNOWN) -> npt.NDArray[np.int64]:
    """Keepers by equal bytes and near hashes, as in `Judged.keepers`; refused photographs keep themselves."""
    keepers = np.arange(len(crawl))
    rows = np.flatnonzero(crawl.rows["flag"] < 0)
    keepers[rows] = _placed(find_duplicates(_columns(crawl.take(rows), known), rules.phash_distance)[: len(rows)], rows)
    return keepers


def compared(crawl: Crawl, keepers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which photographs are looked at for altered copies: those that are not flagged, no duplicates, and textured."""
    chosen = np.zeros(len(crawl), np.bool_)
    chosen[_left(crawl, keepers)] = True
    return chosen & ~np.asarray(crawl.rows["low_texture"], np.bool_)


def _left(crawl: Crawl, keepers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.flatnonzero((keepers == np.arange(len(crawl))) & (crawl.rows["flag"] < 0))


def _claim_copies(crawl: Crawl, known: KnownSet, copies: Copies, keepers: npt.NDArray[np.int64]) -> dict[int, Link]:
    """Link altered copies among the keepers to what they match, copies of the existing set too; returns why, by row."""
    left, matched = _left(crawl, keepers), _matched(copies)
    left = left[np.isin(crawl.ids[left], matched)]
    places = np.flatnonzero(np.isin(known.ids, matched))
    known = replace(known, ids=known.ids[places], phashes=known.phashes[places], low_texture=known.low_texture[places])
    columns = _columns(crawl.take(left), known, copies.cropped)
    order = columns.best_first()
    names = [*(crawl.id_of(row) for row in left.tolist()), *(name.decode() for name in known.ids.tolist())]
    links = copies.claimed([names[place] for place in order.tolist()], columns.fixed[order])
    rows = np.concatenate([left, -1 - places])[order]  # by rank
    altered = {int(rows[rank]): link._replace(place=int(rows[link.place])) for rank, link in links.items()}
    keepers[list(altered)] = [link.place for link in altered.values()]
    return altered


def _matched(copies: Copies) -> npt.NDArray[np.bytes_]:
    """Content ids of what has a match, itself or through its leader: few of a crawl."""
    names = {name for match in copies.matches for name in (match.one, match.other)}
    names |= {name for name, leader in copies.leaders.items() if leader in names}
    return np.array(sorted(names), dtype=np.bytes_)


def _placed(found: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Positions among some rows, and behind them in the existing set, as `Judged.keepers` has them."""
    count = len(rows)
    return np.where(found < count, rows[np.minimum(found, count - 1)] if count else found, count - 1 - found)


def _columns(crawl: Crawl, known: KnownSet, cropped: Set[str] = frozenset()) -> FingerprintColumns:
    """The records, and behind them the existing set; ids and sources as numbers in the same order."""
    rows, more = crawl.rows, len(known.ids)
    _, ids, counts = np.unique(np.concatenate([crawl.ids, known.ids]), return_inverse=True, return_counts=True)
    sources = np.zeros(len(ids), np.int64)
    repeated = np.flatnonzero(counts[ids[: len(rows)]] > 1)  # nothing else is ranked by its source
    sources[repeated[pc.sort_indices(crawl.sources.take(repeated)).to_numpy()]] = np.arange(len(repeated))
    areas = rows["source_width"].astype(np.int64) * rows["source_height"]
    return FingerprintColumns(
        ids=ids,
        sources=sources,
        grey=np.concatenate([rows["grey"], np.zeros(more, np.bool_)]),
        areas=np.concatenate([areas, np.zeros(more, np.int64)]),
        cropped=np.isin(np.concatenate([crawl.ids, known.ids]), np.array(sorted(cropped), dtype=np.bytes_)),
        bits_per_pixel=np.concatenate([rows["bits_per_pixel"], np.zeros(more)]),
        sharpness=np.concatenate([rows["sharpness"], np.zeros(more)]),
        phashes=np.concatenate([rows["phash"], known.phashes]),
        low_texture=np.concatenate([rows["low_texture"], known.low_texture]),
        fixed=np.arange(len(ids)) >= len(rows),
    )


def _by_embedding(crawl: Crawl, cosine: float) -> npt.NDArray[np.int64]:
    """The keeper of each photograph by the embeddings."""
    order = _columns(crawl, NOTHING_KNOWN).best_first()
    keepers = np.empty(len(crawl), np.int64)
    keepers[order] = order[find_similar(crawl.embeddings[order], cosine)]
    return keepers


def _judge(record: Record, rules: CurationRules) -> Verdict:
    """The verdict on a photograph that is no duplicate."""
    if record.refused_flag:
        flag, value = record.refused_flag
        detail = str(record.mark) if flag == SHARED_MARK else f"score {value:.3g}"
        return Verdict(False, "resolution", flag, f"{explain(flag)} ({detail})", value)
    score, found, part = record.object_score, record.salient, record.saliency
    split = split_of(record.background_id, rules.train_share)
    if score is None:
        message = f"kept for {split}; not screened for salient objects, because no detector was given"
        return Verdict(True, "split", KEPT_UNSCREENED, message, split=split)
    if score >= rules.salient_limit:
        reason, words = SALIENT_OBJECT if found else SALIENT_REGION, _stands_out(found, part)
        return Verdict(False, "salience", reason, f"{words}; salient with a probability of {score:.2f}", score)
    return Verdict(True, "split", KEPT, f"kept for {split}", score, split=split)


def _stands_out(found: Detection | None, part: Saliency | None) -> str:
    if found:
        return f"{found.label} with confidence {found.confidence:.2f} on {found.area:.1%} of the frame"
    area, compactness = (part.area, part.compactness) if part else (0.0, 0.0)
    return f"something stands out on {area:.1%} of the frame, of compactness {compactness:.2f}"


def split_of(background_id: str, train_share: float) -> str:
    """`train` or `validation`, by a keyed hash of the content id alone, so that adding photographs moves none.

    Args:
        background_id: Content id of the source file.
        train_share: Expected share of training backgrounds, 0 to 1; the paper has 0.75.
    """
    digest = hashlib.sha256(b"bg20k/split/" + background_id.encode()).digest()
    return "train" if int.from_bytes(digest[:8], "big") < train_share * 2**64 else "validation"
