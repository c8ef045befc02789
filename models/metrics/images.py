"""Images as the metrics take them: checked, cut into strips, and converted between depths."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.contract import U8, Image

STRIP_ROWS = 64  # images are scored in strips: memory stays small, temporaries in the cache


def proxy(image: Image, max_side: int = 1024) -> U8:
    """The image halved by area averages until it fits: what the job's structural metrics see.

    Returns:
        [h, w, 3] uint8, long side at most `max_side`.
    """
    check_images([image])
    small: Any = image
    # Halving alone: a last, fractional step would cost more than all of it. Cropping an odd last line keeps
    # it exact, and does the same to every image of a bracket.
    while max(small.shape[:2]) > max_side:
        height, width = (max(1, side // 2) for side in small.shape[:2])
        # A slice beyond the end of a one-pixel side is that side itself.
        small = cv2.resize(small[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return to_uint8(small)


def check_images(images: Sequence[Any], min_side: int = 1) -> None:
    """Raise ValueError unless the images are of one size, fit for a metric and `min_side` px or more."""
    for image in images:
        if image.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"image of {image.dtype}: metrics take uint8 or uint16")
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image of shape {image.shape}: metrics take [height, width, 3]")
        if image.shape != images[0].shape:
            raise ValueError(
                f"images of shapes {images[0].shape} and {image.shape}: metrics compare equal sizes"
            )
        if min(image.shape[:2]) < min_side:
            raise ValueError(
                f"image of {image.shape[1]}×{image.shape[0]} px: this metric needs {min_side} px a side"
            )


def strips(height: int) -> list[slice]:
    """Consecutive rows, `STRIP_ROWS` at a time, that cover `height`."""
    return [slice(y, min(y + STRIP_ROWS, height)) for y in range(0, height, STRIP_ROWS)]


def to_uint16(image: Image) -> NDArray[np.uint16]:
    """uint8 times 257, which is exact: 255 becomes 65535."""
    return np.asarray(image, np.uint16) * np.uint16(257 if image.dtype == np.uint8 else 1)


def to_uint8(image: Any) -> U8:
    """uint16 to the nearest uint8: 65535 becomes 255."""
    return np.asarray(image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=1 / 257))
