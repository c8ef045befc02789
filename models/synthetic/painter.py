"""Rectangles painted far to near: where pixels meet them, the light there, edges without steps.

x points right, y up, z away from the eye, in metres. The camera looks along z, so the depth of a card (a
rectangle across an axis) depends on the row, on the column or on nothing: no ray is traced to find it. Light
is irradiance divided by π: times a reflectance it is a radiance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vector = Sequence[float] | Floats
# What pixels see of a card: places along u and v, and how large a pixel is there; [h, w], m.
Material = Callable[[Floats, Floats, Floats], Floats]  # reflectance [h, w, 3], or radiance of what is not lit
Shape = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]  # metres inside, and shading; [h, w]
IN_PLANE = ((2, 1), (0, 2), (0, 1))  # the axes u and v of a card across x, y, z
SUNLIGHT = np.array([4.6, 4.0, 3.1], np.float32)  # on what faces the sun
PANE, GLASS = 0.7, 5.42  # size of the window's panes, where they are along z


def f32(values: Any) -> Floats:
    """As float32."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Card:
    """A rectangle across `axis` at `at`, from `low` to `high` along u and v, that faces the eye."""

    axis: int
    at: float
    low: Vector
    high: Vector
    material: Material
    shape: Shape | None = None
    lit: bool = True
    rim: float = 0.004  # how far its edges are darker, m
    shine: Vector | None = None  # mean radiance, to light others

    def place(self, s: Floats, t: Floats) -> Floats:
        """The points [3, …] at the shares s, t of its sides."""
        point = np.full((3, *np.broadcast_shapes(s.shape, t.shape)), self.at, np.float32)
        for axis, low, high, share in zip(IN_PLANE[self.axis], self.low, self.high, (s, t), strict=True):
            point[axis] = low + share * (high - low)
        return point


