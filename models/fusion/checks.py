"""What `kernel.fuse` accepts: every wrong argument ends here, before anything is written.

Arrays are NumPy's or torch's CUDA tensors; both are asked the same questions.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from lutfuse.models.contract import CELLS, KERNEL_EXPOSURES, KNOTS, LUT_SIZES, SIDES


def check_threads(threads: int) -> None:
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads={threads!r}: must be an integer of at least 1")
    if threads < 1:
        raise ValueError(f"threads={threads}: must be at least 1; the default is 1")


def check_places(arrays: dict[str, Any]) -> bool:
    """True for CUDA tensors on one device, False for NumPy arrays; a mixture is refused."""
    places = {}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            places[name] = "numpy"
        elif getattr(array, "is_cuda", False):
            places[name] = str(array.device)
        else:
            kind = type(array).__name__ + (f" on {array.device}" if hasattr(array, "device") else "")
            raise TypeError(f"{name} is a {kind}: must be a numpy array or CUDA tensor; use .numpy()")
    for (first, place), (second, other) in pairwise(places.items()):
        if place != other:
            raise ValueError(f"{first} is in {place}, {second} in {other}: must be in one place; copy one")
    return "numpy" not in places.values()


def check_frames(frames: Sequence[Any]) -> None:
    if not KERNEL_EXPOSURES.allow(len(frames)):
        raise ValueError(f"images: {len(frames)} exposures, must be {KERNEL_EXPOSURES}; leave some out")
    for k, frame in enumerate(frames):
        check_image(f"images[{k}]", frame, like=frames[0])


def check_image(name: str, image: Any, *, like: Any) -> None:
    if dtype_name(image) not in ("uint8", "uint16"):
        raise TypeError(
            f"{name} is {dtype_name(image)}: must be uint8 or uint16 in native order; use .astype"
        )
    if image.dtype != like.dtype:
        raise TypeError(f"{name} is {dtype_name(image)}, images[0] {dtype_name(like)}: must be of one dtype")
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"{name} has shape {shape}: must be [H, W, 3], RGB")
    if not all(map(SIDES.allow, shape[:2])):
        raise ValueError(f"{name} has shape {shape}: sides must be {SIDES} pixels")
    if shape != tuple(like.shape):
        raise ValueError(f"{name} is {shape}, images[0] {tuple(like.shape)}: must be of one size")
    _check_strides(name, image)


def _check_strides(name: str, image: Any) -> None:
    height, width = image.shape[:2]
    size = image.itemsize
    row, pixel, channel = byte_strides(image)
    packed = channel == size and (width == 1 or pixel == 3 * size)
    if not packed or (height > 1 and row < 3 * size * width):
        raise ValueError(
            f"{name} has strides {(row, pixel, channel)} bytes: pixels must be packed, rows go downwards and "
            "not overlap; use np.ascontiguousarray"
        )
    if (height > 1 and row % size) or address(image) % size:
        raise ValueError(f"{name} is uint16 at odd addresses: must be aligned; use np.ascontiguousarray")


def check_grid(grid: Any, exposures: int) -> None:
    _check_table("grid", grid, "[K, D, Gh, Gw]")
    k, knots, *cells = grid.shape
    if k != exposures:
        raise ValueError(
            f"grid is for {k} exposures, images are {exposures}: must be [{exposures}, D, Gh, Gw]"
        )
    if not KNOTS.allow(knots):
        raise ValueError(f"grid has D = {knots} luma knots: must be {KNOTS}")
    if not all(map(CELLS.allow, cells)):
        raise ValueError(f"grid has {cells[0]} × {cells[1]} cells: must be {CELLS} a side")


def check_lut(lut: Any) -> None:
    _check_table("lut", lut, "[N, N, N, 3]")
    n = lut.shape[0]
    if tuple(lut.shape) != (n, n, n, 3):
        raise ValueError(f"lut has shape {tuple(lut.shape)}: must be [N, N, N, 3]")
    if not LUT_SIZES.allow(n):
        raise ValueError(f"lut has N = {n}: must be {LUT_SIZES}; bake it at another size")


def _check_table(name: str, array: Any, layout: str) -> None:
    if dtype_name(array) != "float32":
        raise TypeError(f"{name} is {dtype_name(array)}: must be float32; use .astype(np.float32)")
    if len(array.shape) != 4:
        raise ValueError(f"{name} has shape {tuple(array.shape)}: must be {layout}")


def check_out(out: Any, frames: Sequence[Any], grid: Any, lut: Any) -> None:
    check_image("out", out, like=frames[0])
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out is read-only: pass a writable array, or none")
    if any(_overlap(out, array) for array in [*frames, grid, lut]):
        raise ValueError(
            "out overlaps an input: pixels would be lost before they are read; pass another array"
        )


def _overlap(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return np.shares_memory(a, b)
    return address(a) < _end(b) and address(b) < _end(a)


def _end(tensor: Any) -> int:
    steps = zip(tensor.shape, byte_strides(tensor), strict=True)
    return int(address(tensor) + sum((side - 1) * stride for side, stride in steps) + tensor.itemsize)


def dtype_name(array: Any) -> str:
    """`uint8`, `float32`…; `>u2` for a foreign byte order, which matches no name."""
    return str(array.dtype).removeprefix("torch.")


def byte_strides(array: Any) -> tuple[int, ...]:
    if isinstance(array, np.ndarray):
        return array.strides
    return tuple(stride * array.itemsize for stride in array.stride())


def address(array: Any) -> int:
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data_ptr())
