"""Synthetic thin-structured foregrounds: bicycle, fern, bird cage, feathers, dandelions.

Struts, barbs and spokes go down to a quarter of a pixel; every object also has solid parts and holes.
Each is a function of (canvas, rng).
"""

from __future__ import annotations

import numpy as np

from rssn.synthetic.canvas import Canvas, Floats, Hairs, rgb

_TURN = 2 * np.pi
_WOOD = rgb(0.48, 0.32, 0.18)


def draw_structure(canvas: Canvas, kind: int, rng: np.random.Generator) -> None:
    """Draw one thin-structured object; `kind` (from 0) chooses it, `rng` its colours, pose and number of struts."""
    kinds = (_bicycle, _feathers, _fern, _cage, _dandelions)
    kinds[kind % len(kinds)](canvas, rng)


def _arc(centre: Floats, radii: tuple[float, float], start: float = 0.0, end: float = _TURN) -> Floats:
    t = np.linspace(start, end, 73)
    return np.asarray(centre + np.stack([np.cos(t) * radii[0], np.sin(t) * radii[1]], axis=1))


def _curve(start: Floats, bend: Floats, end: Floats, count: int = 25) -> Floats:
    t = np.linspace(0, 1, count)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)


def _bicycle(canvas: Canvas, rng: np.random.Generator) -> None:
    unit = min(canvas.width / 4.5, canvas.height / 3.3) * rng.uniform(0.9, 1.0)
    middle = np.array([canvas.width / 2, canvas.height / 2 + 0.35 * unit])
    lean = rng.normal(0, 0.05)
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]]) * unit
    paint = rng.uniform(0.15, 0.85, 3).astype(np.float32)
    side = rng.choice([-1.0, 1.0])
    steel, rubber = rgb(0.62, 0.63, 0.65), rgb(0.10, 0.10, 0.11)

    def at(*points: tuple[float, float]) -> Floats:
        return np.asarray(np.array(points) @ turn * (side, 1.0) + middle)

    rear, front, crank = (-1.12, 0.3), (1.12, 0.3), (-0.22, 0.38)
    seat, head, fork = (-0.52, -0.82), (0.72, -0.88), (0.78, -0.6)
    for hub in (rear, front):
        _wheel(canvas, at(hub)[0], unit * 0.88, rng, (rubber, steel))
    for ends in ((crank, seat), (crank, fork), (seat, head), (crank, rear), (seat, rear), (head, fork), (fork, front)):
        canvas.tube(at(*ends), paint, unit * (0.06 if rear in ends or front in ends else 0.085))
    handlebar = np.concatenate([at(head, (0.68, -1.15)), _curve(*at((0.7, -1.16), (1.3, -1.2), (0.98, -0.86)))])
    canvas.tube(handlebar, steel, unit * 0.045)
    canvas.line(_curve(*at((0.95, -1.0), (1.15, -0.7), (0.8, -0.5))), rubber, 0.5)
    canvas.tube(at(seat, (-0.6, -1.08)), steel, unit * 0.05)
    canvas.tube(at((-0.86, -1.12), (-0.6, -1.13), (-0.3, -1.08)), rubber * 2.5, unit * 0.12)
    canvas.line(_arc(at(crank)[0], (unit * 0.2, unit * 0.2)), steel * 0.7, unit * 0.04)
    for above in (-0.2, 0.2):
        canvas.line(at((-0.22, 0.38 + above), (-1.12, 0.3 + 0.35 * above)), rubber * 2, unit * 0.02)
    canvas.tube(at(crank, (-0.02, 0.72)), steel, unit * 0.05)
    canvas.tube(at((-0.14, 0.74), (0.12, 0.74)), rubber * 2, unit * 0.06)


def _wheel(canvas: Canvas, hub: Floats, radius: float, rng: np.random.Generator, inks: tuple[Floats, Floats]) -> None:
    rubber, steel = inks
    canvas.line(_arc(hub, (radius, radius)), rubber, radius * 0.085)
    canvas.line(_arc(hub, (radius * 1.015, radius * 1.015), 3.4, 5.2), rubber * 2.5, radius * 0.02)
    canvas.line(_arc(hub, (radius * 0.92, radius * 0.92)), steel * 0.8, radius * 0.035)
    spokes = int(rng.choice([24, 28, 32, 36]))
    start = rng.uniform(0, 1)
    for index in range(spokes):
        angle = (index + start) * _TURN / spokes
        skew = angle + (0.9 if index % 2 else -0.9)
        inner = hub + 0.07 * radius * np.array([np.cos(skew), np.sin(skew)])
        outer = hub + 0.91 * radius * np.array([np.cos(angle), np.sin(angle)])
        canvas.line(np.stack([inner, outer]), steel * rng.uniform(0.6, 1.4), 0.35 + radius * 0.003)
    canvas.polygon(_arc(hub, (radius * 0.08, radius * 0.08)), steel * 0.6)


