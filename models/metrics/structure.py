"""Structural scores: SSIM against a reference, MEF-SSIM and MEF-SSIM_c against the bracket.

Definitions and symbols as in `docs/method.md`, under Measures. Values are on 0…255, a uint16 image divided
by 257.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from lutfuse.models.contract import U8, Image
from lutfuse.models.metrics.images import check_images, to_uint8
from lutfuse.models.metrics.windows import (
    Plane,
    box_mean,
    centred,
    covariances,
    gaussian_mean,
    halved,
    inverse_norm,
    mean_score,
    quadratic,
)

LUMA = np.array([[0.298936, 0.587043, 0.114021]])  # of R, G, B, as MEFB rounds them
WINDOW = 11  # px, of SSIM and MEF-SSIM
SIGMA = 1.5
COLOUR_WINDOW = 8  # px, of MEF-SSIM_c
SCALE_POWERS = tuple(p / 0.6305 for p in (0.0448, 0.2856, 0.3001))  # MEF-SSIM, finest scale first
MIN_SIDE_MEF_SSIM = 4 * (WINDOW - 1) + 1  # px: its coarsest scale, a quarter, must still hold one window
EPS = float(np.finfo(np.float64).eps)


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity, at most 1: Gaussian windows fully inside, mean of the channels."""
    check_images([image, reference], WINDOW)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def score(pair: list[Plane]) -> Plane:
        (mean_x, mean_y), cov = covariances([centred(v) for v in pair], gaussian_mean(WINDOW, SIGMA))
        mean_x, mean_y = mean_x + 128, mean_y + 128
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return np.asarray(luminance * (2 * cov[0, 1] + c2) / (cov[0, 0] + cov[1, 1] + c2))

    return mean_score(score, [image, reference], WINDOW)


def mef_ssim(images: Sequence[Image], fused: Image) -> float:
    """Q: the structure of the bracket that the fused image keeps, at most 1, as the MEFB benchmark takes it.

    Luminance alone, three scales. A scale whose mean is negative (a fused image that contradicts the bracket)
    counts as 0, since the powers that join the scales are fractions.
    """
    _check_bracket(images, fused, MIN_SIDE_MEF_SSIM)
    planes = [centred(_luma(v)) for v in (*images, fused)]
    score = 1.0
    for scale, power in enumerate(SCALE_POWERS):
        if scale:
            planes = [halved(v) for v in planes]
        score *= max(0.0, mean_score(_structure_scores, planes, WINDOW)) ** power
    return score


def mef_ssim_c(images: Sequence[Image], fused: Image) -> float:
    """Q_c: the structure, colour and luminance of the bracket that the fused image keeps, at most 1."""
    _check_bracket(images, fused, COLOUR_WINDOW)
    planes = [to_uint8(v) for v in (*images, fused)]
    means = [cv2.mean(v) for v in planes[:-1]]
    exposedness = [math.exp(-((sum(m[:3]) / 765 - 0.5) ** 2) / 0.08) for m in means]
    return mean_score(lambda strip: _colour_scores(strip, exposedness), planes, COLOUR_WINDOW)


def _check_bracket(images: Sequence[Image], fused: Image, min_side: int) -> None:
    if not images:
        raise ValueError("no exposure: MEF-SSIM compares a fused image with one exposure or more")
    check_images([*images, fused], min_side)


def _luma(image: Image) -> U8:
    return to_uint8(cv2.transform(image, LUMA))


def _structure_scores(planes: list[Plane]) -> Plane:
    """MEF-SSIM of every window at one scale; planes are centred luminances, the fused image's last."""
    n = len(planes) - 1
    _, cov = covariances(planes[:n], box_mean(WINDOW))
    cov = {pair: WINDOW**2 * c for pair, c in cov.items()}  # sums over the window: ‖·‖² is Euclidean
    norms = [np.sqrt(np.maximum(cov[k, k], 0)) for k in range(n)]  # ‖x̃_k‖
    d = [norm + 0.001 for norm in norms]

    # p: how sharply the strongest frame wins, from how much the frames' structures agree.
    norm_of_sum = np.sqrt(np.maximum(quadratic([1.0] * n, cov), 0))
    agreement = np.minimum((norm_of_sum + EPS) / (sum(norms) + EPS), 1 - 1e-6)  # A
    angle = np.float32(np.pi / 2) * agreement
    p = np.minimum(np.sin(angle) / np.cos(angle), 10)  # np.tan has no vector code: several times slower

    weights = [cv2.exp(p * cv2.log(d_k / WINDOW)) + EPS for d_k in d]
    total = sum(weights)
    b = [w / (total * d_k) for w, d_k in zip(weights, d, strict=True)]  # r = Σ b_k x̃_k
    scale = np.maximum.reduce(d) * inverse_norm(quadratic(b, cov))
    b = [v * scale for v in b]  # r̂ = Σ b_k x̃_k

    _, cov = covariances(planes, gaussian_mean(WINDOW, SIGMA))
    constant = (0.03 * 255) ** 2
    covariance = np.asarray(sum(v * cov[k, n] for k, v in enumerate(b)))
    return np.asarray((2 * covariance + constant) / (quadratic(b, cov) + cov[n, n] + constant))


def _colour_scores(planes: list[Plane], exposedness: list[float]) -> Plane:
    """MEF-SSIM_c of every window; planes are uint8, the fused image last.

    exposedness is exp(−(M_k − ½)²/0.08) of each frame, M_k its mean on 0…1.
    """
    n = len(exposedness)
    box = box_mean(COLOUR_WINDOW)
    third = np.full((1, 3), 1 / 3)
    planes = [centred(v) / 255 for v in planes]
    means, cov = covariances(planes, lambda v: box(cv2.transform(v, third)))
    size = 3 * COLOUR_WINDOW**2
    c = [np.sqrt(np.maximum(size * cov[k, k], 0)) + 1e-6 for k in range(n)]
    largest = np.maximum.reduce(c)
    b = [np.square(np.square(c_k / largest)) / c_k for c_k in c]
    square = size * quadratic(b, cov)
    scale = largest * inverse_norm(square)
    covariance = scale * sum(v * cov[k, n] for k, v in enumerate(b))  # of the desired structure s
    variance = scale**2 * square / size

    means = [v + 128 / 255 for v in means]
    weights = [e * np.exp(-((m - 0.5) ** 2) / 0.08) for e, m in zip(exposedness, means, strict=False)]
    light = sum(w * m for w, m in zip(weights, means, strict=False)) / sum(weights)
    luminance = (2 * light * means[n] + 1e-4) / (light**2 + means[n] ** 2 + 1e-4)
    return np.asarray(luminance * (2 * covariance + 9e-4) / (variance + cov[n, n] + 9e-4))
