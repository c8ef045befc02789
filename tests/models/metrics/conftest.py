"""Images to score: textured everywhere, so that every window has some structure."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest


def make_image(seed, height=48, width=44, dtype=np.uint8):
    """Blobs and grain, [H, W, 3]."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.random((6, 6, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(blobs + rng.normal(0, 0.05, blobs.shape), 0, 1)
    return np.rint(image * np.iinfo(dtype).max).astype(dtype)


def make_bracket(count, **size):
    """`count` exposures of one scene, dark to bright, and their rounded mean."""
    scene = make_image(count, **size).astype(np.float64)
    gains = 2.0 ** np.linspace(-2, 2, count)
    images = [np.rint(np.clip(scene * gain, 0, 255)).astype(np.uint8) for gain in gains]
    return images, np.rint(np.mean(images, axis=0)).astype(np.uint8)


@pytest.fixture
def smooth_image() -> Callable[..., np.ndarray]:
    """The function `make_image`."""
    return make_image


@pytest.fixture
def bracket() -> Callable[..., tuple[list[np.ndarray], np.ndarray]]:
    """The function `make_bracket`."""
    return make_bracket
