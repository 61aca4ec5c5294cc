from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pymatting
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

from rssn.image.arrays import Alpha, Image
from rssn.image.decoding import decode_image
from rssn.kernels.closed_form.couplings import couple_nodes
from rssn.kernels.closed_form.grid import MOST_STRIPS, STRIP_NODES, build_grid
from rssn.kernels.closed_form.levels import _parts, build_levels
from rssn.kernels.closed_form.native import Solution, refine, solve
from rssn.kernels.closed_form.solver import FEW_UNKNOWNS
from rssn.kernels.threads import alone
from rssn.sources.mattes import read_matte
from tests.benchmarks import bench_levin
from tests.guards import assert_stays_inside

EPSILON = 1e-5


def _exact(image: Image, alpha: Alpha) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of the energy, by a sparse direct solver on every pixel."""
    height, width = alpha.shape
    a = alpha.astype(np.float64).ravel()
    number = np.arange(a.size).reshape(height, width)
    pairs = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
            np.stack([number[:-1].ravel(), number[1:].ravel()]),
        ],
        axis=1,
    )
    weight = 2 * (EPSILON + np.abs(a[pairs[0]] - a[pairs[1]]))
    rows = np.arange(pairs.shape[1])
    difference = sp.csr_matrix((np.ones(rows.size), (rows, pairs[0])), (rows.size, a.size)) - sp.csr_matrix(
        (np.ones(rows.size), (rows, pairs[1])), (rows.size, a.size)
    )
    smooth = difference.T @ sp.diags(weight) @ difference
    mixed = sp.diags(a * (1 - a))
    matrix = sp.bmat([[sp.diags(a * a) + smooth, mixed], [mixed, sp.diags((1 - a) ** 2) + smooth]], format="csc")
    pixels = image.astype(np.float64).reshape(-1, 3)
    found = spsolve(matrix, np.concatenate([a[:, None] * pixels, (1 - a)[:, None] * pixels])).reshape(2, *image.shape)
    return (
        np.where((alpha == 1)[..., None], image, np.clip(found[0], 0, 1)),
        np.where((alpha == 0)[..., None], image, np.clip(found[1], 0, 1)),
    )


def _apart(image: Image, alpha: Alpha, reference: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest difference of a layer, weighted by how much of it is seen, in 8-bit units."""
    found = solve(image, alpha, EPSILON)
    assert found.steps > 0
    shares = alpha[..., None], 1 - alpha[..., None]
    layers = np.clip(found.foreground, 0, 1), np.clip(found.background, 0, 1)
    return max(
        float(255 * (share * np.abs(layer - known)).max())
        for share, layer, known in zip(shares, layers, reference, strict=True)
    )