def _fern(canvas: Canvas, rng: np.random.Generator) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    mouth = np.array([width * rng.uniform(0.45, 0.55), height * 0.74])
    clay = rgb(0.66, 0.36, 0.24) * rng.uniform(0.6, 1.2, 3).astype(np.float32)
    green = rgb(0.30, 0.42, 0.17) * rng.uniform(0.8, 1.15, 3).astype(np.float32)
    canvas.polygon(_arc(mouth, (unit * 0.17, unit * 0.025)), rgb(0.16, 0.11, 0.07))
    fronds = int(rng.integers(13, 20))
    for frond in rng.permutation(fronds):
        spread = (frond / (fronds - 1) - 0.5) * 2
        reach = np.array([spread * width * 0.40, -height * (0.66 - 0.42 * spread**2)]) * rng.uniform(0.75, 1.08)
        root = mouth + np.array([spread * unit * 0.1, 0.0])
        bend = root + np.array([reach[0] * 0.25, reach[1] * 1.0])
        droop = np.array([0.0, unit * 0.3 * abs(spread)])
        _frond(canvas, _curve(root, bend, root + reach + droop, 61), green * rng.uniform(0.65, 1.35), rng)
    rim = np.array([[-0.185, -0.005], [0.185, -0.005], [0.18, 0.055], [-0.18, 0.055]])
    body = np.array([[-0.165, 0.05], [0.165, 0.05], [0.12, 0.24], [-0.12, 0.24]])
    for shape in (body, rim):
        for share in np.linspace(0, 1, 40)[:-1]:
            light = 0.45 + 0.75 * np.exp(-(((share - 0.33) / 0.28) ** 2))
            left, right = (shape[[0, 3]] + s * (shape[[1, 2]] - shape[[0, 3]]) for s in (share, share + 0.028))
            strip = np.concatenate([left, right[::-1]]) * unit + mouth
            canvas.polygon(strip, np.clip(clay * light * rng.uniform(0.97, 1.03), 0, 1))


def _frond(canvas: Canvas, spine: Floats, green: Floats, rng: np.random.Generator) -> None:
    along = np.gradient(spine, axis=0)
    length = np.hypot(*along.sum(0))
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1)
    canvas.line(spine, np.clip(green * 0.7, 0, 1), max(0.5, length * 0.007))
    for index in range(8, len(spine) - 1):
        share = index / (len(spine) - 1)
        size = length * 0.16 * np.sin(np.pi * share**0.8) ** 0.8 * rng.uniform(0.85, 1.1) + 1
        for side in (-1.0, 1.0):
            out = aside[index] * side * 0.9 + along[index] * rng.uniform(0.25, 0.5) + (0.0, 0.12)
            across = np.array([-out[1], out[0]]) * 0.10
            foot = spine[index]
            leaf = foot + size * np.stack([0 * out, 0.3 * out + across, out, 0.3 * out - across])
            light = rng.uniform(0.85, 1.15) * (1.12 if side > 0 else 0.85)
            canvas.polygon(leaf, np.clip(green * light, 0, 1))
            canvas.line(np.stack([foot, foot + size * out]), np.clip(green * light * 1.35, 0, 1), 0.25)


