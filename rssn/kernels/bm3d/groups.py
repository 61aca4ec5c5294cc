"""What happens to a group of similar blocks: Haar's transform across it, shrinkage, and back (Dabov et al. 2007).

As many coefficients of every block as a register has lanes are transformed at a time. There and back, the code, which
is written out, goes down to one block after the other before it takes the next one, so that a handful of values is in
registers. The transform is not normalised: its scaling is folded into thresholds and weights. Coefficients come as
16-bit ints and stay ints until they are shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

from rssn.kernels.bm3d.matching import FIRST, SECOND
from rssn.kernels.bm3d.transforms import COEFFICIENTS
from rssn.kernels.simd import FLOAT, LANES, Vectors

SHRINKAGE = SECOND.bit_length() * LANES
"""Numbers that shrink a channel: a register of equal ones for each power of two that a variance may have grown by."""


def _haar(v: Vectors, block: Callable[[int], Any], size: int, lift: Any, take: Callable[[int, Any, int], None]) -> None:
    """Hand over each coefficient: its number, value, and the power of two that its variance has grown by.

    Number 0 is the sum, to which `lift` is added; numbers 2^n to 2^(n+1) - 1 are the n-th level from the coarsest on.
    """

    def total(number: int, first: int, count: int) -> Any:
        if count == 1:
            return block(first)
        half = count // 2
        a, b = total(2 * number, first, half), total(2 * number + 1, first + half, half)
        take(number, v.to_float(v.builder.sub(a, b)), half.bit_length())
        return v.builder.add(a, b)

    take(0, v.add(v.to_float(total(1, 0, size)), lift), size.bit_length() - 1)


def _unhaar(v: Vectors, coefficient: Callable[[int], Any], size: int, give: Callable[[int, Any], None]) -> None:
    """Hand over each block's values, back from coefficients that were divided by their power of two."""

    def split(number: int, value: Any, first: int, count: int) -> None:
        if count == 1:
            give(first, value)
            return
        half, difference = count // 2, coefficient(number)
        split(2 * number, v.add(value, difference), first, half)
        split(2 * number + 1, v.subtract(value, difference), first + half, half)

    split(1, coefficient(0), 0, size)


def _block(v: Vectors, blocks: Any, places: Any, shift: Any) -> Callable[[int], Any]:
    moved = v.at(blocks, shift)
    return lambda n: v.load_short(moved, v.load_scalar(places, n))


def _threshold(
    v: Vectors,
    blocks: Any,
    places: Any,
    shift: Any,
    held: Any,
    start: Any,
    limits: Any,
    lift: Any,
    place: Any,
) -> None:
    """Hard-threshold coefficients of a group into `held`; how many were kept goes to `place` in it."""
    kept = v.constant(0.0)

    def take(n: int, value: Any, power: int) -> None:
        nonlocal kept
        over = v.builder.fcmp_ordered(">", v.absolute(value), v.load(limits, power * LANES))
        scaled = v.multiply(value, v.constant(2.0**-power))
        v.store(v.builder.select(over, scaled, v.constant(0.0)), held, v.offset(start, n * v.lanes))
        kept = v.add(kept, v.builder.select(over, v.constant(1.0), v.constant(0.0)))

    _haar(v, _block(v, blocks, places, shift), FIRST, lift, take)
    v.store(kept, held, place)


def _weigh(
    v: Vectors,
    basic: Any,
    places: Any,
    shift: Any,
    held: Any,
    start: Any,
    variances: Any,
    lift: Any,
    place: Any,
) -> None:
    """Wiener's weights of coefficients of a group into `held`; the sums of their squares go to `place` in it."""
    squares: dict[int, Any] = {}

    def take(n: int, value: Any, power: int) -> None:
        square = v.multiply(value, value)
        noise = v.load(variances, power * LANES)
        weight = v.divide(square, v.multiply_add(square, v.constant(2.0**power), noise))
        squares[power] = v.multiply_add(weight, weight, squares.get(power, v.constant(0.0)))
        v.store(weight, held, v.offset(start, n * v.lanes))

    _haar(v, _block(v, basic, places, shift), SECOND, lift, take)
    total = v.constant(0.0)
    for power in sorted(squares):
        total = v.multiply_add(squares[power], v.constant(4.0**power), total)
    v.store(total, held, place)


def _attenuate(v: Vectors, noisy: Any, places: Any, shift: Any, held: Any, start: Any, lift: Any) -> None:
    """Multiply coefficients of a group by the weights in `held`."""

    def take(n: int, value: Any, power: int) -> None:
        place = v.offset(start, n * v.lanes)
        v.store(v.multiply(value, v.load(held, place)), held, place)

    _haar(v, _block(v, noisy, places, shift), SECOND, lift, take)


