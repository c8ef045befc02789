"""Brackets rendered from HDR radiance, with random exposures, camera curves, white balance and noise."""

import math
from pathlib import Path

import cv2
import numpy as np

from lutfuse.models.contract import EXPOSURES, F32, LUMA_F32
from lutfuse.models.training.scenes import Scene, dense_reference, to_u8

RADIANCE_SUFFIXES = {".hdr"}
MID_GREY = 0.18


def perspective_view(panorama: F32, yaw: float, pitch: float, fov: float, size: int) -> F32:
    """A pinhole view of an equirectangular panorama [H, W, 3] at [size, size, 3]; angles in radians."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(axis * math.tan(fov / 2), axis * math.tan(fov / 2))
    forward, down = np.cos(pitch) + y * np.sin(pitch), y * np.cos(pitch) - np.sin(pitch)
    longitude = np.arctan2(x, forward) + yaw
    latitude = np.arctan2(down, np.hypot(x, forward))
    height, width = panorama.shape[:2]
    map_x = np.mod(longitude / (2 * np.pi) + 0.5, 1) * width - 0.5
    map_y = (latitude / np.pi + 0.5) * height - 0.5
    view = cv2.remap(
        panorama,
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(view, np.float32)


def _random_view(radiance: F32, rng: np.random.Generator, size: int) -> F32:
    height, width = radiance.shape[:2]
    if width == 2 * height:
        yaw, pitch = rng.uniform(-np.pi, np.pi), rng.normal(0.05, 0.2)
        return perspective_view(radiance, yaw, pitch, math.radians(rng.uniform(60, 100)), size)
    side = int(min(height, width) * rng.uniform(0.6, 1))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = radiance[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def camera_response(radiance: F32, ev: float, gamma: float, contrast: float) -> F32:
    """Metered radiance [H, W, 3], exposed by `ev` stops, to display code values in [0, 1].

    The response is a power 1/gamma, then `contrast` of the way towards an S-curve.
    """
    code = np.clip(radiance * 2.0**ev, 0, 1) ** np.float32(1 / gamma)
    s_curve = code * code * (3 - 2 * code)
    return np.asarray(code + contrast * (s_curve - code), np.float32)


def render_bracket(radiance: F32, origin: str, view: int, size: int, seed: int) -> Scene:
    """A dense nine-frame bracket of a random view, with white balance, noise and a slight misregistration.

    Its reference is the dense reference of the same frames without noise and shifts.
    """
    rng = np.random.default_rng([seed, view, *origin.encode()])
    light = _metered(_random_view(radiance, rng, size) * np.exp(rng.normal(0, 0.06, 3)).astype(np.float32))
    step_ev, centre_ev = rng.uniform(0.5, 0.9), rng.uniform(-0.8, 0.5)
    gamma, contrast = rng.uniform(1.9, 2.5), rng.uniform(0, 0.5)
    evs = [centre_ev + step_ev * (k - (EXPOSURES.high - 1) / 2) for k in range(EXPOSURES.high)]
    noise, shift = rng.uniform(0, 0.006), rng.uniform(0, 0.4) * (rng.random() < 0.4)
    frames = []
    for ev in evs:
        exposed = camera_response(_shifted(light, rng, shift), ev, gamma, contrast)
        grain = rng.standard_normal(exposed.shape).astype(np.float32)
        frames.append(to_u8(exposed + np.float32(noise) * grain))
    reference = dense_reference([to_u8(camera_response(light, ev, gamma, contrast)) for ev in evs])
    return Scene(f"{origin}#{view}", origin, np.stack(frames), reference)


def _metered(light: F32) -> F32:
    """`light` scaled so that the middle of its levels is mid-grey, which a 0 EV exposure renders as such."""
    levels = np.maximum(light @ LUMA_F32, 1e-8)
    middle = np.exp(np.mean(np.log(levels))) ** 0.7 * np.median(levels) ** 0.3
    return np.asarray(np.clip(light * np.float32(MID_GREY / middle), 0, 1e4), np.float32)


def _shifted(light: F32, rng: np.random.Generator, shift: float) -> F32:
    """`light` moved by a random offset of standard deviation `shift` px in each direction."""
    if not shift:
        return light
    move = np.array([[1, 0, rng.normal(0, shift)], [0, 1, rng.normal(0, shift)]], np.float32)
    size = (light.shape[1], light.shape[0])
    return np.asarray(cv2.warpAffine(light, move, size, borderMode=cv2.BORDER_REFLECT), np.float32)


def read_radiance(path: Path) -> F32:
    """Linear radiance [H, W, 3] RGB float32 ≥ 0 from a .hdr (RGBE) file."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3:
        raise ValueError(f"{path} is not a radiance image that OpenCV reads; remove or convert it")
    return np.nan_to_num(np.ascontiguousarray(image[..., 2::-1], np.float32), posinf=1e4).clip(0)
