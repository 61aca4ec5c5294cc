"""Our BM3D against the reference package, in time, memory and PSNR.

`python -m tests.benchmarks.bench_bm3d IMAGES... [--full]` times; `--psnr --sigmas 5,10,25,50` compares PSNR instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rssn.image.arrays import Image
from rssn.route.denoise import DenoiseBackend, denoise, warm_up
from tests.benchmarks.inputs import CROP_SIDE, extent, photograph
from tests.benchmarks.table import Job, Row, measured, table_lines

SIGMA = 10.0  # 8-bit units, as in the recipes


def prepare(backend: DenoiseBackend, path: Path, sigma: float, side: int | None) -> Job:
    """Denoise a photograph to which noise of `sigma` (8-bit units) was added; keeps the PSNR in dB."""
    clean = photograph(path, side)
    noise = np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    noisy = np.clip(clean + np.float32(sigma / 255.0) * noise, 0.0, 1.0)
    warm_up(backend)
    return Job(lambda: denoise(noisy, sigma / 255.0, backend), lambda result: psnr(result, clean))


def psnr(image: Image, clean: Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(-10.0 * np.log10(np.mean((image.astype(np.float64) - clean) ** 2)))


def px(path: Path, side: int | None) -> int:
    """How many px of a photograph are denoised."""
    return int(np.prod(photograph(path, side).shape[:2]))


def measure(path: Path, side: int | None) -> Row:
    """Both on one photograph or its middle, at sigma 10."""
    theirs = measured(prepare, "bm3d", path, SIGMA, side)
    ours = measured(prepare, "native", path, SIGMA, side, repeats=5)
    quality = f"{ours.kept:.2f} dB, theirs {theirs.kept:.2f}"
    return Row(f"BM3D, colour, sigma 10, {path.name}, {extent(side)}", theirs, ours, quality=quality)


def psnr_lines(paths: Sequence[Path], sigmas: Sequence[float], side: int | None) -> Iterator[str]:
    """PSNR of both in dB, for each photograph and sigma, as it comes; the means last."""
    yield f"| photograph, {extent(side)} | sigma | bm3d | native | difference | CPU ratio |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for sigma in sigmas:
        differences, ratios = [], []
        for path in paths:
            theirs, ours = (measured(prepare, backend, path, sigma, side) for backend in ("bm3d", "native"))
            differences.append(ours.kept - theirs.kept)
            ratios.append(theirs.seconds / ours.seconds)
            figures = f"{theirs.kept:.2f} | {ours.kept:.2f} | {differences[-1]:+.2f} | {ratios[-1]:.0f}"
            yield f"| {path.name} | {sigma:g} | {figures} |"
        summary = f"{np.mean(differences):+.2f} (worst {min(differences):+.2f}) | {np.median(ratios):.0f}"
        yield f"| mean | {sigma:g} | | | {summary} |"


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--psnr", action="store_true", help="compare PSNR")
    parser.add_argument("--sigmas", default="5,10,25,50", help="noise, 8-bit units")
    parser.add_argument("--full", action="store_true", help="whole photographs: two minutes each for the package")
    options = parser.parse_args()
    side = None if options.full else CROP_SIDE
    if options.psnr:
        sigmas = [float(sigma) for sigma in options.sigmas.split(",")]
        lines = psnr_lines(options.images, sigmas, side)
    else:
        lines = table_lines(measure(path, side) for path in options.images)
    for line in lines:
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
