"""Synthetic furry foregrounds: sitting animals of thousands of hairs, painted from the tail to the whiskers.

Lengths are in head radii with the origin at the head's centre, y down; `_Stage` puts them on the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rssn.image.arrays import Alpha
from rssn.synthetic.canvas import Canvas, Floats, Hairs, fractal_noise, rgb, smoothstep

_COATS = np.array(  # main fur, markings, light parts
    [
        [[0.78, 0.48, 0.22], [0.48, 0.24, 0.09], [0.96, 0.88, 0.76]],
        [[0.52, 0.50, 0.48], [0.24, 0.23, 0.23], [0.88, 0.87, 0.85]],
        [[0.42, 0.28, 0.18], [0.22, 0.14, 0.10], [0.72, 0.56, 0.40]],
        [[0.93, 0.90, 0.85], [0.78, 0.68, 0.56], [0.98, 0.97, 0.95]],
        [[0.16, 0.15, 0.16], [0.08, 0.08, 0.09], [0.42, 0.38, 0.36]],
        [[0.76, 0.38, 0.17], [0.26, 0.12, 0.08], [0.97, 0.93, 0.88]],
        [[0.70, 0.60, 0.44], [0.38, 0.30, 0.22], [0.92, 0.86, 0.74]],
    ],
    np.float32,
)
_EARS = {  # centre x, centre y, half width, half height, angle, taper; the other ear mirrors it
    "pointed": (0.62, -0.86, 0.40, 0.58, 0.38, 0.85),
    "round": (0.74, -0.70, 0.36, 0.36, 0.50, 0.10),
    "long": (0.42, -1.50, 0.25, 0.98, 0.14, 0.30),
    "floppy": (0.98, 0.10, 0.32, 0.72, -0.28, -0.30),
}
_IRIDES = np.array([[0.80, 0.62, 0.15], [0.36, 0.52, 0.22], [0.30, 0.17, 0.08], [0.30, 0.50, 0.62]], np.float32)
_LIGHT = rgb(-0.42, -0.62, 0.66)


@dataclass(frozen=True)
class _Part:
    """An ellipse of fur: where it is, how it tapers to its top, how its hairs lie and what colour they have."""

    centre: tuple[float, float]
    axes: tuple[float, float]
    angle: float = 0.0
    taper: float = 0.0
    fur: float = 0.3
    tone: float = 0.0
    flow: tuple[float, float] = (0.0, 0.5)
    shade: float = 0.0


@dataclass(frozen=True)
class _Stage:
    """Where on the canvas the animal sits, and what it wears: `markings` and `tuft` are H x W fields."""

    canvas: Canvas
    rng: np.random.Generator
    origin: Floats
    scale: float
    tilt: float
    coat: Floats
    markings: Alpha
    tuft: Alpha

    def place(self, points: Floats, tilted: bool = True) -> Floats:
        """Head radii to px; the head's parts follow the head's tilt."""
        angle = self.tilt if tilted else 0.0
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return np.asarray(points @ turn * self.scale + self.origin)

    def look_up(self, field: Alpha, places: Floats) -> Floats:
        """Values of a field at px positions, the border continued."""
        column = np.clip(places[:, 0], 0, field.shape[1] - 1).astype(int)
        return np.asarray(field[np.clip(places[:, 1], 0, field.shape[0] - 1).astype(int), column])


def draw_creature(canvas: Canvas, kind: int, rng: np.random.Generator) -> None:
    """Draw one furry animal; `kind` (from 0) chooses ears and coat, `rng` fur length, markings, pose and size."""
    width, height = canvas.width, canvas.height
    bust = rng.random() < 0.5
    ears = list(_EARS)[kind % len(_EARS)]
    above = 2.7 if ears == "long" else 1.65
    scale = min(width / 4.6, height / 3.9) if bust else min(width / 4.9, height / (above + 4.7))
    scale *= rng.uniform(0.9, 1.04)
    origin = np.array([width * rng.uniform(0.44, 0.56), scale * (above + 0.15)])
    field = fractal_noise(rng, (height, width), scale * rng.uniform(0.5, 1.2))
    stripes = np.sin(np.arange(height)[:, None] / scale * rng.uniform(12, 18) + 1.6 * field)
    plain = np.zeros((height, width), np.float32)
    markings = (smoothstep(stripes, 0.0, 0.7), smoothstep(field, 0.5, 0.7), plain)[rng.integers(3)] * 0.85
    tuft = fractal_noise(rng, (height, width), scale * 0.28)
    coat = _COATS[kind % len(_COATS)] * rng.uniform(0.92, 1.06, 3).astype(np.float32)
    stage = _Stage(canvas, rng, origin, scale, rng.normal(0, 0.09), coat, markings, tuft)
    fur = rng.uniform(0.22, 0.5)
    if not bust:
        _draw_tail(stage, fur)
    _draw_body(stage, fur)
    _draw_head(stage, fur, ears)


def _draw_tail(stage: _Stage, fur: float) -> None:
    side = stage.rng.choice([-1.0, 1.0])
    swing = stage.rng.uniform(0.2, 0.7)
    for t in np.linspace(0, 1, 9):
        centre = (side * (0.9 + 1.0 * np.sin(t * 2.2)), 3.85 - 1.7 * t**1.3 - 0.2 * np.sin(3 * t) * swing)
        out = (side * 0.3, -0.9 * t)
        _grow(stage, _Part(centre, (0.3, 0.3), fur=fur * 1.1, flow=out, tone=0.5 * t, shade=0.15), tilted=False)


def _draw_body(stage: _Stage, fur: float) -> None:
    torso = _Part((0.0, 2.25), (1.18, 1.75), taper=0.35, fur=fur * 1.15, flow=(0.0, 1.0), shade=0.35)
    _grow(stage, torso, tilted=False)
    _pair(stage, _Part((0.86, 3.35), (0.62, 0.72), fur=fur, flow=(0.3, 0.9), shade=0.1), tilted=False)
    _pair(stage, _Part((0.36, 2.95), (0.34, 1.15), fur=fur * 0.7, flow=(0.0, 1.0), shade=0.2), tilted=False)
    _pair(stage, _Part((0.40, 4.02), (0.40, 0.24), fur=fur * 0.4, flow=(0.0, 0.6), tone=0.7), tilted=False)
    chest = _Part((0.0, 1.55), (0.66, 0.85), taper=-0.2, fur=fur * 1.3, flow=(0.0, 1.1), tone=0.9, shade=0.3)
    _grow(stage, chest, tilted=False)


def _draw_head(stage: _Stage, fur: float, ears: str) -> None:
    x, y, wide, high, angle, taper = _EARS[ears]
    flow = (0.25, 0.9) if ears == "floppy" else (0.12, -0.9)
    ear = _Part((x, y), (wide, high), angle, taper, fur * 0.55, flow=flow, shade=0.1)
    inner = replace(ear, axes=(wide * 0.55, high * 0.7), fur=fur * 0.4, tone=0.75)
    if ears != "floppy":
        _pair(stage, ear)
        _pair(stage, inner)
    _grow(stage, _Part((0.0, 0.0), (1.0, 0.9), fur=fur * 0.75, flow=(0.0, 0.12)))
    _pair(stage, _Part((0.56, 0.36), (0.42, 0.36), fur=fur * 0.95, flow=(0.75, 0.45), tone=0.45))
    if ears == "floppy":
        _pair(stage, ear)
    length = stage.rng.uniform(0.0, 0.1)
    _grow(stage, _Part((0.0, 0.62), (0.32, 0.26), fur=fur * 0.6, flow=(0.0, 0.8), tone=1.0))
    _pair(stage, _Part((0.19, 0.45 + length), (0.27, 0.22), fur=fur * 0.38, flow=(0.5, 0.5), tone=0.95))
    _grow(stage, _Part((0.0, 0.10), (0.2, 0.34), fur=fur * 0.3, flow=(0.0, -0.7), tone=0.25))
    _draw_face(stage, length)


def _draw_face(stage: _Stage, length: float) -> None:
    iris = _IRIDES[stage.rng.integers(len(_IRIDES))]
    slit = stage.rng.uniform(0.4, 0.95)
    for side in (-1.0, 1.0):
        eye = np.array([0.42 * side, -0.06])
        _oval(stage, eye, (0.185, 0.17), rgb(0.05, 0.04, 0.04))
        _oval(stage, eye, (0.15, 0.148), iris * 0.75)
        _oval(stage, eye + np.array([0.01, 0.03]), (0.115, 0.105), iris * 1.15)
        _oval(stage, eye, (0.105 * slit, 0.115), rgb(0.02, 0.02, 0.03))
        _oval(stage, eye + np.array([-0.06, -0.07]), (0.04, 0.04), rgb(0.97, 0.98, 1.0))
    nose = np.array([0.0, 0.32 + length])
    dark = rgb(0.20, 0.12, 0.12) * stage.rng.uniform(0.5, 2.0)
    _oval(stage, nose, (0.15, 0.1), dark)
    _oval(stage, nose + np.array([0.0, 0.06]), (0.07, 0.07), dark * 0.9)
    _oval(stage, nose + np.array([-0.04, -0.045]), (0.05, 0.02), np.clip(dark * 2.6, 0, 0.9))
    t = np.linspace(0, 1, 9)
    for side in (-1.0, 1.0):
        mouth = np.stack([side * 0.22 * t, nose[1] + 0.12 + 0.13 * np.sin(t * np.pi * 0.75)], axis=1)
        stage.canvas.line(stage.place(mouth), dark * 0.6, 0.03 * stage.scale)
        for row in range(int(stage.rng.integers(4, 8))):
            reach = stage.rng.uniform(0.9, 1.35)
            drop = stage.rng.uniform(-0.15, 0.3)
            whisker = np.stack([side * (0.26 + reach * t), 0.42 + length + 0.03 * row + drop * t**1.7], axis=1)
            stage.canvas.line(stage.place(whisker), np.clip(stage.coat[2] * 1.1, 0, 1), 0.25)


def _oval(stage: _Stage, centre: Floats, axes: tuple[float, float], colour: Floats) -> None:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    stage.canvas.polygon(stage.place(centre + np.stack([np.cos(t), np.sin(t)], axis=1) * axes), np.clip(colour, 0, 1))


def _pair(stage: _Stage, part: _Part, tilted: bool = True) -> None:
    mirrored = replace(part, centre=(-part.centre[0], part.centre[1]), angle=-part.angle)
    _grow(stage, replace(mirrored, flow=(-part.flow[0], part.flow[1])), tilted)
    _grow(stage, part, tilted)


def _outline(part: _Part, disc: Floats) -> Floats:
    """Points of the unit disc to head radii: tapered, stretched, turned, moved."""
    narrow = 1 - part.taper * (1 - disc[:, 1]) / 2
    local = np.stack([disc[:, 0] * narrow * part.axes[0], disc[:, 1] * part.axes[1]], axis=1)
    cos, sin = np.cos(part.angle), np.sin(part.angle)
    return np.asarray(local @ np.array([[cos, sin], [-sin, cos]]) + part.centre)


def _grow(stage: _Stage, part: _Part, tilted: bool = True) -> None:
    """Fill the part with undercoat, then cover it with hairs from its rim to its middle."""
    rng, scale = stage.rng, stage.scale
    rim = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    circle = np.stack([np.cos(rim), np.sin(rim)], axis=1)
    undercoat = (stage.coat[0] + part.tone * (stage.coat[2] - stage.coat[0])) * 0.45
    stage.canvas.polygon(stage.place(_outline(part, circle * 0.93), tilted), undercoat)
    count = int(np.pi * part.axes[0] * part.axes[1] * scale**2 / (part.fur * scale * 0.15)) + 40
    radius = np.sqrt(rng.random(count))
    radius = np.sort(radius)[::-1] * 0.99
    angle = rng.uniform(0, 2 * np.pi, count)
    disc = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    order = np.argsort(-(disc @ np.array(part.flow) + 0.6 * radius), kind="stable")
    disc, radius = disc[order], radius[order]
    roots = stage.place(_outline(part, disc), tilted)
    stage.canvas.hairs(_hairs(stage, part, disc, roots))


def _hairs(stage: _Stage, part: _Part, disc: Floats, roots: Floats) -> Hairs:
    rng, count = stage.rng, len(roots)
    radius = np.hypot(disc[:, 0], disc[:, 1])
    tuft = stage.look_up(stage.tuft, roots)
    heading = disc * 0.95 + np.array(part.flow) + rng.normal(0, 0.16, (count, 2))
    turn = np.arctan2(heading[:, 1], heading[:, 0]) + 0.32 * tuft
    ahead = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    length = part.fur * stage.scale * (0.5 + 0.5 * radius**2) * np.exp(rng.normal(0, 0.2, count) + 0.12 * tuft)
    t = np.linspace(0, 1, 7)[None, :, None]
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)[:, None]
    bend = (rng.normal(0, 0.18, count) + 0.12 * tuft)[:, None, None]
    sag = np.array([0.0, 0.16])
    points = roots[:, None] + length[:, None, None] * (t * ahead[:, None] + t**2 * (bend * aside + sag))
    marked = stage.look_up(stage.markings, roots)[:, None] * (1 - 0.8 * part.tone)
    colour = stage.coat[0] + part.tone * (stage.coat[2] - stage.coat[0])
    colour = colour + marked * (stage.coat[1] - colour)
    normal = np.stack([disc[:, 0], disc[:, 1], np.sqrt(np.clip(1 - radius**2, 0, 1))], axis=1)
    light = 0.58 + 0.52 * np.clip(normal @ _LIGHT, 0, 1) + 0.07 * tuft
    light = light * (1 - part.shade * smoothstep(-disc[:, 1], -0.2, 0.9)) * np.exp(rng.normal(0, 0.11, count))
    root = colour * (light * 0.72)[:, None]
    tip = colour * (light * 1.18 + 0.10 * radius**4)[:, None] + 0.02
    return Hairs(points, root, tip, rng.uniform(0.25, 0.65, count))
