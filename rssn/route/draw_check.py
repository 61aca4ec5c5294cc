"""Do the draws that were stored fit the recipe that was asked for: exact tests of fit.

Floor 1: counts in, p-values out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import scipy  # its parts are loaded when they are used: half a second, which not every command needs

from rssn.route.recipe import Recipe

MISFIT_LEVEL = 1e-6
"""A p-value below this is called a misfit. A report holds at most four tests, so a right data set is called a misfit
at most four times in a million."""


@dataclass(frozen=True)
class DrawCounts:
    """How often each step was drawn."""

    rows: int
    denoised: int
    noisy: int
    blur_sizes: Mapping[int, int]  # px -> rows; rows without a blur are not in it

    @property
    def blurred(self) -> int:
        """Rows whose background was blurred."""
        return sum(self.blur_sizes.values())


@dataclass(frozen=True)
class Fit:
    """One test of fit."""

    step: str
    expected: str
    found: str
    test: str
    p: float

    @property
    def misfit(self) -> bool:
        """Whether chance is no excuse."""
        return self.p < MISFIT_LEVEL


def fit_draws(recipe: Recipe, counts: DrawCounts) -> list[Fit]:
    """Test the draws of a data set against its recipe (section 4.4 of the paper).

    Args:
        recipe: The probabilities and kernel sizes that were asked for.
        counts: What the rows say; at least one row.

    Returns:
        One test per step, and one for the kernel sizes where anything was blurred.
    """
    noise = recipe.noise.probability if recipe.noise.sigma > 0 else 0.0  # noise of sigma 0 leaves no trace in a row
    fits = [
        _share("denoise", counts.denoised, counts.rows, recipe.denoise.probability),
        _share("blur", counts.blurred, counts.rows, recipe.blur.probability),
        _share("noise", counts.noisy, counts.rows, noise),
    ]
    if counts.blurred:
        fits.append(_sizes(counts.blur_sizes, Counter(recipe.blur.sizes)))
    return fits


def _share(step: str, found: int, rows: int, probability: float) -> Fit:
    p = float(scipy.stats.binomtest(found, rows, probability).pvalue)
    return Fit(step, f"{probability:g} x {rows} = {probability * rows:g}", str(found), "exact binomial", p)


def _sizes(found: Mapping[int, int], listed: Counter[int]) -> Fit:
    """Chi-square where each size is expected 5 times or more; else exact binomials, times their number (Bonferroni)."""
    total = sum(found.values())
    sizes = sorted(found.keys() | listed.keys())
    shares = [listed[size] / listed.total() for size in sizes]
    counts = [found.get(size, 0) for size in sizes]
    if sizes == list(listed) and len(sizes) == 1:
        test, p = "nothing to choose", 1.0
    elif min(shares) * total >= 5:
        test, p = "chi-square", float(scipy.stats.chisquare(counts, [share * total for share in shares]).pvalue)
    else:
        test = f"exact binomials, smallest p times {len(sizes)}"
        singles = [
            scipy.stats.binomtest(count, total, share).pvalue for count, share in zip(counts, shares, strict=True)
        ]
        p = min(1.0, len(sizes) * float(min(singles)))
    expected = ", ".join(f"{share * total:.3g} x {size} px" for size, share in zip(sizes, shares, strict=True))
    words = ", ".join(f"{count} x {size} px" for size, count in zip(sizes, counts, strict=True))
    return Fit("blur sizes", expected, words, test, p)
