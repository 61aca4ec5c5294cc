"""Parts of training losses: equations 4 to 7 of the paper, and what networks share.

Shapes: N pictures, C classes, H x W px, sides multiples of 16. `weight` is W^T of equations 4 and 5, N x 1 x H x W
of 0 and 1; without it a term is taken over the whole matte, as equation 6 wants.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
"""The paper's constant of equations 4 and 7."""

LEVELS = 5
"""Levels of the Laplacian pyramid; the last one is what the four bands leave."""

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def with_total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms of a loss, and as `total` the sum of each times its weight."""
    return {**terms, "total": torch.stack([weights[name] * term for name, term in terms.items()]).sum()}


def alpha_loss(predicted: Tensor, alpha: Tensor, weight: Tensor | None = None, count: Tensor | None = None) -> Tensor:
    """Absolute difference of mattes, equation 4, as a mean over the pixels of `weight`.

    The weight stands outside the root: that is equation 4 without the constant that epsilon adds for every pixel
    outside the transition area. A batch without any transition pixel gives 0. `count` replaces the sum of `weight`.
    """
    difference = smooth_absolute(alpha - predicted)
    if weight is None:
        return difference.mean()
    return (difference * weight).sum() / (weight.sum() if count is None else count).clamp(min=EPSILON)


def laplacian_loss(
    predicted: Tensor, alpha: Tensor, weight: Tensor | None = None, count: Tensor | None = None
) -> Tensor:
    """L1 distance of Laplacian pyramids, equation 5, per pixel of `weight`.

    Two decisions. The paper's sum grows with the picture; here it is divided by the sum of `weight`, as equation 4
    is, and a coefficient of level k counts for the 4^(k-1) pixels it stands for, so each level weighs the same. And
    the difference is masked before the pyramid, which is linear, instead of after it: coarse coefficients reach far
    beyond a thin transition area, and outside it the focus decoder is free.
    """
    difference = alpha - predicted if weight is None else (alpha - predicted) * weight
    per_level = torch.stack([band.abs().mean() for band in laplacian_pyramid(difference)])
    if weight is None:
        return per_level.sum()
    return per_level.sum() * weight.numel() / (weight.sum() if count is None else count).clamp(min=EPSILON)


def composition_loss(predicted: Tensor, alpha: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """Absolute difference of the composites of both mattes, equation 7: summed over colours, a mean over pixels.

    N of equation 7 counts pixels, not pixels times colours, in the paper as in its authors' code.

    Both sides are composed here from the F and B that made the training picture, before noise. With the same noise n
    on F, B and I, as the paper's authors train, I = alpha (F + n) + (1 - alpha) (B + n), and n cancels in the
    difference: this is their loss for any noise, without storing it.

    Args:
        predicted: N x 1 x H x W.
        alpha: N x 1 x H x W.
        foreground: N x 3 x H x W in [0, 1].
        background: N x 3 x H x W in [0, 1].
    """
    truth = alpha * foreground + (1.0 - alpha) * background
    guess = predicted * foreground + (1.0 - predicted) * background
    return smooth_absolute(truth - guess).sum(dim=1).mean()


def laplacian_pyramid(image: Tensor, levels: int = LEVELS) -> list[Tensor]:
    """Burt and Adelson's pyramid with OpenCV's borders: `levels` - 1 bands, then the remaining low-pass picture.

    Args:
        image: N x 1 x H x W; sides divisible by 2^(levels - 1).
        levels: Length of the result.
    """
    bands = []
    for _ in range(levels - 1):
        smaller = pyramid_down(image)
        bands.append(image - pyramid_up(smaller))
        image = smaller
    return [*bands, image]


def pyramid_down(image: Tensor) -> Tensor:
    """Smooth with the 5 x 5 binomial kernel and keep every second pixel (`cv2.pyrDown`). N x 1 x H x W."""
    row = image.new_tensor(_BINOMIAL) / 16.0
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(F.conv2d(padded, row.view(1, 1, 1, 5), stride=(1, 2)), row.view(1, 1, 5, 1), stride=(2, 1))


def pyramid_up(image: Tensor) -> Tensor:
    """Double the sides, with the same kernel on the pixels between (`cv2.pyrUp`). N x 1 x H x W."""
    return _double(_double(image, 3), 2)


def _double(image: Tensor, axis: int) -> Tensor:
    size = image.shape[axis]
    before = torch.cat([image.narrow(axis, 1, 1), image.narrow(axis, 0, size - 1)], dim=axis)
    after = torch.cat([image.narrow(axis, 1, size - 1), image.narrow(axis, size - 1, 1)], dim=axis)
    even, odd = (before + 6.0 * image + after) / 8.0, (image + after) / 2.0
    return torch.stack([even, odd], dim=axis + 1).flatten(axis, axis + 1)


def smooth_absolute(difference: Tensor, epsilon: float = EPSILON) -> Tensor:
    """|x| with a gradient everywhere, as equations 4 and 7 have it."""
    return (difference.square() + epsilon**2).sqrt()