class Painter:
    """A camera's image [h, w, 3], and the light in front of it."""

    def __init__(self, width: int, height: int, eye: Vector, sun: Vector, window: Vector) -> None:
        self.image = np.zeros((height, width, 3), np.float32)
        self.eye, self.sun = eye, f32(sun) / f32(np.linalg.norm(sun))
        self.window = window  # x and y of its lower left corner; it has 3 × 2 panes
        self.pixel = f32(1.17 / np.sqrt(width * height))  # its tangent; those of columns and rows:
        self.across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) * self.pixel
        self.up = (height / 2 - 0.5 - np.arange(height, dtype=np.float32)) * self.pixel - f32(0.08)
        self.detail = min(1.0, (width * height) ** 0.5 / 2880)  # of soft light: 1 at UHD
        self.cards: list[Card] = []  # in the order they are painted
        self.lights: list[Card] = []
        self.boxes: list[tuple[Vector, Vector]] = []  # what shades: low and high corners

    def paint(self, card: Card) -> None:
        """Paints a card over what is there, in strips whose temporaries stay in the cache."""
        corners = card.place(f32([0, 1]), f32([[0], [1]]))
        x, y = ((corners[i] - self.eye[i]) / np.maximum(corners[2], 0.3) for i in (0, 1))
        left, right = np.searchsorted(self.across, [x.min() - self.pixel, x.max() + self.pixel]).tolist()
        top, bottom = np.searchsorted(-self.up, [-y.max() - self.pixel, self.pixel - y.min()]).tolist()
        if left < right and top < bottom:
            baked = self._bake(card) if card.lit else None
            for row in range(top, bottom, step := max(1, 60_000 // (right - left))):
                self._paint(card, baked, slice(row, min(row + step, bottom)), slice(left, right))

    def _paint(self, card: Card, baked: Floats | None, rows: slice, columns: slice) -> None:
        way = (self.across[None, columns], self.up[rows, None], np.ones((1, 1), np.float32))
        off = f32(card.at - self.eye[card.axis])
        z = f32(np.abs(off) / np.maximum(np.abs(way[card.axis]), 1e-5))
        place = [eye + tangent * z for eye, tangent in zip(self.eye, way, strict=True)]
        beside, behind = z * self.pixel, z * z * self.pixel / np.abs(off)  # a pixel's size across and along z
        inside, cover, shade = f32(np.inf), f32(1), f32(1)
        for axis, low, high in zip(IN_PLANE[card.axis], card.low, card.high, strict=True):
            near = np.minimum(place[axis] - f32(low), f32(high) - place[axis])
            cover = cover * np.clip(near / (behind if axis == 2 else beside) + f32(0.5), 0, 1)
            inside = np.minimum(inside, near)
        u, v = (np.array(np.broadcast_to(place[axis], cover.shape)) for axis in IN_PLANE[card.axis])
        size = np.sqrt(beside * behind)
        if card.shape is not None:
            inside, shade = card.shape(u, v, size)
            cover = cover * np.clip(inside / beside + f32(0.5), 0, 1)
        colour = card.material(u, v, size)
        if baked is not None:
            shade = f32(shade * (1 - 0.5 * np.exp(-np.maximum(inside, 0) / card.rim)))
            low, high, counts = f32([card.low, card.high, baked.shape[1::-1]])
            scale = counts / (high - low)
            x, y = (u - low[0]) * scale[0] - f32(0.5), (v - low[1]) * scale[1] - f32(0.5)
            light = f32(cv2.remap(baked, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
            if self._facing(card, self.sun) > 0:
                light += self._sunny(card, *place)[..., None] * SUNLIGHT
            colour = colour * light
        part = self.image[rows, columns]
        part += cover[..., None] * (colour * shade[..., None] - part)

    def glass(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """How far inside one of the window's panes, and how far beside the window, in m."""
        u, v = ((q - f32(low)) / f32(PANE) for q, low in zip((x, y), self.window, strict=True))
        beside = np.maximum(np.abs(u - 1.5) - 1.5, np.abs(v - 1) - 1) * f32(PANE)
        pane = 0.5 - np.maximum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
        return np.where(beside < 0, pane * f32(PANE), -beside) - f32(0.025), beside

    def _facing(self, card: Card, way: Floats) -> Floats:
        """How much ways [3, …] lead away from the card's face."""
        return f32(np.maximum(way[card.axis] if self.eye[card.axis] > card.at else -way[card.axis], 0))

    def _sunny(self, card: Card, x: Floats, y: Floats, z: Floats) -> Floats:
        """How much of the sun's light falls on points of a card: it has edges, so it is not baked."""
        way = (GLASS - z) / self.sun[2]
        inside, _ = self.glass(x + way * self.sun[0], y + way * self.sun[1])
        seen = np.clip(inside / (0.003 + 0.0046 * way) + 0.5, 0, 1) * self._facing(card, self.sun)
        lit = np.nonzero(seen)
        point = np.stack([np.broadcast_to(p, seen.shape)[lit] for p in (x, y, z)])
        seen[lit] *= ~self._blocked(point, self.sun[:, None], 20)
        return np.asarray(seen)

    @cached_property
    def _discs(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The lights cut up into discs: places and normals [3, 1, n], areas [n] and radiances [n, 3]."""
        discs = []
        for light in self.lights:
            area = np.prod(np.subtract(light.high, light.low))
            side = round(2 + self.detail * min(3, 2 * area**0.5))
            s, t = (np.mgrid[:side, :side].reshape(2, 1, -1) + f32(0.5)) / side
            n, normal = side**2, np.eye(3)[light.axis]
            discs.append((light.place(s, t).T, [[normal]] * n, [area / n] * n, [light.shine] * n))
        places, normals, areas, shine = (f32(np.concatenate(part)) for part in zip(*discs, strict=True))
        return places.T, normals.T, areas, shine

    def _bake(self, card: Card) -> Floats:
        """Soft light [rows, columns, 3] over a card."""
        size = np.subtract(card.high, card.low) * (3 + 8 * self.detail)
        columns, rows = np.clip(np.ceil(size), 2, 72).astype(int).tolist()
        s, t = ((np.arange(n, dtype=np.float32) + 0.5) / n for n in (columns, rows))
        points = card.place(s, t[:, None]).reshape(3, -1, 1)
        baked = np.full((rows * columns, 3), 1e-3, np.float32)  # what has bounced about for long
        place, normal, areas, shine = self._discs
        for part in (slice(i, i + 8) for i in range(0, len(baked), 8)):
            way = place - points[:, part]
            tilts = self._facing(card, way) * np.abs((normal * way).sum(axis=0))
            square = (way**2).sum(axis=0) + f32(1e-9)
            share = areas * tilts / (square * (np.pi * square + areas))
            share *= ~self._blocked(points[:, part], way, 0.98)
            baked[part] += np.einsum("kn,nc->kc", share, shine)
        return f32(cv2.blur(baked.reshape(rows, columns, 3), (3, 3), borderType=cv2.BORDER_REPLICATE))

    def _blocked(self, point: Floats, way: Floats, limit: float) -> NDArray[np.bool_]:
        """Whether a box lies on point + t · way for 0 < t < limit: [3, …], [3, …] -> […]."""
        boxes = f32(self.boxes).reshape(-1, 2, 3).swapaxes(0, 1).reshape(2, -1, 3, *[1] * (way.ndim - 1))
        met = (boxes - point) / np.where(way == 0, f32(1e-9), way)
        near, far = np.minimum(*met).max(axis=1), np.maximum(*met).min(axis=1)
        # With some room, for boxes do not shade what lies on them.
        return np.asarray((np.maximum(near, 0) + 1e-3 < np.minimum(far, f32(limit))).any(axis=0))
