"""The route on arrays: what `rssn compose` does to one sample, without files, cache or workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from rssn.errors import InputError
from rssn.image.arrays import Image, Pixels, to_float, to_uint8
from rssn.route import compose as route
from rssn.route.compose import Crop
from rssn.route.draw import Draw, draw
from rssn.route.foreground import estimate_layers
from rssn.route.recipe import DEFAULT, Recipe, load_recipe
from rssn.route.step import CutOut, Layer
from rssn.storage.files import content_id
from rssn.storage.machine import picture_threads, threads_of_a_picture

Picture = TypeVar("Picture", Pixels, Image)


@dataclass(frozen=True)
class Sample(Generic[Picture]):
    """One composite, its layers as they were blended, and what was drawn for it."""

    image: Picture  # the composite, H x W x 3
    alpha: Picture  # H x W
    foreground: Picture  # H x W x 3
    background: Picture  # H x W x 3, in the frame
    drawn: Draw
    crop: Crop  # where the frame lies in the resized background
    foreground_method: str  # the recipe's, a fallback, or `given`


def compose(  # noqa: PLR0913  (all by keyword)
    *,
    alpha: Picture,
    background: Picture,
    image: Picture | None = None,
    foreground: Picture | None = None,
    other: tuple[Picture, Picture] | None = None,
    recipe: Recipe | str | Path = DEFAULT,
    seed: int = 0,
    foreground_id: str | None = None,
    k: int = 0,
    threads: int | None = None,
) -> Sample[Picture]:
    """Compose one foreground onto one background by a recipe (Pipeline 1 of the paper).

    All pictures are RGB and all are uint8, or all are floats in [0, 1]; the result is of the same kind (float32). The
    draws and the pixels are those of `rssn compose` for the same pictures, `seed`, `foreground_id` and `k`.

    Args:
        alpha: Matte, H x W, 255 or 1.0 where the subject is opaque.
        background: B, any size, H' x W' x 3; resized and cropped to the frame as the recipe and the dice say.
        image: The photograph that the subject is in, H x W x 3; F is estimated from it as the recipe says.
        foreground: F, H x W x 3, in place of a photograph; or beside it, for a recipe with `foreground: given`.
        other: F and alpha (not B) of another foreground, H' x W' x 3 and H' x W', for a recipe with a step that takes
            one.
        recipe: A recipe, the name of one that ships, or the path of a YAML file; see `rssn.load_recipe`.
        seed: Another one gives other draws.
        foreground_id: Names the foreground in the draws, as the column of this name; by default the content of its
            arrays does, so that the same foreground has the same draws on every background.
        k: The number of the composite of this foreground, 0 or more; each draws on its own.
        threads: Of `levin` and of `native` BM3D; the pixels are the same for any number. None: as in `rssn.denoise`.

    Returns:
        The composite and its layers; 8-bit ones are what `rssn compose --image-codec png` stores.

    Raises:
        InputError: If shapes, types or values do not fit, the recipe is not valid, or the background would have to be
            enlarged more than the recipe allows, or threads is below 1.
        Rejected: If a step cannot place this foreground, or the other, as it was drawn.
        DependencyError: If a step of the recipe needs a package that is not installed.
    """
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe))
    second = {} if other is None else _pair(other)
    given = {"alpha": alpha, "background": background, "image": image, "foreground": foreground, **second}
    pictures = {name: values for name, values in given.items() if values is not None}
    if second and not any(step.takes_other for step in chosen.drawn):
        raise InputError(f"other has no effect: no step of the recipe {chosen.name} takes another foreground")
    floats = _checked(pictures)
    own = (each for name, each in pictures.items() if name not in ("background", *_OTHER))
    subject = (np.ascontiguousarray(each).tobytes() for each in own)
    identity = foreground_id or content_id(*subject)
    if k < 0:
        raise InputError(f"k is {k}; expected 0 or more")
    drawn = draw(chosen, seed, identity, k)
    with picture_threads(threads_of_a_picture(threads)):
        layer, method = _foreground(floats, chosen)
        front = _after_sources(layer, floats.get("image", layer), chosen, drawn)
        cut_out = CutOut(front, floats["alpha"])
        cut_out = route.place(cut_out, drawn.applied(chosen, "placement"), _others(floats, chosen, drawn))
        back = floats["background"]
        crop, fitted = _fit(back, cut_out, chosen, drawn)
        full = _after_sources(back, back, chosen, drawn, "background")
        done = route.compose(cut_out, route.fit_background(full, fitted, crop), chosen, drawn)

    def out(values: Image) -> Any:
        return to_uint8(values) if alpha.dtype == np.uint8 else np.clip(values, 0.0, 1.0)

    image, foreground, background = out(done.image), out(done.foreground), out(done.background)
    return Sample(image, out(done.alpha), foreground, background, drawn, crop, method)


_OTHER = ("other foreground", "other alpha")


def _after_sources(pixels: Image, photograph: Image, recipe: Recipe, drawn: Draw, layer: Layer = "foreground") -> Image:
    """A layer at its own size, after the steps that were drawn for it."""
    steps = drawn.applied(recipe, "source", layer)
    return route.apply_steps(pixels, (step.measured(lambda: photograph) for step in steps))


def _others(floats: dict[str, Image], recipe: Recipe, drawn: Draw) -> Iterator[CutOut]:
    if not floats.keys() & _OTHER:
        step = next(step.name for step in recipe.drawn if step.takes_other)
        words = f"the step {step} of the recipe {recipe.name} takes another foreground"
        raise InputError(f"{words}; give other, a pair of its F, H x W x 3, and its alpha, H x W")
    foreground, alpha = (floats[name] for name in _OTHER)
    yield CutOut(_after_sources(foreground, foreground, recipe, drawn), alpha)


def _pair(other: Any) -> dict[str, Any]:
    """F and alpha of another foreground, by the names that messages give them."""
    if not isinstance(other, (tuple, list)) or len(other) != len(_OTHER):
        found = f"an array of the shape {other.shape}" if isinstance(other, np.ndarray) else f"a {type(other).__name__}"
        raise InputError(f"other is {found}; expected a pair: F, H x W x 3, and its alpha, H x W")
    return dict(zip(_OTHER, other, strict=True))


def _foreground(floats: dict[str, Image], recipe: Recipe) -> tuple[Image, str]:
    """F and how it was made; see `pipelines.compose.plan.foreground_method`."""
    if recipe.foreground == "given" or "image" not in floats:
        if "foreground" not in floats:
            raise InputError(f"the recipe {recipe.name} takes F as it is given; give foreground, too")
        return floats["foreground"], "given"
    layers = estimate_layers(floats["image"], floats["alpha"], recipe.foreground)
    return layers.foreground, layers.method


def _fit(background: Image, cut_out: CutOut, recipe: Recipe, drawn: Draw) -> tuple[Crop, tuple[int, int]]:
    """The frame's place in the fitted background, and the size of that."""
    (height, width), size = cut_out.alpha.shape, (background.shape[1], background.shape[0])
    enlarged = float(route.upscaling(np.array([size]), (width, height))[0])
    if enlarged > recipe.max_upscale:
        words = f"to cover {width} x {height} px it is enlarged {enlarged:.3g} times"
        raise InputError(
            f"background has {size[0]} x {size[1]} px; {words}, the recipe's max_upscale is {recipe.max_upscale:g}"
        )
    fitted = route.fitted_size(size, (width, height), recipe.fit)
    return route.place_crop(fitted, (width, height), drawn), fitted


