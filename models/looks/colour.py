"""What a look does to a colour: pure functions of display-encoded RGB, composed in one fixed order.

    light (white balance, exposure) → shadows → highlights → contrast → levels → vibrance and saturation

Colours are planar, [3, M] in [0, 1], float32 or float64: the dtype of the input is the precision of the work,
so the same lines bake a grid (float32) and evaluate exactly (float64). Every stage ends in [0, 1].

Note [no inverted tones]: whatever the values, no stage lowers a channel when that channel of its input rises,
and neutrals keep their order in luma through all of them. Tone curves keep a slope from 1/3 to 3 (shadows,
highlights) or between 1/2 and 2 (contrast), so they neither tear tones apart nor melt them together.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.contract import LUMA
from lutfuse.models.looks.look import Look

Colours: TypeAlias = NDArray[np.floating[Any]]

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear sRGB
_PRIMARY_MICRON = (0.6114, 0.5491, 0.4642)  # dominant wavelengths of the sRGB primaries
_WIEN = 0.014388  # second radiation constant, µm·K, times the 1e-6 that makes a mired 1/K
_KNEE = 0.8  # encoded tone above which a raised exposure rolls off
_SPLIT = 0.5  # value where shadows end and highlights begin
_END_SLOPE = 3.0  # slope at black of shadows at 100, at white of highlights at -100


def apply_colour(rgb: Colours, look: Look) -> Colours:
    """The colour controls of a look at full strength, without its lock: [3, M] in [0, 1] to the same.

    A stage with its controls at their defaults is left out and changes no bit.
    """
    if look.exposure or look.temperature or look.tint:
        rgb = _light(rgb, light_gains(look))
    if look.shadows:
        rgb = _shadows(rgb, look.shadows / 100)
    if look.highlights:
        rgb = _highlights(rgb, look.highlights / 100)
    if look.contrast:
        rgb = _contrast(rgb, 2 ** (look.contrast / 100), look.pivot / 255)
    if look.black_point != 0 or look.white_point != 255:
        rgb = _levels(rgb, look.black_point / 255, look.white_point / 255)
    if look.vibrance or look.saturation:
        rgb = _saturation(rgb, 1 + look.saturation / 100, look.vibrance / 100)
    return rgb


def light_gains(look: Look) -> NDArray[np.float64]:
    """Gains [3] on linear R, G, B of temperature, tint and exposure together.

    Temperature follows Wien's law: moving a black body by d mired changes its light at wavelength λ by
    exp(-c₂·d / λ), so +50 and -50 cancel. Tint is a CC filter: density 0.01 per unit in green. Both keep the
    luminance of neutrals; exposure then multiplies by 2^EV.
    """
    gains = np.exp(-_WIEN * look.temperature / np.array(_PRIMARY_MICRON))
    gains[1] *= 10 ** (-0.01 * look.tint)
    balanced: NDArray[np.float64] = gains * (2**look.exposure / np.dot(_LUMINANCE, gains))
    return balanced


def decode_srgb(x: Colours) -> Colours:
    """Display-encoded to linear light (IEC 61966-2-1), for x >= 0."""
    return np.where(x <= 0.04045, x / 12.92, _power((x + 0.055) / 1.055, 2.4))


def encode_srgb(y: Colours) -> Colours:
    """Linear light to display-encoded, for y >= 0, continuing above 1."""
    return np.where(y <= 0.0031308, y * 12.92, 1.055 * _power(np.maximum(y, 0.0031308), 1 / 2.4) - 0.055)


def _power(x: Colours, exponent: float) -> Colours:
    """x^exponent, for x > 0: NumPy has vector code for log and exp everywhere, for powers hardly anywhere."""
    raised: Colours = np.exp(exponent * np.log(x))
    return raised


def luma(rgb: Colours) -> Colours:
    """[3, M] to [M]."""
    weighted: Colours = LUMA[0] * rgb[0] + LUMA[1] * rgb[1] + LUMA[2] * rgb[2]
    return weighted


def _unit(x: Colours) -> Colours:
    return np.clip(x, 0, 1)


def _light(rgb: Colours, gains: NDArray[np.float64]) -> Colours:
    gain = gains.astype(rgb.dtype)[:, None]
    encoded = encode_srgb(decode_srgb(rgb) * gain)
    white = encode_srgb(gains)  # where each channel would take 1
    if white.max() <= 1:
        return _unit(encoded)
    # Above the knee d ↦ d / (1 + c·d) brings white back to 1: slope 1 at the knee, then less, never 0.
    c = np.where(white > 1, 1 / (1 - _KNEE) - 1 / np.maximum(white - _KNEE, 1 - _KNEE), 0)
    above = np.maximum(encoded - _KNEE, 0)
    return _unit(encoded - above + above / (1 + c.astype(rgb.dtype)[:, None] * above))


def _value(rgb: Colours) -> Colours:
    """How bright a colour is to shadows and highlights: Σc³ / Σc² over its channels, [3, M] to [M].

    The tone of a neutral, near the largest channel of a saturated colour: a pure blue of low luma is no
    shadow. Smooth across neutrals, where the largest channel is not and would triple the baking error.
    """
    square = rgb * rgb
    weight = square[0] + square[1] + square[2]
    cube = square * rgb
    value: Colours = (cube[0] + cube[1] + cube[2]) / np.maximum(weight, float(np.finfo(rgb.dtype).tiny))
    return value


def _shadows(rgb: Colours, amount: float) -> Colours:
    """Scale colours so that a value v < h becomes v·(1 + a·(1 - v/h)²): slope 1 + a at black, 1 at h."""
    a = _END_SLOPE**amount - 1
    rest = np.maximum(1 - _value(rgb) / _SPLIT, 0)
    return _unit(rgb * (1 + a * rest * rest))


def _highlights(rgb: Colours, amount: float) -> Colours:
    """The mirror of shadows: u = 1 - v becomes u·(1 + a·(1 - u/h)²); colours scale with their value."""
    a = _END_SLOPE**-amount - 1
    value = _value(rgb)
    rest = np.maximum(1 - (1 - value) / (1 - _SPLIT), 0)
    # Only values above the split move, so the divisor is never small where it matters.
    return _unit(rgb * (1 - a * rest * rest * (1 - value) / np.maximum(value, _SPLIT)))


def _contrast(rgb: Colours, slope: float, pivot: float) -> Colours:
    """Two rational arcs that meet at the pivot with the given slope and end at 0 and 1 with its inverse.

    u ↦ u / (s + (1 - s)·u) on [0, 1] has slope 1/s at 0 and s at 1: bounded where a power curve is not, and
    undone exactly by 1/s. Each arc is constant on the other's side, so their sum is the curve.
    """
    below = np.minimum(rgb, pivot) / pivot
    above = (1 - np.maximum(rgb, pivot)) / (1 - pivot)
    below = below / (slope + (1 - slope) * below)
    above = above / (slope + (1 - slope) * above)
    return _unit(pivot * below + (1 - pivot) * (1 - above))


def _levels(rgb: Colours, black: float, white: float) -> Colours:
    return _unit((rgb - black) * (1 / (white - black)))


def _saturation(rgb: Colours, saturation: float, vibrance: float) -> Colours:
    """Scale chroma around luma: neutrals and, short of clipping, luma and hue stay."""
    grey = luma(rgb)
    scale: float | Colours = saturation
    if vibrance:
        pale = 1 - (rgb.max(axis=0) - rgb.min(axis=0))
        scale = saturation * (1 + vibrance * pale * pale)
    return _unit(grey + scale * (rgb - grey))
