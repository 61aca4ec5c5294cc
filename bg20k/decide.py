"""The global verdicts: flags that reject, duplicates, salient objects in the keepers, the split.

Works on light records, held as columns, of all photographs that could be examined; those that could not have their
verdict already (`Verdict.refused`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from bg20k.duplicates import FingerprintColumns, find_duplicates
from bg20k.embedding import find_similar
from bg20k.objects import Detection
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.saliency import Saliency
from bg20k.verdict import (
    DUPLICATE,
    KEPT,
    KEPT_UNSCREENED,
    KNOWN,
    SALIENT_OBJECT,
    SALIENT_REGION,
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
    """

    ids: npt.NDArray[np.bytes_]
    phashes: npt.NDArray[np.uint64]
    low_texture: npt.NDArray[np.bool_]


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
        keepers: n rows: a photograph's keeper, itself where it is no duplicate; -1 - m for the m-th of the
            existing set.
        similar: n truth values: whether the embeddings made it a duplicate.
    """

    crawl: Crawl
    rules: CurationRules
    known: KnownSet
    keepers: npt.NDArray[np.int64]
    similar: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.crawl)

    def __iter__(self) -> Iterator[Verdict]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Verdict:
        record, keeper = self.crawl[row], int(self.keepers[row])
        if keeper == row:
            return _judge(record, self.rules)
        if self.similar[row]:
            return self._similar(row, keeper)
        if keeper < 0:
            known, phash = self.known.ids[-1 - keeper].decode(), int(self.known.phashes[-1 - keeper])
            return _duplicate(KNOWN, record, known, phash, f"{known} of the existing set")
        other = self.crawl[keeper]
        return _duplicate(DUPLICATE, record, other.background_id, other.phash, other.source)

    def _similar(self, row: int, keeper: int) -> Verdict:
        cosine = float(self.crawl.embeddings[row] @ self.crawl.embeddings[keeper])
        message = f"looks like {self.crawl.source(keeper)}: the embeddings have a cosine of {cosine:.3f}"
        return Verdict(False, "duplicates", SIMILAR, message, cosine, duplicate_of=self.crawl.id_of(keeper))


def decide(crawl: Crawl, rules: CurationRules, known: KnownSet = NOTHING_KNOWN) -> Judged:
    """Judge a whole crawl; the verdicts do not depend on the order of the records.

    Flags that the rules refuse come first, so that such a photograph is never a keeper. A duplicate is judged by its
    keeper, so a group whose keeper shows a salient object keeps none. The reason names what says most about a salient
    object: the detector's finding, or the class-free network's region.

    Args:
        crawl: All photographs that could be examined.
        rules: All but those of reading apply.
        known: An existing set: what looks like one of its photographs is rejected.

    Returns:
        One verdict per record, in the order of the records.
    """
    keepers, similar = np.arange(len(crawl)), np.zeros(len(crawl), np.bool_)
    rows = np.flatnonzero(crawl.rows["flag"] < 0)
    keepers[rows] = _placed(find_duplicates(_columns(crawl.take(rows), known), rules.phash_distance)[: len(rows)], rows)
    left = rows[keepers[rows] == rows]
    left = left[crawl.embedded[left] & ~crawl.rows["low_texture"][left]]  # those look all alike
    if len(left):
        keepers[left] = left[_by_embedding(crawl.take(left), rules.cosine)]
        similar[left] = keepers[left] != left
    return Judged(crawl, rules, known, keepers, similar)


def _placed(found: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Positions among some rows, and behind them in the existing set, as `Judged.keepers` has them."""
    count = len(rows)
    return np.where(found < count, rows[np.minimum(found, count - 1)] if count else found, count - 1 - found)


def _columns(crawl: Crawl, known: KnownSet) -> FingerprintColumns:
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


def _duplicate(reason: str, record: Record, keeper_id: str, keeper_phash: int, keeper: str) -> Verdict:
    message, score = f"the same bytes as {keeper}", None
    if record.background_id != keeper_id:
        score = (record.phash ^ keeper_phash).bit_count()
        message = f"looks like {keeper}: the perceptual hashes differ in {score} of 64 bits"
    return Verdict(False, "duplicates", reason, message, score, duplicate_of=keeper_id)


def _judge(record: Record, rules: CurationRules) -> Verdict:
    """The verdict on a photograph that is no duplicate."""
    if record.refused_flag:
        flag, value = record.refused_flag
        return Verdict(False, "resolution", flag, f"{explain(flag)} (score {value:.3g})", value)
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
