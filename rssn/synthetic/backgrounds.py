"""Synthetic backgrounds, four from nature and four made by people, and the camera that photographs them.

Stylised photographs from noise and geometry: each kind is a function of (rng, height, width) to H x W x 3 float32.
"""

from __future__ import annotations

import cv2
import numpy as np

from rssn.image.arrays import Alpha, Image
from rssn.synthetic.canvas import Floats, fractal_noise, mix, rgb, smoothstep

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
    kinds = (_hills, _bricks, _sea, _city, _forest, _bokeh, _pebbles, _cloth)
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


def _bricks(rng: np.random.Generator, height: int, width: int) -> Image:
    """A wall of bricks or of glazed tiles, seen at a slant, with stains and a shadow across it."""
    tiles = rng.random() < 0.4
    row = height * (rng.uniform(0.1, 0.2) if tiles else rng.uniform(0.05, 0.11))
    aspect = 1.0 if tiles else rng.uniform(2.0, 3.2)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.normal(0, 0.05)
    wobble = 0.4 * fractal_noise(rng, (height, width), 12)
    v = (y + turn * x + wobble) / row + rng.uniform(0, 1)
    index = np.floor(v)
    u = (x - turn * y + wobble) / (row * aspect) * (1 + 0.2 * rng.normal() * x / width) + 50
    u = u + (0 if tiles else 0.5) * (index % 2)
    table = rng.normal(0, 1, (97, 89, 3)).astype(np.float32)
    own = table[index.astype(int) % 97, np.floor(u).astype(int) % 89]
    hue = rng.uniform(0.15, 0.8, 3).astype(np.float32) if tiles else rgb(0.56, 0.27, 0.19)
    hue = hue * rng.uniform(0.8, 1.25, 3).astype(np.float32)
    margin = np.minimum((0.5 - np.abs(v - index - 0.5)) * row, (0.5 - np.abs(u - np.floor(u) - 0.5)) * row * aspect)
    rough = fractal_noise(rng, (height, width), 10)
    face = hue + 0.07 * own[..., :1] + 0.025 * own + (0.02 if tiles else 0.07) * rough[..., None]
    bevel = smoothstep(margin, 0.02 * row, 0.14 * row) * 0.25 + 0.8
    joint = np.float32(rng.uniform(0.35, 0.8)) + 0.08 * rough[..., None] * np.ones(3, np.float32)
    wall = mix(joint, face * bevel[..., None], smoothstep(margin + 0.6 * rough, 0.02 * row, 0.07 * row + 1))
    stains = smoothstep(fractal_noise(rng, (height, width), width * 0.25, 0.6), -0.2, 2.0)
    wall = mix(wall, wall * rgb(0.45, 0.5, 0.42), stains)
    shadow = smoothstep((x - width * rng.uniform(0.1, 0.9)) * rng.normal() + (y - height / 2) * rng.normal(), -30, 30)
    return np.asarray(wall * (1 - 0.45 * shadow)[..., None], np.float32)


def _city(rng: np.random.Generator, height: int, width: int) -> Image:
    """Rows of house blocks at dusk, far ones in the haze, with lit and dark windows."""
    y = np.mgrid[0:height, 0:width].astype(np.float32)[0]
    top = rgb(0.14, 0.18, 0.34) * rng.uniform(0.6, 1.5)
    low = np.sort(rng.uniform(0.45, 0.95, 3))[::-1].astype(np.float32)
    image = mix(top, low, np.clip(y / height * rng.uniform(1.0, 1.8), 0, 1) ** 1.5)
    clouds = smoothstep(fractal_noise(rng, (height, width), width * 0.15, 3), 0, 2)
    image = mix(image, low * 0.8, clouds * 0.7)
    for near in np.linspace(0, 1, int(rng.integers(3, 5))):
        left = -rng.uniform(0, 0.1) * width
        while left < width:
            wide = width * rng.uniform(0.05, 0.13) * (1 + 0.9 * near)
            roof = height * np.clip(rng.normal(0.32 + 0.3 * near, 0.13), 0.06, 0.9)
            box = (slice(int(roof), height), slice(max(0, int(left)), int(min(width, left + wide))))
            if image[box].size:
                image[box] = _block(rng, image[box].shape[:2], near, low)
            left += wide * rng.uniform(0.9, 1.5)
    glow = cv2.GaussianBlur(np.clip(image - 0.7, 0, 1), (0, 0), width * 0.012)
    return np.asarray(image + 1.4 * glow + 0.012 * fractal_noise(rng, (height, width), 4)[..., None], np.float32)


