"""Surfaces of the room: functions from a point on a surface, in metres, to its diffuse reflectance.

Everything is looked up in a few small tables drawn from the seed, so that a surface costs some array
operations a pixel and has detail down to a millimetre. Points come as flat float32 arrays `u`, `v` [n];
reflectances go back as [n, 3] float32, linear RGB in [0, 1].
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 throughout; the checker loses it in every second operation
Surface = Callable[[Floats, Floats], Floats]
Colour = Sequence[float] | NDArray[np.float64]  # linear RGB

LOOKUP_WIDTH = 1024  # cv2.remap takes images, not lists: lists are folded into rows of this many


def f32(values: Any) -> Floats:
    return np.asarray(values, np.float32)


def lookup(table: NDArray[Any], column: Floats, row: Floats, border: int = cv2.BORDER_WRAP) -> Floats:
    """Bilinear samples of `table` [h, w] or [h, w, c] at texel coordinates: [n] or [n, c]."""
    rows = -(-column.size // LOOKUP_WIDTH)
    at = np.zeros((2, rows * LOOKUP_WIDTH), np.float32)
    at[0, : column.size], at[1, : row.size] = column, row
    x, y = at.reshape(2, rows, LOOKUP_WIDTH)
    samples = cv2.remap(table, x, y, cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(samples, np.float32).reshape(-1, *table.shape[2:])[: column.size]


class Textures:
    """Noise, random numbers and print that the surfaces of one scene share."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.size = size
        self.fractal = _tileable_noise(rng, size, 1.1)  # clouds, stains: detail at every scale
        self.fine = _tileable_noise(rng, size, 0.45)  # grain, fibres
        self.random = rng.random(4096).astype(np.float32)
        self.print = _print(rng, size)

    def noise(self, u: Floats, v: Floats, per_metre: float = 1.0) -> Floats:
        """Fractal noise with mean 0 and deviation 1; one period of the table is 1/per_metre."""
        return lookup(self.fractal, *self._texels(u, v, per_metre))

    def grain(self, u: Floats, v: Floats, per_metre: float = 1.0) -> Floats:
        return lookup(self.fine, *self._texels(u, v, per_metre))

    def marks(self, u: Floats, v: Floats, per_metre: float = 1.0) -> Floats:
        """Lines of print: 0 on paper, 1 on ink."""
        return lookup(self.print, *self._texels(u, v, per_metre))

    def _texels(self, u: Floats, v: Floats, per_metre: float) -> tuple[Floats, Floats]:
        x, y = u * np.float32(per_metre), v * np.float32(per_metre)
        x -= np.floor(x)  # many times faster than %
        y -= np.floor(y)
        x *= self.size
        y *= self.size
        return x, y

    def pick(self, *keys: Any) -> Floats:
        """A random number in [0, 1) for each tuple of integers, the same each time."""
        index = sum(
            np.asarray(key).astype(np.int64) * p for key, p in zip(keys, (73, 1_979, 31_337), strict=False)
        )
        return np.asarray(self.random[np.asarray(index) % self.random.size])


def _tileable_noise(rng: np.random.Generator, size: int, slope: float) -> Floats:
    """Noise whose amplitude falls as frequency^-slope: filtered white noise, periodic by construction."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) * size
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**slope
    noise = np.fft.irfft2(spectrum, (size, size))
    return f32(noise / noise.std())


def _print(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A page of made-up words, 0 or 1 before antialiasing."""
    if size < 256:  # too small to read: a grey like that of print
        return (255 * (rng.random((size, size)) < 0.2)).astype(np.uint8)
    page = np.zeros((size, size), np.uint8)
    letters = np.array(list("aaeeeiioouunnrrttsslldmmpcgbvfh"))
    line = size / 24
    for row in range(24):
        x = rng.uniform(0, 0.05) * size
        while x < 0.93 * size:
            word = "".join(rng.choice(letters, rng.integers(2, 9)))
            at = (int(x), int((row + 0.7) * line))
            cv2.putText(page, word, at, cv2.FONT_HERSHEY_DUPLEX, line / 44, 255, 1, cv2.LINE_AA)
            x += line * (0.42 * len(word) + 0.35)
    return page


