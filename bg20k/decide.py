"""The global verdicts: duplicates first, then salience of the keepers, then the split.

Works on light records of all photographs that could be examined; those that could not have their verdict already
(`Verdict.refused`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bg20k.candidates import Fingerprint
from bg20k.duplicates import FingerprintColumns, find_duplicates
from bg20k.rules import CurationRules
from bg20k.salience import Detection
from bg20k.split import split_of
from bg20k.verdict import DUPLICATE, KEPT, KEPT_UNSCREENED, SALIENT_OBJECT, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Fingerprint):
    """A photograph as the global stages see it.

    Attributes:
        source: Path or URL; unique, because two sources may hold the same bytes.
        salience: Score of `bg20k.salience.salience`; None where no detector looked.
        salient: The detection that gives the score, if any.
    """

    source: str
    salience: float | None = None
    salient: Detection | None = None


def decide(records: Sequence[Record], rules: CurationRules) -> list[Verdict]:
    """Judge a whole crawl; the verdicts do not depend on the order of the records.

    A duplicate is judged by its keeper, so a group whose keeper shows a salient object keeps none.

    Args:
        records: All photographs that could be examined.
        rules: `phash_distance`, `confidence` and `train_share` apply.

    Returns:
        One verdict per record, in the order of the records.
    """
    keepers = find_duplicates(_columns(records), rules.phash_distance).tolist()
    return [
        _judge(record, rules) if keeper == row else _duplicate(record, records[keeper])
        for row, (record, keeper) in enumerate(zip(records, keepers, strict=True))
    ]


def _columns(records: Sequence[Record]) -> FingerprintColumns:
    return FingerprintColumns(
        ids=np.array([r.background_id for r in records], dtype=np.str_),
        sources=np.array([r.source for r in records], dtype=np.str_),
        areas=np.array([r.source_width * r.source_height for r in records], dtype=np.int64),
        sharpness=np.array([r.sharpness for r in records], dtype=np.float64),
        phashes=np.array([r.phash for r in records], dtype=np.uint64),
        flat=np.array([r.flat for r in records], dtype=np.bool_),
    )


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
    split = split_of(record.background_id, rules.train_share)
    if record.salience is None:
        message = f"kept for {split}; not screened for salient objects, because no detector was given"
        return Verdict(True, "split", KEPT_UNSCREENED, message, split=split)
    return Verdict(True, "split", KEPT, f"kept for {split}", record.salience, split=split)
