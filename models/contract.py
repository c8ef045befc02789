"""What all parts agree on: the limits of a bracket, its weight grid and its LUT, and what luma is.

Symbols as in `docs/method.md`. The kernel states the same limits in `native/fuse.h`; a test compares them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Limits(NamedTuple):
    """The smallest and the largest value allowed; reads as "2 to 9" in messages."""

    low: int
    high: int

    def allow(self, value: float) -> bool:
        """Whether `value` is within the limits; False for NaN."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


EXPOSURES = Limits(2, 9)  # K, of a bracket
KERNEL_EXPOSURES = Limits(1, EXPOSURES.high)  # K, of a call of the kernel
KNOTS = Limits(2, 16)  # D, luma knots of the weight grid
CELLS = Limits(1, 64)  # Gh and Gw, rows and columns of the weight grid
LUT_SIZES = Limits(2, 129)  # N, nodes along each axis: 129 are 2.1 million in all
SIDES = Limits(1, 1 << 24)  # H and W, px
DEFAULT_LUT_SIZE = 33

LUMA = (0.299, 0.587, 0.114)  # of display-encoded R, G, B, everywhere in the method
LUMA_F32 = np.array(LUMA, np.float32)

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Image = NDArray[np.uint8] | NDArray[np.uint16]  # [H, W, 3] RGB, display-encoded
Pixels = NDArray[Any]  # an Image whose depth the type checker need not follow
