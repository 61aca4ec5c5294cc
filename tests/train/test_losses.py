from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from train.batch import Batch
from train.losses import (
    EPSILON,
    alpha_loss,
    composition_loss,
    laplacian_loss,
    laplacian_pyramid,
    pyramid_down,
    pyramid_up,
)
from train.network.gfm import EQUAL, Prediction, fuse, gfm_losses
from train.targets.rosta import Rosta, focus_target, glance_and_transition

SIDES = (32, 64)


def plane(seed: int, size: int = 2) -> torch.Tensor:
    return torch.rand((size, 1, *SIDES), generator=torch.Generator().manual_seed(seed))


def band(seed: int) -> torch.Tensor:
    return (plane(seed) > 0.7).float()


def cv2_pyramid(image: np.ndarray) -> list[np.ndarray]:
    levels = []
    for _ in range(4):
        smaller = cv2.pyrDown(image)
        levels.append(image - cv2.pyrUp(smaller))
        image = smaller
    return [*levels, image]


def test_pyramid_steps_equal_opencv() -> None:
    image = plane(1)
    for n in range(2):
        reference = image[n, 0].numpy()
        np.testing.assert_allclose(pyramid_down(image)[n, 0].numpy(), cv2.pyrDown(reference), atol=1e-6)
        np.testing.assert_allclose(pyramid_up(image)[n, 0].numpy(), cv2.pyrUp(reference), atol=1e-6)


def test_pyramid_has_five_levels_and_rebuilds_the_image() -> None:
    image = plane(2)
    *bands, rest = laplacian_pyramid(image)
    assert [tuple(level.shape[2:]) for level in (*bands, rest)] == [(32, 64), (16, 32), (8, 16), (4, 8), (2, 4)]
    for level in reversed(bands):
        rest = pyramid_up(rest) + level
    torch.testing.assert_close(rest, image)


@pytest.mark.parametrize("masked", [True, False])
def test_alpha_loss_is_equation_4(masked: bool) -> None:
    predicted, alpha, weight = plane(3), plane(4), band(5) if masked else torch.ones_like(plane(5))
    total, count = 0.0, 0.0
    for a, p, w in zip(alpha.flatten().tolist(), predicted.flatten().tolist(), weight.flatten().tolist(), strict=True):
        total += (((a - p) * w) ** 2 + EPSILON**2) ** 0.5
        count += w
    expected = (total - EPSILON * (weight.numel() - count)) / count
    measured = alpha_loss(predicted, alpha, weight if masked else None)
    assert float(measured) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("masked", [True, False])
def test_laplacian_loss_is_equation_5_per_pixel(masked: bool) -> None:
    predicted, alpha, weight = plane(6), plane(7), band(8) if masked else torch.ones_like(plane(8))
    total = 0.0
    for n in range(2):
        mask = weight[n, 0].numpy()
        truth, guess = (cv2_pyramid(matte[n, 0].numpy() * mask) for matte in (alpha, predicted))
        for k in range(5):
            total += 4.0**k * float(np.abs(truth[k].astype(np.float64) - guess[k]).sum())
    measured = laplacian_loss(predicted, alpha, weight if masked else None)
    assert float(measured) == pytest.approx(total / float(weight.sum()), rel=1e-4)


def test_laplacian_loss_does_not_grow_with_the_picture() -> None:
    alpha, predicted = plane(9), plane(10)
    repeated = [matte.repeat(3, 1, 1, 1) for matte in (predicted, alpha)]
    assert float(laplacian_loss(*repeated)) == pytest.approx(float(laplacian_loss(predicted, alpha)), rel=1e-5)


