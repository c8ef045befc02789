"""Two classical answers to the same frames: the student is shown them, and references are made of them.

Multi-scale exposure fusion keeps local contrast but greys large areas; tone-mapped radiance keeps their order
and colour but flattens detail. Their mean is closer to what people choose than either.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lutfuse.models.fusion.twin import luma_of

CAMERA_GAMMA = 2.2
EXPOSEDNESS_SPREAD = 0.2  # σ of the Gaussian about mid-grey, as in Mertens et al. 2007
UNKNOWN_STOPS = 2.0  # between two frames that share no well-exposed pixel
DARKEST = 1e-6
FEW = 0.005  # of the values, at either end, that may lie outside the robust range
FULL_STRETCH = 0.2  # range before the stretch from which on it is stretched fully


def exposedness(values: Tensor) -> Tensor:
    """How far from black and white: Gaussian about mid-grey, values in [0, 1]."""
    return torch.exp(-(values - 0.5).square() / (2 * EXPOSEDNESS_SPREAD**2))


def fusion_weights(frames: Tensor) -> Tensor:
    """Contrast × saturation × exposedness (Mertens et al. 2007): [B, K, 3, H, W] → [B, K, H, W]."""
    luma = luma_of(frames)
    contrast = (4 * (luma - F.avg_pool2d(luma, 3, 1, 1, count_include_pad=False))).abs()
    saturation = (frames - frames.mean(2, keepdim=True)).square().mean(2).sqrt()
    exposed = torch.exp((frames - 0.5).square().sum(2) * (-0.5 / EXPOSEDNESS_SPREAD**2))  # Π over channels
    weights = contrast * saturation * exposed + 1e-6
    return weights / weights.sum(1, keepdim=True)


def exposure_fusion(frames: Tensor, weights: Tensor) -> Tensor:
    """Multi-scale blend of frames [B, K, 3, H, W] by weights [B, K, H, W]: [B, 3, H, W] near [0, 1].

    Laplacian pyramid of the frames, pyramid of the weights, both of 2×2 means: Mertens et al. 2007 in short,
    a few milliseconds at thumbnail size.
    """
    *lead, height, width = frames.shape
    if min(height, width) < 2:
        return (weights[:, :, None] * frames).sum(1)
    pooled = F.avg_pool2d(frames.flatten(0, 2), 2)[:, None]
    coarse = F.interpolate(pooled, (height, width), mode="bilinear")[:, 0].reshape(frames.shape)
    detail = (weights[:, :, None] * (frames - coarse)).sum(1)
    below = exposure_fusion(pooled.reshape(*lead, *pooled.shape[-2:]), F.avg_pool2d(weights, 2))
    return detail + F.interpolate(below, (height, width), mode="bilinear")


def merged_radiance(frames: Tensor) -> Tensor:
    """Radiance [B, 3, H, W] > 0, nearly all of it ≤ 1, from frames [B, K, 3, H, W] of unknown exposure.

    The step between neighbouring frames is the mean ratio of their linearised values where both are well
    exposed; then the mean of all frames' estimates, as in Debevec and Malik 1997 with a power as response.
    """
    order = frames.mean((2, 3, 4)).argsort(dim=1, stable=True)
    frames = torch.take_along_dim(frames, order[:, :, None, None, None], 1)
    trust, linear = exposedness(frames), frames.clamp_min(1 / 255) ** CAMERA_GAMMA
    shared = trust[:, 1:] * trust[:, :-1]
    ratios = (linear[:, 1:] / linear[:, :-1]).log2()
    few = 1e-3
    steps = (shared * ratios).mean((2, 3, 4)) + few * UNKNOWN_STOPS
    stops = F.pad((steps / (shared.mean((2, 3, 4)) + few)).clamp_min(0).cumsum(1), (1, 0))
    trust = trust + 1e-5
    light = (trust * linear * torch.exp2(-stops)[:, :, None, None, None]).sum(1) / trust.sum(1)
    return light / _range(light.flatten(1))[1][:, None, None, None]


def tone_mapped(light: Tensor) -> Tensor:
    """Radiance [B, 3, H, W] as a picture in [0, 1]: photoreceptor model of Reinhard and Devlin 2005.

    Its range is stretched to black and white, the less the smaller it is: fog stays fog. A few pixels, a lamp
    or a bird, have no influence on either.
    """
    luma = luma_of(light).clamp_min(DARKEST)
    stops = luma.flatten(1).log()
    low, high = _range(stops)
    key = ((high - stops.mean(1)) / (high - low).clamp_min(DARKEST)).clamp(0, 1)
    contrast = (0.3 + 0.7 * key**1.4)[:, None, None]
    adaptation = (luma + luma.mean((1, 2), keepdim=True)) / 2
    mapped = light / (light + (adaptation**contrast)[:, None])
    low, high = _range(mapped.flatten(1))
    full = ((high - low) / FULL_STRETCH).clamp_max(1)
    low, high = (full * low)[:, None, None, None], (1 - full * (1 - high))[:, None, None, None]
    return ((mapped - low) / (high - low)).clamp(0, 1) ** (1 / CAMERA_GAMMA)


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Robust range of [B, P]: low and high end without the fraction FEW of the values at each."""
    few = round(FEW * values.shape[1])
    return values.kthvalue(few + 1, 1).values, values.kthvalue(values.shape[1] - few, 1).values