def _cage(canvas: Canvas, rng: np.random.Generator) -> None:
    unit = min(canvas.width / 2.6, canvas.height / 3.5) * rng.uniform(0.9, 1.0)
    top = np.array([canvas.width * rng.uniform(0.47, 0.53), canvas.height / 2 - 1.15 * unit])
    metal = rgb(0.72, 0.58, 0.30) if rng.random() < 0.5 else rng.uniform(0.2, 0.8, 3).astype(np.float32)
    dome, wall, flat = rng.uniform(0.7, 1.1), 1.5, 0.16
    bars, width = int(rng.integers(22, 40)), rng.uniform(0.8, 1.6)
    rings = [dome, dome + 0.5 * wall, dome + wall * 0.97]
    sweep = np.linspace(0, np.pi / 2, 24)

    def bar(angle: float) -> Floats:
        x = np.append(np.sin(sweep), 1.0) * np.cos(angle)
        y = np.append(dome * (1 - np.cos(sweep)), dome + wall) + flat * np.append(np.sin(sweep), 1) * np.sin(angle)
        return np.asarray(top + unit * np.stack([x, y], axis=1))

    base = top + np.array([0.0, unit * (dome + wall)])
    for angle in np.linspace(-np.pi, 0, bars):
        canvas.line(bar(angle), metal * 0.5, width * 0.8)
    for level in rings:
        canvas.line(_arc(top + np.array([0.0, unit * level]), (unit, unit * flat), np.pi, _TURN), metal * 0.5, width)
    swing = top + unit * np.array([[-0.42, dome + 0.45], [0.0, 0.0], [0.42, dome + 0.45]])
    canvas.line(swing, metal * 0.7, 0.4)
    canvas.tube(swing[[0, 2]], _WOOD, unit * 0.07)
    _perch_and_tray(canvas, base, (unit, unit * flat), metal)
    for angle in np.linspace(0, np.pi, bars):
        canvas.tube(bar(angle), metal * (0.85 + 0.35 * np.cos(angle - 2.2)), width)
    for level in rings:
        canvas.tube(_arc(top + np.array([0.0, unit * level]), (unit, unit * flat), 0, np.pi), metal, width * 1.3)
    canvas.tube(_arc(top - np.array([0.0, unit * 0.14]), (unit * 0.13, unit * 0.13)), metal, unit * 0.035 + 1)
    canvas.polygon(_arc(top + np.array([0.0, unit * 0.03]), (unit * 0.12, unit * 0.06)), metal * 0.9)


def _perch_and_tray(canvas: Canvas, middle: Floats, radii: tuple[float, float], metal: Floats) -> None:
    wide, high = radii
    canvas.tube(middle + wide * np.array([[-0.98, -0.5], [0.98, -0.42]]), _WOOD, wide * 0.06)
    for drop in np.linspace(0.16, 0, 12):
        rim = _arc(middle + np.array([0.0, wide * drop]), (wide * 1.05, high * 1.1))
        canvas.polygon(rim, metal * (0.75 - 2 * drop))
    canvas.polygon(_arc(middle, (wide * 0.99, high * 0.95)), metal * 0.42)


def _feathers(canvas: Canvas, rng: np.random.Generator) -> None:
    width, height = canvas.width, canvas.height
    count = int(rng.integers(2, 4))
    for index in range(count):
        length = min(width, height) * rng.uniform(0.78, 0.92)
        angle = (index - (count - 1) / 2) * 0.62 + rng.normal(0, 0.1) - np.pi / 2
        foot = np.array([width * (0.5 + 0.05 * (index - 1)), height / 2 + length * 0.47])
        ahead = np.array([np.cos(angle), np.sin(angle)])
        sway = np.array([-ahead[1], ahead[0]]) * length * rng.normal(0, 0.13)
        _feather(canvas, _curve(foot, foot + ahead * length * 0.5 + sway, foot + ahead * length, 400), rng)