def test_composition_loss_is_equation_7() -> None:
    """The sum over colours and pixels, divided by the number of pixels N, not of values."""
    rng = np.random.default_rng(7)
    (predicted, alpha), (front, back) = rng.random((2, 2, 1, *SIDES)), rng.random((2, 2, 3, *SIDES))
    difference = (alpha * front + (1 - alpha) * back) - (predicted * front + (1 - predicted) * back)
    expected = np.sqrt(difference**2 + EPSILON**2).sum() / alpha.size
    measured = composition_loss(*(torch.from_numpy(each) for each in (predicted, alpha, front, back)))
    assert float(measured) == pytest.approx(expected, rel=1e-12)


def test_composition_loss_of_a_grey_picture_is_three_times_that_of_one_of_its_colours() -> None:
    """White on black, a matte that is wrong by 0.25 everywhere: three colours are off by 0.25 each."""
    white, black = torch.ones(1, 3, *SIDES), torch.zeros(1, 3, *SIDES)
    wrong, alpha = torch.full((1, 1, *SIDES), 0.75), torch.ones(1, 1, *SIDES)
    assert float(composition_loss(wrong, alpha, white, black)) == pytest.approx(0.75, rel=1e-6)


def scene(rosta: Rosta) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """A batch, and the logits of a glance and a focus decoder that are sure of the truth."""
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    alpha = np.clip((14 - np.hypot(y - 16, x - 30)) / 5, 0, 1).astype(np.float32)
    glance_target, transition = glance_and_transition(alpha, rosta)
    labels = torch.from_numpy(glance_target.astype(np.int64))[None]
    batch = Batch(
        image=torch.rand(1, 3, *SIDES),
        alpha=torch.from_numpy(alpha)[None, None],
        foreground=torch.rand(1, 3, *SIDES),
        background=torch.rand(1, 3, *SIDES),
        glance=labels,
        focus=torch.from_numpy(focus_target(glance_target, alpha, rosta))[None, None],
        transition=torch.from_numpy(transition.astype(np.float32))[None, None],
        context=torch.empty(1, 3, 0, 0),
        window=torch.zeros(1, 4),
        sample_ids=("a/0",),
    )
    glance = 40.0 * F.one_hot(labels, rosta.classes).permute(0, 3, 1, 2).float()
    return batch, glance, torch.logit(batch.focus, eps=1e-7)


def predict(glance: torch.Tensor, focus: torch.Tensor, rosta: Rosta) -> Prediction:
    return Prediction(glance, focus, fuse(glance.argmax(1, keepdim=True), focus.sigmoid(), rosta))


@pytest.mark.parametrize("rosta", list(Rosta))
def test_a_perfect_prediction_is_the_minimum_of_every_term(rosta: Rosta) -> None:
    batch, glance, focus = scene(rosta)
    perfect = gfm_losses(predict(glance, focus, rosta), batch)
    assert max(float(value) for value in perfect.values()) < 1e-4
    rng = torch.Generator().manual_seed(0)
    for _ in range(5):
        noisy = [logits + 20 * torch.randn(logits.shape, generator=rng) for logits in (glance, focus)]
        worse = gfm_losses(predict(*noisy, rosta), batch)
        assert all(worse[name] > perfect[name] + 1e-3 for name in perfect), worse


@pytest.mark.parametrize("rosta", list(Rosta))
def test_gradients_are_finite_also_at_the_minimum_and_without_transition(rosta: Rosta) -> None:
    batch, glance, focus = scene(rosta)
    for transition in (batch.transition, torch.zeros_like(batch.transition)):
        logits = [glance.clone().requires_grad_(), focus.clone().requires_grad_()]
        losses = gfm_losses(predict(*logits, rosta), batch._replace(transition=transition))
        torch.autograd.backward(losses["total"])
        assert all(torch.isfinite(each.grad).all() for each in logits if each.grad is not None)
        assert logits[0].grad is not None
        assert logits[1].grad is not None


def test_total_is_the_sum_of_equation_8() -> None:
    batch, glance, focus = scene(Rosta.TT)
    losses = gfm_losses(predict(glance * 0.01, focus * 0.1, Rosta.TT), batch)
    total = losses.pop("total")
    assert list(losses) == ["cross_entropy", "focus_alpha", "focus_laplacian", "alpha", "laplacian", "composition"]
    assert float(total) == pytest.approx(sum(float(value) for value in losses.values()), rel=1e-6)


