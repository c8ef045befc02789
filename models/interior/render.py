"""From shapes and light to an image of linear radiance, a strip of rows at a time."""

from dataclasses import dataclass

import cv2
import numpy as np

from lutfuse.models.interior.light import Light
from lutfuse.models.interior.outside import Outside
from lutfuse.models.interior.shapes import NEAR, Flat, Hits, Material, Rays, Shape
from lutfuse.models.interior.textures import Floats, f32, lookup

STRIP_SAMPLES = 160_000  # rendered at a time: temporaries stay in the cache


@dataclass(frozen=True)
class Camera:
    """A level camera with a shifted lens: verticals stay vertical."""

    position: tuple[float, float, float]
    turn: float  # radians to the right
    wide: float  # tangent of half the horizontal field
    high: float  # tangent of half the vertical field
    shift: float  # tangent the middle of the image lies above the horizon

    def rays(self, width: int, height: int, first: int, last: int) -> Rays:
        """The rays of rows first…last of an image of width × height."""
        across = ((np.arange(width) + 0.5) / width * 2 - 1) * self.wide
        up = self.shift + (1 - (np.arange(first, last) + 0.5) / height * 2) * self.high
        sine, cosine = np.sin(self.turn), np.cos(self.turn)
        dx, dz = sine + across * cosine, cosine - across * sine
        return Rays(self.position, dx.astype(np.float32), up.astype(np.float32), dz.astype(np.float32))


@dataclass(frozen=True)
class World:
    """All that is in front of the camera; `lights` holds each shape's baked light [rows, columns, 3]."""

    camera: Camera
    shapes: list[Shape]
    lights: list[Floats]
    light: Light
    outside: Outside
    mirrored: Outside  # the same, blurred: what a surface that is not quite smooth mirrors


def bake(shapes: list[Shape], light: Light, spacing: float, quality: int) -> list[Floats]:
    """Soft light over every shape, in one go."""
    grids = [shape.grid(spacing) for shape in shapes]
    points = np.concatenate([points.reshape(-1, 3) for points, _ in grids])
    normals = np.concatenate([normals.reshape(-1, 3) for _, normals in grids])
    baked = light.bake(points, normals, quality)
    ends = np.cumsum([points.shape[0] * points.shape[1] for points, _ in grids])
    parts = np.split(baked, ends[:-1])
    maps = (part.reshape(points.shape) for part, (points, _) in zip(parts, grids, strict=True))
    return [cv2.blur(part, (3, 3), borderType=cv2.BORDER_REPLICATE) for part in maps]


