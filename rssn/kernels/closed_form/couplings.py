"""How strongly nodes of the closed form are coupled in t = F - B."""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rssn.kernels.closed_form.grid import Floats, Grid, Indices
from rssn.kernels.compiling import compiled
from rssn.kernels.threads import Each


class Edges(NamedTuple):
    """The couplings of nodes."""

    first: npt.NDArray[np.int32]  # edges first[n] to split[n] - 1 lead to lower nodes of the strip,
    split: npt.NDArray[np.int32]  # split[n] to outer[n] - 1 to higher ones,
    outer: npt.NDArray[np.int32]  # outer[n] to first[n + 1] - 1 to other strips
    other: Indices  # node at the edge's end
    weight: Floats  # coupling, at least 0
    excess: npt.NDArray[np.float64]  # what the diagonal is more than the sum of a node's couplings
    inverse: Floats  # 1 / diagonal


def couple_nodes(grid: Grid, fixed: npt.NDArray[np.bool_], each: Each) -> Edges:
    """The couplings of the grid's own nodes, strip by strip; unused edges lead to the node itself and weigh 0."""
    pixels, nodes = grid.pixels, grid.nodes
    count = 4 * pixels + 8 * (nodes - pixels)
    none = np.zeros(0, np.int32)
    edges = Edges(
        np.empty(nodes + 1, np.int32),
        none,
        none,
        np.empty(count, np.uint32),
        np.empty(count, np.float32),
        np.zeros(nodes, np.float64),
        np.zeros(0, np.float32),
    )
    edges.first[-1] = count
    each(lambda strip: _couple_strip(grid, fixed, strip, edges), range(len(grid.strips) - 1))
    return edges


@compiled
def _couple_strip(grid: Any, fixed: Any, strip: int, edges: Any) -> None:
    nodes, pixels = grid.nodes, grid.pixels
    _, pixel, square = grid.strips[strip]
    own_pixels = grid.strips[strip + 1, 1] - pixel
    edge = 4 * pixel + 8 * square
    for n in range(own_pixels + grid.strips[strip + 1, 2] - square):
        i = pixel + n if n < own_pixels else pixels + square + n - own_pixels
        here = pixel + square + n
        edges.first[here] = edge
        a = float(grid.share[i])
        excess = 0.0
        for slot in range(4 if i < pixels else 8):
            j = grid.near[i, slot] if i < pixels else grid.far[i - pixels, slot]
            w = grid.near_weight[i, slot] if i < pixels else grid.far_weight[i - pixels, slot]
            there = strip
            if j >= nodes:
                j = grid.halo[strip, j - nodes - 2 * grid.width * strip]
                there += -1 if j < pixel or pixels <= j < pixels + square else 1
            b = float(grid.share[j])
            lengths = sqrt((a * a + (1.0 - a) ** 2) * (b * b + (1.0 - b) ** 2))
            cosine = (a * b + (1.0 - a) * (1.0 - b)) / lengths
            excess += w * ((a - b) / lengths) ** 2 / (1.0 + cosine)
            coupling = w * cosine
            if fixed[j]:
                excess += coupling
            is_edge = coupling > 0.0 and not fixed[i] and not fixed[j]
            other = j + grid.strips[there, 2] if j < pixels else j - pixels + grid.strips[there + 1, 1]
            edges.other[edge] = other if is_edge else here
            edges.weight[edge] = coupling if is_edge else 0.0
            edge += 1
        edges.excess[here] = 0.0 if fixed[i] else excess
