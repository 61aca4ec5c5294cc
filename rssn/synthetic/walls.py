"""Synthetic backgrounds made by people: brick and tile walls, a city at dusk, lights out of focus, cloth.

Each is a function of (rng, height, width) to H x W x 3 float32, before exposure and noise (see `scenes`).
"""

from __future__ import annotations

import cv2
import numpy as np

from rssn.image.arrays import Image
from rssn.synthetic.canvas import Floats, fractal_noise, mix, rgb, smoothstep


def bricks(rng: np.random.Generator, height: int, width: int) -> Image:
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


def city(rng: np.random.Generator, height: int, width: int) -> Image:
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


def bokeh(rng: np.random.Generator, height: int, width: int) -> Image:
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


def cloth(rng: np.random.Generator, height: int, width: int) -> Image:
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