def _tinted(tone: Floats, colour: Colour) -> Floats:
    return np.asarray(np.clip(tone[:, None] * f32(colour), 0.004, 0.92))


def plain(colour: Colour) -> Surface:
    return lambda u, v: np.broadcast_to(f32(colour), (u.size, 3))


def plaster(tex: Textures, colour: Colour) -> Surface:
    """Painted wall: soft blotches, trowel marks that catch the light, fine grain."""

    def surface(u: Floats, v: Floats) -> Floats:
        relief = tex.noise(u, v, 0.9) - tex.noise(u + 0.004, v - 0.003, 0.9)
        tone = 1 + 0.03 * tex.noise(u, v, 0.21) + 0.10 * relief + 0.022 * tex.grain(u, v, 1.7)
        return _tinted(tone, colour)

    return surface


def wood(tex: Textures, colour: Colour, along: str = "u", seed: int = 0) -> Surface:
    """Sawn wood: long fibres, growth rings that wander, pores."""

    def surface(u: Floats, v: Floats) -> Floats:
        along_grain, across = (u, v) if along == "u" else (v, u)
        return _tinted(_wood_tone(tex, along_grain, across + 0.37 * seed), colour)

    return surface


def _wood_tone(tex: Textures, along: Floats, across: Floats) -> Floats:
    wander = tex.noise(along * 0.25, across, 0.6)
    rings = np.sin(across * 95 + wander * 5.5)
    fibres = tex.grain(along * 0.05, across, 2.3)
    pores = np.maximum(tex.grain(along * 0.16, across * 1.7, 3.1) - 1.2, 0)
    return 1 + 0.10 * rings + 0.12 * fibres - 0.25 * pores + 0.06 * wander


def planks(tex: Textures, colour: Colour, width: float = 0.135) -> Surface:
    """Floorboards along v: each its own tone and grain, dark joints, worn edges."""

    def surface(u: Floats, v: Floats) -> Floats:
        board = np.floor(u / width)
        length = 1.1 + 0.9 * tex.pick(board, board * 0 + 5)
        shifted = v / length + tex.pick(board, board * 0 + 9)
        piece = np.floor(shifted)
        tone = 0.72 + 0.5 * tex.pick(board, piece)
        tone *= _wood_tone(tex, v + 3 * piece, u + 0.31 * tex.pick(piece, board))
        edge = np.minimum(u / width - board, 1 - u / width + board) * width
        end = np.minimum(shifted - piece, 1 - shifted + piece) * length
        joint = np.clip(np.minimum(edge, end) / 0.0022, 0, 1)
        out = _tinted(tone * (0.18 + 0.82 * joint), colour)
        out[:, 2] *= 0.85 + 0.3 * tex.pick(piece, board, piece)  # some boards redder, some paler
        return out

    return surface


def brick(tex: Textures, colour: Colour, mortar: Colour) -> Surface:
    """Running bond, lit from the side: each brick bulges a little and has its own firing."""
    length, height, joint = 0.225, 0.078, 0.011

    def surface(u: Floats, v: Floats) -> Floats:
        rough = tex.noise(u, v, 1.3)
        course = np.floor((v + 0.002 * rough) / height)
        run = u / length + 0.5 * (course % 2) + 0.03 * tex.pick(course)
        stone = np.floor(run)
        from_side = np.minimum(run - stone, 1 - run + stone) * length - joint / 2
        in_course = v / height - course
        from_edge = np.minimum(in_course, 1 - in_course) * height - joint / 2
        depth = np.minimum(from_side, from_edge) + 0.0018 * rough + 0.0012 * tex.grain(u, v, 2.1)
        face = np.clip(depth / 0.004, 0, 1)[:, None]
        relief = tex.grain(u, v, 2.6) - tex.grain(u - 0.003, v - 0.002, 2.6)
        tone = 0.55 + 0.85 * tex.pick(stone, course) + 0.10 * rough + 0.16 * relief
        fired = _tinted(tone, colour)
        fired[:, 1:] *= (0.8 + 0.4 * tex.pick(course, stone))[:, None]
        bed = _tinted(0.75 + 0.14 * relief + 0.08 * rough, mortar)
        return np.asarray(bed + face * (fired - bed))

    return surface


