"""What stands in the room: each function adds one piece of furniture."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lutfuse.models.interior import drawings
from lutfuse.models.interior import textures as t
from lutfuse.models.interior.shapes import Flat, Mask, Material, Round, Shape, Vector, ball, box, vessel
from lutfuse.models.interior.textures import Floats, Textures, f32

ROOM = (-2.05, 2.25, 0.0, 2.75, -1.2, 5.0)  # x0, x1, y0, y1, z0, z1
SPINES = (
    (0.30, 0.05, 0.04), (0.04, 0.07, 0.13), (0.05, 0.10, 0.06), (0.42, 0.36, 0.25),
    (0.13, 0.07, 0.04), (0.03, 0.03, 0.035), (0.40, 0.24, 0.06), (0.50, 0.48, 0.44),
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """The colours of one room."""

    wall: Vector
    wood: Vector
    cloth: Vector
    accent: Vector
    brick: Vector
    rug: Sequence[Vector]


@dataclass(frozen=True)
class Room:
    """Collects the shapes, and the boxes that cast shadows."""

    rng: np.random.Generator
    tex: Textures
    colours: Palette
    eye: Vector
    detail: float  # of drawings: 1 at UHD
    shapes: list[Shape] = field(default_factory=list)
    casters: list[list[float]] = field(default_factory=list)

    def box(self, low: Vector, high: Vector, material: Material, shades: bool = True) -> None:
        self.shapes.extend(box(low, high, material, self.eye))
        if shades:
            self.casters.append([*low, *high])

    def round(self, shape: Round) -> None:
        """A round thing, and the slightly smaller box that stands in for it in shadows."""
        self.shapes.append(shape)
        (x, y, z), r = shape.foot, 0.75 * shape.reach
        self.casters.append([x - r, y + 0.01, z - r, x + r, y + 0.95 * shape.height, z + r])

    def cut_out(self, habit: drawings.Habit, foot: Vector, side: float) -> None:
        """A plant facing the camera, as high and wide as `side`."""
        x, y, z = foot
        image = drawings.plant(self.rng.spawn(1)[0], habit, max(16, round(1200 * side * self.detail)))
        cut = drawings.CutOut(image, (x - side / 2, y, x + side / 2, y + side))
        leaves = Material(cut.surface, solid=cut.solid)
        self.shapes.append(Flat(2, z, (x - side / 2, y), (x + side / 2, y + side), -1, leaves))

    def glazed(self, colour: t.Colour) -> Material:
        return Material(t.plaster(self.tex, colour), gloss=0.045, blur=0.05)


def sofa(room: Room) -> None:
    """A long sofa against the brick wall, with cushions and a striped blanket."""
    tex, colours = room.tex, room.colours
    cloth = Material(t.weave(tex, colours.cloth), stuffed=0.022)
    left = ROOM[0] + 0.06
    room.box((left, 0.07, 2.55), (left + 0.93, 0.43, 4.45), cloth)
    room.box((left, 0.43, 2.72), (left + 0.22, 0.86, 4.28), cloth)
    for z in (2.55, 4.28):
        room.box((left, 0.07, z), (left + 0.95, 0.63, z + 0.17), cloth)
    soft = Material(cloth.surface, stuffed=0.05)
    for z in (2.72, 3.24, 3.76):
        room.box((left + 0.22, 0.43, z), (left + 0.96, 0.55, z + 0.518), soft)
        room.box((left + 0.22, 0.55, z + 0.01), (left + 0.38, 0.98, z + 0.508), soft)
    accent = Material(t.weave(tex, colours.accent, (0.5, 0.45, 0.36), 0.006), stuffed=0.05)
    room.box((left + 0.38, 0.55, 3.80), (left + 0.52, 0.93, 4.20), accent)
    stripes = [colours.rug[0], (0.5, 0.46, 0.38), colours.accent]

    def woollen(u: Floats, v: Floats) -> Floats:
        band = np.floor(u / 0.028).astype(np.int64) % 7
        which = np.where(band == 0, 0, np.where((band == 3) | (band == 4), 2, 1))
        wool = t.weave(tex, (1.0, 1.0, 1.0), thread=0.005)(u, v)
        return np.asarray(wool * f32(stripes)[which])

    blanket = Material(woollen, stuffed=0.012)
    room.box((left - 0.012, 0.40, 2.95), (left + 0.395, 1.0, 3.32), blanket, shades=False)


def carpet(room: Room) -> None:
    x, z, width, length = 0.15, 3.52, 2.3, 1.6
    kilim = Material(t.rug(room.tex, room.colours.rug, (x, z), (width, length)))
    room.box((x - width / 2, 0, z - length / 2), (x + width / 2, 0.009, z + length / 2), kilim, shades=False)


def plants(room: Room, sill: Sequence[float]) -> None:
    """A large plant beside the window and two pots on the sill; `sill` is x0, x1, y, z."""
    x, z = sill[1] + 0.33, 4.55
    pot = room.glazed((0.42, 0.40, 0.37))
    room.round(vessel((x, 0, z), 0.36, (0.13, 0.17, 0.19), pot))
    for depth, side in ((0.05, 1.15), (-0.03, 0.95)):
        room.cut_out(drawings.BROAD, (x, 0.33, z + depth), side)
    clay = Material(t.plaster(room.tex, (0.36, 0.15, 0.085)))
    for at, habit, side in ((0.30, drawings.GRASS, 0.22), (0.52, drawings.TWIGS, 0.30)):
        foot = (sill[0] + at, sill[2], sill[3])
        room.round(vessel(foot, 0.105, (0.042, 0.05, 0.058), clay))
        room.cut_out(habit, (foot[0], foot[1] + 0.09, foot[2]), side)


def pictures(room: Room) -> None:
    """Two frames on the right wall, one over the sofa."""
    first, second, third = room.rng.spawn(3)
    size = max(24, round(420 * room.detail))
    dark = Material(t.wood(room.tex, (0.06, 0.045, 0.035), seed=5), gloss=0.03)
    hangs = (
        (
            ROOM[1],
            -1,
            (2.62, 1.28, 3.42, 1.88),
            drawings.landscape(first, room.tex, size, round(1.4 * size)),
        ),
        (ROOM[1], -1, (3.72, 1.25, 4.22, 1.80), drawings.botanical(second, room.tex, size)),
        (ROOM[0], 1, (3.10, 1.30, 3.72, 1.92), drawings.botanical(third, room.tex, size)),
    )
    for wall, sign, (z0, y0, z1, y1), image in hangs:
        x0, x1 = sorted((wall, wall + 0.022 * sign))
        room.box((x0, y0, z0), (x1, y1, z1), dark)
        inner = (z0 + 0.022, y0 + 0.022, z1 - 0.022, y1 - 0.022)
        mount = drawings.framed(image, (0.58, 0.56, 0.52), 0.09)
        glass = Material(t.picture(mount, inner), gloss=0.02, blur=0.02)
        room.shapes.append(Flat(0, wall + 0.0225 * sign, inner[:2], inner[2:], sign, glass))


def lamp(room: Room) -> Vector:
    """A side table with a lit lamp; returns where its bulb is."""
    x, z, top = 1.90, 3.55, 0.56
    dark = Material(t.wood(room.tex, [0.5 * c for c in room.colours.wood], seed=7), gloss=0.03, blur=0.1)
    room.box((x - 0.25, top - 0.03, z - 0.25), (x + 0.25, top, z + 0.25), dark)
    for dx in (-0.22, 0.19):
        for dz in (-0.22, 0.19):
            room.box((x + dx, 0, z + dz), (x + dx + 0.03, top - 0.03, z + dz + 0.03), dark, shades=False)
    room.round(vessel((x, top, z), 0.27, (0.075, 0.10, 0.03), room.glazed(room.colours.accent)))

    def shade(u: Floats, v: Floats) -> Floats:
        warm = f32([4.6, 2.7, 1.15]) * (0.55 + 0.45 * np.exp(-(((v - 0.09) / 0.10) ** 2)))[:, None]
        return np.asarray(warm * (0.9 + 0.05 * room.tex.grain(u, v, 2.0) + 0.04 * np.sin(v * 1900))[:, None])

    paper = Material(t.plain((0.5, 0.42, 0.3)), glow=shade)
    room.shapes.append(vessel((x, top + 0.28, z), 0.24, (0.19, 0.155, 0.12), paper))
    return x, top + 0.38, z


def bookcase(room: Room) -> None:
    low, high, front, back, top = 1.34, 2.22, 4.70, 5.0, 2.08
    wood = room.colours.wood
    board = Material(t.wood(room.tex, wood, seed=3), gloss=0.02, blur=0.1)
    upright = Material(t.wood(room.tex, wood, "v", seed=4), gloss=0.02, blur=0.1)
    for x in (low, (low + high) / 2 - 0.0125, high - 0.025):
        room.box((x, 0, front), (x + 0.025, top, back), upright)
    levels = np.linspace(0.08, top - 0.025, 6).tolist()
    for y in levels:
        room.box((low, y, front), (high, y + 0.025, back), board)
    for y in levels[:-1]:
        for start in (low + 0.03, (low + high) / 2 + 0.017):
            end = start + (high - low) / 2 - 0.048
            if room.rng.random() < 0.16:
                jar = vessel(
                    ((start + end) / 2, y + 0.025, 4.83),
                    0.22,
                    (0.05, 0.10, 0.04),
                    room.glazed(room.colours.accent),
                )
                room.round(jar)
            else:
                books(room, (start, y + 0.025), end - room.rng.uniform(0, 0.10), levels[1] - levels[0] - 0.05)


def books(room: Room, at: tuple[float, float], end: float, above: float) -> None:
    """A row of books as one textured face: each spine its own width, height, colour, bands and title."""
    rng, tex = room.rng, room.tex
    edges = f32(np.concatenate([[0.0], np.cumsum(rng.uniform(0.014, 0.044, 40))]) + at[0])
    edges = edges[edges <= end]
    count = len(edges) - 1
    heights = f32(at[1] + above * rng.uniform(0.66, 0.95, count))
    spine = f32(np.asarray(SPINES)[rng.integers(0, len(SPINES), count)] * rng.uniform(0.6, 1.3, (count, 1)))
    title = np.where(spine.mean(axis=1, keepdims=True) < 0.15, f32([0.5, 0.4, 0.2]), f32([0.05, 0.04, 0.04]))
    where = f32(rng.random((2, count)))

    def which(u: Floats) -> t.Floats:
        return np.clip(np.searchsorted(edges, u, "right") - 1, 0, count - 1)

    def solid(u: Floats, v: Floats) -> Mask:
        return np.asarray(v < heights[which(u)])

    def surface(u: Floats, v: Floats) -> Floats:
        book = which(u)
        across = (u - edges[book]) / (edges[book + 1] - edges[book])
        along = (v - at[1]) / (heights[book] - at[1])
        printed = tex.marks(v * 1.3 + where[0][book], (u - edges[book]) * 1.7 + where[1][book]) / 255
        printed *= (along > 0.3) & (along < 0.78) & (np.abs(across - 0.5) < 0.32)
        band = ((np.abs(along - 0.88) < 0.012) | (np.abs(along - 0.14) < 0.012)) & (book % 3 > 0)
        ink = np.maximum(printed, band)[:, None]
        cloth = 1 + 0.10 * tex.grain(u, v, 2.5) + 0.08 * tex.noise(u, v, 1.0)
        rounded = 0.35 + 0.65 * np.sqrt(np.clip(4 * across * (1 - across), 0, 1))
        return np.asarray((spine[book] + ink * (title[book] - spine[book])) * (cloth * rounded)[:, None])

    face = Material(surface, solid=solid)
    room.shapes.append(Flat(2, 4.76, at, (float(edges[-1]), at[1] + above), -1, face))
    room.casters.append([at[0], at[1], 4.762, float(edges[-1]), at[1] + 0.8 * above, 4.98])


def table(room: Room) -> None:
    """A table in front with an open book, a bowl of fruit, a mug and twigs in a vase."""
    rng, tex, colours = room.rng, room.tex, room.colours
    x0, x1, z0, z1, top = 0.10, 1.42, 1.95, 2.72, 0.74
    slab = Material(t.wood(tex, [1.15 * c for c in colours.wood], seed=11), gloss=0.012, blur=0.22)
    room.box((x0, top - 0.035, z0), (x1, top, z1), slab)
    for x in (x0 + 0.04, x1 - 0.1):
        for z in (z0 + 0.04, z1 - 0.1):
            room.box((x, 0, z), (x + 0.06, top - 0.035, z + 0.06), slab)
    x, z = x0 + 0.36, z0 + 0.13
    paper = Material(t.page(tex, (0.62, 0.58, 0.49), 3.4, x))
    edge = Material(t.plain((0.45, 0.42, 0.34)))
    room.box((x - 0.145, top, z), (x + 0.145, top + 0.017, z + 0.21), edge)
    room.shapes.append(Flat(1, top + 0.0175, (x - 0.145, z), (x + 0.145, z + 0.21), 1, paper))
    mug = (x0 + 0.12, top, z0 + 0.50)
    room.round(vessel(mug, 0.095, (0.038, 0.041, 0.042), room.glazed((0.58, 0.56, 0.52))))
    bowl = (x0 + 0.76, top, z0 + 0.42)
    room.round(vessel(bowl, 0.075, (0.06, 0.125, 0.165), room.glazed(colours.accent)))
    tints = ((0.42, 0.06, 0.03), (0.48, 0.22, 0.02), (0.25, 0.30, 0.04))
    for turn in (*(np.linspace(0, 2 * np.pi, 6)[:-1] + rng.uniform(0, 1)), None):
        dx, dy, dz = (0.0, 0.055, 0.0) if turn is None else (np.cos(turn), 0.0, np.sin(turn))
        at = (bowl[0] + 0.078 * dx, top + 0.075 + dy, bowl[2] + 0.078 * dz)
        room.shapes.append(ball(at, rng.uniform(0.038, 0.045), room.glazed(tints[rng.integers(3)])))
    vase = (x1 - 0.22, top, z1 - 0.26)
    room.round(vessel(vase, 0.30, (0.055, 0.105, 0.035), room.glazed((0.30, 0.33, 0.33))))
    room.cut_out(drawings.TWIGS, (vase[0], top + 0.27, vase[2]), 0.62)
