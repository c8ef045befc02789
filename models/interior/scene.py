"""The layout of the room: what stands where, made of what. Everything is drawn from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.interior import textures as t
from models.interior.light import Light
from models.interior.outside import Outside, paint
from models.interior.render import Camera, World, bake, trace
from models.interior.shapes import Flat, Material, Shape, Vector, ball, box, vessel
from models.interior.textures import Floats, Textures, f32

ROOM = (-2.05, 2.25, 0.0, 2.75, -1.2, 5.0)  # x0, x1, y0, y1, z0, z1
REVEAL = 0.24  # m from the wall's inner face to the glass
WALLS = ([0.52, 0.50, 0.44], [0.42, 0.47, 0.46], [0.46, 0.40, 0.34], [0.50, 0.45, 0.33])
OAK = ([0.30, 0.175, 0.085], [0.36, 0.23, 0.125], [0.22, 0.115, 0.055])
CLOTH = ([0.055, 0.13, 0.155], [0.20, 0.075, 0.04], [0.10, 0.115, 0.06], [0.16, 0.13, 0.10])


@dataclass(frozen=True)
class Palette:
    wall: Vector
    wood: Vector
    cloth: Vector
    accent: Vector
    brick: Vector
    rug: Sequence[Vector]


def _palette(rng: np.random.Generator) -> Palette:
    def vary(colour: Sequence[float], by: float = 0.12) -> Vector:
        r, g, b = np.asarray(colour) * rng.uniform(1 - by, 1 + by, 3)
        return float(r), float(g), float(b)

    cloth = vary(CLOTH[rng.integers(len(CLOTH))])
    rug = [vary(c) for c in ((0.25, 0.06, 0.035), (0.42, 0.34, 0.22), (0.05, 0.07, 0.11), (0.33, 0.17, 0.06))]
    return Palette(
        vary(WALLS[rng.integers(len(WALLS))], 0.06),
        vary(OAK[rng.integers(len(OAK))]),
        cloth,
        vary(([0.40, 0.22, 0.045], [0.30, 0.06, 0.035], [0.05, 0.12, 0.17])[rng.integers(3)]),
        vary([0.27, 0.115, 0.07]),
        [rug[i] for i in rng.permutation(4)],
    )


class _Room:
    """Collects shapes; keeps the boxes that cast shadows."""

    def __init__(self, eye: Vector) -> None:
        self.eye = eye
        self.shapes: list[Shape] = []
        self.casters: list[list[float]] = []

    def box(
        self, low: Vector, high: Vector, material: Material, top: Material | None = None, casts: bool = True
    ) -> None:
        self.shapes += box(low, high, material, self.eye, top)
        if casts:
            self.casters.append([*low, *high])

    def round(self, shape: Shape, half: float, height: float) -> None:
        """A round thing, and the box that stands in for it in shadows."""
        self.shapes.append(shape)
        foot = shape.foot  # type: ignore[union-attr]
        r = 0.8 * half
        self.casters.append(
            [foot[0] - r, foot[1] + 0.01, foot[2] - r, foot[0] + r, foot[1] + height, foot[2] + r]
        )


def build(rng: np.random.Generator, width: int, height: int) -> World:
    """The room for an image of width × height."""
    detail = float(np.clip(np.sqrt(width * height) / 2880, 0.02, 1))  # 1 at UHD
    tex = Textures(rng, int(2 ** np.clip(np.round(np.log2(1024 * detail)), 6, 10)))
    colours = _palette(rng)
    eye = (0.30 + rng.uniform(-0.12, 0.12), 1.42, -0.35)
    wide = 0.80 * np.sqrt(width / height / (16 / 9))
    camera = Camera(eye, rng.uniform(-0.05, 0.09), float(wide), float(wide * height / width), -0.075)
    room = _Room(eye)
    left = -1.45 + rng.uniform(-0.1, 0.1)
    window = (left, left + 2.25, 0.78, 2.32)
    bars = (f32([left + 0.75, left + 1.5]), f32([1.78]))

    _shell(room, tex, colours, window)
    _window(room, tex, window, bars)
    lamp = _furniture(room, rng, tex, colours)
    _table(room, rng, tex, colours)
    azimuth, elevation = rng.uniform(-0.45, -0.15), rng.uniform(0.52, 0.66)
    sun = np.float32(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )
    wall, brick, wood = colours.wall, colours.brick, colours.wood
    light = Light(
        ROOM,
        f32([brick, wall, wood, [0.7, 0.68, 0.63], wall, wall]),
        window,
        ROOM[5] + REVEAL,
        bars,
        0.024,
        sun,
        f32([27, 24, 19]),
        lamp,
        f32([1.05, 0.62, 0.26]),
        f32(room.casters),
    )
    outside = _outside(rng, tex, camera, window, width)
    lights = bake(room.shapes, light, 0.055 / max(detail, 0.1), max(2, round(6 * detail**0.5)))
    return World(camera, room.shapes, lights, light, outside, _blurred(outside))


def _outside(
    rng: np.random.Generator, tex: Textures, camera: Camera, window: Sequence[float], width: int
) -> Outside:
    """The view through the window, and a margin below and above for what floors and vases mirror."""
    x, y, z = camera.position
    depth = ROOM[5] - z
    view = (
        (window[0] - x) / depth - 0.02, (window[1] - x) / depth + 0.02,
        (window[2] - y) / depth - 0.02, (window[3] - y) / depth + 0.16,
    )  # fmt: skip
    return paint(rng, tex, view, 1.15 * width / (2 * camera.wide))


def _blurred(outside: Outside) -> Outside:
    size = [max(2, side // 24) for side in outside.radiance.shape[1::-1]]
    return Outside(
        cv2.blur(cv2.resize(outside.radiance, size, interpolation=cv2.INTER_AREA), (3, 3)), outside.view
    )


def _shell(room: _Room, tex: Textures, colours: Palette, window: Sequence[float]) -> None:
    """Floor, ceiling with beams, brick wall, plastered walls, skirting."""
    x0, x1, y0, y1, z0, z1 = ROOM
    wall = Material(t.plaster(tex, colours.wall), colours.wall)

    def around_window(u: Floats, v: Floats) -> np.ndarray:
        return (u < window[0]) | (u > window[1]) | (v < window[2]) | (v > window[3])

    back = Material(wall.surface, colours.wall, solid=around_window)
    floor = Material(t.planks(tex, colours.wood), colours.wood, gloss=0.03, blur=0.10)
    bricks = Material(t.brick(tex, colours.brick, (0.33, 0.30, 0.26)), colours.brick)
    white = Material(t.plaster(tex, (0.72, 0.70, 0.65)), (0.7, 0.68, 0.63))
    room.shapes += [
        Flat(1, y0, (x0, z0), (x1, z1), 1, floor),
        Flat(1, y1, (x0, z0), (x1, z1), -1, white),
        Flat(0, x0, (z0, y0), (z1, y1), 1, bricks),
        Flat(0, x1, (z0, y0), (z1, y1), -1, wall),
        Flat(2, z1, (x0, y0), (x1, y1), -1, back),
    ]
    beam = Material(t.wood(tex, [0.42 * c for c in colours.wood]), colours.wood)
    for z in (1.9, 3.1, 4.3):
        room.box((x0, y1 - 0.17, z), (x1, y1, z + 0.16), beam)
    skirting = Material(t.plain((0.55, 0.53, 0.49)), (0.55, 0.53, 0.49), gloss=0.03)
    room.box((x0, 0, z1 - 0.018), (x1, 0.11, z1), skirting, casts=False)
    room.box((x1 - 0.018, 0, z0), (x1, 0.11, z1), skirting, casts=False)


def _window(room: _Room, tex: Textures, window: Sequence[float], bars: tuple[Floats, Floats]) -> None:
    """Reveal, sill, frame and glazing bars, linen curtains on a rail."""
    x0, x1, y0, y1 = window
    z, pane = ROOM[5], ROOM[5] + REVEAL
    white = Material(t.plaster(tex, (0.66, 0.64, 0.60)), (0.66, 0.64, 0.60))
    paint = Material(t.plain((0.62, 0.61, 0.58)), (0.62, 0.61, 0.58), gloss=0.04)
    for low, high in (
        ((x0 - 0.1, y0, z), (x0, y1, pane)), ((x1, y0, z), (x1 + 0.1, y1, pane)),
        ((x0, y1, z), (x1, y1 + 0.1, pane)), ((x0, y0 - 0.1, z), (x1, y0, pane)),
    ):  # fmt: skip
        room.box(low, high, white, casts=False)
    board = Material(t.wood(tex, (0.42, 0.28, 0.16)), (0.42, 0.28, 0.16), gloss=0.04)
    room.box((x0 - 0.07, y0 - 0.045, z - 0.16), (x1 + 0.07, y0, z), board)
    f, inner = 0.05, pane - 0.05  # the frame, and the bars within it
    for low, high in (
        ((x0, y0, inner), (x0 + f, y1, pane)), ((x1 - f, y0, inner), (x1, y1, pane)),
        ((x0, y0, inner), (x1, y0 + f, pane)), ((x0, y1 - f, inner), (x1, y1, pane)),
        *(((x - 0.024, y0, inner), (x + 0.024, y1, pane)) for x in bars[0].tolist()),
        *(((x0, y - 0.02, inner + 0.005), (x1, y + 0.02, pane)) for y in bars[1].tolist()),
    ):  # fmt: skip
        room.box(low, high, paint, casts=False)
    iron = Material(t.plain((0.02, 0.02, 0.022)), (0.02, 0.02, 0.02), gloss=0.05)
    room.box((x0 - 0.5, y1 + 0.12, z - 0.10), (x1 + 0.5, y1 + 0.145, z - 0.075), iron, casts=False)
    for low, high in ((x0 - 0.42, x0 + 0.12), (x1 - 0.10, x1 + 0.40)):
        linen = t.weave(tex, (0.60, 0.56, 0.48), thread=0.0035)

        def folds(u: Floats, v: Floats) -> Floats:
            sway = 0.012 * np.sin(2.1 * v + 9 * u)
            return np.asarray(np.sin((u + sway) * 62 + 1.8 * np.sin(u * 23)))

        def curtain(u: Floats, v: Floats, linen: t.Surface = linen) -> Floats:
            return linen(u, v) * (0.62 + 0.38 * folds(u, v))[:, None]

        def through(u: Floats, v: Floats, linen: t.Surface = linen) -> Floats:
            lit = np.clip(np.minimum(u - x0, x1 - u) / 0.03 + 0.5, 0, 1) * np.clip(
                (v - y0) / 0.03 + 0.5, 0, 1
            )
            dense = 0.75 - 0.45 * folds(u, v)
            return linen(u, v) * (lit * dense * 1.5)[:, None] * f32([1.0, 0.98, 0.9])

        cloth = Material(curtain, (0.5, 0.47, 0.4), glow=through)
        room.shapes.append(Flat(2, z - 0.09, (low, 0.04), (high, y1 + 0.12), -1, cloth))


def _furniture(room: _Room, rng: np.random.Generator, tex: Textures, colours: Palette) -> Vector:
    """Sofa, rug, bookcase, side table with the lamp, pictures; returns where the lamp's bulb is."""
    cloth = Material(t.weave(tex, colours.cloth), colours.cloth)
    x0, x1, _, _, _, z1 = ROOM
    room.box((x0 + 0.05, 0.07, 2.55), (x0 + 0.98, 0.43, 4.45), cloth)
    room.box((x0 + 0.05, 0.43, 2.55), (x0 + 0.27, 0.84, 4.45), cloth)
    for z in (2.55, 4.28):
        room.box((x0 + 0.05, 0.07, z), (x0 + 1.0, 0.62, z + 0.17), cloth)
    for z in (2.75, 3.52):
        room.box((x0 + 0.27, 0.43, z), (x0 + 1.0, 0.53, z + 0.74), cloth)
    cushion = Material(t.weave(tex, colours.accent, (0.5, 0.45, 0.36), 0.006), colours.accent)
    room.box((x0 + 0.27, 0.53, 4.0), (x0 + 0.42, 0.93, 4.27), cushion)
    centre, size = (0.15, 3.55), (2.3, 1.55)
    kilim = Material(t.rug(tex, colours.rug, centre, size), (0.25, 0.17, 0.10))
    low = (centre[0] - size[0] / 2, 0.0, centre[1] - size[1] / 2)
    high = (centre[0] + size[0] / 2, 0.009, centre[1] + size[1] / 2)
    room.box(low, high, kilim, casts=False)
    _bookcase(room, rng, tex, colours)
    return _lamp(room, tex, colours)