def test_an_undecided_glance_costs_the_logarithm_of_its_classes() -> None:
    batch, glance, focus = scene(Rosta.TT)
    losses = gfm_losses(predict(torch.zeros_like(glance), focus, Rosta.TT), batch)
    assert float(losses["cross_entropy"]) == pytest.approx(np.log(3), rel=1e-6)


def test_the_focus_is_free_outside_the_transition() -> None:
    batch, glance, focus = scene(Rosta.TT)
    elsewhere = torch.where(batch.transition > 0, focus, torch.full_like(focus, 3.0))
    losses = gfm_losses(predict(glance, elsewhere, Rosta.TT), batch)
    assert float(losses["focus_alpha"]) < 1e-4
    assert float(losses["focus_laplacian"]) < 1e-4


def test_composition_loss_is_the_authors_with_the_same_noise_on_foreground_background_and_image() -> None:
    predicted, alpha = plane(13), plane(14)
    foreground, background, noise = (torch.rand((2, 3, *SIDES)) for _ in range(3))
    front, back = foreground + noise, background + noise
    image = alpha * front + (1 - alpha) * back
    theirs = ((image - (predicted * front + (1 - predicted) * back)).square() + EPSILON**2).sqrt().sum() / alpha.numel()
    assert float(composition_loss(predicted, alpha, foreground, background)) == pytest.approx(float(theirs), rel=1e-4)


def test_weights_scale_the_terms_of_the_total() -> None:
    batch, glance, focus = scene(Rosta.TT)
    prediction = predict(glance * 0.01, focus * 0.1, Rosta.TT)
    weights = {**dict(zip(EQUAL, (0.5, 2, 3, 4, 5), strict=False)), "composition": 0}
    losses = gfm_losses(prediction, batch._replace(foreground=torch.empty(0), background=torch.empty(0)), weights)
    assert "composition" not in losses
    total = losses.pop("total")
    assert float(total) == pytest.approx(sum(weights[name] * float(value) for name, value in losses.items()), rel=1e-6)


def test_a_single_decoder_has_the_collaborative_terms_alone() -> None:
    batch, _, focus = scene(Rosta.TT)
    losses = gfm_losses(Prediction(focus[:, :0], focus, focus.sigmoid()), batch)
    assert list(losses) == ["alpha", "laplacian", "composition", "total"]
    assert float(losses["total"]) < 1e-4


def test_gradients_equal_finite_differences() -> None:
    batch, glance, focus = scene(Rosta.FT)
    rng = torch.Generator().manual_seed(1)
    focus = (0.3 * focus + torch.randn(focus.shape, generator=rng)).double().requires_grad_()
    names = ("alpha", "focus", "transition", "foreground", "background")
    exact = batch._replace(**{name: getattr(batch, name).double() for name in names})

    def total(values: torch.Tensor) -> torch.Tensor:
        label = glance.argmax(1, keepdim=True)
        terms = (
            alpha_loss(values.sigmoid(), exact.focus, exact.transition),
            laplacian_loss(values.sigmoid(), exact.focus, exact.transition),
            composition_loss(fuse(label, values.sigmoid(), Rosta.FT), exact.alpha, exact.foreground, exact.background),
        )
        return torch.stack(terms).sum()

    (gradient,) = torch.autograd.grad(total(focus), focus)
    for y, x in ((16, 30), (16, 16), (5, 25), (27, 41)):
        step = torch.zeros_like(focus)
        step[0, 0, y, x] = 1e-5
        with torch.no_grad():
            difference = (total(focus + step) - total(focus - step)) / 2e-5
        assert float(gradient[0, 0, y, x]) == pytest.approx(float(difference), rel=1e-3, abs=1e-9)
