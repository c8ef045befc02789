"""One batch through student, LUT and fusion, eq. 1 to 4 (docs/method.md), and the loss on it, eq. 7 and 8."""

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
    active: Tensor  # [B, J, 3, L, L], the views less the idle ones: what the MEF measures compare with
    reference: Tensor  # [B, 3, L, L] float32 in [0, 1]
    trust: Tensor  # [B] in [0, 1], of the reference; 0 where there is none


class Fused(NamedTuple):
    """A fused batch, and the grids that fused it."""

    image: Tensor  # [B, 3, L, L], not yet clipped to [0, 1]
    grid: Tensor  # [B, K, D, Gh, Gw] > 0
    lut: Tensor  # [B, N, N, N, 3], not yet clipped


def collate(drawn: Sequence[Sample], device: torch.device) -> Batch:
    """Samples of one K as a batch on `device`."""

    def stack(parts: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(parts)).to(device)

    trust = torch.tensor([sample.trust for sample in drawn], dtype=torch.float32, device=device)
    thumbs, views = stack([sample.thumbs for sample in drawn]), stack([sample.views for sample in drawn])
    active = views[:, : views.shape[1] - drawn[0].idle]
    return Batch(thumbs, views, active, stack([sample.reference for sample in drawn]), trust)


def fuse_batch(student: Student, batch: Batch, lut_size: int) -> Fused:
    """Eq. 1 to 4, differentiable."""
    grid, latent = student(batch.thumbs)
    return apply_grids(grid, student.implicit_lut.bake(latent, lut_size), batch)


def apply_grids(grid: Tensor, lut: Tensor, batch: Batch) -> Fused:
    """Eq. 2 and 4 with a grid [B, K, D, Gh, Gw] > 0 and a LUT [B, N, N, N, 3], differentiable."""
    merged = merge(batch.views, slice_weights(grid, luma_of(batch.views)))
    return Fused(apply_lut(lut, merged), grid, lut)


def objective(fused: Fused, batch: Batch, loss: LossWeights) -> dict[str, Tensor]:
    """The weighted terms of the loss, each a scalar; training minimises their sum."""
    return fidelity(fused.image, batch, loss) | regularisers(fused, batch, loss)


def fidelity(image: Tensor, batch: Batch, loss: LossWeights) -> dict[str, Tensor]:
    """Eq. 8: MEF-SSIM and MEF-SSIM_c against the frames shown; L1, L2 and SSIM against a reference.

    The fewer frames are shown, the less the reference counts: it has content that is in none of them.
    """
    trust = batch.trust
    rest = 1 - loss.mef_yields * trust  # what a trusted reference leaves to the MEF measures
    grey = rest * loss.mef_ssim
    colour = rest * (loss.mef_ssim_c + loss.mef_ssim_c_unknown * (trust == 0))
    error = image - batch.reference
    l1, l2 = trust * error.abs().mean((1, 2, 3)), trust * error.square().mean((1, 2, 3))
    unlike = trust * (1 - losses.ssim(image, batch.reference))
    return {
        "mef_ssim": (grey * (1 - losses.mef_ssim(image, batch.active))).mean(),
        "mef_ssim_c": (colour * (1 - losses.mef_ssim_c(image, batch.active))).mean(),
        "reference_l1": loss.reference_l1 * l1.mean(),
        "reference_l2": loss.reference_l2 * l2.mean(),
        "reference_ssim": loss.reference_ssim * unlike.mean(),
    }


def regularisers(fused: Fused, batch: Batch, loss: LossWeights) -> dict[str, Tensor]:
    """Eq. 7 on the LUT; for the weight grid, smoothness and the order of tones it leads to."""
    image, grid, lut = fused
    return {
        "lut_smoothness": loss.lut_smoothness * losses.lut_smoothness(lut),
        "lut_monotonicity": loss.lut_monotonicity * losses.lut_monotonicity(lut),
        "lut_long_range": loss.lut_long_range * losses.lut_long_range(lut),
        "lut_range": loss.lut_range * (lut - lut.clamp(0, 1)).square().mean(),
        "grid_smoothness": loss.grid_smoothness * losses.grid_smoothness(grid),
        "tone_order": loss.tone_order * losses.tone_order(image, batch.active),
    }
