"""What the window shows: sky and clouds, hills, a town, a meadow, trees to the single leaf.

Painted once per scene as an image over the tangents of the view, x to the right and y up with the horizon at
y = 0, far enough away that moving the camera would not change it. Things are drawn as 8-bit reflectance
(square-root encoded, which keeps dark leaves apart) at twice the resolution, then averaged and lit.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.interior.textures import Colour, Floats, Textures, f32, lookup

SUNLIT = 17.0  # radiance of a white card in the sun; the sky is in the same unit
AIR = np.array([0.42, 0.52, 0.64])  # what distance turns every colour into
SUN = np.array([0.62, 0.78])  # where the light comes from, in the picture's plane

View = tuple[float, float, float, float]  # tangents: left, right, bottom, top
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Outside:
    """The painted view: radiance [h, w, 3] float32."""

    radiance: Floats
    view: View

    def at(self, x: Floats, y: Floats) -> Floats:  # tangents [n], [n] -> radiance [n, 3]
        left, right, bottom, top = self.view
        height, width = self.radiance.shape[:2]
        column = (x - left) / (right - left) * width - 0.5
        row = (top - y) / (top - bottom) * height - 0.5
        return lookup(self.radiance, column, row, cv2.BORDER_REPLICATE)


class _Canvas:
    """Drawing surface addressed in tangents; its alpha is 0 where the sky still shows."""

    def __init__(self, view: View, per_unit: float) -> None:
        self.left, self.right, self.bottom, self.top = view
        self.per_unit = per_unit
        self.height = max(2, round((self.top - self.bottom) * per_unit))
        self.width = max(2, round((self.right - self.left) * per_unit))
        self.paint = np.zeros((self.height, self.width, 4), np.uint8)

    @property
    def span(self) -> float:
        return self.right - self.left

    def columns(self) -> Floats:
        return np.linspace(self.left, self.right, self.width, dtype=np.float32)

    def pixels(self, points: Doubles) -> NDArray[np.int32]:  # [n, 2] tangents
        return np.rint((points - [self.left, self.top]) * [self.per_unit, -self.per_unit]).astype(np.int32)

    def polygon(self, points: Doubles, colour: Colour) -> None:
        cv2.fillPoly(self.paint, [self.pixels(points)], _encoded(colour))

    def ground(self, ridge: Floats, colour: Colour) -> None:
        """Everything below `ridge`, one height a column."""
        corners = [[self.right, self.bottom], [self.left, self.bottom]]
        self.polygon(np.vstack([np.column_stack([self.columns(), ridge]), corners]), colour)

    def stroke(self, start: Doubles, end: Doubles, width: float, colour: Colour) -> None:
        (x0, y0), (x1, y1) = self.pixels(np.stack([start, end])).tolist()
        cv2.line(self.paint, (x0, y0), (x1, y1), _encoded(colour), max(1, round(width * self.per_unit)))

    def splat(self, at: Doubles, length: float, colours: Doubles, rng: np.random.Generator) -> None:
        """Leaves: slanted strokes `length` long and half as wide, the later over the earlier."""
        reach = max(1, round(length * self.per_unit))
        x, y = self.pixels(at).T
        slant = rng.integers(-1, 2, len(at))
        encoded = np.column_stack([np.sqrt(np.clip(colours, 0, 1)) * 255, np.full(len(at), 255)]).astype(
            np.uint8
        )
        for along in range(reach):
            half = max(1, reach // 2) - (along in (0, reach - 1) and reach > 3)  # pointed ends
            for across in range(half):
                column = np.where(slant == 0, x + across, x + along)
                row = np.where(slant == 0, y + along, y + across + slant * along // 2)
                seen = (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
                self.paint[row[seen], column[seen]] = encoded[seen]


def _encoded(colour: Colour) -> list[int]:
    return [round(255 * math.sqrt(min(max(c, 0.0), 1.0))) for c in colour] + [255]


def _hazy(colour: Colour, haze: float) -> Colour:
    return list(np.asarray(colour) * (1 - haze) + AIR * haze)


def paint(rng: np.random.Generator, tex: Textures, view: View, per_unit: float) -> Outside:
    """The view with `per_unit` texels to a tangent of 1."""
    canvas = _Canvas(view, 2 * per_unit)
    _hills(rng, tex, canvas)
    _town(rng, canvas)
    _meadow(rng, tex, canvas)
    # A far row of trees before the houses, then three near ones.
    trees = [(rng.uniform(0, 1), rng.uniform(0.035, 0.06), -0.022, 0.2) for _ in range(9)]
    for place, size, foot in ((0.66, 0.13, -0.045), (0.90, 0.21, -0.07), (0.10, 0.29, -0.10)):
        height = size * rng.uniform(0.85, 1.15)
        trees.append((place + rng.uniform(-0.07, 0.07), height, foot, 0.13 - 0.4 * size))
    for (place, height, foot, haze), stream in zip(trees, rng.spawn(len(trees)), strict=True):
        _tree(stream, canvas, canvas.left + place * canvas.span, foot, height, haze)

    across, down = max(1, canvas.width // 2), max(1, canvas.height // 2)
    painted = cv2.resize(canvas.paint, (across, down), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    x = np.linspace(canvas.left, canvas.right, across, dtype=np.float32)
    y = np.linspace(canvas.top, canvas.bottom, down, dtype=np.float32)
    sky = _sky(rng, tex, x, y)
    columns, rows = (v.ravel() for v in np.meshgrid(x, y))
    uneven = (
        1 + 0.06 * tex.grain(columns, rows, 6.0) + 0.05 * tex.noise(columns, rows, 4.0)
    )  # nothing is flat
    lit = painted[..., :3] ** 2 * (SUNLIT * uneven.reshape(down, across, 1)) * f32([1.06, 1.0, 0.9])
    return Outside(np.asarray(sky + painted[..., 3:] * (lit - sky), np.float32), view)


def _sky(rng: np.random.Generator, tex: Textures, x: Floats, y: Floats) -> Floats:
    """Blue overhead, pale at the horizon; cumulus on a ceiling, brighter where they face the sun."""
    up = np.broadcast_to(np.maximum(y, 0.0)[:, None], (y.size, x.size))
    blue, horizon = f32([3.0, 5.6, 10.5]), f32([11.5, 12.6, 13.4])
    sky = blue + np.exp(-up / 0.13)[..., None] * (horizon - blue)

    depth = (1 / (up + 0.13)).astype(np.float32)
    drift = rng.random(2).astype(np.float32)
    u, v = (x * depth * 0.42 + drift[0]).ravel(), (depth * 0.35 + drift[1]).ravel()

    def density(shift: float) -> Floats:
        billows = tex.noise(u + shift, v + shift, 0.16) + 0.30 * tex.noise(u + shift, v + shift, 0.5)
        return (billows + 0.10 * tex.noise(u, v, 2.0)).reshape(up.shape)

    here = density(0)
    cover = np.clip((here - 0.05) / 1.0, 0, 1)
    cover *= cover * (3 - 2 * cover)
    facing = np.clip(0.45 + 0.55 * (here - density(0.09)), 0, 1)[..., None]
    cloud = f32([13.0, 14.0, 15.5]) + facing * f32([24.0, 22.5, 20.5])
    return np.asarray(sky + cover[..., None] * (cloud - sky))


def _hills(rng: np.random.Generator, tex: Textures, canvas: _Canvas) -> None:
    x = canvas.columns()
    for haze in (0.72, 0.5, 0.3):
        row = np.full_like(x, rng.random())
        ridge = 0.02 + 0.045 * haze + 0.012 * tex.noise(x * 0.22, row) + 0.0006 * tex.grain(x * 9, row)
        canvas.ground(np.maximum(ridge, 0.004), _hazy((0.09, 0.15, 0.06), haze))


def _town(rng: np.random.Generator, canvas: _Canvas) -> None:
    """Three rows of houses, the farther the smaller, paler and higher up the slope."""
    for haze in (0.42, 0.26, 0.13):
        base = -0.032 + 0.06 * haze
        for place in rng.permutation(np.linspace(0.03, 0.97, 9)) + rng.uniform(-0.05, 0.05, 9):
            height = (0.062 - 0.07 * haze) * rng.uniform(0.75, 1.35)
            _house(rng.spawn(1)[0], canvas, float(canvas.left + place * canvas.span), base, height, haze)


def _house(
    rng: np.random.Generator, canvas: _Canvas, x: float, base: float, height: float, haze: float
) -> None:
    half = height * rng.uniform(0.5, 1.0)
    wall = rng.choice([[0.50, 0.42, 0.30], [0.54, 0.48, 0.40], [0.40, 0.24, 0.16], [0.44, 0.38, 0.33]])
    tiles = rng.choice([[0.27, 0.10, 0.065], [0.20, 0.09, 0.07], [0.13, 0.12, 0.13]])
    ridge = base + height * rng.uniform(1.25, 1.5)

    def box(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        canvas.polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), _hazy(colour, haze))

    box(x - half, base - 0.03, x + half, base + height, wall * 0.5)
    box(
        x - half * 0.5, base - 0.03, x + half, base + height, wall
    )  # the front; the rest is turned from the sun
    chimney = x + half * rng.uniform(-0.5, 0.4)
    box(chimney, ridge - 0.3 * height, chimney + 0.1 * half, ridge + 0.14 * height, wall * 0.6)
    eaves, top = base + height, np.array([[x - 1.08 * half, base + height], [x + 1.08 * half, base + height]])
    roof = np.vstack([top, [[x + 0.85 * half, ridge], [x - 0.75 * half, ridge]]])
    canvas.polygon(roof, _hazy(tiles, haze))
    if height * canvas.per_unit < 12:  # px: nothing smaller would show
        return
    for course in np.linspace(0.1, 0.95, 8):  # rows of tiles
        y = eaves + course * (ridge - eaves)
        reach = 1.08 - 0.25 * course
        ends = np.array([[x - reach * half, y], [x + reach * half, y]])
        canvas.stroke(ends[0], ends[1], 0.0, _hazy(tiles * rng.uniform(0.7, 0.9), haze))
    box(x - half, eaves - 0.05 * height, x + half, eaves, wall * 0.35)  # shadow below the eaves
    floors, bays = int(rng.integers(2, 4)), int(rng.integers(3, 5))
    for row in range(floors):
        for bay in range(bays):
            left = x + half * (-0.42 + 1.4 * (bay + 0.2) / bays)
            low = base + height * (0.12 + 0.8 * (row + 0.15) / floors)
            right, high = left + 0.62 * half / bays, low + 0.5 * height / floors
            box(left - 0.06 * half / bays, low - 0.02 * height, right + 0.06 * half / bays, high, wall * 1.25)
            pane = (0.02, 0.03, 0.04) if rng.random() < 0.8 else (0.42, 0.52, 0.62)  # some mirror the sky
            box(left, low, right, high, pane)


def _meadow(rng: np.random.Generator, tex: Textures, canvas: _Canvas) -> None:
    """Grass towards the foot of the wall, in patches, with a path and the trees' long shadows."""
    x = canvas.columns()
    first = round((canvas.top + 0.022) * canvas.per_unit)
    y = np.linspace(canvas.top, canvas.bottom, canvas.height, dtype=np.float32)[first:]
    if not y.size:
        return
    rows, columns = (v.ravel() for v in np.meshgrid(y, x, indexing="ij"))
    depth = 0.1 / np.maximum(-rows, 0.015)
    u, v = columns * depth * 3, depth * 2
    blades = tex.grain(columns * 3, rows * 3, 1.7)
    tone = 1 + 0.16 * tex.noise(u, v, 0.35) + 0.13 * tex.grain(u, v, 1.3) + 0.20 * blades
    shade = 1 - 0.55 / (1 + np.exp(-5 * (tex.noise(u * 0.6, v, 0.23) - 0.6)))  # clouds and crowns
    dry = np.clip(0.5 + 0.3 * tex.noise(u, v, 0.11), 0, 1)[:, None]
    green, straw = f32([0.085, 0.125, 0.038]), f32([0.20, 0.20, 0.085])
    grass = (tone * shade)[:, None] * (green + dry * (straw - green))
    path = np.abs(columns - float(rng.uniform(-0.1, 0.1)) - 0.06 * np.sin(12 / (depth + 0.4))) * depth < 0.035
    grass[path] = (0.36 * tone * shade)[path][:, None] * f32([1.0, 0.88, 0.7])
    coded = np.rint(np.sqrt(np.clip(grass, 0.002, 1)) * 255).astype(np.uint8)
    canvas.paint[first:, :, :3] = coded.reshape(y.size, x.size, 3)
    canvas.paint[first:, :, 3] = 255


