"""A curve by its table, the same bits on every processor."""

from __future__ import annotations

from typing import Any

import numpy as np

from rssn.kernels.compiling import compiled


@compiled
def interpolate(values: Any, table: Any, slope: Any, made: Any) -> None:
    """A curve of values of either sign: lines between the entries of a table.

    Args:
        values: N float32.
        table: The curve from 0 to 1 in equal steps, float32; below 0 it is mirrored.
        slope: Beyond 1, float32.
        made: N float32, is written to.
    """
    last = table.size - 1
    for index in range(values.size):
        size = abs(values[index])
        place = min(size, np.float32(1)) * np.float32(last)
        left = min(np.int32(place), np.int32(last - 1))
        lower = table[left]
        value = lower + (table[left + 1] - lower) * (place - np.float32(left))
        value += max(size - np.float32(1), np.float32(0)) * slope
        made[index] = value if values[index] >= 0 else -value
