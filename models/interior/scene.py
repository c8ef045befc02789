"""The room and its window: which light, which view, which camera. Everything is drawn from one seed."""

from collections.abc import Sequence

import cv2
import numpy as np

from lutfuse.models.interior import furniture
from lutfuse.models.interior import textures as t
from lutfuse.models.interior.furniture import ROOM, Palette, Room
from lutfuse.models.interior.light import Light
from lutfuse.models.interior.outside import Outside, paint
from lutfuse.models.interior.render import Camera, World, bake, trace
from lutfuse.models.interior.shapes import Flat, Mask, Material, Vector
from lutfuse.models.interior.textures import Floats, Textures, f32

REVEAL = 0.24  # m from the wall's inner face to the glass
WALLS = ([0.52, 0.50, 0.44], [0.42, 0.47, 0.46], [0.46, 0.40, 0.34], [0.50, 0.45, 0.33])
WOODS = ([0.30, 0.175, 0.085], [0.36, 0.23, 0.125], [0.22, 0.115, 0.055])
CLOTHS = ([0.055, 0.13, 0.155], [0.20, 0.075, 0.04], [0.10, 0.115, 0.06], [0.16, 0.13, 0.10])
ACCENTS = ([0.40, 0.22, 0.045], [0.30, 0.06, 0.035], [0.05, 0.12, 0.17])
WHITE = (0.66, 0.64, 0.60)


def render(width: int, height: int, seed: int) -> Floats:
    """Linear radiance [height, width, 3] float32; a white card in the sun outside is about 17."""
    return trace(build(np.random.default_rng(seed), width, height), width, height, samples=2)


def build(rng: np.random.Generator, width: int, height: int) -> World:
    """The furnished, lit room for an image of width × height.

    What is drawn a different number of times at different sizes gets its own stream of random numbers, so
    that one seed is one room at any size.
    """
    detail = float(np.clip(np.sqrt(width * height) / 2880, 0.02, 1))  # 1 at UHD
    tex = Textures(rng.spawn(1)[0], int(2 ** np.clip(np.round(np.log2(1024 * detail)), 6, 10)))
    eye = (0.30 + rng.uniform(-0.12, 0.12), 1.42, -0.35)
    wide = float(0.80 * np.sqrt(width / height / (16 / 9)))
    camera = Camera(eye, rng.uniform(-0.05, 0.06), wide, wide * height / width, -0.075)
    room = Room(rng, tex, _palette(rng), eye, detail)
    left = -1.45 + rng.uniform(-0.1, 0.1)
    window = (left, left + 2.25, 0.78, 2.32)
    bars = (f32([left + 0.75, left + 1.5]), f32([1.78]))

    _shell(room, window)
    _window(room, window, bars)
    _curtains(room, window)
    furniture.sofa(room)
    furniture.carpet(room)
    furniture.bookcase(room)
    furniture.pictures(room)
    furniture.table(room)
    furniture.plants(room, (window[0], window[1], window[2], ROOM[5] + 0.02))
    light = _light(room, window, bars, furniture.lamp(room))
    outside = _outside(room, camera, window, width)
    lights = bake(room.shapes, light, 0.065 / max(detail, 0.1), max(2, round(6 * np.sqrt(detail))))
    return World(camera, room.shapes, lights, light, outside, _blurred(outside))


def _palette(rng: np.random.Generator) -> Palette:
    def vary(colour: Sequence[float], by: float = 0.12) -> Vector:
        r, g, b = np.asarray(colour) * rng.uniform(1 - by, 1 + by, 3)
        return float(r), float(g), float(b)

    rug = [vary(c) for c in ((0.25, 0.06, 0.035), (0.42, 0.34, 0.22), (0.05, 0.07, 0.11), (0.33, 0.17, 0.06))]
    return Palette(
        wall=vary(WALLS[rng.integers(len(WALLS))], 0.06),
        wood=vary(WOODS[rng.integers(len(WOODS))]),
        cloth=vary(CLOTHS[rng.integers(len(CLOTHS))]),
        accent=vary(ACCENTS[rng.integers(len(ACCENTS))]),
        brick=vary([0.27, 0.115, 0.07]),
        rug=[rug[i] for i in rng.permutation(4)],
    )


def _light(
    room: Room, window: tuple[float, float, float, float], bars: tuple[Floats, Floats], lamp: Vector
) -> Light:
    azimuth, elevation = room.rng.uniform(-0.45, -0.15), room.rng.uniform(0.52, 0.66)
    level = np.cos(elevation)
    colours = room.colours
    return Light(
        room=ROOM,
        walls=f32([colours.brick, colours.wall, colours.wood, (0.7, 0.68, 0.63), colours.wall, colours.wall]),
        window=window,
        pane=ROOM[5] + REVEAL,
        bars=bars,
        bar=0.024,
        sun=f32([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level]),
        sunlight=f32([27, 24, 19]),
        lamp=lamp,
        lamplight=f32([1.05, 0.62, 0.26]),
        casters=f32(room.casters),
    )


def _outside(room: Room, camera: Camera, window: Sequence[float], width: int) -> Outside:
    """The view through the window, with a margin above for what floor and vases mirror."""
    (x, y, z), margin = camera.position, 0.02
    depth = ROOM[5] - z
    across = (window[0] - x) / depth - margin, (window[1] - x) / depth + margin
    up = (window[2] - y) / depth - margin, (window[3] - y) / depth + 8 * margin
    per_unit = min(1.15 * width / (2 * camera.wide), 4000)
    return paint(room.rng.spawn(1)[0], room.tex, (*across, *up), per_unit)


