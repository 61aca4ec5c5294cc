"""Synthetic backgrounds out of doors, and the camera that photographs all backgrounds.

Stylised photographs from noise and geometry: each kind is a function of (rng, height, width) to H x W x 3 float32.
"""

from __future__ import annotations

import cv2
import numpy as np

from rssn.image.arrays import Alpha, Image
from rssn.synthetic.canvas import fractal_noise, mix, rgb, smoothstep
from rssn.synthetic.walls import bokeh, bricks, city, cloth

_SKIES = np.array(
    [
        [[0.25, 0.47, 0.78], [0.78, 0.87, 0.93]],
        [[0.20, 0.22, 0.42], [0.98, 0.66, 0.42]],
        [[0.55, 0.60, 0.66], [0.86, 0.87, 0.86]],
        [[0.36, 0.30, 0.52], [0.96, 0.78, 0.70]],
    ],
    np.float32,
)
_LANDS = np.array(
    [[0.20, 0.32, 0.10], [0.42, 0.36, 0.14], [0.30, 0.24, 0.18], [0.12, 0.26, 0.20], [0.52, 0.44, 0.28]], np.float32
)


def render_background(seed: int, width: int, height: int) -> Image:
    """Render one background photograph; the seed chooses among eight kinds and everything in it.

    Args:
        seed: Any integer from 0; the same seed gives the same values.
        width: In px.
        height: In px.

    Returns:
        H x W x 3 float32 in [0, 1], with texture in every pixel and camera noise of 1 to 6 levels of 255.
    """
    rng = np.random.default_rng([seed, 1])
    return add_grain(render_scene(seed, width, height), rng, rng.uniform(1, 6) / 255)


def render_scene(seed: int, width: int, height: int) -> Image:
    """A background as `render_background` renders it, before the camera's noise."""
    rng = np.random.default_rng([seed, 0])
    kinds = (_hills, bricks, _sea, city, _forest, bokeh, _pebbles, cloth)
    scene = kinds[seed % len(kinds)](rng, height, width)
    light = np.exp(0.1 * fractal_noise(rng, (height, width), max(height, width) / 2.5))
    y, x = _grid(height, width)
    corners = ((x - rng.uniform(0.35, 0.65)) ** 2 + (y - rng.uniform(0.35, 0.65)) ** 2) * rng.uniform(0.2, 0.8)
    exposed = scene * (light * (1 - corners))[..., None] * rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return np.asarray(np.clip(exposed, 0, 1), np.float32)


def add_grain(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Add a camera's noise: mostly in brightness, a little in colour; clipped to [0, 1]."""
    grey = rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None]
    colour = rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + np.float32(sigma) * (0.9 * grey + 0.45 * colour), 0, 1).astype(np.float32)


def _grid(height: int, width: int) -> tuple[Alpha, Alpha]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / np.float32(height), x / np.float32(width)


def _sky(rng: np.random.Generator, height: int, width: int, horizon: float) -> Image:
    top, low = _SKIES[rng.integers(len(_SKIES))] * rng.uniform(0.9, 1.08, (2, 3)).astype(np.float32)
    y, x = _grid(height, width)
    sky = mix(top, low, np.clip(y / horizon, 0, 1) ** 1.3)
    cell = width * rng.uniform(0.08, 0.25)
    clouds = smoothstep(fractal_noise(rng, (height, width), cell, 2.2), rng.uniform(-0.4, 0.7), 1.6)
    sky = mix(sky, mix(low, rgb(1, 1, 1), 0.6) * 0.97, clouds * 0.85)
    sun = np.hypot((x - rng.uniform(0.05, 0.95)) * width, (y - horizon * rng.uniform(0.2, 0.95)) * height) / width
    return mix(sky, rgb(1, 0.95, 0.82), 0.9 * np.exp(-((sun / 0.09) ** 1.2)))


def _hills(rng: np.random.Generator, height: int, width: int) -> Image:
    horizon = rng.uniform(0.3, 0.65)
    image = _sky(rng, height, width, horizon)
    haze = image[int(horizon * height) - 1].mean(0)
    land = _LANDS[rng.integers(len(_LANDS))]
    layers = int(rng.integers(3, 6))
    y, _ = _grid(height, width)
    for layer in range(layers):
        near = layer / (layers - 1)
        ridge = fractal_noise(rng, (2, width), width * rng.uniform(0.15, 0.5))[0] * rng.uniform(0.03, 0.09)
        level = horizon + (0.92 - horizon) * near**1.4 + ridge * (1.2 - near)
        trees = np.abs(fractal_noise(rng, (2, width), 8 + 14 * near)[0]) * 0.016 * rng.integers(0, 3)
        texture = fractal_noise(rng, (height, width), 6 + 30 * near, 1.6 - near)
        fields = smoothstep(fractal_noise(rng, (height, width), width * 0.12, 4), -0.8, 0.8)
        ground = mix(land * 0.75, _LANDS[rng.integers(len(_LANDS))] * 1.25, fields)
        ground = ground * (1.05 + (0.1 + 0.22 * near) * texture)[..., None]
        depth = np.clip((y - (level - trees)) * height, 0, 1)
        image = mix(image, mix(haze, ground, 0.25 + 0.75 * near**0.7), depth)
    return image


