"""Colour difference: CIEDE2000, where 1 is about the smallest a careful eye sees and 100 is black to white.

Formulas and their names after Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula", 2005
(k_L = k_C = k_H = 1). Images are read as sRGB under D65.
"""

import cv2
import numpy as np

from lutfuse.models.contract import F32, Image, Pixels
from lutfuse.models.metrics.images import check_images, strips

# Linear sRGB to XYZ, each row divided by its sum so that white is (1, 1, 1), as Lab wants it.
XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
XYZ_OF_RGB /= XYZ_OF_RGB.sum(axis=1, keepdims=True)
POW_25_7 = np.float32(25**7)


def colour_difference(image: Image, reference: Image) -> float:
    """Mean CIEDE2000 over all pixels; 0 where the images are identical."""
    check_images([image, reference])
    total = 0.0
    for rows in strips(image.shape[0]):
        difference = ciede2000(lab_of_srgb(image[rows]), lab_of_srgb(reference[rows]))
        total += float(difference.sum(dtype=np.float64))
    return total / (image.size // 3)


def lab_of_srgb(image: Pixels) -> F32:  # [H, W, 3] uint8 or uint16 -> [H, W, 3]
    """CIE L*a*b* of an sRGB image: L* in 0…100, a* and b* about 0."""
    # A table of every code is exact; OpenCV's own float conversion interpolates in a coarse one.
    code = np.linspace(0, 1, np.iinfo(image.dtype).max + 1)
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)
    xyz = np.asarray(cv2.transform(linear[image], XYZ_OF_RGB))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * np.float32((29 / 6) ** 2 / 3) + np.float32(4 / 29))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(lab_1: F32, lab_2: F32) -> F32:  # [..., 3], [..., 3] -> [...]
    """ΔE₀₀ of each pair of L*a*b* colours."""
    light_1, a_1, b_1 = np.moveaxis(lab_1, -1, 0)
    light_2, a_2, b_2 = np.moveaxis(lab_2, -1, 0)

    # a* is stretched near the neutral axis, where Lab's ellipses are longest.
    chroma_7 = ((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2) ** 7
    stretch = 1.5 - np.sqrt(chroma_7 / (chroma_7 + POW_25_7)) / 2
    chroma_1, chroma_2 = np.hypot(stretch * a_1, b_1), np.hypot(stretch * a_2, b_2)
    hue_1, hue_2 = np.arctan2(b_1, stretch * a_1), np.arctan2(b_2, stretch * a_2)

    d_hue = (hue_2 - hue_1 + np.pi) % (2 * np.pi) - np.pi  # the short way round
    d_light, d_chroma = light_2 - light_1, chroma_2 - chroma_1
    d_hue_chord = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(d_hue / 2)

    light, chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    # The mean of two hues is half-way along the short arc; with a neutral colour only the other's hue counts.
    hue = np.where(chroma_1 * chroma_2 == 0, hue_1 + hue_2, hue_1 + d_hue / 2)
    degree = np.pi / 180
    t = (
        1
        - 0.17 * np.cos(hue - 30 * degree)
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + 6 * degree)
        - 0.20 * np.cos(4 * hue - 63 * degree)
    )
    offset = (light - 50) ** 2
    s_light = 1 + 0.015 * offset / np.sqrt(20 + offset)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    from_blue = (hue / degree - 275 + 180) % 360 - 180  # degrees from the blue the rotation is about
    chroma_7 = chroma**7
    rotation = -2 * np.sqrt(chroma_7 / (chroma_7 + POW_25_7))
    rotation *= np.sin(60 * degree * np.exp(-((from_blue / 25) ** 2)))

    along_light, along_chroma, along_hue = d_light / s_light, d_chroma / s_chroma, d_hue_chord / s_hue
    square = along_light**2 + along_chroma**2 + along_hue**2 + rotation * along_chroma * along_hue
    return np.asarray(np.sqrt(np.maximum(square, 0)))