def _feather(canvas: Canvas, spine: Floats, rng: np.random.Generator) -> None:
    inks = rng.uniform(0.12, 0.92, (2, 3)).astype(np.float32)
    inks = inks * 0.6 + inks.mean(1, keepdims=True) * 0.4
    along = np.gradient(spine, axis=0)
    length = np.hypot(*along.sum(0))
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    share = np.repeat(rng.permutation(np.linspace(0.1, 1, int(length * 4.5))), 2)
    side = np.tile([-1.0, 1.0], len(share) // 2)
    index = (share * (len(spine) - 1)).astype(int)
    down = np.clip(1 - (share - 0.1) / 0.2, 0, 1)
    bands = rng.uniform(14, 40)
    aside = np.stack([-along[index, 1], along[index, 0]], axis=1) * side[:, None]
    clump = np.interp(share * 300 + 900 * (side > 0), np.arange(1300), rng.normal(0, 0.05, 1300))
    slope = 0.85 + clump - 0.6 * down + rng.normal(0, 0.03 + 0.3 * down)
    size = length * 0.17 * np.sin(np.pi * np.clip(share, 0, 1) ** 1.3 * 0.93 + 0.2) ** 0.6
    size = size * np.where(side > 0, 1.0, 0.72) * np.exp(rng.normal(0, 0.04 + 0.25 * down))
    t = np.linspace(0, 1, 7)[None, :, None]
    lean = (slope[:, None] * along[index])[:, None]
    curl = rng.normal(0, 0.1 * down + 0.01)[:, None, None]
    points = spine[index][:, None] + size[:, None, None] * (t * aside[:, None] * 0.8 + (t + 0.35 * t**2) * lean)
    points = points + size[:, None, None] * curl * t**2 * along[index][:, None]
    dark = np.sin(share * bands + 0.4 * side)[:, None] > 0.2
    light = rng.uniform(0.82, 1.12, len(share))[:, None] * np.where(side > 0, 1.0, 0.8)[:, None]
    colour = np.where(dark & (down < 0.5)[:, None], inks[0], inks[1] * 0.5 + 0.48) * light
    canvas.hairs(Hairs(points, colour * 0.85, colour, np.full(len(share), 0.5) - 0.25 * down))
    canvas.tube(spine, rgb(0.85, 0.8, 0.7), max(1.0, length * 0.011))


def _dandelions(canvas: Canvas, rng: np.random.Generator) -> None:
    width, height = canvas.width, canvas.height
    unit = min(width, height)
    heads = int(rng.integers(1, 4))
    for index in range(heads):
        radius = unit * rng.uniform(0.17, 0.21) * (1.5 if heads == 1 else 1.0)
        centre = np.array([width * (index + 0.5) / heads, height * 0.36]) + rng.normal(0, unit * 0.04, 2)
        foot = np.array([width * (0.5 + 0.08 * (index - 1)), height + 5.0])
        stem = rgb(0.45, 0.52, 0.24) * rng.uniform(0.8, 1.2)
        canvas.tube(_curve(foot, np.array([centre[0], height * 0.7]), centre), stem, unit * 0.018)
        _clock(canvas, centre, radius, rng)
    for _ in range(int(rng.integers(3, 7))):
        tip = np.array([width * 0.5 + rng.normal(0, 0.3) * width, height * rng.uniform(0.72, 0.95)])
        root = np.array([width * 0.5, height + 6.0])
        spine = _curve(root, np.array([(root[0] + tip[0]) / 2, tip[1]]), tip)
        green = rgb(0.22, 0.42, 0.14) * rng.uniform(0.7, 1.3)
        swell = (unit * 0.035 * np.sin(np.linspace(0, np.pi, 25)) * np.tile([1, 0.75], 13)[:25])[:, None]
        canvas.polygon(np.concatenate([spine - (0.0, 1.0) * swell, (spine + (0.0, 1.0) * swell)[::-1]]), green)
        canvas.line(spine, green * 1.5, unit * 0.005)


def _clock(canvas: Canvas, centre: Floats, radius: float, rng: np.random.Generator) -> None:
    seeds = int(rng.integers(110, 190))
    z = np.linspace(-1, 0.98, seeds)
    around = np.arange(seeds) * 2.399963 + rng.uniform(0, _TURN)
    flat = np.sqrt(1 - z**2)
    white = rgb(0.93, 0.92, 0.88)
    for height, angle, share in zip(z, around, flat, strict=True):
        out = np.array([np.cos(angle), np.sin(angle)]) * share
        crown = centre + out * radius * 0.72
        light = 0.72 + 0.14 * height - 0.12 * out[1] - 0.08 * out[0]
        canvas.line(np.stack([centre + out * radius * 0.2, crown]), white * light * 0.85, 0.3)
        canvas.line(np.stack([centre + out * radius * 0.1, centre + out * radius * 0.22]), rgb(0.35, 0.24, 0.15), 1.2)
        rays = np.linspace(0, _TURN, 15)[:-1] + angle
        fan = np.stack([np.cos(rays), np.sin(rays)], axis=1) * radius * 0.26
        fan = fan - np.outer(fan @ out, out) * (1 - abs(height)) + out * radius * 0.17
        for ray in fan * rng.uniform(0.85, 1.1, (14, 1)):
            canvas.line(np.stack([crown, crown + ray]), white * light * rng.uniform(0.92, 1.08), 0.25)
    core = rgb(0.42, 0.33, 0.20)
    canvas.polygon(_arc(centre, (radius * 0.14, radius * 0.14)), core)
    canvas.polygon(_arc(centre - radius * 0.03, (radius * 0.08, radius * 0.08)), core * 1.3)