def _block(rng: np.random.Generator, shape: tuple[int, int], near: float, haze: Floats) -> Image:
    pitch = rng.uniform(7, 11) * (0.7 + 0.9 * near) * max(1.0, shape[0] / 400)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) / np.float32(pitch)
    lit = rng.random((int(y.max()) + 1, int(x.max()) + 1)) < rng.uniform(0.15, 0.6)
    warmth = rng.uniform(0.25, 1, lit.shape).astype(np.float32)
    rows, columns = np.floor(y).astype(int), np.floor(x).astype(int)
    lamp = rgb(1, 0.8, 0.45) * (lit * warmth)[rows, columns][..., None] + rgb(0.05, 0.07, 0.1)
    frame_y, frame_x = rng.uniform(0.15, 0.3, 2)
    pane = smoothstep(0.5 - np.abs(y - rows - 0.5), frame_y - 0.06, frame_y + 0.06)
    pane = pane * smoothstep(0.5 - np.abs(x - columns - 0.5), frame_x - 0.06, frame_x + 0.06)
    wall = np.float32(rng.uniform(0.08, 0.3)) * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    stone = wall * (1 + 0.18 * fractal_noise(rng, shape, 8))[..., None]
    return mix(mix(stone, lamp, pane * 0.9), haze * 0.75, 0.55 * (1 - near))


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Image:
    """Street lights far out of focus: discs of light on a dark gradient."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    first, second = rng.uniform(0.02, 0.4, (2, 3)).astype(np.float32)
    slant = rng.normal(0, 1, 2)
    image = mix(first, second, smoothstep((x / width - 0.5) * slant[0] + (y / height - 0.5) * slant[1], -0.8, 0.8))
    image = image * (1 + 0.25 * fractal_noise(rng, (height, width), width * 0.2))[..., None]
    size = width * rng.uniform(0.02, 0.05)
    lamps = rng.uniform(0.1, 1, (4, 3)).astype(np.float32)
    middle, spread = rng.uniform(0.25, 0.75, 2), rng.uniform(0.12, 0.4, 2)
    for _ in range(int(rng.integers(30, 80))):
        centre = rng.normal(middle, spread) * (width, height)
        radius = size * rng.uniform(0.5, 1.5)
        far = np.hypot(x - centre[0], y - centre[1])
        disc = np.clip(radius - far, 0, 1) * (0.7 + 0.3 * (far / radius) ** 4)
        image += (lamps[rng.integers(4)] * rng.uniform(0.1, 0.65)) * disc[..., None]
    return np.asarray(image * (1 + 0.04 * fractal_noise(rng, (height, width), 5))[..., None], np.float32)


def _cloth(rng: np.random.Generator, height: int, width: int) -> Image:
    """A striped or checked cloth that hangs in folds, with its weave."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(height)
    turn = rng.uniform(0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    bends = fractal_noise(rng, (height, width), width * 0.35)
    folds = np.sin(along * rng.uniform(6, 16) + bends * rng.uniform(0.5, 2))
    pull = 0.02 * np.cos(along * 12 + bends) + 0.02 * bends
    period = rng.uniform(0.06, 0.25)
    inks = rng.uniform(0.08, 0.9, (3, 3)).astype(np.float32)
    inks = mix(inks, inks.mean(1, keepdims=True), 0.45)
    band = smoothstep(np.sin((across + pull) / period * 2 * np.pi), -0.15, 0.15)
    second = smoothstep(np.sin((along + pull) / period / 1.7 * 2 * np.pi), 0.55, 0.75) * rng.choice([0.0, 0.8])
    image = mix(mix(inks[0], inks[1], band), inks[2], second)
    weave = 0.06 * np.sin(x * height * np.pi / 1.5) * np.sin(y * height * np.pi / 1.5)
    threads = 0.05 * (fractal_noise(rng, (height, width), 3, 4) + fractal_noise(rng, (height, width), 3, 0.25))
    return np.asarray(image * (0.78 + 0.3 * folds + weave + threads)[..., None], np.float32)
