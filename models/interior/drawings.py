"""Things drawn flat: plants as cut-outs, pictures for the walls. Linear RGB, first row on top."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.interior.shapes import Mask
from lutfuse.models.interior.textures import Colour, Floats, Textures, f32, lookup


@dataclass(frozen=True)
class CutOut:
    """A drawing with holes, over the rectangle (u0, v0, u1, v1) of a surface."""

    image: Floats  # [h, w, 4] linear RGB and cover
    box: tuple[float, float, float, float]

    def _at(self, u: Floats, v: Floats) -> Floats:
        u0, v0, u1, v1 = self.box
        height, width = self.image.shape[:2]
        column, row = (u - u0) / (u1 - u0) * width - 0.5, (v1 - v) / (v1 - v0) * height - 0.5
        return lookup(self.image, column, row, cv2.BORDER_REPLICATE)

    def surface(self, u: Floats, v: Floats) -> Floats:
        rgba = self._at(u, v)
        return np.asarray(rgba[:, :3] / np.maximum(rgba[:, 3:], 0.25))

    def solid(self, u: Floats, v: Floats) -> Mask:
        return np.asarray(self._at(u, v)[:, 3] > 0.5)


@dataclass(frozen=True)
class Habit:
    """How a plant grows; lengths are shares of its height."""

    stems: int
    spread: float  # radians to either side
    pairs: int  # of leaves on a stem
    leaf: float
    slim: float  # width of a leaf over its length
    green: Colour


BROAD = Habit(10, 0.62, 4, 0.21, 0.46, (0.035, 0.105, 0.030))
TWIGS = Habit(7, 0.42, 11, 0.075, 0.55, (0.085, 0.125, 0.075))
GRASS = Habit(26, 0.9, 0, 0.0, 0.1, (0.07, 0.15, 0.035))


def plant(rng: np.random.Generator, habit: Habit, size: int) -> Floats:
    """A plant growing from the middle of the lower edge of a square image [size, size, 4]."""
    image = np.zeros((size, size, 4), np.float32)
    foot = np.array([0.5, 0.995])
    for lean in rng.permutation(np.linspace(-1, 1, habit.stems)):
        angle = lean * habit.spread + rng.normal(0, 0.06)
        length = rng.uniform(0.62, 0.95) * (1 - 0.25 * abs(lean))
        joints = max(3, min(13, size // 20))
        steps = np.linspace(0, 1, joints + 1)[:, None]
        tip = foot + length * np.array([0.62 * np.sin(angle), -np.cos(angle)])
        bend = foot + 0.6 * length * np.array([0.2 * np.sin(angle), -1.0])
        stem = (1 - steps) ** 2 * foot + 2 * steps * (1 - steps) * bend + steps**2 * tip
        tone = rng.uniform(0.55, 1.1)
        green = np.asarray(habit.green) * tone
        for i in range(joints):
            thick = max(1, round(size * 0.010 * (1 - 0.8 * i / joints)))
            _line(image, stem[i], stem[i + 1], np.array([0.9, 0.8, 0.7]) * green, thick)
        pairs = min(habit.pairs, max(2, size // 16))
        for pair in range(pairs):
            at = 0.35 + 0.63 * (pair + 1) / pairs
            i = min(joints - 1, int(at * joints))
            along = stem[i + 1] - stem[i]
            heading = float(np.arctan2(along[0], -along[1]))
            for side in (-1, 1):
                turn = heading + side * rng.uniform(0.5, 1.15)
                grown = habit.leaf * rng.uniform(0.7, 1.15) * (1.15 - 0.3 * at)
                _leaf(image, rng, stem[i + 1], turn, grown, habit.slim, green * rng.uniform(0.6, 1.35))
    return image


def _line(image: Floats, start: Floats, end: Floats, colour: Floats, thick: int) -> None:
    size = image.shape[0]
    first, last = (
        (round(float(start[0]) * size), round(float(start[1]) * size)),
        (round(float(end[0]) * size), round(float(end[1]) * size)),
    )
    cv2.line(image, first, last, [*colour.tolist(), 1.0], thick)


def _leaf(
    image: Floats,
    rng: np.random.Generator,
    at: Floats,
    turn: float,
    length: float,
    slim: float,
    green: Floats,
) -> None:
    """A pointed oval with a midrib, one half lighter than the other, drooping a little."""
    along = np.array([math.sin(turn), -math.cos(turn)]) * length
    if length * image.shape[0] < 5:  # px: a dash says it all
        _line(image, at, at + along, green, 1 + (slim > 0.3))
        return
    across = np.array([np.cos(turn), np.sin(turn)]) * length * slim * rng.uniform(0.55, 1.0)
    s = np.linspace(0, 1, 12)[:, None]
    rib = at + s * along + s**2 * np.array([0, 0.25 * length])
    belly = np.sin(np.pi * s**0.8) * 0.5
    for side, light in ((1, 1.25), (-1, 0.8)):
        outline = np.vstack([rib, (rib + side * belly * across)[::-1]])
        cv2.fillPoly(
            image, [np.rint(outline * image.shape[0]).astype(np.int32)], [*(green * light).tolist(), 1.0]
        )
    thin = max(1, round(0.0025 * image.shape[0]))
    for i in range(0, 10, 3):
        _line(image, rib[i], rib[i + 1] if i == 9 else rib[i + 3], green * 1.9 + 0.01, thin)


def landscape(rng: np.random.Generator, tex: Textures, height: int, width: int) -> Floats:
    """A painted landscape in a few broad bands: sky, sun, ranges of hills, a field."""
    v, u = (w.ravel() for w in np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32))
    brush = 0.05 * tex.grain(u * 0.3, v, 1.3) + 0.10 * tex.noise(u, v * 2, 1.0)
    warm = f32(rng.uniform([0.45, 0.26, 0.12], [0.6, 0.4, 0.25]))
    cool = f32(rng.uniform([0.10, 0.16, 0.24], [0.2, 0.3, 0.38]))
    image = cool + (v + brush)[:, None] * (warm - cool)
    sun = np.hypot((u - f32(rng.uniform(0.25, 0.75))) * width / height, v - f32(0.34)) < 0.07
    image[sun] = (0.75, 0.55, 0.28)
    for level, tint in ((0.5, (0.16, 0.17, 0.20)), (0.62, (0.09, 0.11, 0.11)), (0.76, (0.16, 0.13, 0.05))):
        ridge = level + 0.05 * tex.noise(u * 0.3, 0 * u + level, 1.0)
        below = v > ridge
        image[below] = (f32(tint) * (1 + 2.5 * brush[:, None]))[below]
    return np.asarray(np.clip(image, 0.01, 0.8)).reshape(height, width, 3)


def botanical(rng: np.random.Generator, tex: Textures, size: int) -> Floats:
    """A pressed plant on old paper with a line of print below: [size, size, 3]."""
    v, u = (w.ravel() for w in np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j].astype(np.float32))
    aged = 1 + 0.05 * tex.noise(u, v, 0.5) + 0.03 * tex.grain(u, v, 2.0)
    paper = (aged[:, None] * f32([0.60, 0.54, 0.41])).reshape(size, size, 3)
    grown = plant(rng, Habit(5, 0.5, 7, 0.13, 0.4, (0.07, 0.11, 0.05)), size)
    inner = cv2.resize(grown, None, fx=0.76, fy=0.76, interpolation=cv2.INTER_AREA)
    top, left = round(0.06 * size), round(0.12 * size)
    part = paper[top : top + inner.shape[0], left : left + inner.shape[1]]
    part += inner[..., :3] - inner[..., 3:] * part
    ink = tex.marks(u * 0.8, v * 0.8, 1.0).reshape(size, size, 1) / 255
    line = slice(round(0.88 * size), round(0.93 * size))
    words = slice(round(0.3 * size), round(0.7 * size))
    paper[line, words] *= 1 - 0.8 * ink[line, words]
    return np.clip(paper, 0.01, 0.8)


def framed(image: Floats, mount: Colour, share: float) -> NDArray[np.float32]:
    """The image with a mount of `share` of its width around it."""
    edge = max(1, round(share * image.shape[1]))
    wide = cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=[*mount])
    return np.asarray(wide, np.float32)