def _sea(rng: np.random.Generator, height: int, width: int) -> Image:
    horizon = rng.uniform(0.25, 0.7)
    sky = _sky(rng, height, width, horizon)
    y, x = _grid(height, width)
    depth = np.clip((y - horizon) / (1 - horizon), 0, 1)
    swell = [fractal_noise(rng, (height, width), cell, 5) for cell in (3, 9, 26)]
    waves = swell[0] * (1 - depth) ** 3 + swell[1] * 2 * depth * (1 - depth) + swell[2] * depth**1.5
    mirror = cv2.flip(sky, 0)[int((1 - horizon) * height) :]
    mirror = cv2.resize(mirror, (width, height))[np.clip((depth * height).astype(int), 0, height - 1)[:, 0]]
    deep = rgb(0.03, 0.17, 0.24) * rng.uniform(0.7, 1.7, 3).astype(np.float32)
    sea = mix(deep, mirror, 0.55 - 0.35 * depth) * (1 + 0.22 * waves)[..., None]
    foam = smoothstep(waves, 1.7, 2.6) * depth
    image = mix(sky, mix(sea, rgb(0.95, 0.97, 0.97), foam), np.clip((y - horizon) * height, 0, 1))
    rock = fractal_noise(rng, (2, width), width * 0.3)[0] * 0.16 + (x[0] - 0.5) * rng.choice([-1, 1]) * 0.7 - 0.16
    cliff = np.clip((y - (horizon + 0.01 - np.clip(rock, -0.05, 0.3))) * height, 0, 1)
    cliff *= np.clip((horizon + 0.012 + np.clip(rock, -0.02, 1) * 0.5 - y) * height, 0, 1)
    stone = rgb(0.3, 0.25, 0.2) * (1 + 0.3 * fractal_noise(rng, (height, width), 20, 0.6))[..., None]
    return mix(image, mix(stone, sky[0, 0], 0.2), cliff)


def _forest(rng: np.random.Generator, height: int, width: int) -> Image:
    y, x = _grid(height, width)
    green = rgb(0.35, 0.5, 0.16) * rng.uniform(0.7, 1.3, 3).astype(np.float32)
    haze = rgb(0.82, 0.88, 0.74) * rng.uniform(0.7, 1.1)
    leaves = fractal_noise(rng, (height, width), width * 0.09)
    image = mix(green * 0.6, haze, smoothstep(leaves - 2.2 * np.abs(y - rng.uniform(0.2, 0.6)), -1.6, 1.1))
    floor = rng.uniform(0.6, 0.85)
    litter = fractal_noise(rng, (height, width), 14, 2)
    soil = mix(rgb(0.36, 0.25, 0.12), green, smoothstep(fractal_noise(rng, (height, width), 60, 3), -0.5, 1))
    image = mix(
        image, soil * (0.85 + 0.28 * litter)[..., None], smoothstep(y + 0.03 * leaves, floor - 0.05, floor + 0.05)
    )
    bark = rgb(0.34, 0.27, 0.2) * rng.uniform(0.6, 1.4)
    for near in np.sort(rng.uniform(0, 1, int(rng.integers(9, 18)))):
        radius = (0.006 + 0.05 * near**2) * rng.uniform(0.7, 1.3)
        bend = fractal_noise(rng, (height, 2), height * 0.5)[:, :1] * 0.012 + rng.normal(0, 0.06) * (y[:, :1] - 0.5)
        side = (x - rng.uniform(-0.02, 1.02) - bend) / (radius * (0.85 + 0.3 * y))
        foot = np.clip((floor + 0.22 * near + 0.02 * side**2 - y) * height / 3, 0, 1)
        rough = fractal_noise(rng, (height, width), 5 + 10 * near, 0.25)
        trunk = bark * (0.5 + 0.55 * np.clip(0.6 - 0.6 * side, 0, 1) + 0.16 * rough)[..., None]
        edge = np.clip((1 - np.abs(side)) * radius * width, 0, 1) * foot
        image = mix(image, mix(haze * 0.8, trunk, 0.35 + 0.65 * near), edge)
    crown = fractal_noise(rng, (height, width), width * 0.06) - 5 * y + rng.uniform(-0.3, 0.8)
    return mix(image, green * (0.55 + 0.2 * litter)[..., None], 0.9 * smoothstep(crown, 0, 0.5))


def _pebbles(rng: np.random.Generator, height: int, width: int) -> Image:
    size = width * rng.uniform(0.03, 0.11)
    count = int(width * height / size**2)
    dots = np.full((height, width), 255, np.uint8)
    dots[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, labels = cv2.distanceTransformWithLabels(dots, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    hues = _LANDS[rng.integers(len(_LANDS), size=count + 2)] * 0.35 + np.float32(rng.uniform(0.25, 0.4))
    hues *= rng.uniform(0.5, 1.6, (count + 2, 1)).astype(np.float32)
    edges = (cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) == 0).astype(np.uint8)
    inner = cv2.distanceTransform(edges, cv2.DIST_L2, 5)
    dome = np.sqrt(np.clip(inner / (size * 0.32), 0, 1))
    slope = cv2.GaussianBlur(dome, (0, 0), size * 0.05 + 0.6)
    slant = cv2.Sobel(slope, cv2.CV_32F, 1, 0) * rng.normal() + cv2.Sobel(slope, cv2.CV_32F, 0, 1) * rng.uniform(0.4, 1)
    grit = fractal_noise(rng, (height, width), 9)
    light = 0.3 + 0.75 * dome + slant * size * 0.02 + 0.1 * grit
    shade = 1 + 0.3 * fractal_noise(rng, (height, width), width * 0.4)
    return np.asarray(hues[labels] * (light * shade)[..., None], np.float32)
