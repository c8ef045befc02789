"""One batch through student, LUT and fusion (DESIGN eq. 1–4), and the loss taken on the result (eq. 7, 8)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lutfuse.models.fusion.twin import apply_lut, luma_of, merge, slice_weights
from lutfuse.models.student.network import Student
from lutfuse.models.training import losses
from lutfuse.models.training.recipe import LossWeights
from lutfuse.models.training.samples import Sample


class Batch(NamedTuple):
    """Samples of one K as tensors."""

    thumbs: Tensor  # [B, K, 3, S, S] float32 in [0, 1]
    views: Tensor  # [B, K, 3, L, L] float32 in [0, 1]
    judges: Tensor  # [B, J, 3, L, L], those of the views that show something
    reference: Tensor  # [B, 3, L, L] float32 in [0, 1]
    trust: Tensor  # [B] in [0, 1], of the reference; 0 where there is none


class Fused(NamedTuple):
    """What the student made of a batch."""

    image: Tensor  # [B, 3, L, L], not yet clipped to [0, 1]
    grid: Tensor  # [B, K, D, Gh, Gw] > 0
    lut: Tensor  # [B, N, N, N, 3], not yet clipped


def collate(drawn: Sequence[Sample], device: torch.device) -> Batch:
    """Samples of one K as a batch on `device`."""

    def stack(parts: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(parts)).to(device)

    trust = torch.tensor([sample.trust for sample in drawn], dtype=torch.float32, device=device)
    thumbs, views = stack([sample.thumbs for sample in drawn]), stack([sample.views for sample in drawn])
    judges = views[:, : views.shape[1] - drawn[0].idle]
    return Batch(thumbs, views, judges, stack([sample.reference for sample in drawn]), trust)


def fuse(student: Student, batch: Batch, lut_size: int) -> Fused:
    """Eq. (1)–(4), differentiable."""
    grid, latent = student(batch.thumbs)
    return fuse_with(grid, student.implicit_lut.bake(latent, lut_size), batch)


def fuse_with(grid: Tensor, lut: Tensor, batch: Batch) -> Fused:
    """Eq. (2) and (4) with a grid [B, K, D, Gh, Gw] > 0 and a LUT [B, N, N, N, 3], differentiable."""
    merged = merge(batch.views, slice_weights(grid, luma_of(batch.views)))
    return Fused(apply_lut(lut, merged), grid, lut)


def objective(student: Student, batch: Batch, weights: LossWeights, lut_size: int) -> dict[str, Tensor]:
    """The weighted terms of the loss, each a scalar; their sum is what training minimises."""
    return objective_of(fuse(student, batch, lut_size), batch, weights)


def objective_of(fused: Fused, batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
    """The same, of what is fused already."""
    return fidelity(fused.image, batch, weights) | regularisers(fused, batch, weights)


def fidelity(image: Tensor, batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
    """Eq. (8): the MEF measures against the frames shown, L1, L2 and SSIM against the reference where known.

    The fewer frames are shown the less the reference counts: it shows what a pair does not hold.
    """
    trust = batch.trust
    own = 1 - weights.mef_yields * trust
    grey = own * weights.mef_ssim
    colour = own * (weights.mef_ssim_c + weights.mef_ssim_c_unknown * (trust == 0))
    error = image - batch.reference
    l1, l2 = trust * error.abs().mean((1, 2, 3)), trust * error.square().mean((1, 2, 3))
    unlike = trust * (1 - losses.ssim(image, batch.reference))
    return {
        "mef_ssim": (grey * (1 - losses.mef_ssim(image, batch.judges))).mean(),
        "mef_ssim_c": (colour * (1 - losses.mef_ssim_c(image, batch.judges))).mean(),
        "reference_l1": weights.reference_l1 * l1.mean(),
        "reference_l2": weights.reference_l2 * l2.mean(),
        "reference_ssim": weights.reference_ssim * unlike.mean(),
    }


def regularisers(fused: Fused, batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
    """Eq. (7) on the LUT, and smoothness and order of tones for what the weight grid does."""
    image, grid, lut = fused
    return {
        "lut_smoothness": weights.lut_smoothness * losses.lut_smoothness(lut),
        "lut_monotonicity": weights.lut_monotonicity * losses.lut_monotonicity(lut),
        "lut_long_range": weights.lut_long_range * losses.lut_long_range(lut),
        "lut_range": weights.lut_range * (lut - lut.clamp(0, 1)).square().mean(),
        "grid_smoothness": weights.grid_smoothness * losses.grid_smoothness(grid),
        "tone_order": weights.tone_order * losses.tone_order(image, batch.judges),
    }