def _lamp(room: _Room, tex: Textures, colours: Palette) -> Vector:
    x, z, top = 1.92, 3.55, 0.56
    dark = Material(t.wood(tex, [0.5 * c for c in colours.wood], seed=7), colours.wood, gloss=0.04)
    room.box((x - 0.25, top - 0.03, z - 0.25), (x + 0.25, top, z + 0.25), dark)
    for dx in (-0.22, 0.19):
        for dz in (-0.22, 0.19):
            room.box((x + dx, 0, z + dz), (x + dx + 0.03, top - 0.03, z + dz + 0.03), dark, casts=False)
    glazed = Material(t.plain(colours.accent), colours.accent, gloss=0.05, blur=0.04)
    room.round(vessel((x, top, z), 0.27, (0.075, 0.10, 0.03), glazed), 0.08, 0.25)

    def shade(u: Floats, v: Floats) -> Floats:
        warm = f32([5.2, 3.0, 1.25]) * (0.55 + 0.45 * np.exp(-(((v - 0.09) / 0.10) ** 2)))[:, None]
        return warm * (0.9 + 0.05 * tex.grain(u, v, 2.0) + 0.04 * np.sin(v * 1900))[:, None]

    paper = Material(t.plain((0.6, 0.5, 0.36)), (0.6, 0.5, 0.36), glow=shade)
    room.shapes.append(vessel((x, top + 0.28, z), 0.24, (0.19, 0.155, 0.12), paper))
    return x, top + 0.38, z