def weave(tex: Textures, colour: Colour, second: Colour | None = None, thread: float = 0.0042) -> Surface:
    """Plain-weave cloth: warp over weft, threads of uneven thickness, a little wear."""

    def surface(u: Floats, v: Floats) -> Floats:
        slub = 0.35 * tex.noise(u, v, 1.1)
        x, y = u / thread + 0.3 * slub, v / thread - 0.3 * slub
        over = (np.floor(x) + np.floor(y)) % 2
        across, along = np.where(over > 0, x, y), np.where(over > 0, y, x)
        round_thread = np.sin(np.pi * (across % 1)) * (0.7 + 0.3 * np.sin(np.pi * (along % 1)))
        tone = (0.45 + 0.65 * round_thread) * (1 + 0.10 * slub + 0.10 * tex.grain(u, v, 2.0))
        warp = _tinted(tone, colour)
        return warp if second is None else np.where(over[:, None] > 0, warp, _tinted(tone, second))

    return surface


def rug(
    tex: Textures, palette: Sequence[Colour], centre: tuple[float, float], size: tuple[float, float]
) -> Surface:
    """Flat-woven rug: bands of diamonds and steps, a border, knots."""
    colours = f32(palette)

    def surface(u: Floats, v: Floats) -> Floats:
        knot = 0.006
        x = np.round((u - centre[0]) / knot) * knot
        y = np.round((v - centre[1]) / knot) * knot
        band = np.floor(y / 0.22)
        step = np.abs((x / 0.19 + 0.5 * (band % 2)) % 1 - 0.5) + np.abs(y / 0.22 - band - 0.5)
        which = (np.floor(step * 5.99) + 2 * band).astype(np.int64) % len(colours)
        edge = np.minimum(size[0] / 2 - np.abs(x), size[1] / 2 - np.abs(y))
        which = np.where(edge < 0.05, 0, np.where(edge < 0.075, len(colours) - 1, which))
        pile = 0.8 + 0.2 * np.sin(np.pi * ((u / knot) % 1)) * np.sin(np.pi * ((v / knot) % 1))
        tone = pile * (1 + 0.07 * tex.noise(u, v, 0.8) + 0.12 * tex.grain(u, v, 2.3))
        return np.clip(colours[which] * tone[:, None], 0.004, 0.9)

    return surface


def page(tex: Textures, colour: Colour, per_metre: float, middle: float) -> Surface:
    """An open book: two pages of print, curved down to the fold at u = `middle`."""

    def surface(u: Floats, v: Floats) -> Floats:
        from_fold = np.abs(u - middle)
        ink = tex.marks(u, -v, per_metre) / 255
        ink *= 0.75 * ((from_fold > 0.018) & (from_fold < 0.128))
        tone = (1 - 0.85 * ink) * (1 - 0.5 * np.exp(-from_fold / 0.012))
        return _tinted(tone * (1 + 0.015 * tex.grain(u, v, 3)), colour)

    return surface


def picture(image: Floats, box: tuple[float, float, float, float]) -> Surface:
    """An image [h, w, 3] stretched over (u0, v0, u1, v1), its first row at v1."""
    u0, v0, u1, v1 = box
    height, width = image.shape[:2]

    def surface(u: Floats, v: Floats) -> Floats:
        column = (u - u0) / (u1 - u0) * width - 0.5
        row = (v1 - v) / (v1 - v0) * height - 0.5
        return lookup(image, column.astype(np.float32), row.astype(np.float32), cv2.BORDER_REPLICATE)

    return surface