def trace(world: World, width: int, height: int, samples: int) -> Floats:
    """Linear radiance [height, width, 3] float32, each pixel the mean of samples × samples rays."""
    image = np.empty((height, width, 3), np.float32)
    spans = [_span(shape, world.camera) for shape in world.shapes]
    # Nearest first, so that what is hidden is never shaded.
    order = sorted(range(len(spans)), key=lambda i: spans[i][0])
    rows = max(1, STRIP_SAMPLES // (width * samples * samples))
    for first in range(0, height, rows):
        last = min(height, first + rows)
        rays = world.camera.rays(width * samples, height * samples, first * samples, last * samples)
        ahead = [i for i in order if spans[i][1] <= rays.dy[0] and spans[i][2] >= rays.dy[-1]]
        fine = _strip(world, rays, ahead)
        image[first:last] = cv2.resize(fine, (width, last - first), interpolation=cv2.INTER_AREA)
    return image


def _span(shape: Shape, camera: Camera) -> tuple[float, float, float]:
    """Nearest depth of a shape, and the lowest and highest slope it is seen at."""
    way = shape.corners() - np.asarray(camera.position, np.float32)
    depth = way @ f32([np.sin(camera.turn), 0, np.cos(camera.turn)])
    if depth.min() < NEAR:  # beside or behind the camera: it may be anywhere
        return float(depth.min()), -np.inf, np.inf
    slope = way[:, 1] / depth
    return float(depth.min()), float(slope.min()), float(slope.max())


def _strip(world: World, rays: Rays, order: list[int]) -> Floats:
    """Radiance [rows, columns, 3] along the rays, of the shapes listed nearest first."""
    depth = np.full((rays.dy.size, rays.dx.size), np.inf, np.float32)
    image = np.empty((*depth.shape, 3), np.float32)
    for i in order:
        hits = world.shapes[i].hit(rays, depth)
        if hits is not None:
            depth.reshape(-1)[hits.pixels] = hits.depth
            image.reshape(-1, 3)[hits.pixels] = _shade(world, rays, i, hits)
    sky = np.flatnonzero(np.isinf(depth))
    if sky.size:
        rows, columns = sky // rays.dx.size, sky % rays.dx.size
        view = world.outside.at(rays.dx[columns] / rays.dz[columns], rays.dy[rows] / rays.dz[columns])
        image.reshape(-1, 3)[sky] = view
    return image


def _shade(world: World, rays: Rays, i: int, hits: Hits) -> Floats:
    """Radiance [n, 3] of the hits on shape `i`."""
    shape, material = world.shapes[i], world.shapes[i].material
    light = _baked(world.lights[i], shape, hits)
    lit, share = world.light.sun_on(hits.point, hits.normal)
    light[lit] += share[:, None] * world.light.sunlight
    radiance = material.surface(hits.u, hits.v) * light
    if material.stuffed and isinstance(shape, Flat):
        from_edge = np.minimum(
            np.minimum(hits.u - shape.low[0], shape.high[0] - hits.u),
            np.minimum(hits.v - shape.low[1], shape.high[1] - hits.v),
        )
        radiance *= (1 - 0.55 * np.exp(-from_edge / material.stuffed))[:, None]
    if material.gloss > 0:
        radiance += _mirrored(world, rays, hits, material)
    if material.glow is not None:
        radiance += material.glow(hits.u, hits.v)
    return np.asarray(radiance)


def _baked(baked: Floats, shape: Shape, hits: Hits) -> Floats:
    """The shape's soft light at the hits: [n, 3]."""
    rows, columns = baked.shape[:2]
    if isinstance(shape, Flat):
        return lookup(baked, hits.u_light * columns - 0.5, hits.v_light * rows - 0.5, cv2.BORDER_REPLICATE)
    # Around the axis the table wraps; up the wall it must not.
    return lookup(baked, hits.u_light * columns - 0.5, hits.v_light * (rows - 1))


def _mirrored(world: World, rays: Rays, hits: Hits, material: Material) -> Floats:
    """The window mirrored in a varnished or glazed surface: Fresnel's law in the manner of Schlick."""
    way = np.stack([rays.dx[hits.columns], rays.dy[hits.rows], rays.dz[hits.columns]])
    along = (way * hits.normal).sum(axis=0)
    cosine = -along / np.sqrt((way**2).sum(axis=0))
    back = way - 2 * along * hits.normal
    gloss, blur = material.gloss, material.blur
    # Rough mirrors are dim, and gain less towards grazing than Schlick's smooth ones.
    share = gloss * (1 + 14 * np.clip(1 - cosine, 0, 1) ** 5) / (1 + 5 * blur)
    light = world.light
    ahead = np.maximum(back[2], 1e-4)
    far = (light.pane - hits.point[2]) / ahead
    x, y = hits.point[0] + far * back[0], hits.point[1] + far * back[1]
    x0, x1, y0, y1 = light.window
    soft = blur * far * ahead + 0.01
    inside = np.clip(0.5 + np.minimum(x - x0, x1 - x) / soft, 0, 1) * np.clip(
        0.5 + np.minimum(y - y0, y1 - y) / soft, 0, 1
    )
    inside *= back[2] > 1e-3
    out = np.empty((cosine.size, 3), np.float32)
    out[:] = (0.05 * share)[:, None]  # the rest of the room
    seen = np.flatnonzero(inside > 0)
    if seen.size:
        window = world.mirrored.at(back[0, seen] / ahead[seen], back[1, seen] / ahead[seen])
        out[seen] += (share * inside)[seen, None] * window
    return out