def _checked(pictures: dict[str, Any]) -> dict[str, Image]:
    """The pictures as float32, if they can be composed.

    Raises:
        InputError: Naming the picture.
    """
    for name in ("alpha", "background"):
        if name not in pictures:
            raise InputError(f"{name} is None; expected a numpy array")
    if "image" not in pictures and "foreground" not in pictures:
        raise InputError("give image, the photograph, or foreground, an F that you have")
    for name, values in pictures.items():
        _check(name, values)
        partner = "other alpha" if name in _OTHER else "alpha"
        frame, size = pictures[partner].shape[:2], values.shape[:2]
        if name != "background" and size != frame:
            raise InputError(f"{name} has {size[1]} x {size[0]} px, {partner} {frame[1]} x {frame[0]}")
    kinds = {name: str(values.dtype) for name, values in pictures.items()}
    eight_bit = [kind == "uint8" for kind in kinds.values()]
    if any(eight_bit) and not all(eight_bit):
        raise InputError(f"{', '.join(f'{name} is {kind}' for name, kind in kinds.items())}; give one kind for all")
    return {name: to_float(each) if all(eight_bit) else each.astype(np.float32) for name, each in pictures.items()}


def _check(name: str, values: Any) -> None:
    expected = "H x W" if name.endswith("alpha") else "H x W x 3"
    if not isinstance(values, np.ndarray):
        raise InputError(f"{name} is a {type(values).__name__}; expected a numpy array, {expected}")
    if values.ndim != len(expected.split(" x ")) or values.shape[2:] not in ((), (3,)) or not values.size:
        raise InputError(f"{name} has the shape {values.shape}; expected {expected}")
    if values.dtype != np.uint8:
        if not np.issubdtype(values.dtype, np.floating):
            raise InputError(f"{name} is {values.dtype}; expected uint8, or floats in [0, 1]")
        low, high = float(values.min()), float(values.max())
        if not (low >= 0.0 and high <= 1.0):
            raise InputError(f"{name} has values in [{low:g}, {high:g}]; expected floats in [0, 1] without NaN")
