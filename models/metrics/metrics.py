"""How good is a fused image? PSNR and SSIM against a reference, MEF-SSIM and MEF-SSIM_c against the bracket.

Contract of every function here: images are [H, W, 3] RGB, uint8 or uint16, all of one size; anything else,
and an image too small for a metric's window, raises ValueError (the job writes null into that column). A
score is a plain float, the same whatever the number of threads. The structural metrics work on a 0…255
scale, a uint16 image divided by 257.

Note [covariances]: the metrics of Ma et al. compare the fused image with a patch *built for every window*,
`r̂ = Σ b_k (x_k − mean x_k)`. Nothing needs building: whatever is asked of r̂ (its norm, its variance, its
covariance with the fused image) is a sum of `b_j b_k cov(x_j, x_k)`, so filtering the products x_j x_k once
serves all windows. Images are centred first, which keeps the cancellation in a covariance harmless.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.contract import Image
from lutfuse.models.metrics.ciede2000 import ciede2000, lab_of_srgb

Plane = NDArray[Any]  # [H, W] or [H, W, 3] float32 or float64
Mean = Callable[[Plane], Plane]  # local mean at every window centre, border included

LUMA = np.array([[0.298936, 0.587043, 0.114021]])  # of R, G, B, as MEFB rounds them
STRIP_ROWS = 64  # windows are scored in strips: memory stays small, temporaries in the cache
WINDOW = 11  # px, of SSIM and MEF-SSIM
SIGMA = 1.5
COLOUR_WINDOW = 8  # px, of MEF-SSIM_c
SCALE_POWERS = tuple(p / 0.6305 for p in (0.0448, 0.2856, 0.3001))  # MEF-SSIM, finest scale first
MIN_SIDE_MEF_SSIM = 4 * (WINDOW - 1) + 1  # px: its coarsest scale, a quarter, must still hold one window
EPS = float(np.finfo(np.float64).eps)


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB over all channels together; `inf` where the images are identical.

    Two uint8 images are compared on 0…255, two uint16 ones on 0…65535. Of a mixed pair the uint8 one is
    widened (×257, exact, so 255 meets 65535): nothing is rounded away and neither order changes the figure.
    """
    _check([image, reference])
    mixed = image.dtype != reference.dtype
    squares = 0  # a Python integer, so adding strips loses nothing
    for rows in _strips(image.shape[0]):
        a, b = image[rows], reference[rows]
        if mixed:
            a, b = _widened(a), _widened(b)
        squares += round(cv2.norm(a, b, cv2.NORM_L2SQR))
    peak = 65535 if mixed or image.dtype == np.uint16 else 255
    return 10 * math.log10(peak**2 * image.size / squares) if squares else math.inf


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity (Wang et al., TIP 2004): Gaussian windows fully inside, mean of the channels."""
    _check([image, reference], WINDOW)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def score(pair: list[Plane]) -> Plane:
        (mean_x, mean_y), cov = _covariances([_centred(v) for v in pair], _gaussian)
        mean_x, mean_y = mean_x + 128, mean_y + 128
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return np.asarray(luminance * (2 * cov[0, 1] + c2) / (cov[0, 0] + cov[1, 1] + c2))

    return _mean_score(score, [image, reference], WINDOW)


def mef_ssim(images: Sequence[Image], fused: Image) -> float:
    """Structure of the bracket kept by the fused image (Ma, Zeng, Wang, TIP 2015), as the MEFB benchmark.

    Luminance alone, three scales. At most 1; a scale whose mean is negative (a fused image that contradicts
    the bracket) counts as 0, since the powers that join the scales are fractions.
    """
    _check_bracket(images, fused, MIN_SIDE_MEF_SSIM)
    planes = [_centred(_luma(v)) for v in (*images, fused)]
    score = 1.0
    for scale, power in enumerate(SCALE_POWERS):
        if scale:
            planes = [_halved(v) for v in planes]
        score *= max(0.0, _mean_score(_structure_scores, planes, WINDOW)) ** power
    return score


def mef_ssim_c(images: Sequence[Image], fused: Image) -> float:
    """Structure, colour and luminance of the bracket kept by the fused image (after Ma et al., TCI 2018)."""
    _check_bracket(images, fused, COLOUR_WINDOW)
    planes = [_rounded(v) for v in (*images, fused)]
    means = [cv2.mean(v) for v in planes[:-1]]
    exposedness = [math.exp(-((sum(m[:3]) / 765 - 0.5) ** 2) / 0.08) for m in means]
    return _mean_score(lambda strip: _colour_scores(strip, exposedness), planes, COLOUR_WINDOW)


def proxy(image: Image, max_side: int = 1024) -> NDArray[np.uint8]:  # [h, w, 3], long side <= max_side
    """The image halved by area averages until it fits, as uint8: what the job's structural metrics see."""
    _check([image])
    small: Any = image
    # Halving alone: a last, fractional step would cost more than all of it. Cropping an odd last line keeps
    # it exact, and does the same to every image of a bracket.
    while max(small.shape[:2]) > max_side:
        height, width = (max(1, side // 2) for side in small.shape[:2])
        # A slice beyond the end of a one-pixel side is that side itself.
        small = cv2.resize(small[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return _rounded(small)


def colour_difference(image: Image, reference: Image) -> float:
    """Mean CIEDE2000 over all pixels, of images read as sRGB: 0 is identical, 1 about just visible."""
    _check([image, reference])
    total = 0.0
    for rows in _strips(image.shape[0]):
        difference = ciede2000(lab_of_srgb(image[rows]), lab_of_srgb(reference[rows]))
        total += float(difference.sum(dtype=np.float64))
    return total / (image.size // 3)


def clipped_shares(image: Image) -> tuple[float, float]:
    """Share of the channel samples at 0 and at full range, each in [0, 1]."""
    _check([image])
    full, low, high = np.iinfo(image.dtype).max, 0, 0
    for rows in _strips(image.shape[0]):
        strip = image[rows]
        low += strip.size - int(np.count_nonzero(strip))
        high += int(np.count_nonzero(strip == full))
    return low / image.size, high / image.size


# --- scores of every window of a strip ------------------------------------------------------------------


def _structure_scores(planes: list[Plane]) -> Plane:
    """MEF-SSIM at one scale; planes are centred luminances: the bracket's, then the fused image's."""
    n = len(planes) - 1
    _, cov = _covariances(planes[:n], _box(WINDOW))
    cov = {pair: WINDOW**2 * c for pair, c in cov.items()}  # sums over the window: ‖·‖² is Euclidean
    norms = [np.sqrt(np.maximum(cov[k, k], 0)) for k in range(n)]  # ‖x̃_k‖
    strengths = [norm + 0.001 for norm in norms]  # d_k

    # p: how sharply the strongest frame wins, from how much the frames' structures agree.
    ones = [1.0] * n
    norm_of_sum = np.sqrt(np.maximum(_quadratic(ones, cov), 0))
    agreement = np.minimum((norm_of_sum + EPS) / (sum(norms) + EPS), 1 - 1e-6)
    angle = np.float32(np.pi / 2) * agreement
    p = np.minimum(np.sin(angle) / np.cos(angle), 10)  # np.tan has no vector code: several times slower

    weights = [cv2.exp(p * cv2.log(d / WINDOW)) + EPS for d in strengths]
    total = sum(weights)
    b = [w / (total * d) for w, d in zip(weights, strengths, strict=True)]  # r = Σ b_k x̃_k
    scale = np.maximum.reduce(strengths) * _inverse_norm(_quadratic(b, cov))
    b = [v * scale for v in b]  # r̂ = Σ b_k x̃_k

    _, cov = _covariances(planes, _gaussian)
    constant = (0.03 * 255) ** 2
    agreement = np.asarray(sum(v * cov[k, n] for k, v in enumerate(b)))
    return np.asarray((2 * agreement + constant) / (_quadratic(b, cov) + cov[n, n] + constant))


def _colour_scores(planes: list[Plane], exposedness: list[float]) -> Plane:
    """MEF-SSIM_c; planes are the bracket, then the fused image; exposedness_k is exp(−(m_k − ½)²/0.08)."""
    n = len(exposedness)
    mean_box = _box(COLOUR_WINDOW)
    third = np.full((1, 3), 1 / 3)
    planes = [_centred(v) / 255 for v in planes]
    means, cov = _covariances(planes, lambda v: mean_box(cv2.transform(v, third)))
    size = 3 * COLOUR_WINDOW**2
    contrasts = [np.sqrt(np.maximum(size * cov[k, k], 0)) + 1e-6 for k in range(n)]
    largest = np.maximum.reduce(contrasts)
    b = [np.square(np.square(c / largest)) / c for c in contrasts]
    square = size * _quadratic(b, cov)
    scale = largest * _inverse_norm(square)
    agreement = scale * sum(v * cov[k, n] for k, v in enumerate(b))
    variance = scale**2 * square / size  # of the desired structure

    means = [v + 128 / 255 for v in means]
    weights = [e * np.exp(-((m - 0.5) ** 2) / 0.08) for e, m in zip(exposedness, means, strict=False)]
    light = sum(w * m for w, m in zip(weights, means, strict=False)) / sum(weights)
    luminance = (2 * light * means[n] + 1e-4) / (light**2 + means[n] ** 2 + 1e-4)
    return np.asarray(luminance * (2 * agreement + 9e-4) / (variance + cov[n, n] + 9e-4))


# --- windows --------------------------------------------------------------------------------------------


def _mean_score(score: Callable[[list[Plane]], Plane], planes: Sequence[Any], window: int) -> float:
    """Mean of `score` over every window fully inside the planes, strip by strip."""
    height, width = planes[0].shape[:2]
    before, after = window // 2, window - 1 - window // 2  # OpenCV's anchor: px around a window's centre
    total, count = 0.0, 0
    for rows in _strips(height - window + 1):
        strip = [plane[rows.start : rows.stop + window - 1] for plane in planes]
        inside = score(strip)[before : rows.stop - rows.start + before, before : width - after]
        total += float(inside.sum(dtype=np.float64))
        count += inside.size
    return total / count


def _covariances(planes: list[Plane], mean: Mean) -> tuple[list[Plane], dict[tuple[int, int], Plane]]:
    """Local means of the planes and the local covariances of each pair j <= k. See Note [covariances]."""
    means = [mean(v) for v in planes]
    pairs = [(j, k) for k in range(len(planes)) for j in range(k + 1)]
    cov = {}
    for j, k in pairs:
        moment = mean(planes[j] * planes[k])
        moment -= means[j] * means[k]
        cov[j, k] = moment.astype(np.float32, copy=False)
    return [v.astype(np.float32, copy=False) for v in means], cov


def _quadratic(b: Sequence[Any], cov: dict[tuple[int, int], Plane]) -> Plane:
    """Σ_j Σ_k b_j b_k cov(x_j, x_k), over as many planes as there are coefficients."""
    total: Plane = np.zeros_like(cov[0, 0])
    for k, b_k in enumerate(b):
        row = b_k * cov[k, k]
        for j in range(k):
            row += (b[j] + b[j]) * cov[j, k]
        row *= b_k
        total += row
    return total


def _inverse_norm(square: Plane) -> Plane:
    """1 / ‖r‖; 0 where r vanishes: it mixes unit structures, so a square below 1e-6 is only rounding."""
    return np.asarray((square > 1e-6) / np.sqrt(np.maximum(square, 1e-6)))


def _gaussian(plane: Plane) -> Plane:
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_32F)
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel))


def _box(window: int) -> Mean:
    # float64: box norms decide which frame wins in nearly flat windows, where float32 would be all rounding.
    return lambda plane: np.asarray(cv2.boxFilter(plane, cv2.CV_64F, (window, window)))


def _halved(plane: Plane) -> Plane:
    """Mean of 2×2 blocks, the last line repeated at odd sizes."""
    height, width = plane.shape
    even = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA))


