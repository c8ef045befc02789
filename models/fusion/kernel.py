"""The only way into the fusion kernel: `fuse` checks its arguments, chooses the backend once and calls it.

The kernel's contract is in `native/fuse.h`, its slow twin in `twin.py`. Importing needs neither a GPU
nor a driver; torch is imported for CUDA tensors only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lutfuse.models.fusion import checks
from lutfuse.models.native import _native

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray[Any, Any], "torch.Tensor")
CPU = -1  # where other values are indices of CUDA devices


def fuse(
    images: Sequence[Array] | Array,  # K × [H, W, 3] or [K, H, W, 3], uint8 or uint16, RGB
    grid: Array,  # [K, D, Gh, Gw] float32, fusion weights >= 0
    lut: Array,  # [N, N, N, 3] float32 in [0, 1], indexed [blue, green, red, channel] as in .cube
    *,
    device: str = "auto",
    threads: int = 1,
    out: Array | None = None,  # [H, W, 3], the images' dtype
    path: str | None = None,
) -> Array:  # [H, W, 3], the images' dtype
    """Fuse one bracket in one pass: slice the weight grid and merge (eq. 2), then apply the LUT (eq. 4).

    NumPy arrays are fused on the CPU (`device="cpu"`), or copied to a GPU and back (`"cuda"`, `"cuda:1"`;
    `"auto"`: where there is one). CUDA tensors are fused where they are, on torch's current stream, and
    come back as a tensor, perhaps before it is filled. All return the same bytes.

    `threads` are started for this call only and share its rows. Images may be views with any positive row
    stride, so that decoded frames and crops need no copy. `path` forces one of `available_paths()`, for
    tests and benchmarks. Wrong arguments raise ValueError or TypeError before anything is written.
    """
    frames: list[Any] = list(images)
    given = {f"images[{k}]": frame for k, frame in enumerate(frames)} | {"grid": grid, "lut": lut}
    on_gpu = checks.check_places(given if out is None else given | {"out": out})
    checks.check_threads(threads)
    checks.check_frames(frames)
    checks.check_grid(grid, len(frames))
    checks.check_lut(lut)
    if out is not None:
        checks.check_out(out, frames, grid, lut)
    if on_gpu:
        _refuse_on_gpu(device, path)
        fused: Array = _fuse_tensors(frames, grid, lut, out)
    else:
        fused = _fuse_arrays(frames, grid, lut, out, _target(device, path), threads, path)
    return fused


def cuda_device_count() -> int:
    """CUDA devices this build can use: 0 without CUDA or without a driver. Never raises."""
    return _native.cuda_device_count()


def available_paths() -> tuple[str, ...]:
    """The CPU code paths of this machine, slowest first; `fuse` takes the last one by itself."""
    return tuple(_native.paths())


def _target(device: str, path: str | None) -> int:
    """CPU, or the index of the CUDA device: decided here and nowhere else."""
    name, _, index = device.partition(":")
    if name not in ("auto", "cpu", "cuda") or (index and not (name == "cuda" and index.isdecimal())):
        raise ValueError(f"device={device!r}: must be 'auto', 'cpu', 'cuda' or 'cuda:<index>'")
    if path is not None:
        return _target_of_path(device, path)
    if name == "cpu" or (name == "auto" and cuda_device_count() == 0):
        return CPU
    target = int(index or 0)
    if target >= cuda_device_count():
        raise ValueError(f"device={device!r}: {_why_no_cuda()}")
    return target


def _target_of_path(device: str, path: str) -> int:
    if path not in available_paths():
        raise ValueError(f"path={path!r}: must be one of this machine's, {', '.join(available_paths())}")
    if device.startswith("cuda"):
        raise ValueError(f"path={path!r} is a CPU path: must come with device='cpu', not {device!r}")
    return CPU


def _why_no_cuda() -> str:
    if not _native.has_cuda:
        return (
            "this build has no CUDA; use device='cpu', or put nvcc on PATH and install again "
            "(with LUTFUSE_CUDA=ON the build fails where CUDA is missing)"
        )
    return f"{cuda_device_count()} CUDA devices found; use device='cpu', or see what nvidia-smi says"


def _refuse_on_gpu(device: str, path: str | None) -> None:
    if device.partition(":")[0] not in ("auto", "cuda") or path is not None:
        raise ValueError(
            f"device={device!r}, path={path!r}: CUDA tensors are fused where they are; use .cpu().numpy()"
        )


def _fuse_arrays(
    frames: list[Any], grid: Any, lut: Any, out: Any, target: int, threads: int, path: str | None
) -> Any:
    if out is None:
        out = np.empty(frames[0].shape, frames[0].dtype)
    grid, lut = np.ascontiguousarray(grid), np.ascontiguousarray(lut)  # small; views may come in
    if target == CPU:
        _native.fuse_cpu(frames, grid, lut, out, threads, path or _native.paths()[-1])
    else:
        _native.fuse_cuda_from_host(frames, grid, lut, out, target)
    return out


def _fuse_tensors(frames: list[Any], grid: Any, lut: Any, out: Any) -> Any:
    import torch

    if out is None:
        out = torch.empty(frames[0].shape, dtype=frames[0].dtype, device=frames[0].device)
    # DLPack hands over no tensor that autograd watches.
    tensors = ([frame.detach() for frame in frames], grid.detach().contiguous(), lut.detach().contiguous())
    with torch.cuda.device(out.device):
        # Scratch from torch's own allocator: ordered on the stream, and allowed while a graph is captured.
        size = _native.cuda_scratch_bytes(*tensors, out)
        scratch = torch.empty(size, dtype=torch.uint8, device=out.device)
        _native.fuse_cuda(*tensors, out, scratch, torch.cuda.current_stream().cuda_stream)
    return out