def _bookcase(room: _Room, rng: np.random.Generator, tex: Textures, colours: Palette) -> None:
    low, high, front, back, top = 1.12, 2.2, 4.70, 5.0, 2.08
    board = Material(t.wood(tex, colours.wood, seed=3), colours.wood, gloss=0.03)
    upright = Material(t.wood(tex, colours.wood, "v", seed=4), colours.wood, gloss=0.03)
    for x in (low, (low + high) / 2 - 0.0125, high - 0.025):
        room.box((x, 0, front), (x + 0.025, top, back), upright)
    levels = np.linspace(0.08, top - 0.025, 6)
    for y in levels.tolist():
        room.box((low, y, front), (high, y + 0.025, back), board)
    for row, y in enumerate(levels[:-1].tolist()):
        room_above = float(levels[1] - levels[0]) - 0.05
        for side in (0, 1):
            start = low + 0.03 + side * (high - low) / 2
            end = start + (high - low) / 2 - 0.05
            if rng.random() < 0.16:
                glazed = Material(t.plain(colours.accent), colours.accent, gloss=0.05)
                room.round(
                    vessel(((start + end) / 2, y + 0.025, 4.83), 0.22, (0.05, 0.10, 0.04), glazed), 0.08, 0.2
                )
                continue
            _books(room, rng, tex, (start, y + 0.025), float(end - rng.uniform(0, 0.12)), room_above, row)


