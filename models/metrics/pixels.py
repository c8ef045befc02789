"""Scores that take each pixel by itself."""

import math

import cv2
import numpy as np

from lutfuse.models.contract import Image
from lutfuse.models.metrics.images import check_images, strips, to_uint16


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB over all channels together; `inf` where the images are identical.

    Two uint8 images are compared on 0…255, two uint16 ones on 0…65535. Of a mixed pair the uint8 one is
    widened (×257, exact, so 255 meets 65535): nothing is rounded away and neither order changes the figure.
    """
    check_images([image, reference])
    mixed = image.dtype != reference.dtype
    squares = 0  # a Python integer, so adding strips loses nothing
    for rows in strips(image.shape[0]):
        a, b = image[rows], reference[rows]
        if mixed:
            a, b = to_uint16(a), to_uint16(b)
        squares += round(cv2.norm(a, b, cv2.NORM_L2SQR))
    peak = 65535 if mixed or image.dtype == np.uint16 else 255
    return 10 * math.log10(peak**2 * image.size / squares) if squares else math.inf


def clipped_shares(image: Image) -> tuple[float, float]:
    """Share of the channel samples at 0 and at full range, each in [0, 1]."""
    check_images([image])
    full, low, high = np.iinfo(image.dtype).max, 0, 0
    for rows in strips(image.shape[0]):
        strip = image[rows]
        low += strip.size - int(np.count_nonzero(strip))
        high += int(np.count_nonzero(strip == full))
    return low / image.size, high / image.size
