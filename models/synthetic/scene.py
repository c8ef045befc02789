"""A room with a window: what stands in it and is outside, and what that is made of. One seed, one room."""

from functools import partial
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from lutfuse.models.synthetic.painter import (
    GLASS,
    IN_PLANE,
    SUNLIGHT,
    Card,
    Floats,
    Material,
    Painter,
    Vector,
    f32,
)

PALE = f32([[0.50, 0.48, 0.42], [0.40, 0.45, 0.44], [0.46, 0.40, 0.33], [0.52, 0.44, 0.29]])
WOOD = f32([[0.26, 0.15, 0.07], [0.33, 0.21, 0.11], [0.19, 0.10, 0.05]])
PURE = f32([[0.45, 0.04, 0.03], [0.6, 0.2, 0.03], [0.6, 0.36, 0.04], [0.03, 0.14, 0.2], [0.05, 0.2, 0.1]])
X, TOP, BACK = 2.3, 2.7, 5.2  # half the room's width, its height, its far wall, m


def render_radiance(width: int, height: int, seed: int = 0) -> Floats:
    """Linear radiance [height, width, 3] float32 RGB of room `seed`; 1 just saturates the sensor at EV 0."""
    if min(width, height) < 1 or seed < 0:
        raise ValueError(f"scene {seed} of {width}×{height} px: seeds start at 0, sizes at 1")
    room = Room(width, height, np.random.default_rng(seed))
    for card in room.cards:
        room.paint(card)
    return room.image if room.rng.random() < 0.5 else room.image[:, ::-1].copy()