def _books(
    room: _Room,
    rng: np.random.Generator,
    tex: Textures,
    at: tuple[float, float],
    end: float,
    above: float,
    row: int,
) -> None:
    """A row of books as one textured face: each spine its own width, height, colour, bands and title."""
    widths = rng.uniform(0.016, 0.048, 40)
    edges = np.concatenate([[0.0], np.cumsum(widths)]).astype(np.float32) + np.float32(at[0])
    edges = edges[edges <= end]
    count = len(edges) - 1
    heights = f32(at[1] + above * rng.uniform(0.68, 0.95, count))
    tints = np.array([[0.30, 0.05, 0.04], [0.04, 0.07, 0.13], [0.05, 0.10, 0.06], [0.42, 0.36, 0.25],
                      [0.13, 0.07, 0.04], [0.03, 0.03, 0.035], [0.40, 0.24, 0.06], [0.5, 0.48, 0.44]])  # fmt: skip
    spine = (tints[rng.integers(0, len(tints), count)] * rng.uniform(0.6, 1.3, (count, 1))).astype(np.float32)
    title = np.where(spine.mean(axis=1, keepdims=True) < 0.15, [0.5, 0.4, 0.2], [0.05, 0.04, 0.04]).astype(
        np.float32
    )

    def which(u: Floats) -> np.ndarray:
        return np.clip(np.searchsorted(edges, u, "right") - 1, 0, count - 1)

    def solid(u: Floats, v: Floats) -> np.ndarray:
        return np.asarray(v < heights[which(u)])

    def surface(u: Floats, v: Floats) -> Floats:
        book = which(u)
        across = (u - edges[book]) / (edges[book + 1] - edges[book])
        along = (v - at[1]) / (heights[book] - at[1])
        inked = (
            tex.marks(v * 0.55 + 0.13 * book, (u - edges[book]) * 0.9 + 0.04 * book + 0.2 * row, 1.0) / 255
        )
        inked *= (along > 0.25) & (along < 0.8) & (np.abs(across - 0.5) < 0.36)
        band = (np.abs(along - 0.88) < 0.012) | (np.abs(along - 0.14) < 0.012)
        ink = np.maximum(inked, band * (book % 3 > 0))[:, None]
        cloth = 1 + 0.10 * tex.grain(u, v, 2.5) + 0.08 * tex.noise(u, v, 1.0)
        rounded = 0.35 + 0.65 * np.sqrt(np.clip(4 * across * (1 - across), 0, 1))
        return (spine[book] + ink * (title[book] - spine[book])) * (cloth * rounded)[:, None]

    face = Material(surface, (0.15, 0.1, 0.08), solid=solid)
    room.shapes.append(Flat(2, 4.76, at, (float(edges[-1]), at[1] + above), -1, face))
    room.casters.append([at[0], at[1], 4.762, float(edges[-1]), at[1] + 0.8 * above, 4.98])


