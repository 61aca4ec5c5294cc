"""The global verdicts: flags that reject, duplicates, salience of the keepers, the split.

Works on light records, held as columns, of all photographs that could be examined; those that could not have their
verdict already (`Verdict.refused`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from bg20k.duplicates import FingerprintColumns, find_duplicates
from bg20k.embedding import find_similar
from bg20k.flags import FLAGS, flags_of
from bg20k.records import Crawl, Record
from bg20k.rules import CurationRules
from bg20k.saliency import saliency_score
from bg20k.split import split_of
from bg20k.verdict import DUPLICATE, KEPT, KEPT_UNSCREENED, KNOWN, SALIENT_OBJECT, SALIENT_REGION, SIMILAR, Verdict


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownSet:
    """The photographs of a set that stands, against which a crawl is checked; columns of equal length.

    Attributes:
        ids: Content ids.
        phashes: Perceptual hashes.
        flat: True where the hash means nothing.
    """

    ids: npt.NDArray[np.bytes_]
    phashes: npt.NDArray[np.uint64]
    flat: npt.NDArray[np.bool_]


NOTHING_KNOWN = KnownSet(ids=np.array([], np.bytes_), phashes=np.array([], np.uint64), flat=np.array([], np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The verdicts on a crawl: a keeper per photograph in memory, the words made when somebody asks for them.

    Attributes:
        crawl: The n photographs.
        rules: What they were judged by.
        known: The set that stands.
        keepers: n rows: a photograph's keeper, itself where it is no duplicate; -1 - m for the m-th of the set that
            stands.
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
            return _refused_flag(record, self.rules) or _judge(record, self.rules)
        if self.similar[row]:
            return self._similar(row, keeper)
        if keeper < 0:
            return _known(record, self.known.ids[-1 - keeper].decode(), int(self.known.phashes[-1 - keeper]))
        return _duplicate(record, self.crawl[keeper])

    def _similar(self, row: int, keeper: int) -> Verdict:
        cosine = float(self.crawl.embeddings[row] @ self.crawl.embeddings[keeper])
        message = f"looks like {self.crawl.source(keeper)}: the embeddings have a cosine of {cosine:.3f}"
        return Verdict(False, "duplicates", SIMILAR, message, cosine, duplicate_of=self.crawl.id_of(keeper))


def decide(crawl: Crawl, rules: CurationRules, known: KnownSet = NOTHING_KNOWN) -> Judged:
    """Judge a whole crawl; the verdicts do not depend on the order of the records.

    Flags that the rules refuse come first, so that such a photograph is nobody's keeper. A duplicate is judged by its
    keeper, so a group whose keeper shows a salient object keeps none. A photograph is salient where the detector or
    the class-free network says so; where both do, the detector's reason stands.

    Args:
        crawl: All photographs that could be examined.
        rules: All but those of reading apply.
        known: A set that stands: what looks like one of it is rejected.

    Returns:
        One verdict per record, in the order of the records.
    """
    keepers, similar = np.arange(len(crawl)), np.zeros(len(crawl), np.bool_)
    rows = _unflagged(crawl, rules)
    keepers[rows] = _placed(find_duplicates(_columns(crawl.take(rows), known), rules.phash_distance)[: len(rows)], rows)
    left = rows[keepers[rows] == rows]
    left = left[crawl.embedded[left] & ~crawl.rows["flat"][left]]  # flat photographs look all alike
    if len(left):
        keepers[left] = left[_by_embedding(crawl.take(left), rules.cosine)]
        similar[left] = keepers[left] != left
    return Judged(crawl, rules, known, keepers, similar)


def _unflagged(crawl: Crawl, rules: CurationRules) -> npt.NDArray[np.int64]:
    if not rules.refused_flags:
        return np.arange(len(crawl))
    return np.flatnonzero(np.fromiter((_refused_flag(record, rules) is None for record in crawl), np.bool_, len(crawl)))


def _placed(found: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Positions among some rows, and behind them in the set that stands, as `Judged.keepers` has them."""
    count = len(rows)
    return np.where(found < count, rows[np.minimum(found, count - 1)] if count else found, count - 1 - found)


def _columns(crawl: Crawl, known: KnownSet) -> FingerprintColumns:
    """The records, and behind them the set that stands; ids and sources as numbers in the same order."""
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
        flat=np.concatenate([rows["flat"], known.flat]),
        fixed=np.arange(len(ids)) >= len(rows),
    )


def _by_embedding(crawl: Crawl, cosine: float) -> npt.NDArray[np.int64]:
    """The keeper of each photograph by the embeddings."""
    order = _columns(crawl, NOTHING_KNOWN).best_first()
    keepers = np.empty(len(crawl), np.int64)
    keepers[order] = order[find_similar(crawl.embeddings[order], cosine)]
    return keepers


def _refused_flag(record: Record, rules: CurationRules) -> Verdict | None:
    for flag, score in flags_of(record, rules).items():
        if flag in rules.refused_flags:
            return Verdict(False, "resolution", flag, f"{FLAGS[flag]} (score {score:.3g})", score)
    return None


def _known(record: Record, known_id: str, phash: int) -> Verdict:
    if record.background_id == known_id:
        message, score = f"the same bytes as {known_id} of the set that stands", None
    else:
        score = (record.phash ^ phash).bit_count()
        message = f"looks like {known_id} of the set that stands: the perceptual hashes differ in {score} of 64 bits"
    return Verdict(False, "duplicates", KNOWN, message, score, duplicate_of=known_id)


def _duplicate(record: Record, keeper: Record) -> Verdict:
    if record.background_id == keeper.background_id:
        message, score = f"the same bytes as {keeper.source}", None
    else:
        score = (record.phash ^ keeper.phash).bit_count()
        message = f"looks like {keeper.source}: the perceptual hashes differ in {score} of 64 bits"
    return Verdict(False, "duplicates", DUPLICATE, message, score, duplicate_of=keeper.background_id)


def _judge(record: Record, rules: CurationRules) -> Verdict:
    if record.salience is not None and record.salient and record.salience >= rules.confidence:
        found = record.salient
        message = f"{found.label} with confidence {found.confidence:.2f} on {found.area:.1%} of the frame"
        return Verdict(False, "salience", SALIENT_OBJECT, message, record.salience)
    if record.saliency is not None and (score := saliency_score(record.saliency, rules)) >= rules.saliency:
        part = record.saliency
        message = f"something stands out on {part.area:.1%} of the frame, of compactness {part.compactness:.2f}"
        return Verdict(False, "salience", SALIENT_REGION, message, score)
    split = split_of(record.background_id, rules.train_share)
    if record.salience is None and record.saliency is None:
        message = f"kept for {split}; not screened for salient objects, because no detector was given"
        return Verdict(True, "split", KEPT_UNSCREENED, message, split=split)
    return Verdict(True, "split", KEPT, f"kept for {split}", record.salience, split=split)
