"""Edit the fusion itself where a LUT cannot reach: reweight the exposures on the predicted grid (eq. 1, 2).

Only ratios between the exposures' weights at a pixel matter, so an edit is free to scale all of them. Weights
stay finite and non-negative, and a positive one stays positive: no pixel can lose its last exposure.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.looks.look import Look

Weights: TypeAlias = NDArray[np.float64]  # [K, D, Gh, Gw]

_BALANCE_STOPS = 4.0  # at ±100 the brightest exposure gains or loses this many factors of 2 on the darkest
_EVENED_SHARE = 0.8  # at a detail of -100 this much of a weight no longer depends on the luma of the pixel
_FLOOR = float(np.finfo(np.float32).tiny)


def edit_grid(grid: NDArray[np.float32], look: Look) -> NDArray[np.float32]:
    """Apply the balance and detail of a look, both scaled by its strength.

    Args:
        grid: [K, D, Gh, Gw] float32, finite and non-negative; exposures dark to bright, luma knots 0 to 1.
        look: see `docs/looks.md`; where balance and detail are 0 the result is a copy bit for bit.

    Returns:
        a new array like `grid`.
    """
    if grid.ndim != 4:
        raise ValueError(f"grid of shape {list(grid.shape)}: must be [K, D, Gh, Gw]")
    if not (np.isfinite(grid).all() and (grid >= 0).all()):
        raise ValueError("grid holds NaN, infinite or negative weights: its network has diverged")
    if look.strength == 0 or not (look.detail or look.balance):
        return grid.copy()
    edited: Weights = grid.astype(np.float64)
    if look.detail:
        edited = _detail(edited, look.strength * look.detail / 100)
    if look.balance:
        edited = _balance(edited, look.strength * look.balance / 100)
    return np.where(grid > 0, np.maximum(edited, _FLOOR), edited).astype(np.float32)


def _balance(grid: Weights, amount: float) -> Weights:
    """G_k ↦ G_k · 2^(amount · stops · e_k), e = 0 (darkest) … 1 (brightest): a tilt along the exposures.

    The same in every cell and luma knot, so local contrast is kept. Factors are at most 1: no overflow.
    """
    e = np.linspace(0, 1, len(grid))
    stops = amount * _BALANCE_STOPS * e
    factor = np.exp2(stops - stops.max())
    tilted: Weights = grid * factor[:, None, None, None]
    return tilted


def _detail(grid: Weights, amount: float) -> Weights:
    """Make weights depend more (positive) or less (negative) on the luma of the pixel.

    The student tells neighbouring pixels of a cell apart by their luma so as to keep their contrast: more of
    that is more texture, less is a smoother picture, held by the differences between cells alone.
    """
    mean = grid.mean(axis=1, keepdims=True)
    if amount < 0:
        evened: Weights = grid - amount * _EVENED_SHARE * (mean - grid)
        return evened
    # A power of the ratio to the mean, at 100 its square; one factor on all keeps the largest from growing.
    ratio = np.divide(grid, mean, out=np.zeros_like(grid), where=mean > 0) ** (1 + amount)
    sharpened: Weights = mean * ratio / ratio.max(initial=1)
    return sharpened