class Room(Painter):
    """Everything in front of the camera."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        eye, *sun, left = rng.uniform((0.1, 0, 0.55, -1.25), (0.3, 0.25, 0.7, -1.05)).tolist()
        super().__init__(width, height, (eye, 1.42, 0), (*sun, 1), (left, 0.85))
        self.rng = rng
        self.chance = rng.random((4096, 3), np.float32) * 0.2 + rng.random((4096, 1), np.float32) * 0.8
        x, y = np.fft.rfftfreq(512), np.fft.fftfreq(512)[:, None]
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((512, 512))) * np.exp(-23 * (x * x + y * y)))
        self.noise = f32(noise / noise.std())
        self.wood, self.white = rng.choice(WOOD), self.grain((0.62, 0.6, 0.56))
        self.board = self.grain(self.wood, 0.05, 0.16, (0.05, 1))
        self.upright = self.grain(self.wood, 0.05, 0.16, (1, 0.05))
        for furnish in (self.outdoors, self.shell, self.far_end, self.near_end):
            furnish()
        self.lights.extend(card for card in self.cards if card.shine is not None)

    def fbm(self, u: Floats, v: Floats, size: Floats, cell: float, gain: float = 0.7) -> Floats:
        """Noise [h, w]: octaves from `cell` m downwards, each `gain` of the last, none finer than a pixel."""
        total = np.zeros(u.shape, np.float32)
        for wave, spread in ((f32(cell * 0.36**i), f32(gain**i)) for i in range(5)):
            share = np.clip(wave / size - f32(0.7), 0, 1) * spread
            if share.any():
                x, y = (q * (3 / wave) + 37 * spread for q in (u, v))
                total += share * cv2.remap(self.noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return total

    def grain(self, colour: Vector, cell: float = 0.3, by: Any = 0.05, along: Vector = (1, 1)) -> Material:
        """A colour, unevenly bright. Noise drawn out along a side makes wood, or folds."""
        (a, b), by, colour = f32(along), f32(by), f32(colour)
        return lambda u, v, size: np.exp(by * self.fbm(u * a, v * b, size, cell)[..., None]) * colour

    def laid(
        self, material: Material, pitch: Vector, joint: float, dark: Vector, by: float = 0.8
    ) -> Material:
        """Planks, bricks: rows along v of pieces that are `pitch` m along u and v, with joints between."""

        def paint(u: Floats, v: Floats, size: Floats) -> Floats:
            across, row = np.modf(u / f32(pitch[0]) + 64)
            shift = row % 2 / 2 + self.chance[row.astype(np.int32) & 4095, 0] / 4
            along, piece = np.modf(v / f32(pitch[1]) + 64 + shift)
            tint = self.chance[(row * 131 + piece * 17).astype(np.int32) & 4095] - f32(0.5)
            edge = (np.minimum(q, 1 - q) * f32(p) for q, p in zip((across, along), pitch, strict=True))
            gap = np.clip((joint / 2 - np.minimum(*edge)) / size + 0.5, 0, np.minimum(1, joint / size))
            colour = material(u + 3 * tint[..., 0], v + 7 * tint[..., 0], size)
            colour *= np.exp(by * tint * np.clip(pitch[0] / (2 * size), 0, 1)[..., None])
            return np.asarray(colour + gap[..., None] * (f32(dark) - colour))

        return paint

    def box(self, low: Vector, high: Vector, material: Material, rim: float = 0.004) -> None:
        """Adds the faces of a box that the eye sees. What is thin does not shade."""
        self.boxes.extend([(low, high)] * bool(np.prod(np.subtract(high, low)) > 0.013))
        for axis, (u, v) in enumerate(IN_PLANE):
            if not low[axis] < self.eye[axis] < high[axis]:
                at = low[axis] if self.eye[axis] < low[axis] else high[axis]
                self.cards.append(Card(axis, at, (low[u], low[v]), (high[u], high[v]), material, rim=rim))

    def table(self, low: Vector, high: Vector, top: float) -> None:
        """Adds a table over x, z from `low` to `high`."""
        for x, z in (
            (x, z) for z in (high[1] - 0.07, low[1] + 0.02) for x in (low[0] + 0.02, high[0] - 0.07)
        ):
            self.box((x, 0, z), (x + 0.05, top, z + 0.05), self.upright)
        self.box((low[0], top - 0.05, low[1]), (high[0], top, high[1]), self.board)

    def turned(self, foot: Vector, tall: float, radii: Vector, colour: Vector, lit: bool = True) -> None:
        """Adds a solid of revolution; `radii` at equal steps from foot to top."""
        (x, y, z), wide = foot, max(radii)
        slope = (self.eye[1] - y) / z

        def shape(u: Floats, v: Floats, size: Floats) -> tuple[Floats, Floats]:
            radius = np.interp(v - y, np.linspace(0, tall, len(radii)), radii)
            s = np.clip((u - x) / np.maximum(radius, 1e-4), -1, 1)
            front = np.sqrt(1 - s * s)
            bulge = slope * radius * front  # of the rims, which are ellipses
            inside = np.minimum(radius - np.abs(u - x), np.minimum(v - y, y + tall - v) + bulge)
            mouth = np.clip(0.5 + (v - y - tall + bulge) / size, 0, 1) * (slope > 0.1)
            shine = 4 * np.exp(-60 * (s + 0.4) ** 2 - 60 * ((v - y) / tall - 0.6) ** 2)
            shade = (0.45 + 0.75 * front + lit * (shine - 0.4 * s)) * (1 - 0.8 * mouth)
            return f32(inside), f32(shade)

        low, high = (x - wide, y - abs(slope) * wide), (x + wide, y + tall + abs(slope) * wide)
        self.cards.append(Card(2, z, low, high, self.grain(colour, 0.02), shape, lit))

    def foliage(self, middle: Vector, wide: float, leaf: float, colour: Vector, lit: bool = True) -> None:
        """Adds a crown of leaves, brighter above."""
        (x, y, z), step = f32(middle), f32(leaf / 2)

        def shape(u: Floats, v: Floats, size: Floats) -> tuple[Floats, Floats]:
            s, t = (u - x) / f32(wide), (v - y) / f32(1.3 * wide)
            deep = 1 - np.hypot(s, t) + 0.2 * self.fbm(u, v, size, leaf * 5)
            above = self.fbm(u + step, v + step, size, leaf * 5)
            return deep * f32(wide), np.clip(0.8 + 0.35 * t - 0.5 * deep - 0.35 * above, 0.1, 2)

        low, high = (x - 1.5 * wide, y - 2 * wide), (x + 1.5 * wide, y + 2 * wide)
        self.cards.append(Card(2, z, low, high, self.grain(colour), shape, lit))

    def outdoors(self) -> None:
        """Sky, hills, a meadow, trees: so far away that the light is the same everywhere."""

        def hill(z: float, u: Floats, v: Floats, size: Floats) -> tuple[Floats, Floats]:
            return z * (0.07 + 0.025 * self.fbm(u, v * 0, size, 0.15 * z, 0.5)) - v, f32(1)

        sky = self.grain((2.0, 2.6, 3.4), 900, (0.55, 0.4, 0.2), (1, 2.5))
        self.cards.append(Card(2, 3000, (-900, -99), (600, 600), sky, lit=False))
        for z, colour in ((1500, (1.5, 1.8, 2.1)), (700, (0.85, 1.2, 1.1)), (300, (0.45, 0.65, 0.3))):
            low, high, woods = (-0.3 * z, -2), (0.2 * z, 0.15 * z), self.grain(colour, z / 20, 0.2)
            self.cards.append(Card(2, z, low, high, woods, partial(hill, z), lit=False))
        meadow = self.grain((1.0, 1.25, 0.35), 3, 0.22)
        self.cards.append(Card(1, -1.5, (-120, 5), (80, 400), meadow, lit=False))
        for z in -np.sort(-self.rng.uniform(18, 80, 9)):
            x, wide, *green = self.rng.uniform(
                (-0.3 * z, 1.2, 0.6, 0.8, 0.15), (0.2 * z, 2.4, 1.0, 1.3, 0.24)
            )
            bark = self.grain((0.3, 0.24, 0.16))
            self.cards.append(Card(2, z, (x - 0.1, -1.5), (x + 0.1, 1), bark, lit=False))
            self.foliage((x, 1.3 * wide + 0.3, z), wide, 0.25, green, lit=False)

    def shell(self) -> None:
        """Walls, floor, ceiling, window, and the lights."""
        (x0, y0), (x1, y1) = self.window, np.add(self.window, (2.1, 1.4)).tolist()
        floor, wall = (
            self.laid(self.upright, (0.14, 1.6), 0.003, (0.01, 0.01, 0.01)),
            self.grain(self.rng.choice(PALE)),
        )
        brick = self.laid(self.grain((0.27, 0.11, 0.07), 0.08, 0.16), (0.075, 0.24), 0.012, (0.3, 0.27, 0.24))
        dim, flat, low, high = f32([0.022, 0.018, 0.014]), f32(1), (-X - 0.1, -0.1), (X + 0.1, BACK)
        self.cards += [
            Card(2, GLASS, (x0, y0), (x1, y1), self.white, lambda u, v, size: (-self.glass(u, v)[0], flat)),
            *(Card(0, x, (BACK, y0), (GLASS, y1), self.white) for x in (x0, x1)),
            *(Card(1, y, (x0, BACK), (x1, GLASS), self.white) for y in (y0, y1)),
            Card(2, BACK, low, high, wall, lambda u, v, size: (self.glass(u, v)[1], flat), shine=dim),
            Card(1, TOP, low, high, self.white, rim=0.05, shine=2 * dim),
            Card(1, 0, low, high, floor, rim=0.05, shine=dim),
            Card(0, -X, (0, 0), (BACK, TOP), lambda u, v, size: brick(v, u, size), rim=0.1, shine=dim),
            Card(0, X, (0, 0), (BACK, TOP), wall, rim=0.1, shine=dim),
        ]
        east, up, north = self.sun.tolist()
        left, near, far = x0 - (y0 + y1) / 2 * east / up, GLASS - y1 * north / up, GLASS - y0 * north / up
        self.lights += [  # window, another beside the camera, wall behind it, sun on the floor, lamp
            Card(2, GLASS, (x0, y0), (x1, y1), wall, shine=(1.9, 2.2, 2.6)),
            Card(0, -X, (0, 0.2), (1.6, 2.1), wall, shine=(0.13, 0.15, 0.17)),
            Card(2, -0.5, (-X, 0), (X, TOP), wall, shine=2 * dim),
            Card(1, 0.01, (left, near), (left + 2.1, far), wall, shine=SUNLIGHT * up * self.wood),
            Card(1, 1.12, (1.8, 3.5), (2.0, 3.7), wall, shine=(40, 21, 8)),
        ]
        oak, linen = (
            self.grain(0.35 * self.wood, 0.05, 0.16, (0.05, 1)),
            self.grain(PALE[0], 0.13, 0.22, (1, 0.02)),
        )
        for z in (4.4, 3.2, 2.0):
            self.box((-X, TOP - 0.17, z), (X, TOP, z + 0.16), oak)
        self.box((X - 0.02, 0, 0.3), (X, 0.11, BACK), self.white)
        self.box((x0 - 0.08, y0 - 0.05, BACK - 0.14), (x1 + 0.08, y0, BACK), self.board)
        for x in (x0 - 0.38, x1 - 0.08):
            self.cards.append(Card(2, BACK - 0.11, (x, 0.04), (x + 0.46, y1 + 0.12), linen))

    def far_end(self) -> None:
        """Bookcase, plant, pictures, lamp on its table."""
        left, right, z, rng, black = 1.4, 2.15, 4.88, self.rng, self.grain((0.02, 0.02, 0.02))
        self.cards.append(Card(2, BACK - 0.02, (left, 0), (right, 1.97), black))
        self.box((right, 0, z), (right + 0.03, 1.97, BACK), self.upright)
        for y in (0.06, 0.44, 0.82, 1.2, 1.58):
            edges = np.minimum(left + np.cumsum(rng.uniform(0.018, 0.05, 40)), right)
            for x, end in pairwise(np.unique(edges)):
                colour, top = rng.choice(np.vstack([PURE, PALE])), y + rng.uniform(0.19, 0.29)
                spine = self.laid(self.grain(colour, 0.02, 0.08), (9, 0.11), 0.007, (0.45, 0.33, 0.12), 0.5)
                self.cards.append(Card(2, z + 0.06, (x, y), (end, top), spine, rim=0.006))
            self.box((left, y - 0.03, z), (right, y, BACK), self.board)
        self.box((left - 0.03, 0, z), (left, 1.97, BACK), self.upright)
        self.foliage((1.15, 0.8, 4.6), 0.3, 0.03, (0.09, 0.2, 0.03))
        self.turned((1.15, 0, 4.6), 0.42, [0.13, 0.19], (0.4, 0.16, 0.09))
        for z0, z1 in ((4.0, 4.45), (2.4, 3.2)):
            art = self.grain((0.25, 0.2, 0.2), 0.5, rng.uniform(-0.6, 0.6, 3))
            for rim, stuff in ((0.0, black), (0.02, self.white), (0.09, art)):
                self.cards.append(Card(0, X - 0.02, (z0 + rim, 1.35 + rim), (z1 - rim, 1.95 - rim), stuff))
        self.table((1.65, 3.35), (2.2, 3.9), 0.72)
        lamp = [0.06, 0.06, 0.1, 0.12, 0.12, 0.1, 0.06, 0.03, 0.02, 0.02]
        self.turned((1.9, 0.72, 3.6), 0.27, lamp, rng.choice(PURE))
        self.turned((1.9, 0.99, 3.6), 0.25, [0.18, 0.1], (3.0, 1.7, 0.7), lit=False)

    def near_end(self) -> None:
        """Rug, sofa, table with a vase and fruit."""
        cloth, wool = (self.grain(self.rng.choice(PURE), 0.015, 0.1) for _ in range(2))
        rug = self.laid(wool, (0.3, 0.3), 0.03, (0.5, 0.45, 0.35), 3)
        low, high = (-0.95, 2.1), (1.35, 3.8)
        self.cards.append(Card(1, 0.012, low, high, lambda u, v, size: rug(u + v, u - v, size)))
        for x0, x1, y0, y1, z0, z1 in (
            (-2.25, -1.3, 0.1, 0.62, 4.05, 4.3), (-2.25, -2.0, 0.1, 0.86, 2.2, 4.05),
            (-2.0, -1.3, 0.1, 0.3, 2.2, 4.05), (-2.0, -1.3, 0.3, 0.46, 3.44, 4.04),
            (-2.0, -1.3, 0.3, 0.46, 2.82, 3.42), (-2.0, -1.3, 0.3, 0.46, 2.2, 2.8),
            (-2.25, -1.3, 0.1, 0.62, 1.95, 2.2),
        ):  # fmt: skip
            self.box((x0, y0, z0), (x1, y1, z1), cloth, rim=0.03)
        self.table((0.35, 1.95), (1.65, 2.75), 0.45)
        self.turned((1.35, 0.45, 2.6), 0.28, [0.05, 0.08, 0.1, 0.105, 0.1, 0.08, 0.05, 0.04], PURE[3])
        ball = f32(0.04 * np.sin(np.linspace(0, np.pi, 17)) ** 0.6)
        for x, z in self.rng.uniform((0.75, 2.2), (1.0, 2.4), (5, 2)):
            self.turned((x, 0.45, z), 0.08, ball, self.rng.choice(PURE[:3]))
