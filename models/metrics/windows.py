"""Sliding windows: local means and covariances, and the mean of a score over every window.

Note [covariances]: the metrics of Ma et al. compare the fused image with a patch *built for every window*,
`r̂ = Σ b_k (x_k − mean x_k)`. Nothing needs building: whatever is asked of r̂ (its norm, its variance, its
covariance with the fused image) is a sum of `b_j b_k cov(x_j, x_k)`, so filtering the products x_j x_k once
serves all windows. Images are centred first, which keeps the cancellation in a covariance harmless.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from lutfuse.models.metrics.images import strips

Plane: TypeAlias = NDArray[Any]  # [H, W] or [H, W, 3], float32 or float64
Mean: TypeAlias = Callable[[Plane], Plane]  # local mean around every pixel, border included
Covariances: TypeAlias = dict[tuple[int, int], Plane]  # of each pair of planes j <= k


def mean_score(score: Callable[[list[Plane]], Plane], planes: Sequence[Any], window: int) -> float:
    """Mean of `score` over every `window`×`window` px that lies inside the planes, strip by strip."""
    height, width = planes[0].shape[:2]
    before, after = window // 2, window - 1 - window // 2  # OpenCV's anchor: px around a window's centre
    total, count = 0.0, 0
    for rows in strips(height - window + 1):
        strip = [plane[rows.start : rows.stop + window - 1] for plane in planes]
        inside = score(strip)[before : rows.stop - rows.start + before, before : width - after]
        total += float(inside.sum(dtype=np.float64))
        count += inside.size
    return total / count


def covariances(planes: list[Plane], mean: Mean) -> tuple[list[Plane], Covariances]:
    """Local means of the planes and the local covariance of each pair, float32. See Note [covariances]."""
    means = [mean(v) for v in planes]
    cov = {}
    for k in range(len(planes)):
        for j in range(k + 1):
            moment = mean(planes[j] * planes[k])
            moment -= means[j] * means[k]
            cov[j, k] = moment.astype(np.float32, copy=False)
    return [v.astype(np.float32, copy=False) for v in means], cov


def quadratic(b: Sequence[Any], cov: Covariances) -> Plane:
    """Σ_j Σ_k b_j b_k cov(x_j, x_k), over as many planes as there are coefficients."""
    total: Plane = np.zeros_like(cov[0, 0])
    for k, b_k in enumerate(b):
        row = b_k * cov[k, k]
        for j in range(k):
            row += (b[j] + b[j]) * cov[j, k]
        row *= b_k
        total += row
    return total


def inverse_norm(square: Plane) -> Plane:
    """1 / ‖r‖; 0 where r vanishes: it mixes unit structures, so a square below 1e-6 is only rounding."""
    return np.asarray((square > 1e-6) / np.sqrt(np.maximum(square, 1e-6)))


def gaussian_mean(window: int, sigma: float) -> Mean:
    """Mean weighted by a Gaussian, float32."""
    kernel = cv2.getGaussianKernel(window, sigma, cv2.CV_32F)
    return lambda plane: np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel))


def box_mean(window: int) -> Mean:
    """Plain mean, float64: box norms decide which frame wins in nearly flat windows."""
    return lambda plane: np.asarray(cv2.boxFilter(plane, cv2.CV_64F, (window, window)))


def centred(image: Any) -> Plane:
    """uint8 or uint16 on 0…255 minus 128, float32. See Note [covariances]."""
    plane = np.array(image, np.float32)
    if image.dtype == np.uint16:
        plane /= 257
    plane -= 128
    return plane


def halved(plane: Plane) -> Plane:
    """Means of 2×2 px of [H, W], the last line repeated at odd sizes."""
    height, width = plane.shape
    even = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA))