def _matte(kind: str, height: int, width: int, rng: np.random.Generator) -> Alpha:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    smoke = cv2.GaussianBlur(rng.random((height, width), dtype=np.float32), (0, 0), 2)
    disc = np.hypot(y - height / 2, x - width / 2)
    mattes = {
        "smoke": 0.1 + 0.8 * smoke,
        "soft disc": np.clip((min(height, width) / 3 - disc) / 4, 0, 1),
        "hard disc": disc < min(height, width) / 3,
        "islands": rng.random((height, width)) > 0.9,
        "noise": rng.random((height, width)),
        "one pixel": (x == width // 2) & (y == height // 2),
        "nearly clear": (x == 0) / 255,
    }
    return np.round(255 * mattes[kind].astype(np.float32)).astype(np.float32) / np.float32(255)


@settings(max_examples=80)
@given(
    kind=st.sampled_from(["smoke", "soft disc", "hard disc", "islands", "noise", "one pixel", "nearly clear"]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    smooth=st.booleans(),
)
@example(kind="soft disc", height=40, width=33, smooth=False)
@example(kind="one pixel", height=40, width=39, smooth=True)
@example(kind="islands", height=1, width=40, smooth=False)
def test_it_is_the_minimum_of_the_energy(kind: str, height: int, width: int, smooth: bool) -> None:
    rng = np.random.default_rng(height * 100 + width)
    image = rng.random((height, width, 3), dtype=np.float32)
    image = cv2.GaussianBlur(image, (0, 0), 3).reshape(image.shape) if smooth else image
    alpha = _matte(kind, height, width, rng)
    if np.ptp(alpha) > 0:
        assert _apart(image, alpha, _exact(image, alpha)) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("softness", [8, 30])
def test_smoke_of_many_unknowns(softness: int) -> None:
    """Soft everywhere, so that errors are slow, and too large for the patience that small grids get."""
    rng = np.random.default_rng(softness)
    image, smoke = rng.random((250, 260, 3), dtype=np.float32), rng.random((250, 260), dtype=np.float32)
    image = cv2.normalize(cv2.GaussianBlur(image, (0, 0), 4), None, 0, 1, cv2.NORM_MINMAX)
    smoke = cv2.normalize(cv2.GaussianBlur(smoke, (0, 0), softness), None, 0.05, 0.95, cv2.NORM_MINMAX)
    alpha = np.round(255 * smoke).astype(np.float32) / np.float32(255)
    assert len(build_grid(alpha, EPSILON).share) > FEW_UNKNOWNS
    assert _apart(image, alpha, _exact(image, alpha)) <= 1.0


def test_layers_are_complete_and_the_photograph_where_it_is_known() -> None:
    rng = np.random.default_rng(4)
    image = cv2.GaussianBlur(rng.random((130, 171, 3), dtype=np.float32), (0, 0), 4)
    alpha = _matte("soft disc", 130, 171, rng)
    found, exact = solve(image, alpha, EPSILON), _exact(image, alpha)
    assert np.array_equal(found.foreground[alpha == 1], image[alpha == 1])
    assert np.array_equal(found.background[alpha == 0], image[alpha == 0])
    for layer, reference in zip((found.foreground, found.background), exact, strict=True):
        assert np.abs(np.clip(layer, 0, 1) - reference).max() <= 12 / 255  # where it is hidden, too
        steps = [float(np.abs(np.diff(each, axis=axis)).max()) for each in (layer, reference) for axis in (0, 1)]
        assert max(steps[:2]) <= 1.5 * max(steps[2:])  # no blocks


def test_a_part_whose_edges_are_held_is_solved_as_in_the_whole() -> None:
    rng = np.random.default_rng(6)
    image = cv2.GaussianBlur(rng.random((110, 140, 3), dtype=np.float32), (0, 0), 3)
    alpha = _matte("soft disc", 110, 140, rng)
    part, inside = np.s_[20:90, :100], np.s_[1:-1, :-1]  # its left edge is the photograph's
    known = tuple(np.ascontiguousarray(layer[part], np.float32) for layer in _exact(image, alpha))
    guess = tuple(layer.copy() for layer in known)
    for layer in guess:
        layer[inside] = image[part][inside]
    share = alpha[part][..., None]
    held = False, True, True, True
    found = refine(np.ascontiguousarray(image[part]), np.ascontiguousarray(alpha[part]), EPSILON, guess, held)  # type: ignore[arg-type]
    assert found.steps > 0
    for layer, reference, weight in zip(found, known, (share, 1 - share), strict=False):
        assert 255 * (weight * np.abs(layer - reference)).max() <= 0.9
    free = refine(np.ascontiguousarray(image[part]), np.ascontiguousarray(alpha[part]), EPSILON, guess, (False,) * 4)  # type: ignore[arg-type]
    assert 255 * (share * np.abs(free.foreground - known[0])).max() > 1.0


def _same(first: Solution, second: Solution) -> bool:
    layers = zip(first[:2], second[:2], strict=True)
    return first.steps == second.steps and all(one.tobytes() == other.tobytes() for one, other in layers)


@pytest.mark.parametrize(("shape", "strips"), [((90, 75), 1), ((330, 170), MOST_STRIPS)])
def test_the_same_bytes_every_time_and_by_any_number_of_threads(shape: tuple[int, int], strips: int) -> None:
    rng = np.random.default_rng(5)
    image, alpha = rng.random((*shape, 3), dtype=np.float32), _matte("noise", *shape, rng)
    assert len(build_grid(alpha, EPSILON).halo) == strips
    once = solve(image, alpha, EPSILON)
    assert all(_same(once, solve(image, alpha, EPSILON, threads)) for threads in (1, 2, 3, 7))


def test_edges_between_strips_are_the_same_from_both_ends() -> None:
    """A grid of several strips has the edges, each twice, that its pixels and squares have in the picture."""
    rng = np.random.default_rng(9)
    alpha = np.concatenate([_matte("soft disc", 352, 340, rng), _matte("noise", 160, 340, rng)])
    grid = build_grid(alpha, EPSILON)
    nodes, pixels, width = grid.nodes, grid.pixels, alpha.shape[1]
    assert len(grid.halo) > 1
    assert nodes >= len(grid.halo) * STRIP_NODES

    def real(ends: np.ndarray) -> np.ndarray:
        """Numbers of nodes for those of places in a halo."""
        strip, place = np.divmod(np.maximum(ends.astype(np.int64) - nodes, 0), 2 * width)
        return np.where(ends < nodes, ends, grid.halo[strip, place])

    rows = np.concatenate([np.repeat(np.arange(pixels), 4), np.repeat(np.arange(pixels, nodes), 8)])
    columns = np.concatenate([real(grid.near).ravel(), real(grid.far).ravel()])
    weights = np.concatenate([grid.near_weight.ravel(), grid.far_weight.ravel()])
    matrix = sp.csr_matrix((weights, (rows, columns)), (nodes, nodes))
    assert abs(matrix - matrix.T).max() == 0.0
    strip_of = np.searchsorted(grid.strips[1:, 0], np.arange(alpha.shape[0]), "right")
    crossing = grid.node[:-1][np.diff(strip_of) > 0], grid.node[1:][np.diff(strip_of) > 0]
    assert np.array_equal(matrix[crossing[0].ravel(), crossing[1].ravel()] > 0, np.ones((1, crossing[0].size)))


def test_couplings_are_the_same_from_both_ends_and_cross_strips() -> None:
    """Of fixed nodes there are none. A wrong one would not change the solution, but how many steps it takes."""
    rng = np.random.default_rng(9)
    alpha = np.concatenate([_matte("soft disc", 352, 340, rng), _matte("noise", 160, 340, rng)])
    grid = build_grid(alpha, EPSILON)
    fixed = rng.random(grid.nodes) < 0.05
    edges = couple_nodes(grid, fixed, alone)
    matrix = sp.csr_matrix((edges.weight, edges.other, edges.first), (grid.nodes, grid.nodes))
    assert abs(matrix - matrix.T).max() <= 1e-7 * matrix.max()
    ends = grid.strips[:, 1] + grid.strips[:, 2]  # of the strips in levels, where squares come after the strip's pixels
    assert len(ends) > 2
    for begin, end in pairwise(ends):
        inside = matrix[begin:end]
        assert inside[:, begin:end].nnz < inside.nnz
    idle = np.concatenate([fixed[part] for strip in range(len(ends) - 1) for part in _parts(grid, strip)])
    strong = np.asarray(matrix.sum(axis=1)).ravel() > 0
    assert not strong[idle].any()
    assert strong[~idle].mean() > 0.9


_GUARDED = """
import sys
import numpy as np
from rssn.kernels.closed_form import couplings, grid, levels, native, solver
from tests.guards import guard, guarded, release

at_end = sys.argv[1] == "end"

def picture(kind, height, width):
    rng = np.random.default_rng(0)
    alpha = np.ones((height, width), np.float32)
    if kind == "noise":
        alpha = rng.random((height, width), dtype=np.float32)
    elif kind == "disc":
        y, x = np.ogrid[:height, :width]
        away = np.hypot(y - height // 2, x - width // 2)
        alpha = np.clip((min(height, width) / 3 - away) / 5, 0, 1).astype(np.float32)
    alpha[-1, -1] = 0.5
    return guarded(rng.random((height, width, 3), dtype=np.float32), at_end), guarded(alpha, at_end)

native.solve(*picture("noise", 20, 20), 1e-5)  # compiles or loads all of it
for module in (couplings, grid, levels, native, solver):
    guard(module, at_end)
for shape in ((1, 2), (1, 700), (700, 2), (33, 31), (64, 64), (257, 513), (330, 170)):
    for kind in ("noise", "disc", "even"):
        image, alpha = picture(kind, *shape)
        found = native.solve(image, alpha, 1e-5, 2)
        assert np.isfinite(found.foreground).all() and np.isfinite(found.background).all()
        native.refine(image, alpha, 1e-5, (image, image), (True, False, False, True))
        release()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages of memory by mprotect")
@pytest.mark.parametrize("side", ["start", "end"])
def test_compiled_code_stays_inside_its_arrays(side: str) -> None:
    """Each array ends, or starts, where memory is forbidden: a read or a write beyond it ends the process."""
    assert_stays_inside(_GUARDED, side)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40_000), (40_000, 2), (33, 31), (257, 513), (700, 260)])
@pytest.mark.parametrize("kind", ["noise", "soft disc"])
def test_nothing_outside_the_arrays_is_named(kind: str, shape: tuple[int, int]) -> None:
    """Vectors are loaded and stored without a check."""
    alpha = _matte(kind, *shape, np.random.default_rng(3))
    grid = build_grid(alpha, EPSILON)
    nodes, halo = grid.nodes, grid.halo
    for named in (grid.near, grid.far):
        assert not len(named) or named.max() < nodes + halo.size
    assert halo.shape == (len(grid.strips) - 1, 2 * shape[1])
    assert halo.max() < nodes
    levels = build_levels(grid, np.zeros(nodes, np.bool_))
    count = levels.bounds[-1, -1]
    assert levels.edges.first[-1] == len(levels.edges.other) == len(levels.edges.weight)
    for among in (levels.finest, levels.parent, levels.edges.other):
        assert not len(among) or among.max() < count
    assert (len(levels.finest), len(levels.parent)) == (nodes, levels.bounds[-1, 0])


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 2), (257, 513)])
def test_unknowns_are_few_where_alpha_is_even(shape: tuple[int, int]) -> None:
    alpha = np.zeros(shape, np.float32)
    alpha[0, :1] = 0.5
    grid = build_grid(alpha, EPSILON)
    assert grid.pixels + (grid.squares[:, 2].astype(int) ** 2).sum() == alpha.size
    assert grid.node.max() == grid.nodes - 1
    if min(shape) > 2:
        assert grid.nodes < alpha.size / 60
    found = solve(np.full((*shape, 3), 0.4, np.float32), alpha, EPSILON)
    assert np.abs(found.foreground - 0.4).max() <= 1e-5
    assert np.abs(found.background - 0.4).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("shrink", [2, 3])
def test_both_layers_of_a_smaller_photograph_are_the_converged_ones(shared: Path, shrink: int) -> None:
    """But for what is known: F where alpha is 1 and B where it is 0 are the photograph, which F* and B* smooth."""
    found = bench_levin.distances(
        (shared / "data/am2k/original/sample4.jpg", shared / "data/am2k/mask/sample4.png"), shrink
    )
    assert max(found.foreground, found.background) <= 0.1
    assert found.known_background > 1.0


@pytest.mark.slow
def test_a_real_photograph_against_pymatting(shared: Path) -> None:
    folder = shared / "data" / "am2k"
    image = decode_image((folder / "original" / "sample9.jpg").read_bytes())[300:620, 300:620]
    alpha = read_matte((folder / "mask" / "sample9.png").read_bytes()).alpha[300:620, 300:620]
    layers = pymatting.estimate_foreground_cf(
        image.astype(np.float64), alpha.astype(np.float64), EPSILON, rtol=1e-8, return_background=True
    )
    opaque, clear = (alpha == 1)[..., None], (alpha == 0)[..., None]
    reference = np.where(opaque, image, layers[0]), np.where(clear, image, layers[1])
    assert _apart(np.ascontiguousarray(image), np.ascontiguousarray(alpha), reference) <= 1.0
