"""The room photographed at several exposures, and the picture a photographer would have wanted of it.

What a camera does is modelled in the order light meets it: exposure, photon and read noise, saturation, the
tone curve, quantisation. The reference picture is the same radiance without noise, tone mapped so that the
view through the window and the corners of the room both show. All of it follows from the seed alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.contract import Image
from lutfuse.models.synthetic.painter import Floats, f32
from lutfuse.models.synthetic.scene import render_radiance

FULL_WELL = 9_000  # electrons of a saturated pixel: a small sensor at a medium sensitivity
READ_NOISE = 5  # electrons
STRIP_PIXELS = 120_000  # worked on at a time
LUMA = f32([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class SyntheticBracket:
    """Exposures in the order of `evs` and the picture a photographer would have wanted, all [H, W, 3] RGB."""

    exposures: list[Image]
    evs: tuple[float, ...]
    reference: Image


def synthesise_bracket(
    width: int = 3840,
    height: int = 2160,
    evs: Sequence[float] = (-3, 0, 3),
    seed: int = 0,
    bit_depth: int = 8,
) -> SyntheticBracket:
    """The bracket of scene `seed`, in uint8 or uint16; the same on every call and every number of threads."""
    if bit_depth not in (8, 16):
        raise ValueError(f"bit_depth {bit_depth}: images have 8 or 16 bits a channel")
    radiance = render_radiance(width, height, seed)
    # One stream of noise an exposure: a frame does not depend on how many others are taken.
    streams = [np.random.default_rng([seed, 1, i]) for i in range(len(evs))]
    frames = [photograph(radiance, ev, rng, bit_depth) for ev, rng in zip(evs, streams, strict=True)]
    return SyntheticBracket(frames, tuple(float(ev) for ev in evs), reference_picture(radiance, bit_depth))


def photograph(radiance: Floats, ev: float, rng: np.random.Generator, bit_depth: int = 8) -> Image:
    """A photograph [H, W, 3] of the radiance with 2^ev times the light of EV 0."""
    image = np.empty(radiance.shape, np.uint8 if bit_depth == 8 else np.uint16)
    for rows in _strips(radiance.shape):
        light = radiance[rows] * np.float32(2.0**ev)
        # Photon noise is Poisson; normal with the same variance is the same to the eye and much faster.
        noise = np.sqrt(light / FULL_WELL + np.float32((READ_NOISE / FULL_WELL) ** 2))
        noise *= rng.standard_normal(light.shape, np.float32)
        image[rows] = _developed(light + noise, image.dtype)
    return image


def reference_picture(radiance: Floats, bit_depth: int = 8) -> Image:
    """The well-exposed picture: contrast between regions compressed, contrast within them kept."""
    height, width = radiance.shape[:2]
    log_light = np.empty((height, width), np.float32)
    for rows in _strips(radiance.shape):
        log_light[rows] = np.log(np.maximum(radiance[rows] @ LUMA, 1e-6))
    base = _regions(log_light)
    low, middle, high = np.percentile(base[:: max(1, height // 540), :: max(1, width // 960)], [1, 50, 99.5])
    slope = min(1.0, 1.9 / max(high - low, 1e-3))  # ln units of display range spent on the regions
    image = np.empty(radiance.shape, np.uint8 if bit_depth == 8 else np.uint16)
    for rows in _strips(radiance.shape):
        detail = log_light[rows] - base[rows]
        light = np.exp(slope * (base[rows] - middle) + 1.35 * detail) * np.float32(0.23)
        gain = light / np.exp(log_light[rows])
        colour = radiance[rows] * gain[..., None]
        # Lifted shadows look too colourful, and highlights should fade to white before they clip.
        grey = light[..., None]
        colour = grey + np.float32(0.96) * (colour - grey)
        image[rows] = _developed(colour * (1 + colour / 13) / (1 + colour), image.dtype)
    return image


def _regions(log_light: Floats) -> Floats:
    """Log light without its texture but with its edges: a guided filter, fitted small and applied large."""
    height, width = log_light.shape
    step = max(1, round(max(height, width) / 480))
    size = (max(1, width // step), max(1, height // step))
    small = cv2.resize(log_light, size, interpolation=cv2.INTER_AREA)
    radius = max(1, round(max(size) / 15))
    window = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(small, window)
    variance = cv2.blur(small * small, window) - mean * mean
    share = variance / (variance + 1.2)
    fits = (cv2.blur(v, window) for v in (share, mean * (1 - share)))
    slope, offset = (cv2.resize(v, (width, height), interpolation=cv2.INTER_LINEAR) for v in fits)
    return np.asarray(slope * log_light + offset)


def _developed(light: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Sensor values, 1 saturating, through the camera's curve to integers of `dtype`."""
    signal = np.clip(light, 0, 1) ** np.float32(1 / 2.2)
    # A gentle S: deeper shadows, softer highlights.
    signal += np.float32(0.30) * signal * (1 - signal) * (signal - np.float32(0.5))
    return np.asarray(np.rint(signal * np.float32(np.iinfo(dtype).max)).astype(dtype))


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    rows = max(1, STRIP_PIXELS // shape[1])
    return (slice(y, min(y + rows, shape[0])) for y in range(0, shape[0], rows))
