"""The search for near-duplicate hashes: CPU time, memory and what it finds.

python tests/benchmarks/bench_hashes.py --count 1000000 --distance 8
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from bg20k.hamming import choose_bands, near_pairs


def main() -> None:
    """Search random hashes, among which some near pairs are planted, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="random 64-bit hashes")
    parser.add_argument("--distance", type=int, default=8, help="bits in which a pair may differ")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    hashes = np.frombuffer(rng.bytes(8 * options.count), dtype=np.uint64).copy()
    planted = rng.permutation(options.count)[: options.count // 100 * 2].reshape(2, -1)
    for one, other in planted.T:
        bits = rng.choice(64, options.distance, replace=False)
        hashes[other] = hashes[one] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    near_pairs(hashes[:10], options.distance)  # compiles, or loads what is compiled
    started = time.process_time()
    pairs = near_pairs(hashes, options.distance)
    seconds = time.process_time() - started
    found = {tuple(pair) for pair in np.sort(planted.T, axis=1).tolist()} <= {tuple(pair) for pair in pairs.tolist()}
    bands = choose_bands(hashes, options.distance)
    print(  # noqa: T201
        f"{options.count} hashes, distance {options.distance}: {seconds:.1f} CPU-seconds, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, {len(pairs)} pairs, "
        f"all planted ones found: {found}; {len(bands.edges) - 1} bands, radius {bands.radius}"
    )


if __name__ == "__main__":
    main()
