"""What the room is made of: flat rectangles and round vessels, and how rays meet them.

World: x to the right, y up, z into the room, metres. The camera is level, so a ray through a pixel is
`origin + t · (dx[column], dy[row], dz[column])` with t the depth along the view: slabs of the world cost one
division a column or a row, not one a pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.interior.textures import Floats, Surface, f32

Mask = NDArray[np.bool_]
Index = NDArray[np.int64]
Vector = tuple[float, float, float]
NEAR = 0.05  # m: nothing is nearer to the camera
PLANES = ((2, 1), (0, 2), (0, 1))  # the axes of u and v on a rectangle across x, y or z


@dataclass(frozen=True)
class Material:
    """How a surface answers light."""

    surface: Surface  # diffuse reflectance at (u, v)
    gloss: float = 0.0  # share of light mirrored head-on; up to fifteen times that at grazing angles
    blur: float = 0.05  # tangent: how much the mirrored window is smeared
    glow: Surface | None = None  # own radiance at (u, v)
    solid: Callable[[Floats, Floats], Mask] | None = None  # False where the surface has holes
    stuffed: float = 0.0  # m: how far from its edges a cushion curves away from the light


@dataclass(frozen=True)
class Rays:
    """The rays of a block of pixels."""

    origin: Vector
    dx: Floats  # [columns]
    dy: Floats  # [rows]
    dz: Floats  # [columns]


@dataclass(frozen=True)
class Hits:
    """Where a shape is the nearest thing so far: flat arrays over n pixels of the block."""

    pixels: Index  # row · columns + column
    rows: Index
    columns: Index
    depth: Floats
    u: Floats
    v: Floats
    point: Floats  # [3, n]
    normal: Floats  # [3, n] or [3, 1]
    u_light: Floats  # 0…1 across the shape's baked light
    v_light: Floats


@dataclass(frozen=True)
class Flat:
    """An axis-aligned rectangle at `axis` = `at`, facing `sign` along it."""

    axis: int  # 0 x, 1 y, 2 z
    at: float
    low: tuple[float, float]  # of the other two axes: (z, y), (x, z) or (x, y)
    high: tuple[float, float]
    sign: int
    material: Material

    def grid(self, spacing: float) -> tuple[Floats, Floats]:
        """Points [rows, columns, 3] to bake light at, and their normals."""
        size = [max(2, min(64, round((b - a) / spacing))) for a, b in zip(self.low, self.high, strict=True)]
        u, v = (
            a + (np.arange(n, dtype=np.float32) + 0.5) / n * (b - a)
            for a, b, n in zip(self.low, self.high, size, strict=True)
        )
        points = np.empty((size[1], size[0], 3), np.float32)
        first, second = PLANES[self.axis]
        points[..., self.axis], points[..., first], points[..., second] = self.at, u, v[:, None]
        normals = np.zeros_like(points)
        normals[..., self.axis] = self.sign
        return points, normals

    def corners(self) -> Floats:  # [n, 3]
        points = np.empty((4, 3), np.float32)
        first, second = PLANES[self.axis]
        points[:, self.axis] = self.at
        points[:, first] = self.low[0], self.high[0], self.low[0], self.high[0]
        points[:, second] = self.low[1], self.low[1], self.high[1], self.high[1]
        return points

    def hit(self, rays: Rays, depth: Floats) -> Hits | None:
        """Hits nearer than `depth` [rows, columns]. The slopes of the edges decide, nothing is multiplied."""
        first, second = PLANES[self.axis]
        (u0, u1), (v0, v1) = (
            (self.low[i] - rays.origin[axis], self.high[i] - rays.origin[axis])
            for i, axis in enumerate((first, second))
        )
        distance = np.float32(self.at - rays.origin[self.axis])
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.axis == 1:
                t = distance / rays.dy
                r0, r1 = _extent((t > NEAR) & (t < 1e4))
                c0, c1 = 0, rays.dx.size
                near = t[r0:r1, None]
                mask = (rays.dx >= u0 / near) & (rays.dx < u1 / near)
                mask &= (rays.dz >= v0 / near) & (rays.dz < v1 / near)
            else:
                t = distance / (rays.dx if self.axis == 0 else rays.dz)
                across = t * (rays.dz if self.axis == 0 else rays.dx)
                c0, c1 = _extent((t > NEAR) & (across >= u0) & (across < u1))
                r0, r1 = 0, rays.dy.size
                near = t[c0:c1]
                mask = (rays.dy[:, None] >= v0 / near) & (rays.dy[:, None] < v1 / near)
        if r0 == r1 or c0 == c1:
            return None
        mask &= near < depth[r0:r1, c0:c1]
        chosen = np.flatnonzero(mask)
        return self._hits(rays, chosen // (c1 - c0) + r0, chosen % (c1 - c0) + c0, t) if chosen.size else None

    def _hits(self, rays: Rays, rows: Index, columns: Index, t: Floats) -> Hits | None:
        t = t[rows if self.axis == 1 else columns]
        x, z = rays.origin[0] + t * rays.dx[columns], rays.origin[2] + t * rays.dz[columns]
        if self.axis == 1:
            u, v = x, z
        else:
            u, v = (z if self.axis == 0 else x), rays.origin[1] + t * rays.dy[rows]
        if self.material.solid is not None:
            kept = np.flatnonzero(self.material.solid(u, v))
            if not kept.size:
                return None
            rows, columns = rows[kept], columns[kept]
            t, u, v = t[kept], u[kept], v[kept]
        point = np.empty((3, t.size), np.float32)
        first, second = PLANES[self.axis]
        point[self.axis], point[first], point[second] = self.at, u, v
        normal = np.zeros((3, 1), np.float32)
        normal[self.axis] = self.sign
        u_light, v_light = ((w - a) / (b - a) for w, a, b in zip((u, v), self.low, self.high, strict=True))
        pixels = rows * rays.dx.size + columns
        return Hits(pixels, rows, columns, t, u, v, point, normal, u_light, v_light)


@dataclass(frozen=True)
class Round:
    """A vessel around a vertical axis: radius² = a + b·h + c·h² at height h above its foot; open on top."""

    foot: Vector
    height: float
    a: float
    b: float
    c: float
    material: Material
    reach: float = field(init=False)  # largest radius

    def __post_init__(self) -> None:
        h = np.linspace(0, self.height, 33)
        object.__setattr__(self, "reach", float(np.sqrt(np.max(self.a + self.b * h + self.c * h * h))))

    def grid(self, spacing: float) -> tuple[Floats, Floats]:
        rows = max(2, min(24, round(self.height / spacing)))
        columns = max(6, min(32, round(6 * self.reach / spacing)))
        h = (np.arange(rows, dtype=np.float32)[:, None] + 0.5) / rows * self.height
        turn = (np.arange(columns, dtype=np.float32) + 0.5) / columns * 2 * np.pi - np.pi
        radius = np.sqrt(np.maximum(self.a + self.b * h + self.c * h * h, 1e-8))
        normals = np.stack(
            [radius * np.cos(turn), -(self.b / 2 + self.c * h) + 0 * turn, radius * np.sin(turn)], axis=-1
        )
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        points = np.stack([radius * np.cos(turn), h + 0 * turn, radius * np.sin(turn)], axis=-1)
        return (points + np.asarray(self.foot)).astype(np.float32), normals.astype(np.float32)

    def corners(self) -> Floats:  # [n, 3]
        x, y, z = self.foot
        r, top = self.reach, y + self.height
        return f32([[x + i, h, z + k] for i in (-r, r) for h in (y, top) for k in (-r, r)])

    def hit(self, rays: Rays, depth: Floats) -> Hits | None:
        """Hits nearer than `depth` [rows, columns], the far wall seen over the rim included."""
        ox, oy, oz = (o - f for o, f in zip(rays.origin, self.foot, strict=True))
        dx, dz = rays.dx, rays.dz
        square = dx * dx + dz * dz
        nearest = -(ox * dx + oz * dz) / square  # where a ray passes the axis
        aside = (ox + nearest * dx) ** 2 + (oz + nearest * dz) ** 2
        c0, c1 = _extent((aside < self.reach**2) & (nearest > NEAR))
        if c0 == c1:
            return None
        dx, dz, square, nearest = (w[c0:c1] for w in (dx, dz, square, nearest))
        swing = self.reach / np.sqrt(square.min())
        at_height = oy + rays.dy[:, None] * np.array(
            [nearest.min() - swing, nearest.max() + swing], np.float32
        )
        r0, r1 = _extent((at_height.max(axis=1) > 0) & (at_height.min(axis=1) < self.height))
        if r0 == r1:
            return None
        dy = rays.dy[r0:r1, None]
        qa = square - self.c * dy * dy
        qb = ox * dx + oz * dz - (self.b / 2 + self.c * oy) * dy
        qc = ox * ox + oz * oz - self.a - self.b * oy - self.c * oy * oy
        root = qb * qb - qa * qc
        reached, root = root > 0, np.sqrt(np.maximum(root, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = [(-qb - root) / qa, (-qb + root) / qa]
        heights = [oy + t * dy for t in ends]
        good = [
            reached & (t > NEAR) & (h >= 0) & (h < self.height) for t, h in zip(ends, heights, strict=True)
        ]
        inner = ~good[0] & good[1]  # over the rim: the far wall from inside
        t = np.where(inner, ends[1], ends[0])
        mask = (good[0] | inner) & (t < depth[r0:r1, c0:c1])
        rows, columns = np.nonzero(mask)
        if not rows.size:
            return None
        return self._hits(rays, rows + r0, columns + c0, t[mask], np.where(inner[mask], -1, 1))

    def _hits(self, rays: Rays, rows: Index, columns: Index, t: Floats, side: Index) -> Hits:
        direction = np.stack([rays.dx[columns], rays.dy[rows], rays.dz[columns]])
        origin, foot = (np.asarray(w, np.float32)[:, None] for w in (rays.origin, self.foot))
        local = origin - foot + t * direction
        h = local[1]
        normal = np.stack([local[0], -(self.b / 2 + self.c * h), local[2]])
        normal *= side / np.maximum(np.sqrt((normal**2).sum(axis=0)), 1e-9)
        turn = np.arctan2(local[2], local[0]).astype(np.float32)
        return Hits(
            rows * rays.dx.size + columns,
            rows,
            columns,
            t,
            turn * np.float32(self.reach),
            h,
            local + foot,
            normal.astype(np.float32),
            (turn / (2 * np.pi) + 0.5).astype(np.float32),
            h / self.height,
        )


Shape = Flat | Round


def _extent(mask: Mask) -> tuple[int, int]:
    """First and one past the last True, or (0, 0)."""
    at = np.flatnonzero(mask)
    return (int(at[0]), int(at[-1]) + 1) if at.size else (0, 0)


def box(
    low: Vector, high: Vector, material: Material, eye: Vector, top: Material | None = None
) -> list[Flat]:
    """The faces of a box that can be seen from `eye`."""
    faces = []
    for axis in range(3):
        first, second = PLANES[axis]
        for at, sign in ((low[axis], -1), (high[axis], 1)):
            if (eye[axis] - at) * sign > 0:
                faces.append(
                    Flat(axis, at, (low[first], low[second]), (high[first], high[second]), sign, material)
                )
    return faces


def ball(centre: Vector, radius: float, material: Material) -> Round:
    x, y, z = centre
    return Round((x, y - radius, z), 2 * radius, 0.0, 2 * radius, -1.0, material)


def vessel(foot: Vector, height: float, radii: tuple[float, float, float], material: Material) -> Round:
    """A vessel with the given radii at its foot, half-way up and at its rim."""
    r0, r1, r2 = (r * r for r in radii)
    c = 2 * (r2 - 2 * r1 + r0) / height**2
    return Round(foot, height, r0, (r2 - r0) / height - c * height, c, material)