def _table(room: _Room, rng: np.random.Generator, tex: Textures, colours: Palette) -> None:
    """A table in front with an open book, a bowl of fruit, a mug and a vase."""
    x0, x1, z0, z1, top = 0.10, 1.42, 1.95, 2.72, 0.74
    wood = [1.15 * c for c in colours.wood]
    slab = Material(t.wood(tex, wood, seed=11), colours.wood, gloss=0.035, blur=0.07)
    room.box((x0, top - 0.035, z0), (x1, top, z1), slab)
    for x in (x0 + 0.04, x1 - 0.1):
        for z in (z0 + 0.04, z1 - 0.1):
            room.box((x, 0, z), (x + 0.06, top - 0.035, z + 0.06), slab)
    bx, bz = x0 + 0.38, z0 + 0.10
    paper = Material(t.page(tex, (0.62, 0.58, 0.49), 3.4, bx), (0.6, 0.56, 0.47))
    room.box((bx - 0.145, top, bz), (bx + 0.145, top + 0.018, bz + 0.21), paper)
    white = Material(t.plain((0.58, 0.56, 0.52)), (0.58, 0.56, 0.52), gloss=0.05, blur=0.04)
    room.round(vessel((x0 + 0.12, top, z0 + 0.42), 0.095, (0.038, 0.041, 0.042), white), 0.042, 0.09)
    bowl = (x0 + 0.78, top, z0 + 0.44)
    glazed = Material(t.plain(colours.accent), colours.accent, gloss=0.05, blur=0.05)
    room.round(vessel(bowl, 0.075, (0.06, 0.125, 0.165), glazed), 0.15, 0.07)
    for turn in np.linspace(0, 2 * np.pi, 6)[:-1] + rng.uniform(0, 1):
        tint = [(0.42, 0.06, 0.03), (0.48, 0.22, 0.02), (0.25, 0.30, 0.04)][int(rng.integers(3))]
        skin = Material(t.plaster(tex, tint), tint, gloss=0.04, blur=0.06)
        at = (bowl[0] + 0.085 * float(np.cos(turn)), top + 0.075, bowl[2] + 0.085 * float(np.sin(turn)))
        room.shapes.append(ball(at, 0.042, skin))
    vase = (x1 - 0.20, top, z1 - 0.24)
    clay = Material(t.plaster(tex, (0.30, 0.33, 0.33)), (0.3, 0.33, 0.33), gloss=0.045, blur=0.05)
    room.round(vessel(vase, 0.30, (0.055, 0.105, 0.04), clay), 0.09, 0.28)


def render(width: int, height: int, seed: int) -> Floats:
    """Linear radiance [height, width, 3] float32."""
    world = build(np.random.default_rng(seed), width, height)
    return trace(world, width, height, 2)