def _blurred(outside: Outside) -> Outside:
    height, width = (max(2, side // 24) for side in outside.radiance.shape[:2])
    small = cv2.resize(outside.radiance, (width, height), interpolation=cv2.INTER_AREA)
    return Outside(f32(cv2.blur(small, (3, 3))), outside.view)


def _shell(room: Room, window: Sequence[float]) -> None:
    """Floor, ceiling with beams, brick wall, plastered walls, skirting."""
    x0, x1, y0, y1, z0, z1 = ROOM
    tex, colours = room.tex, room.colours
    plaster = t.plaster(tex, colours.wall)

    def around_window(u: Floats, v: Floats) -> Mask:
        return np.asarray((u < window[0]) | (u > window[1]) | (v < window[2]) | (v > window[3]))

    floor = Material(t.planks(tex, colours.wood), gloss=0.025, blur=0.14)
    bricks = Material(t.brick(tex, colours.brick, (0.33, 0.30, 0.26)))
    room.shapes.extend(
        [
            Flat(1, y0, (x0, z0), (x1, z1), 1, floor),
            Flat(1, y1, (x0, z0), (x1, z1), -1, Material(t.plaster(tex, (0.72, 0.70, 0.65)))),
            Flat(0, x0, (z0, y0), (z1, y1), 1, bricks),
            Flat(0, x1, (z0, y0), (z1, y1), -1, Material(plaster)),
            Flat(2, z1, (x0, y0), (x1, y1), -1, Material(plaster, solid=around_window)),
        ]
    )
    beam = Material(t.wood(tex, [0.42 * c for c in colours.wood]))
    for z in (1.9, 3.1, 4.3):
        room.box((x0, y1 - 0.17, z), (x1, y1, z + 0.16), beam)
    skirting = Material(t.plain((0.55, 0.53, 0.49)), gloss=0.02)
    room.box((x0, 0, z1 - 0.018), (x1, 0.11, z1), skirting, shades=False)
    room.box((x1 - 0.018, 0, z0), (x1, 0.11, z1), skirting, shades=False)


def _window(room: Room, window: Sequence[float], bars: tuple[Floats, Floats]) -> None:
    """Reveal, sill, frame and glazing bars."""
    x0, x1, y0, y1 = window
    z, pane, frame = ROOM[5], ROOM[5] + REVEAL, 0.05
    inner = pane - frame
    white = Material(t.plaster(room.tex, WHITE))
    for low, high in (
        ((x0 - 0.1, y0, z), (x0, y1, pane)), ((x1, y0, z), (x1 + 0.1, y1, pane)),
        ((x0, y1, z), (x1, y1 + 0.1, pane)), ((x0, y0 - 0.1, z), (x1, y0, pane)),
    ):  # fmt: skip
        room.box(low, high, white, shades=False)
    board = Material(t.wood(room.tex, (0.42, 0.28, 0.16)), gloss=0.02, blur=0.1)
    room.box((x0 - 0.07, y0 - 0.045, z - 0.16), (x1 + 0.07, y0, z), board)
    gloss = Material(t.plain(WHITE), gloss=0.03)
    for low, high in (
        ((x0, y0, inner), (x0 + frame, y1, pane)), ((x1 - frame, y0, inner), (x1, y1, pane)),
        ((x0, y0, inner), (x1, y0 + frame, pane)), ((x0, y1 - frame, inner), (x1, y1, pane)),
        *(((x - 0.024, y0, inner), (x + 0.024, y1, pane)) for x in bars[0].tolist()),
        *(((x0, y - 0.02, inner + 0.005), (x1, y + 0.02, pane)) for y in bars[1].tolist()),
    ):  # fmt: skip
        room.box(low, high, gloss, shades=False)


def _curtains(room: Room, window: Sequence[float]) -> None:
    """Linen on an iron rail, in folds; daylight comes through where the window is behind."""
    x0, x1, y0, y1 = window
    z, rail = ROOM[5], y1 + 0.12
    iron = Material(t.plain((0.02, 0.02, 0.022)), gloss=0.04)
    room.box((x0 - 0.5, rail, z - 0.10), (x1 + 0.45, rail + 0.025, z - 0.075), iron, shades=False)
    linen = t.weave(room.tex, (0.60, 0.56, 0.48), thread=0.0035)

    def folds(u: Floats, v: Floats) -> Floats:
        sway = 0.012 * np.sin(2.1 * v + 9 * u)
        return np.asarray(np.sin((u + sway) * 62 + 1.8 * np.sin(u * 23)))

    def cloth(u: Floats, v: Floats) -> Floats:
        return linen(u, v) * (0.62 + 0.38 * folds(u, v))[:, None]

    def daylight(u: Floats, v: Floats) -> Floats:
        lit = np.clip(np.minimum(u - x0, x1 - u) / 0.03 + 0.5, 0, 1) * np.clip((v - y0) / 0.03 + 0.5, 0, 1)
        dense = 0.75 - 0.45 * folds(u, v)
        return linen(u, v) * (lit * dense * 1.5)[:, None] * f32([1.0, 0.98, 0.9])

    for left, right in ((x0 - 0.42, x0 + 0.12), (x1 - 0.10, x1 + 0.36)):
        room.shapes.append(Flat(2, z - 0.09, (left, 0.04), (right, rail), -1, Material(cloth, glow=daylight)))
