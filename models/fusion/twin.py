"""The slow, obvious twin of the fusion kernel, in plain torch: its oracle, and what training goes through.

Every function is differentiable, takes any floating dtype and computes in it; float64 makes the oracle.
Positions (Note [positions] in `models/native/fuse.h`):

* rows and columns: the grid's cells tile the image, each value sits at the centre of its cell, and the border
  value holds from the outermost centre to the edge (`align_corners=False`, clamped);
* luma: D knots from black (knot 0) to white (knot D - 1);
* LUT: N knots from 0 to 1 on each axis, `lut[b, g, r, channel]`, red fastest as in `.cube`.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lutfuse.models.contract import LUMA

MIN_WEIGHT = 1e-8  # where every weight vanishes the exposures count alike
MAX_WEIGHT = 2.0**20  # keeps sums of weighted pixels finite, whatever the grid holds
_BAND_ROWS = 64  # rows at a time: a float64 UHD image and its D weight planes would not fit small machines


def luma_of(images: Tensor) -> Tensor:
    """[..., 3, H, W] in [0, 1] -> [..., H, W] in [0, 1]."""
    red, green, blue = images.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def slice_weights(
    grid: Tensor,  # [B, K, D, Gh, Gw] >= 0
    luma: Tensor,  # [B, K, H, W] in [0, 1]
    *,
    band: tuple[int, int] | None = None,  # (first row, rows of the whole image) where luma is a band of one
) -> Tensor:  # [B, K, H, W]
    """Eq. 2, the slice: trilinear in row, column and luma."""
    n_knots, grid_height, grid_width = grid.shape[2:]
    height, width = luma.shape[2:]
    first_row, total_rows = band or (0, height)
    across_rows = _interpolation_matrix(total_rows, grid_height, grid)[first_row : first_row + height]
    across_columns = _interpolation_matrix(width, grid_width, grid)
    planes = across_rows @ grid @ across_columns.mT  # [B, K, D, H, W]
    position = luma.clamp(0, 1) * (n_knots - 1)
    weights = torch.zeros_like(luma)
    for knot, plane in enumerate(planes.unbind(2)):  # unbind: one pass backwards, where indexing takes D
        # A hat of width one: the knots on both sides of the position share it, all others get nothing.
        weights = weights + plane * (1 - (position - knot).abs()).clamp(min=0)
    return weights


def merge(
    images: Tensor,  # [B, K, 3, H, W] in [0, 1]
    weights: Tensor,  # [B, K, H, W]
) -> Tensor:  # [B, 3, H, W] in [0, 1]
    """Eq. 2, the merge: the weighted mean of the exposures."""
    weights = weights.clamp(min=MIN_WEIGHT).unsqueeze(2)
    return (weights * images).sum(1) / weights.sum(1)


def apply_lut(
    lut: Tensor,  # [B, N, N, N, 3]
    image: Tensor,  # [B, 3, H, W] in [0, 1]
) -> Tensor:  # [B, 3, H, W]
    """Eq. 4: trilinear interpolation between the LUT's knots; colours outside [0, 1] take the border."""
    volume = lut.permute(0, 4, 1, 2, 3)  # [B, 3, blue, green, red]
    where = image.permute(0, 2, 3, 1).unsqueeze(1) * 2 - 1  # [B, 1, H, W, (red, green, blue)] in [-1, 1]
    return F.grid_sample(volume, where, padding_mode="border", align_corners=True).squeeze(2)


def fuse_twin(
    images: Sequence[np.ndarray] | np.ndarray,  # K × [H, W, 3] uint8 or uint16
    grid: np.ndarray,  # [K, D, Gh, Gw]
    lut: np.ndarray,  # [N, N, N, 3]
    *,
    dtype: torch.dtype = torch.float64,
) -> np.ndarray:  # [H, W, 3] of dtype, in levels (0…255 or 0…65535), not yet rounded
    """The whole kernel on one bracket, with its policy for values out of range (see `fuse.h`)."""
    levels = float(np.iinfo(images[0].dtype).max)
    height = images[0].shape[0]
    clean_grid = _finite(grid, dtype, MAX_WEIGHT).unsqueeze(0)
    clean_lut = _finite(lut, dtype, 1.0).unsqueeze(0)
    bands = []
    for first in range(0, height, _BAND_ROWS):
        stack = np.stack([np.asarray(image[first : first + _BAND_ROWS]) for image in images])
        pixels = torch.from_numpy(stack.astype(np.int32)).to(dtype).permute(0, 3, 1, 2)[None] / levels
        weights = slice_weights(clean_grid, luma_of(pixels), band=(first, height))
        fused = apply_lut(clean_lut, merge(pixels, weights)) * levels
        bands.append(fused[0].permute(1, 2, 0).numpy())
    return np.concatenate(bands)


def _interpolation_matrix(n_pixels: int, n_cells: int, like: Tensor) -> Tensor:
    """[n_pixels, n_cells]: the share of every cell in every pixel; at most two in a row, summing to one."""
    pixel = torch.arange(n_pixels, dtype=torch.float64, device=like.device)
    position = ((pixel + 0.5) * n_cells / n_pixels - 0.5).clamp(0, n_cells - 1)
    cell = torch.arange(n_cells, dtype=torch.float64, device=like.device)
    return (1 - (position[:, None] - cell).abs()).clamp(min=0).to(like.dtype)


def _finite(values: np.ndarray, dtype: torch.dtype, highest: float) -> Tensor:
    """NaN becomes 0, everything else is clamped to [0, highest]."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)).to(dtype)
    return torch.nan_to_num(tensor, nan=0.0, posinf=highest, neginf=0.0).clamp(0, highest)