def _tree(
    rng: np.random.Generator, canvas: _Canvas, x: float, foot: float, height: float, haze: float
) -> None:
    """A lumpy crown of leaf tufts around bent branches; each tuft lit as a ball, painted back to front."""
    count = 110
    around, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    lumps = 1 + 0.22 * np.sin(3 * around + rng.uniform(0, 6)) + 0.15 * np.sin(5 * around + rng.uniform(0, 6))
    middle = np.array([x + rng.normal(0, 0.03) * height, foot + 0.62 * height])
    radius = np.array([rng.uniform(0.27, 0.36), rng.uniform(0.33, 0.38)]) * height
    tufts = middle + (out * lumps)[:, None] * radius * np.column_stack([np.cos(around), np.sin(around)])
    _branches(rng, canvas, np.array([x, foot]), middle, tufts, height, haze)

    leaf = max(0.0019 * min(1.0, height / 0.12), 1.6 / canvas.per_unit)
    leaves = int(np.clip(3.4 * (height / leaf) ** 2, 60, 120_000))
    which = rng.integers(0, count, leaves)
    offset = rng.normal(0, 1, (leaves, 3)) * np.array([1.15, 0.8, 1.0])
    at = tufts[which] + offset[:, :2] * 0.047 * height
    nearness = rng.random(count)[which]
    order = np.argsort(nearness + 0.15 * offset[:, 2])
    ball = (offset[:, :2] @ SUN + 0.4 * offset[:, 2]) / 2
    crown = (at - middle) @ SUN / (0.4 * height)
    light = 0.30 + 0.34 * ball + 0.26 * crown + 0.32 * nearness + rng.normal(0, 0.11, leaves)
    light = np.clip(light, 0.04, 1.5)[:, None]
    young = rng.uniform(0, 0.8, (leaves, 1)) + 0.4 * rng.random((count, 1))[which]
    green = np.array([0.070, 0.112, 0.028]) + young * np.array([0.075, 0.062, 0.008])
    # Light coming through a leaf is yellower than light off it.
    colours = green * light + np.maximum(light - 0.9, 0) * np.array([0.30, 0.27, 0.03])
    canvas.splat(at[order], leaf, (colours * (1 - haze) + AIR * haze * 0.6)[order], rng)


