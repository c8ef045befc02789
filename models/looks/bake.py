"""Compose a look with a baked LUT: evaluate it at the nodes, so an edit costs the same at any image size.

    LUT_N (eq. 3) → .cube of the look, if it is one → colour controls → neutral-axis lock → strength → LUT_N

Note [baking error]: between nodes the kernel interpolates, so a baked look differs from one evaluated at
every pixel by at most h²/8 times the sum of its second derivatives along r, g and b where it is smooth, and
by h/2 times the sum of its slopes anywhere, h = 1/(N - 1). `docs/looks.md` has the figures at N = 33.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.looks.colour import Colours, apply_colour, luma
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.look import Look

_BLOCK = 8192  # colours at a time: the temporaries of a block stay in cache, twice as fast at N = 33


def bake_look(lut: NDArray[np.float32], look: Look) -> NDArray[np.float32]:
    """Compose a look after a LUT and bake the pair at the size of the LUT.

    Args:
        lut: [N, N, N, 3] (b, g, r, channel) float32, finite; beyond [0, 1] it is clipped first.
        look: what to apply, at its own strength; balance and detail are not for colours, see `edit_grid`.

    Returns:
        a new array like `lut`, in [0, 1]; where the look leaves colours alone, a copy of `lut` bit for bit.
    """
    size = lut.shape[0]
    if lut.shape != (size, size, size, 3) or size < 2:
        raise ValueError(f"lut of shape {list(lut.shape)}: must be [N, N, N, 3] with N >= 2")
    if not np.isfinite(lut).all():
        raise ValueError("lut holds NaN or infinite nodes: its network has diverged")
    if not look.changes_colours():
        return lut.copy()
    # Planar and contiguous: the stages run three times as fast as on interleaved colours.
    nodes = np.clip(np.ascontiguousarray(lut.reshape(-1, 3).T), 0, 1)
    edited = evaluate_look(nodes, look)
    if look.neutral_lock:
        edited = _lock_neutrals(edited, size)
    if look.strength < 1:
        edited = np.clip(nodes + look.strength * (edited - nodes), 0, 1)
    return np.ascontiguousarray(edited.T, np.float32).reshape(lut.shape)


def evaluate_look(rgb: Colours, look: Look) -> Colours:
    """Colours [3, M] in [0, 1] through the `.cube` and the controls of a look; no lock, full strength."""
    out = np.empty_like(rgb)
    for start in range(0, rgb.shape[1], _BLOCK):
        block = rgb[:, start : start + _BLOCK]
        if look.cube is not None:
            block = sample_cube(look.cube, block)
        out[:, start : start + _BLOCK] = apply_colour(block, look)
    return out


@lru_cache(maxsize=4)
def _planar(cube: Cube) -> NDArray[np.float32]:
    """The nodes [3, N³]: a job applies the same few LUTs to every bracket."""
    return np.ascontiguousarray(cube.lut.reshape(-1, 3).T)


def sample_cube(cube: Cube, rgb: Colours) -> Colours:
    """Colours [3, M] through a `.cube`, trilinear (eq. 4), held at the ends of its domain, in [0, 1]."""
    size = cube.lut.shape[0]
    low, high = (np.array(ends, rgb.dtype)[:, None] for ends in (cube.domain_min, cube.domain_max))
    position = np.clip((rgb - low) / (high - low), 0, 1) * (size - 1)
    cell = np.minimum(position.astype(np.intp), size - 2)
    r, g, b = position - cell
    table = _planar(cube).astype(rgb.dtype, copy=False)
    corner = cell[0] + size * (cell[1] + size * cell[2])

    def row(offset: int) -> Colours:
        """Interpolated along red, at the corner moved by `offset` nodes."""
        left = table.take(corner + offset, axis=1)
        along: Colours = left + r * (table.take(corner + offset + 1, axis=1) - left)
        return along

    near, far = row(0), row(size * size)
    near += g * (row(size) - near)
    far += g * (row(size * size + size) - far)
    mixed: Colours = np.clip(near + b * (far - near), 0, 1)
    return mixed


def unit_lut(cube: Cube) -> NDArray[np.float32]:
    """The LUT of a `.cube` on the kernel's domain, [0, 1]: its own nodes where they lie there."""
    if (cube.domain_min, cube.domain_max) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
        return cube.lut
    size = len(cube.lut)
    b, g, r = np.indices((size, size, size), np.float32).reshape(3, -1) / np.float32(size - 1)
    return np.ascontiguousarray(sample_cube(cube, np.stack([r, g, b])).T).reshape(cube.lut.shape)


@lru_cache(maxsize=2)
def _neutral_distance(size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Of each node: the sum of its indices, and the share of its neutral's cast it sheds, 1 on the axis."""
    b, g, r = np.indices((size, size, size)).reshape(3, -1)
    chroma = (np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)) / (size - 1)
    return r + g + b, (1 - chroma * chroma * (3 - 2 * chroma)).astype(np.float32)


def _lock_neutrals(edited: Colours, size: int) -> Colours:
    """Take from every node the colour cast of the neutral of its own mean, fading out with its chroma.

    It acts on the composed LUT, so a cast of the predicted LUT goes as well as one of the look. Chroma is
    that of the input colour: greys are held exactly, pale colours go with them, pure ones keep the edit.
    """
    steps, fade = _neutral_distance(size)
    axis = np.arange(size) * (size * size + size + 1)
    neutral = edited[:, axis]
    grey = luma(neutral)
    # The mean of three indices falls on thirds of a step.
    thirds = np.arange(3 * size - 2) / 3
    cast = np.stack([np.interp(thirds, np.arange(size), channel) for channel in neutral - grey])
    locked: Colours = np.clip(edited - fade * cast.astype(edited.dtype)[:, steps], 0, 1)
    locked[:, axis] = grey  # the same bits in all three channels
    return locked
