"""What training minimises: fidelity, eq. 8 (docs/method.md), and regularisers of grid and LUT, eq. 7.

All of it is differentiable. The MEF measures are defined as in `models.metrics`, whose figures are reported;
here windows may lie `stride` pixels apart, luminance is not rounded, and every window moment is a pair of
matrix products, the fastest way on a CPU. What depends on the frames alone is computed without gradients.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from lutfuse.models.student.implicit_lut import lattice

EPS = 2.0**-52
FLAT = 0.005  # norm of a window below which its structure is float32 rounding, and is ignored
CANCELLED = 0.01  # norm of a mean of unit structures below which they cancel and it has no direction
SCALE_POWERS = tuple(power / 0.6305 for power in (0.0448, 0.2856, 0.3001))
LONG_RANGE_STEPS = (1, 2, 4, 8)


@functools.lru_cache(maxsize=64)
def _window_matrix(size: int, window: tuple[float, ...], stride: int) -> Tensor:
    """[n, size]: each row holds one position of the 1-D window, `stride` pixels apart."""
    starts = range(0, size - len(window) + 1, stride)
    matrix = torch.zeros(len(starts), size)
    for row, start in enumerate(starts):
        matrix[row, start : start + len(window)] = torch.tensor(window)
    return matrix


@functools.lru_cache(maxsize=8)
def _gaussian(length: int, sigma: float) -> tuple[float, ...]:
    raw = [math.exp(-((i - (length - 1) / 2) ** 2) / (2 * sigma**2)) for i in range(length)]
    return tuple(value / sum(raw) for value in raw)


def _box(length: int) -> tuple[float, ...]:
    return (1 / length,) * length


def _smooth(maps: Tensor, window: tuple[float, ...], stride: int) -> Tensor:
    """Separable windowed mean of [..., H, W] at every window inside the image."""
    rows = _window_matrix(maps.shape[-2], window, stride).to(maps)
    cols = _window_matrix(maps.shape[-1], window, stride).to(maps)
    return rows @ (maps @ cols.T)


class _Desired(NamedTuple):
    """Per window, the desired structure as a combination of the centred frames, and its variance."""

    gains: Tensor  # [B, K, h, w]
    means: Tensor  # [B, K, h, w] windowed means of the frames
    variance: Tensor  # [B, h, w]


def _pairwise_moments(frames: Tensor, window: tuple[float, ...], stride: int) -> tuple[Tensor, Tensor]:
    """Means [B, K, h, w] and covariances [B, K, K, h, w] of frames [B, K, C, H, W], colours in one window."""
    means = _smooth(frames.mean(2), window, stride)
    k = frames.shape[1]
    first, second = torch.triu_indices(k, k)
    products = _smooth((frames[:, first] * frames[:, second]).mean(2), window, stride)
    half = products - means[:, first] * means[:, second]
    full = half.new_empty(len(half), k, k, *half.shape[2:])
    full[:, first, second] = half
    full[:, second, first] = half
    return means, full


def _quadratic(gains: Tensor, covariances: Tensor) -> Tensor:
    """Σ_jk a_j a_k cov_jk: the variance of Σ a_k x_k in each window, [B, h, w]."""
    return torch.einsum("bjhw,bjkhw,bkhw->bhw", gains, covariances, gains).clamp_min(0)


def _covariance(
    desired: _Desired, frames: Tensor, fused: Tensor, window: tuple[float, ...], stride: int
) -> Tensor:
    """Covariance of the desired structure with the fused image [B, C, H, W] in each window."""
    products = _smooth((frames * fused[:, None]).mean(2), window, stride)
    mean_fused = _smooth(fused.mean(1), window, stride)
    return (desired.gains * (products - desired.means * mean_fused[:, None])).sum(1)


def _variance(image: Tensor, window: tuple[float, ...], stride: int) -> Tensor:
    """Windowed variance over all channels of [B, C, H, W]."""
    mean = _smooth(image.mean(1), window, stride)
    return (_smooth(image.square().mean(1), window, stride) - mean.square()).clamp_min(0)


@torch.no_grad()
def _desired_grey(frames: Tensor, stride: int) -> _Desired:
    """Steps 1–3 of MEF-SSIM at one scale, frames [B, K, 1, H, W] in units of 255 levels."""
    _, covariances = _pairwise_moments(frames, _box(11), stride)
    norms = (121 * covariances.diagonal(dim1=1, dim2=2).permute(0, 3, 1, 2).clamp_min(0)).sqrt() * 255
    total = (121 * covariances.sum((1, 2)).clamp_min(0)).sqrt() * 255
    consistency = ((total + EPS) / (norms.sum(1) + EPS)).clamp(max=1 - 1e-6)
    power = torch.tan(math.pi / 2 * consistency).clamp(max=10)[:, None]
    strength = norms + 0.001
    weights = (strength / 11) ** power + EPS
    gains = (norms > FLAT * 255) * weights / weights.sum(1, keepdim=True) / strength
    length = (121 * _quadratic(gains, covariances)).sqrt() * 255
    gains = (
        gains * torch.where(length > CANCELLED, strength.amax(1) / length.clamp_min(CANCELLED), 0)[:, None]
    )
    means, weighted = _pairwise_moments(frames, _gaussian(11, 1.5), stride)
    return _Desired(gains, means, _quadratic(gains, weighted))


def _mef_ssim_scale(frames: Tensor, fused: Tensor, stride: int) -> Tensor:
    desired = _desired_grey(frames, stride)
    window = _gaussian(11, 1.5)
    covariance = _covariance(desired, frames, fused, window, stride)
    constant = 0.03**2
    score = (2 * covariance + constant) / (desired.variance + _variance(fused, window, stride) + constant)
    return score.mean((1, 2))


def mef_ssim(
    fused: Tensor,  # [B, 3, H, W] in [0, 1]
    frames: Tensor,  # [B, K, 3, H, W] in [0, 1]
    stride: int = 2,  # px between windows
) -> Tensor:  # [B]
    """MEF-SSIM of Ma et al. 2015, three scales; H, W ≥ 44."""
    grey = fused.new_tensor((0.298936, 0.587043, 0.114021))
    fused = torch.einsum("bchw,c->bhw", fused - 0.5, grey)[:, None]
    frames = torch.einsum("bkchw,c->bkhw", frames - 0.5, grey)[:, :, None]
    result = fused.new_ones(len(fused))
    for power in SCALE_POWERS:
        result = result * _mef_ssim_scale(frames, fused, stride).clamp_min(1e-4) ** power
        fused = torch.nn.functional.avg_pool2d(fused, 2)
        frames = torch.nn.functional.avg_pool2d(frames.flatten(1, 2), 2)[:, :, None]
    return result


@torch.no_grad()
def _desired_colour(frames: Tensor, stride: int) -> tuple[_Desired, Tensor]:
    """Structure and luminance [B, h, w] that MEF-SSIM_c wants; frames are centred at ½."""
    means, covariances = _pairwise_moments(frames, _box(8), stride)
    contrast = (192 * covariances.diagonal(dim1=1, dim2=2).permute(0, 3, 1, 2).clamp_min(0)).sqrt() + 1e-6
    strongest = contrast.amax(1, keepdim=True)
    gains = (contrast > FLAT) * (contrast / strongest) ** 4 / contrast
    length = (192 * _quadratic(gains, covariances)).sqrt()
    gains = gains * torch.where(length > CANCELLED, strongest[:, 0] / length.clamp_min(CANCELLED), 0)[:, None]
    exposedness = torch.exp(-means.square() / 0.08 - frames.mean((2, 3, 4)).square()[:, :, None, None] / 0.08)
    luminance = (exposedness * (means + 0.5)).sum(1) / exposedness.sum(1)
    return _Desired(gains, means, _quadratic(gains, covariances)), luminance


def mef_ssim_c(
    fused: Tensor,  # [B, 3, H, W] in [0, 1]
    frames: Tensor,  # [B, K, 3, H, W] in [0, 1]
    stride: int = 4,  # px between windows
) -> Tensor:  # [B]
    """MEF-SSIM_c after Ma et al. 2018: colour structure times luminance; H, W ≥ 8."""
    frames, fused = frames - 0.5, fused - 0.5
    desired, wanted = _desired_colour(frames, stride)
    mean = _smooth(fused.mean(1), _box(8), stride) + 0.5
    luminance = (2 * wanted * mean + 1e-4) / (wanted.square() + mean.square() + 1e-4)
    covariance = _covariance(desired, frames, fused, _box(8), stride)
    structure = (2 * covariance + 9e-4) / (desired.variance + _variance(fused, _box(8), stride) + 9e-4)
    return (luminance * structure).mean((1, 2))


def ssim(image: Tensor, reference: Tensor, stride: int = 2) -> Tensor:
    """SSIM of Wang 2004 per image, [B, 3, H, W] in [0, 1] → [B]; Gaussian 11/1.5, mean of the channels."""
    window = _gaussian(11, 1.5)
    stacked = torch.stack((image, reference, image * image, reference * reference, image * reference))
    mean_x, mean_y, xx, yy, xy = _smooth(stacked, window, stride)
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x.square() + mean_y.square() + 1e-4)
    structure = (2 * (xy - mean_x * mean_y) + 9e-4) / (xx - mean_x.square() + yy - mean_y.square() + 9e-4)
    score: Tensor = luminance * structure
    return score.mean((1, 2, 3))


def lut_smoothness(lut: Tensor) -> Tensor:
    """L_smooth of eq. 7: mean squared second differences on each axis of [B, N, N, N, 3], × (N - 1)⁴/1e4."""
    size = lut.shape[1]
    if size < 3:
        return lut.new_zeros(())  # two nodes have no curvature
    terms = [torch.diff(lut, n=2, dim=axis).square().mean() for axis in (1, 2, 3)]
    return torch.stack(terms).sum() * (size - 1) ** 4 / 1e4


def lut_monotonicity(lut: Tensor) -> Tensor:
    """L_mono of eq. 7: a channel's slope along its own axis costs where it is below 0.1 of the identity's."""
    size = lut.shape[1]
    slopes = [torch.diff(lut[..., c], dim=3 - c) * (size - 1) for c in range(3)]
    return torch.stack([(0.1 - slope).clamp_min(0).square().mean() for slope in slopes]).sum()


def lut_long_range(lut: Tensor) -> Tensor:
    """L_lr of eq. 7: squared differences of the offsets of nodes 1, 2, 4, 8 sixteenths of the cube apart."""
    size = lut.shape[1]
    offset = lut - lattice(size).to(lut)
    total = lut.new_zeros(())
    for step in LONG_RANGE_STEPS:
        apart = max(1, round(step * (size - 1) / 16))
        for axis in (1, 2, 3):
            rows = offset.shape[axis] - apart
            difference = offset.narrow(axis, apart, rows) - offset.narrow(axis, 0, rows)
            total = total + difference.square().sum(-1).mean() / step
    return total


def grid_smoothness(grid: Tensor) -> Tensor:
    """Mean squared differences of ln G [B, K, D, Gh, Gw] between neighbouring rows and columns, and half the
    mean squared second difference along the luma knots.
    """
    log = grid.log()
    log = log - log.mean((1, 2, 3, 4), keepdim=True)
    spatial = torch.diff(log, dim=3).square().mean() + torch.diff(log, dim=4).square().mean()
    return spatial + 0.5 * torch.diff(log, n=2, dim=2).square().mean()


def tone_order(fused: Tensor, frames: Tensor) -> Tensor:
    """Reversed tones: points that are brighter than others in the frames, but darker in the result; [] ≥ 0.

    At 32×32, on means over the channels, each point is compared with another that torch draws. It counts as
    the brighter one if its mean over the frames is higher by more than 0.1. Up to 0.02 of reversal is free:
    local contrast needs some.
    """
    pool = torch.nn.functional.adaptive_avg_pool2d
    scene = pool(frames.mean((1, 2)), 32).flatten(1)
    result = pool(fused.mean(1), 32).flatten(1)
    other = torch.randperm(scene.shape[1]).to(scene.device)
    gap = scene - scene[:, other]
    reversal = (result[:, other] - result - 0.02).clamp_min(0)
    return 100 * ((gap > 0.1) * reversal).square().mean()