def _spread(v: Vectors, size: int, held: Any, start: Any, sums: Any, places: Any, shift: Any, weight: Any) -> None:
    """Transform coefficients of a group back and add them, weighted, to the sums of their blocks."""
    share, moved = v.splat(weight), v.at(sums, shift)

    def give(n: int, value: Any) -> None:
        place = v.load_scalar(places, n)
        v.store(v.multiply_add(value, share, v.load(moved, place)), moved, place)

    _unhaar(v, lambda n: v.load(held, v.offset(start, n * v.lanes)), size, give)


def _weight(v: Vectors, counts: Any, first: int, least: float) -> Any:
    """1 / the sum of 64 numbers, in one order on all processors, and no more than 1 / least."""
    quarters = [v.load(counts, first + n * LANES, lanes=LANES) for n in range(COEFFICIENTS // LANES)]
    total = v.total(v.add(v.add(quarters[0], quarters[1]), v.add(quarters[2], quarters[3])))
    enough = v.builder.fcmp_ordered(">", total, FLOAT(least))
    return v.divide(FLOAT(1.0), v.builder.select(enough, total, FLOAT(least)))


_LEAST = 1e-3  # of a sum of squared weights


class Group(NamedTuple):
    """One channel of a group, as the code that filters it sees it."""

    noisy: Any
    basic: Any
    sums: Any
    places: Any  # of its blocks
    following: Any  # of the next group's blocks, whose memory is asked for bit by bit
    channel: Any  # where it begins in the ring
    held: Any
    shrinkage: Any
    lift: Any


def _fetch_share(v: Vectors, values: Any, group: Group, size: int, part: Any) -> None:
    """Ask for the cache lines of the blocks that are this part's share, of 16-bit coefficients or of sums."""
    line = 64 // (values.type.pointee.width // 8 if isinstance(values.type.pointee, ir.IntType) else 4)
    count = size * v.lanes // COEFFICIENTS
    for n in range(count):
        block = v.load_scalar(group.following, v.offset(v.builder.mul(part, v.index(count)), n))
        moved = v.at(v.at(values, group.channel), block)
        for start in range(0, COEFFICIENTS, line):
            v.prefetch(moved, v.index(start))


@contextmanager
def _parts(v: Vectors, group: Group, size: int) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Goes over a block's coefficients, a register at a time.

    Gives the part's number, where it is in a block and in `held`, and what is lifted there: the first coefficient.
    """
    with v.loop(v.index(0), v.index(COEFFICIENTS // v.lanes)) as loop:
        shift = v.builder.mul(loop.index, v.index(v.lanes))
        is_first = v.builder.icmp_signed("==", loop.index, v.index(0))
        lift = v.builder.select(is_first, group.lift, FLOAT(0.0))
        lifted = v.multiply(v.splat(lift), v.first(size))
        yield loop.index, shift, v.builder.mul(shift, v.index(size)), lifted


def shrink_group(v: Vectors, group: Group) -> Any:
    """Stage 1 on one channel of a group; returns the weight its blocks were added with (equation 10)."""
    counts = COEFFICIENTS * FIRST
    with _parts(v, group, FIRST) as (part, shift, start, lift):
        place = v.builder.add(group.channel, shift)
        _threshold(
            v, group.noisy, group.places, place, group.held, start, group.shrinkage, lift, v.offset(shift, counts)
        )
        _fetch_share(v, group.noisy, group, FIRST, part)
    weight = _weight(v, group.held, counts, 1.0)
    with _parts(v, group, FIRST) as (part, shift, start, _):
        _spread(v, FIRST, group.held, start, group.sums, group.places, v.builder.add(group.channel, shift), weight)
        _fetch_share(v, group.sums, group, FIRST, part)
    return weight


def attenuate_group(v: Vectors, group: Group) -> Any:
    """Stage 2 on one channel of a group; returns the weight its blocks were added with (equation 11)."""
    counts = COEFFICIENTS * SECOND
    with _parts(v, group, SECOND) as (part, shift, start, lift):
        place = v.builder.add(group.channel, shift)
        _weigh(v, group.basic, group.places, place, group.held, start, group.shrinkage, lift, v.offset(shift, counts))
        _fetch_share(v, group.basic, group, SECOND, part)
        _fetch_share(v, group.noisy, group, SECOND, part)
    weight = _weight(v, group.held, counts, _LEAST)
    with _parts(v, group, SECOND) as (part, shift, start, lift):
        place = v.builder.add(group.channel, shift)
        _attenuate(v, group.noisy, group.places, place, group.held, start, lift)
        _spread(v, SECOND, group.held, start, group.sums, group.places, place, weight)
        _fetch_share(v, group.sums, group, SECOND, part)
    return weight
