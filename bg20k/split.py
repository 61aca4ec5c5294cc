"""The split into training and validation backgrounds, by content id alone.

A photograph's side depends on nothing but its own bytes, so adding photographs moves none.
"""

from __future__ import annotations

import hashlib


def split_of(background_id: str, train_share: float) -> str:
    """`train` or `validation`, by a keyed hash of the content id.

    Args:
        background_id: Content id of the source file.
        train_share: Expected share of training backgrounds, 0 to 1; the paper has 0.75.
    """
    digest = hashlib.sha256(b"bg20k/split/" + background_id.encode()).digest()
    return "train" if int.from_bytes(digest[:8], "big") < train_share * 2**64 else "validation"
