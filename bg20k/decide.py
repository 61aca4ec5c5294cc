"""The global verdicts: flags that reject, duplicates, salience of the keepers, the split.

Works on light records of all photographs that could be examined; those that could not have their verdict already
(`Verdict.refused`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bg20k.candidates import Fingerprint
from bg20k.duplicates import FingerprintColumns, find_duplicates
from bg20k.embedding import find_similar
from bg20k.flags import FLAGS, flags_of
from bg20k.rules import CurationRules
from bg20k.salience import Detection
from bg20k.saliency import Saliency, saliency_score
from bg20k.split import split_of
from bg20k.verdict import DUPLICATE, KEPT, KEPT_UNSCREENED, KNOWN, SALIENT_OBJECT, SALIENT_REGION, SIMILAR, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Fingerprint):
    """A photograph as the global stages see it.

    Attributes:
        source: Path or URL; unique, because two sources may hold the same bytes.
        salience: Score of `bg20k.salience.salience`; None where no detector looked.
        salient: The detection that gives the score, if any.
        saliency: What the class-free network marked; None where none looked.
        embedding: Vector of length 1; None where no network made one.
    """

    source: str
    salience: float | None = None
    salient: Detection | None = None
    saliency: Saliency | None = None
    embedding: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownSet:
    """The photographs of a set that stands, against which a crawl is checked; columns of equal length."""

    ids: npt.NDArray[np.str_]
    phashes: npt.NDArray[np.uint64]
    flat: npt.NDArray[np.bool_]


NOTHING_KNOWN = KnownSet(ids=np.array([], np.str_), phashes=np.array([], np.uint64), flat=np.array([], np.bool_))


def decide(records: Sequence[Record], rules: CurationRules, known: KnownSet = NOTHING_KNOWN) -> list[Verdict]:
    """Judge a whole crawl; the verdicts do not depend on the order of the records.

    Flags that the rules refuse come first, so that such a photograph is nobody's keeper. A duplicate is judged by its
    keeper, so a group whose keeper shows a salient object keeps none. A photograph is salient where the detector or
    the class-free network says so; where both do, the detector's reason stands.

    Args:
        records: All photographs that could be examined.
        rules: All but those of reading apply.
        known: A set that stands: what looks like one of it is rejected.

    Returns:
        One verdict per record, in the order of the records.
    """
    verdicts = [_refused_flag(record, rules) for record in records]
    rows = [row for row, verdict in enumerate(verdicts) if verdict is None]
    columns = _columns([records[row] for row in rows], known)
    left: list[int] = []
    for row, keeper in zip(rows, find_duplicates(columns, rules.phash_distance)[: len(rows)].tolist(), strict=True):
        if keeper >= len(rows):
            place = keeper - len(rows)
            verdicts[row] = _known(records[row], str(known.ids[place]), int(known.phashes[place]))
        elif rows[keeper] != row:
            verdicts[row] = _duplicate(records[row], records[rows[keeper]])
        else:
            left.append(row)
    for row, keeper, cosine in _similar(records, left, rules):
        message = f"looks like {records[keeper].source}: the embeddings have a cosine of {cosine:.3f}"
        keeper_id = records[keeper].background_id
        verdicts[row] = Verdict(False, "duplicates", SIMILAR, message, cosine, duplicate_of=keeper_id)
    return [verdict or _judge(record, rules) for record, verdict in zip(records, verdicts, strict=True)]


def _columns(records: Sequence[Record], known: KnownSet) -> FingerprintColumns:
    """The records, and behind them the set that stands."""
    more = len(known.ids)
    return FingerprintColumns(
        ids=np.concatenate([np.array([r.background_id for r in records], dtype=np.str_), known.ids]),
        sources=np.array([r.source for r in records] + [""] * more, dtype=np.str_),
        areas=np.array([r.source_width * r.source_height for r in records] + [0] * more, dtype=np.int64),
        sharpness=np.array([r.sharpness for r in records] + [0.0] * more, dtype=np.float64),
        phashes=np.concatenate([np.array([r.phash for r in records], dtype=np.uint64), known.phashes]),
        flat=np.concatenate([np.array([r.flat for r in records], dtype=np.bool_), known.flat]),
        fixed=np.arange(len(records) + more) >= len(records),
    )


def _similar(records: Sequence[Record], rows: Sequence[int], rules: CurationRules) -> list[tuple[int, int, float]]:
    """Rows that are duplicates by their embeddings, keeper and cosine of each; flat photographs look all alike."""
    embedded = [row for row in rows if records[row].embedding is not None and not records[row].flat]
    order = _columns([records[row] for row in embedded], NOTHING_KNOWN).best_first().tolist()
    ranked = [embedded[place] for place in order]
    vectors = [vector for row in ranked if (vector := records[row].embedding) is not None]
    if not vectors:
        return []
    keepers = find_similar(np.stack(vectors), rules.cosine).tolist()
    found = [(place, keeper) for place, keeper in enumerate(keepers) if keeper != place]
    return [(ranked[place], ranked[keeper], float(vectors[place] @ vectors[keeper])) for place, keeper in found]


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
