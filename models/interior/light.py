"""Light in the room: from the window, the sun, a lamp, and once more from whatever they light.

Soft light varies slowly, so it is computed on a coarse grid over every shape ("baked") and interpolated;
sunlight has sharp edges and is computed a pixel. Irradiance is divided by π throughout: times a
reflectance it is a radiance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.interior.textures import Floats, f32

Index = NDArray[np.int64]

CHUNK = 36_000  # rays cast at a time when baking: keeps temporaries in the cache
SKYLIGHT = f32([8.5, 10.0, 12.5])  # radiance seen through the window, upwards
GROUNDLIGHT = f32([3.4, 3.7, 2.2])  # and downwards


@dataclass(frozen=True)
class Light:
    """Everything that shines or shades."""

    room: tuple[float, float, float, float, float, float]  # x0, x1, y0, y1, z0, z1
    walls: Floats  # [6, 3] mean reflectance of the planes of the room, in that order
    window: tuple[float, float, float, float]  # x0, x1, y0, y1 of the hole in z = z1
    pane: float  # z of the glass
    bars: tuple[Floats, Floats]  # x of the uprights, y of the crossbars: their middles
    bar: float  # half their width
    sun: Floats  # [3] unit vector towards the sun
    sunlight: Floats  # [3] irradiance / π of a surface facing it
    lamp: tuple[float, float, float]
    lamplight: Floats  # [3] intensity / π
    casters: Floats  # [n, 6] boxes that shade: x0, y0, z0, x1, y1, z1

    def sun_on(self, point: Floats, normal: Floats) -> tuple[Index, Floats]:
        """Where the sun reaches, of points [3, n] with normals [3, n or 1]: indices, and the share there.

        The share is of the light on a surface facing the sun: it includes the tilt, and the half-shadow.
        """
        tilt = np.tensordot(self.sun, normal, 1)
        if tilt.max(initial=0) <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        x, y, z = point
        way = (self.pane - z) / self.sun[2]
        at_x, at_y = x + way * self.sun[0], y + way * self.sun[1]
        x0, x1, y0, y1 = self.window
        # 0.03 m is more than any half-shadow here.
        near = (at_x > x0 - 0.03) & (at_x < x1 + 0.03) & (at_y > y0 - 0.03) & (at_y < y1 + 0.03) & (tilt > 0)
        lit = np.flatnonzero(near)
        if not lit.size:
            return lit, np.empty(0, np.float32)
        way, at_x, at_y = way[lit], at_x[lit], at_y[lit]
        soft = 0.003 + 0.0046 * way  # the sun's radius seen from here
        share = _between(at_x, x0, x1, soft) * _between(at_y, y0, y1, soft)
        for bar in self.bars[0]:
            share *= 1 - _between(at_x, bar - self.bar, bar + self.bar, soft)
        for bar in self.bars[1]:
            share *= 1 - _between(at_y, bar - self.bar, bar + self.bar, soft)
        share *= np.broadcast_to(tilt, x.shape)[lit]
        origin = point[:, lit] + 2e-3 * np.broadcast_to(normal, point.shape)[:, lit]
        share *= ~blocked(origin, self.sun[:, None], self.casters[self._before_window], 50)
        return lit, share

    @cached_property
    def _before_window(self) -> NDArray[np.bool_]:
        """The casters that the sunlight through the window can meet."""
        low, high = self.casters[:, :3], self.casters[:, 3:]
        way = (self.pane - np.stack([low[:, 2], high[:, 2]])) / self.sun[2]
        met = np.ones(len(low), bool)
        for axis, (first, last) in enumerate((self.window[:2], self.window[2:])):
            shifts = way * self.sun[axis]
            met &= (low[:, axis] + shifts.min(axis=0) < last) & (high[:, axis] + shifts.max(axis=0) > first)
        return met

    def bake(self, points: Floats, normals: Floats, quality: int) -> Floats:  # [n, 3], [n, 3] -> [n, 3]
        """Soft light arriving at each point: window and lamp directly, everything else after one bounce."""
        step = max(1, CHUNK // (10 * quality))
        parts = [(points[i : i + step].T, normals[i : i + step].T) for i in range(0, len(points), step)]
        return np.concatenate(
            [self._direct(*part, quality) + self._bounced(*part, quality) for part in parts]
        )

    def _direct(self, point: Floats, normal: Floats, quality: int) -> Floats:
        """Window and lamp; point, normal [3, n] -> [n, 3]."""
        x0, x1, y0, y1 = self.window
        across, up = max(2, round(1.6 * quality)), quality
        x = x0 + (np.arange(across, dtype=np.float32) + 0.5) / across * (x1 - x0)
        y = y0 + (np.arange(up, dtype=np.float32) + 0.5) / up * (y1 - y0)
        sample = np.stack([np.tile(x, up), np.repeat(y, across), np.full(up * across, self.pane, np.float32)])
        origin = (point + 2e-3 * normal)[:, :, None]
        way = sample[:, None, :] - origin  # [3, n, samples]
        square = (way**2).sum(axis=0)
        cosines = np.maximum((way * normal[:, :, None]).sum(axis=0), 0) * np.maximum(way[2], 0) / square
        area = (x1 - x0) * (y1 - y0) / (across * up)
        factor = cosines / square * (area / np.pi)
        factor *= ~blocked(origin, way, self.casters, 1)
        upward = np.clip(0.5 + 2.2 * way[1] / np.sqrt(square), 0, 1)[..., None]
        light = (factor[..., None] * (GROUNDLIGHT + upward * (SKYLIGHT - GROUNDLIGHT))).sum(axis=1)

        way = f32(self.lamp)[:, None] - origin[..., 0]
        square = (way**2).sum(axis=0) + 0.004
        tilt = np.maximum((way * normal).sum(axis=0), 0) / np.sqrt(square)
        # A shade lets light out freely upwards and downwards, and a little through its cloth.
        steep = np.abs(way[1]) / np.sqrt(square)
        open_ends = 0.22 + 0.78 * np.clip((steep - 0.55) / 0.2, 0, 1)
        seen = ~blocked(origin[..., 0], way, self.casters, 0.97)
        return np.asarray(light + (tilt / square * open_ends * seen)[:, None] * self.lamplight, np.float32)

    def _bounced(self, point: Floats, normal: Floats, quality: int) -> Floats:
        """Light off the room itself, gathered along fixed directions about the normal."""
        away = _hemisphere(10 * quality)
        # A frame around each normal; the directions are the same in all, so neighbours agree.
        helper = np.where(np.abs(normal[1:2]) < 0.9, f32([[0], [1], [0]]), f32([[1], [0], [0]]))
        side = np.cross(helper, normal, axis=0)
        side /= np.sqrt((side**2).sum(axis=0))
        third = np.cross(normal, side, axis=0)
        way = sum(d * w[:, :, None] for d, w in zip(away, (side, third, normal), strict=True))
        origin = (point + 2e-3 * normal)[:, :, None]
        low, high = (f32(self.room[i::2])[:, None, None] for i in (0, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            exits = np.where(way > 0, (high - origin) / way, (low - origin) / way)
        exits = np.where(np.abs(way) < 1e-6, np.float32(np.inf), exits)
        plane = exits.argmin(axis=0)
        far = exits.min(axis=0)
        which = 2 * plane + (np.take_along_axis(way, plane[None], axis=0)[0] > 0)
        at = origin + far * way
        radiance = self._room_radiance(at, which)
        shaded = blocked(origin, way, self.casters, far)
        radiance *= np.where(shaded, np.float32(0.18), np.float32(1))[..., None]
        return np.asarray(radiance.mean(axis=1), np.float32)

    def _room_radiance(self, at: Floats, which: NDArray[np.int64]) -> Floats:
        """Rough radiance of the planes of the room at points [3, n, samples]: enough for a bounce."""
        x0, x1, y0, y1 = self.window
        way = f32([(x0 + x1) / 2, (y0 + y1) / 2, self.pane])[:, None, None] - at
        square = (way**2).sum(axis=0) + 0.3
        facing = np.abs(np.take_along_axis(way, (which // 2)[None], axis=0)[0]) / np.sqrt(square)
        facing = np.where(which == 5, 0.0, facing) * np.maximum(way[2], 0) / np.sqrt(square)
        window = (x1 - x0) * (y1 - y0) / np.pi * 0.8 * facing / square
        hit = np.zeros_like(window)
        floor = np.flatnonzero(which == 2)
        lit, share = self.sun_on(at.reshape(3, -1)[:, floor], f32([[0], [1], [0]]))
        hit.reshape(-1)[floor[lit]] = share
        light = window[..., None] * f32([6.5, 7.4, 8.2]) + hit[..., None] * self.sunlight + 0.09
        lamp = f32(self.lamp)[:, None, None] - at
        light += 0.3 * self.lamplight / ((lamp**2).sum(axis=0) + 0.15)[..., None]
        through = (which == 5) & (at[0] > x0) & (at[0] < x1) & (at[1] > y0) & (at[1] < y1)
        return np.asarray(np.where(through[..., None], 0, light * self.walls[which]), np.float32)


def blocked(origin: Floats, way: Floats, casters: Floats, limit: Floats | float) -> NDArray[np.bool_]:
    """Whether a box lies on origin + t · way for 0 < t < limit; [3, …], [3, …] -> […]."""
    with np.errstate(divide="ignore"):
        inverse = np.float32(1) / way
    result = np.zeros(np.broadcast_shapes(origin.shape[1:], way.shape[1:]), bool)
    with np.errstate(invalid="ignore"):  # a ray inside the plane of a face: 0 · inf, which hits nothing
        for caster in casters:
            near, far = f32(0), f32(limit)
            for axis in range(3):
                one = (caster[axis] - origin[axis]) * inverse[axis]
                two = (caster[axis + 3] - origin[axis]) * inverse[axis]
                near = np.maximum(near, np.minimum(one, two))
                far = np.minimum(far, np.maximum(one, two))
            result |= near < far
    return result


def _between(value: Floats, low: float, high: float, soft: Floats) -> Floats:
    """1 inside [low, high], 0 outside, with edges `soft` wide to either side."""
    inside = np.minimum(value - low, high - value) / soft
    return np.clip(0.5 + 0.5 * inside, 0, 1)


def _hemisphere(count: int) -> Sequence[Floats]:
    """Cosine-weighted directions (x, y, z up) on a sunflower's spiral, each [count]."""
    i = np.arange(count, dtype=np.float32)
    radius, turn = np.sqrt((i + 0.5) / count), i * np.float32(2.399963)
    return radius * np.cos(turn), radius * np.sin(turn), np.sqrt(1 - radius**2)
