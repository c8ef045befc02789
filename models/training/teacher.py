"""The teacher T, eq. 5 (docs/method.md): several prior grids, their fusion, and the variance of every node.

It has the student's design, wider and deeper, on larger thumbnails. P heads, the bases, each give a weight
grid and a LUT as Gaussians per node; their product is what the teacher believes. It only trains students.

Note [scale of the variance]. The variances of the bases weight the mean, so fidelity teaches them, and the
likelihood of the reference does as well. The scale of the product's variance has outputs of its own, on which
the mean does not depend: they learn from the likelihood alone, undisturbed by the far larger gradients of
fidelity.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lutfuse.models.student.implicit_lut import ImplicitLut, lattice
from lutfuse.models.student.network import (
    ContextBlock,
    merged,
    priors_of,
    seen_length,
    seen_of,
    shrunk,
    splat,
    splat_channels,
)
from lutfuse.models.training.recipe import TeacherConfig, TrainConfig

# Variance where nothing was learnt: ±0.5 of ln G, ±0.05 of a LUT's colours.
GRID_VARIANCE, LUT_VARIANCE = 0.25, 0.0025
# The variance of a basis, and the scale of the product's, lie within e^±VARIANCE_RANGE of these.
VARIANCE_RANGE = 6.0


class Gaussian(NamedTuple):
    """Independent Gaussians, one per node."""

    mean: Tensor
    variance: Tensor  # > 0


class Belief(NamedTuple):
    """What the teacher believes about a batch, μ_T and σ²_T of eq. 5."""

    log_grid: Gaussian  # [B, K, D, Gh, Gw], of ln G
    lut: Gaussian  # [B, N, N, N, 3], not clipped


def product_of(means: Tensor, variances: Tensor, dim: int) -> Gaussian:
    """The fusion of eq. 5: in a product of Gaussians precisions add, and means count by precision."""
    precision = variances.reciprocal()
    variance = precision.sum(dim).reciprocal()
    return Gaussian(variance * (precision * means).sum(dim), variance)


def positive(raw: Tensor) -> Tensor:
    """Maps any number to one within e^±VARIANCE_RANGE, and zero to one."""
    return torch.exp(VARIANCE_RANGE * torch.tanh(raw / VARIANCE_RANGE))


def fused_bases(
    means: Tensor, raw_variances: Tensor, raw_scale: Tensor, unlearnt: float, dim: int
) -> Gaussian:
    """P bases along `dim` as one Gaussian; its variance is `unlearnt` where all raw numbers are zero."""
    product = product_of(means, means.shape[dim] * positive(raw_variances), dim)
    return Gaussian(product.mean, unlearnt * positive(raw_scale) * product.variance)


class Teacher(nn.Module):
    """Thumbnails to a `Belief`; `shape` is a student's configuration with the teacher's sizes."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config: TeacherConfig = config.teacher
        self.shape = shape = config.teacher_shape()
        width, bases = shape.width, self.config.bases
        self.stem = nn.Conv2d(3, width // 2, 4, stride=4)
        self.down = nn.Conv2d(width // 2, width, 3, stride=2, padding=1)
        self.deeper = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.embed = nn.Conv2d(width + splat_channels(shape), width, 1)
        self.blocks = nn.Sequential(*(ContextBlock(width) for _ in range(shape.blocks)))
        self.head = nn.Conv2d(width, (2 * bases + 1) * shape.luma_bins, 1)  # means, variances, their scale
        codes = (bases + 1) * shape.latent
        self.latent = nn.Sequential(
            nn.Linear(seen_length(shape), 2 * width), nn.SiLU(), nn.Linear(2 * width, codes)
        )
        self.implicit_lut, self.lut_variance, self.lut_scale = (ImplicitLut(shape) for _ in range(3))
        with torch.no_grad():  # near the plain average, but not at it: equal bases would stay equal
            self.head.weight.mul_(0.1)
            cast(Tensor, self.head.bias).zero_()

    def forward(self, thumbs: Tensor, lut_size: int) -> Belief:
        """Thumbs [B, K, 3, S, S] float32 in [0, 1]; S is the teacher's."""
        shape, bases = self.shape, self.config.bases
        small = shrunk(thumbs)
        known = priors_of(small) if shape.priors else None
        x = self._features(thumbs, splat(thumbs, known, shape))
        raw = self.head(x.flatten(0, 1)).reshape(*x.shape[:2], 2 * bases + 1, shape.luma_bins, *x.shape[3:])
        raw_means, raw_variances, raw_scale = raw.split((bases, bases, 1), 2)
        bound = shape.log_weight_range if shape.weight_grid else 0
        log_weights = bound * torch.tanh(raw_means / shape.log_weight_range)
        log_grid = fused_bases(log_weights, raw_variances, raw_scale[:, :, 0], GRID_VARIANCE, 2)
        seen = seen_of(x, merged(small, log_grid.mean.exp()), known, shape)
        return Belief(log_grid, self._lut(self.latent(seen), lut_size))

    def _lut(self, latents: Tensor, size: int) -> Gaussian:
        """Eq. 3 for each basis, from codes [B, (P + 1)·Z]; the last code is that of the scale."""
        codes = latents.reshape(len(latents), -1, self.shape.latent)
        flat = codes[:, :-1].flatten(0, 1)  # [B·P, Z]
        colours = lattice(size).to(latents).reshape(-1, 3)
        each = (len(latents), -1, size, size, size, 3)
        means = self.implicit_lut.bake(flat, size).reshape(each)
        variances = self.lut_variance(colours, flat).reshape(each)
        scale = self.lut_scale(colours, codes[:, -1]).reshape(means[:, 0].shape)
        return fused_bases(means, variances, scale, LUT_VARIANCE, 1)

    def _features(self, thumbs: Tensor, splatted: Tensor) -> Tensor:
        """Features [B, K, C, Gh, Gw] of the thumbnails and of what was splatted from them."""
        x = F.silu(self.down(F.silu(self.stem(2 * thumbs.flatten(0, 1) - 1))))
        x = F.adaptive_avg_pool2d(F.silu(self.deeper(x)), (self.shape.grid_rows, self.shape.grid_cols))
        x = self.embed(torch.cat((x, splatted.flatten(0, 1)), 1))
        return cast(Tensor, self.blocks(x.reshape(*thumbs.shape[:2], *x.shape[1:])))
