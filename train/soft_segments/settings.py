"""What the segmentation is made with: the values of the published code, and what stands in for its parts. No torch."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from rssn.errors import InputError

SMALLEST, LARGEST = 64, 1024
"""Limits of the side, px: below there are no regions, above the factors of the Laplacian take tens of gigabytes."""


@dataclass(frozen=True)
class Settings:
    """How a photograph is segmented. The source of all but the first is the published code.

    Attributes:
        side: Longer side that a photograph is reduced to, px. The paper's figures are of an unknown size. At 320 a
            photograph takes about two CPU-minutes and 1.3 GB, at 640 more than that by far: the factors alone 3.7 GB.
        seed: Of k-means and of the eigenvectors' start.
        superpixels: Of SLIC, wanted; small pictures have one for each 8 px at most.
        eigenvectors: Of the graph's Laplacian, those of the smallest magnitude.
        clusters: Layers before the first sparsification.
        layers: Layers of the result, at most.
    """

    side: int = 320
    seed: int = 0
    superpixels: int = 2500
    eigenvectors: int = 100
    clusters: int = 40
    layers: int = 5

    def __post_init__(self) -> None:
        if not SMALLEST <= self.side <= LARGEST:
            raise InputError(f"--sss-side {self.side}: must be from {SMALLEST} to {LARGEST}")

    def reduced(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the layers of a photograph, px; a small one is not enlarged."""
        scale = min(1.0, self.side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def to_bytes(self) -> bytes:
        """All of them, for the name of what is made with them."""
        return repr(astuple(self)).encode()