def _branches(
    rng: np.random.Generator,
    canvas: _Canvas,
    foot: Doubles,
    middle: Doubles,
    tufts: Doubles,
    height: float,
    haze: float,
) -> None:
    """A trunk into the crown's middle and limbs that leave it low and bend up to every third tuft."""
    bark = np.array([0.085, 0.068, 0.052])

    def limb(points: Doubles, widths: Doubles) -> None:
        for start, end, width in zip(points[:-1], points[1:], widths, strict=True):
            canvas.stroke(start, end, width, _hazy(bark * 0.5, haze))
            lit = np.array([0.25 * width, 0])
            canvas.stroke(start + lit, end + lit, 0.4 * width, _hazy(bark * 1.6, haze))  # the sunlit side

    tall = height * canvas.per_unit  # px
    if tall < 30:
        canvas.stroke(foot, middle, 0.03 * height, _hazy(bark, haze))
        return
    steps = np.linspace(0, 1, 7)[:, None]
    sway = np.column_stack([rng.normal(0, 0.008, 7) * height, np.zeros(7)]) * steps
    trunk = foot + steps * (middle - foot) + sway
    limb(trunk, np.linspace(0.042, 0.016, 6) * height)
    for tuft in tufts[:: 3 if tall > 100 else 12]:
        start = trunk[rng.integers(3, 7)]
        bend = start + np.array([0.65, 0.4]) * (tuft - start)
        curve = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * tuft
        limb(curve, np.linspace(0.012, 0.003, 6) * height)