# --- images ---------------------------------------------------------------------------------------------


def _check(images: Sequence[Any], min_side: int = 1) -> None:
    """Raise ValueError unless the images fit the contract of this module and a window of `min_side` px."""
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


def _check_bracket(images: Sequence[Image], fused: Image, min_side: int) -> None:
    if not images:
        raise ValueError("no exposure: MEF-SSIM compares a fused image with one exposure or more")
    _check([*images, fused], min_side)


def _strips(height: int) -> list[slice]:
    return [slice(y, min(y + STRIP_ROWS, height)) for y in range(0, height, STRIP_ROWS)]


def _widened(image: Image) -> NDArray[np.uint16]:
    return np.asarray(image, np.uint16) * np.uint16(257 if image.dtype == np.uint8 else 1)


def _rounded(image: Any) -> NDArray[np.uint8]:
    """uint16 to the nearest uint8, 65535 being 255."""
    return np.asarray(image if image.dtype == np.uint8 else cv2.convertScaleAbs(image, alpha=1 / 257))


def _centred(image: Any) -> Plane:
    """On 0…255 minus 128, float32. See Note [covariances]."""
    plane = np.array(image, np.float32)
    if image.dtype == np.uint16:
        plane /= 257
    plane -= 128
    return plane


def _luma(image: Image) -> NDArray[np.uint8]:
    return _rounded(cv2.transform(image, LUMA))
