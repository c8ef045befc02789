"""The compiled kernel. Call `lutfuse.models.fusion.kernel.fuse` instead: it checks what the kernel assumes."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]  # [H, W, 3]
Table: TypeAlias = NDArray[np.float32]  # grid [K, D, Gh, Gw] or LUT [N, N, N, 3]

has_cuda: bool  # compiled in; a device may still be missing

# (min, max), both included, from fuse.h. Keys: "exposures", "knots" (of a grid), "cells" (rows and columns of
# a grid), "lut_sizes", "sides" (pixels).
limits: dict[str, tuple[int, int]]

def paths() -> list[str]: ...  # CPU paths of this machine, slowest first
def cuda_device_count() -> int: ...  # 0 without CUDA, driver or device
def fuse_cpu(
    images: Sequence[Image], grid: Table, lut: Table, out: Image, threads: int, path: str
) -> None: ...
def fuse_cuda_from_host(
    images: Sequence[Image], grid: Table, lut: Table, out: Image, device: int
) -> None: ...

# CUDA tensors, through DLPack; all on one device.
def cuda_scratch_bytes(images: Sequence[Any], grid: Any, lut: Any, out: Any) -> int: ...
def fuse_cuda(images: Sequence[Any], grid: Any, lut: Any, out: Any, scratch: Any, stream: int) -> None: ...
