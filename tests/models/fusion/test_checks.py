"""Every wrong argument is refused with its value, the rule and a remedy, before a pixel is written."""

from typing import Any

import numpy as np
import pytest
import torch

from lutfuse.models.fusion import checks
from lutfuse.models.fusion import kernel as fusion
from lutfuse.models.fusion.kernel import fuse
from lutfuse.models.native import _native

IMAGE = np.full((6, 10, 3), 9, np.uint8)
GRID = np.ones((2, 4, 3, 3), np.float32)
LUT = np.full((5, 5, 5, 3), 0.5, np.float32)


def expect(error: type[Exception], words: str, *, out: Any = None, **changed: Any) -> None:
    """The call is refused in these words, and `out` keeps its bytes."""
    out = np.full_like(IMAGE, 77) if out is None else out
    before = np.array(out, copy=True) if isinstance(out, np.ndarray) else None
    arguments = {"images": [IMAGE, IMAGE], "grid": GRID, "lut": LUT, "device": "cpu"} | changed
    with pytest.raises(error, match=words):
        fuse(**arguments, out=out)
    if before is not None:
        np.testing.assert_array_equal(out, before)


def test_images_of_another_kind_are_refused() -> None:
    expect(TypeError, r"images\[1\] is a list: must be a numpy array", images=[IMAGE, IMAGE.tolist()])
    expect(TypeError, r"images\[0\] is a Tensor on cpu: .* use \.numpy", images=[torch.from_numpy(IMAGE)] * 2)
    expect(
        TypeError, r"images\[0\] is float32: must be uint8 or uint16", images=[IMAGE.astype(np.float32)] * 2
    )
    expect(TypeError, r"images\[0\] is >u2: .* native order", images=[IMAGE.astype(">u2")] * 2)
    expect(TypeError, r"images\[1\] is uint16, images\[0\] uint8", images=[IMAGE, IMAGE.astype(np.uint16)])


def test_images_of_another_shape_are_refused() -> None:
    expect(ValueError, r"0 exposures, must be 1 to 9", images=[])
    expect(ValueError, r"10 exposures, must be 1 to 9; leave some out", images=[IMAGE] * 10)
    expect(ValueError, r"images\[0\] has shape \(6, 10\): must be \[H, W, 3\]", images=[IMAGE[..., 0]] * 2)
    expect(ValueError, r"images\[0\] has shape \(6, 10, 4\)", images=[np.zeros((6, 10, 4), np.uint8)] * 2)
    expect(ValueError, r"sides must be 1 to", images=[IMAGE[:0]] * 2)
    expect(ValueError, r"images\[1\] is \(6, 9, 3\), images\[0\] \(6, 10, 3\)", images=[IMAGE, IMAGE[:, :9]])


def test_images_of_another_memory_layout_are_refused() -> None:
    remedy = "pixels must be packed, .* use np.ascontiguousarray"
    expect(ValueError, remedy, images=[IMAGE[::-1]] * 2)
    expect(ValueError, remedy, images=[IMAGE[:, ::-1]] * 2)
    expect(ValueError, remedy, images=[IMAGE[..., ::-1]] * 2)
    expect(ValueError, remedy, images=[np.zeros((6, 10, 4), np.uint8)[..., :3]] * 2)
    expect(ValueError, remedy, images=[np.broadcast_to(IMAGE[:1], IMAGE.shape)] * 2)
    odd = np.zeros(6 * 10 * 6 + 1, np.uint8)[1:].view(np.uint16).reshape(6, 10, 3)
    expect(ValueError, "uint16 at odd addresses", images=[odd] * 2, out=np.zeros_like(odd))


def test_grids_out_of_range_are_refused() -> None:
    expect(TypeError, "grid is float64: must be float32", grid=GRID.astype(np.float64))
    expect(TypeError, "grid is a NoneType", grid=None)
    expect(ValueError, r"grid has shape \(4, 3, 3\)", grid=GRID[0])
    expect(ValueError, "grid is for 3 exposures, images are 2", grid=np.ones((3, 4, 3, 3), np.float32))
    expect(ValueError, "D = 1 luma knots: must be 2 to 16", grid=GRID[:, :1])
    expect(ValueError, "D = 17 luma knots", grid=np.ones((2, 17, 3, 3), np.float32))
    expect(ValueError, "3 × 65 cells: must be 1 to 64", grid=np.ones((2, 4, 3, 65), np.float32))
    expect(ValueError, "0 × 3 cells", grid=np.ones((2, 4, 0, 3), np.float32))


def test_luts_out_of_range_are_refused() -> None:
    expect(TypeError, "lut is float16", lut=LUT.astype(np.float16))
    expect(ValueError, r"lut has shape \(5, 5, 3\)", lut=LUT[0])
    expect(ValueError, r"lut has shape \(5, 5, 4, 3\): must be \[N, N, N, 3\]", lut=LUT[:, :, :4])
    expect(ValueError, "N = 1: must be 2 to 129", lut=LUT[:1, :1, :1])
    expect(ValueError, "N = 130: must be 2 to 129", lut=np.zeros((130, 130, 130, 3), np.float32))


def test_out_must_be_another_array_of_the_same_kind() -> None:
    expect(TypeError, "out is uint16, images", out=np.zeros(IMAGE.shape, np.uint16))
    expect(ValueError, r"out is \(6, 9, 3\), images", out=np.zeros((6, 9, 3), np.uint8))
    expect(ValueError, "out has strides", out=np.zeros(IMAGE.shape, np.uint8)[::-1])
    frozen = np.zeros_like(IMAGE)
    frozen.flags.writeable = False
    expect(ValueError, "out is read-only", out=frozen)


def test_out_may_not_overlap_an_input() -> None:
    canvas = np.full((7, 10, 3), 9, np.uint8)
    expect(ValueError, "out overlaps an input", images=[canvas[:6], IMAGE], out=canvas[:6])
    expect(ValueError, "out overlaps an input", images=[IMAGE, canvas[:6]], out=canvas[1:])
    table = np.ones(GRID.size, np.float32)
    inside = table.view(np.uint8)[: IMAGE.size].reshape(IMAGE.shape)
    expect(ValueError, "out overlaps an input", grid=table.reshape(GRID.shape), out=inside)


def test_out_may_lie_between_the_rows_of_an_input() -> None:
    canvas = np.full((6, 20, 3), 9, np.uint8)
    fused = fuse([canvas[:, :10], IMAGE], GRID, LUT, device="cpu", out=canvas[:, 10:])
    assert (fused == 128).all()
    assert (canvas[:, :10] == 9).all()


def test_threads_are_a_positive_integer() -> None:
    expect(ValueError, "threads=0: must be at least 1", threads=0)
    expect(TypeError, "threads=True", threads=True)
    expect(TypeError, r"threads=1\.5", threads=1.5)


def test_devices_and_paths_are_known_ones() -> None:
    expect(ValueError, "device='gpu': must be 'auto', 'cpu', 'cuda'", device="gpu")
    expect(ValueError, "device='cpu:1'", device="cpu:1")
    expect(ValueError, "device='cuda:x'", device="cuda:x")
    expect(ValueError, "path='sse9': must be one of this machine's, scalar, tile, portable", path="sse9")
    expect(ValueError, "path='scalar' is a CPU path", path="scalar", device="cuda")


def test_cuda_without_a_build_or_a_device_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "cuda_device_count", lambda: 0)
    monkeypatch.setattr(_native, "has_cuda", False)
    expect(ValueError, "device='cuda': this build has no CUDA; use device='cpu', or put nvcc", device="cuda")
    monkeypatch.setattr(_native, "has_cuda", True)
    expect(ValueError, "device='cuda:1': 0 CUDA devices found; use device='cpu'", device="cuda:1")


def test_auto_falls_back_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "cuda_device_count", lambda: 0)
    assert (fuse([IMAGE, IMAGE], GRID, LUT) == 128).all()


class CudaTensor:
    """As much of a CUDA tensor as the checks look at."""

    is_cuda = True

    def __init__(self, array: np.ndarray, device: str = "cuda:0", at: int = 0) -> None:
        self.shape, self.dtype, self.itemsize, self.device = array.shape, array.dtype, array.itemsize, device
        self._strides, self._at = array.strides, at

    def stride(self) -> tuple[int, ...]:
        return tuple(step // self.itemsize for step in self._strides)

    def data_ptr(self) -> int:
        return self._at


def test_arrays_in_different_places_are_refused() -> None:
    expect(
        ValueError,
        r"images\[1\] is in cuda:0, grid in numpy: must be in one place",
        images=[CudaTensor(IMAGE)] * 2,
    )
    others = {"grid": CudaTensor(GRID), "lut": CudaTensor(LUT), "out": CudaTensor(IMAGE)}
    both = [CudaTensor(IMAGE), CudaTensor(IMAGE, "cuda:1")]
    expect(ValueError, r"images\[0\] is in cuda:0, images\[1\] in cuda:1", images=both, **others)


def test_cuda_tensors_are_checked_like_arrays() -> None:
    tables = {"grid": CudaTensor(GRID, at=10_000), "lut": CudaTensor(LUT, at=20_000)}
    images, elsewhere = [CudaTensor(IMAGE)] * 2, CudaTensor(IMAGE, at=1_000)
    expect(ValueError, "out overlaps an input", images=images, out=CudaTensor(IMAGE, at=100), **tables)
    expect(ValueError, "CUDA tensors are fused where they are", images=images, out=elsewhere, **tables)
    narrow = [CudaTensor(IMAGE[:, :9])] * 2
    expect(ValueError, r"out is \(6, 10, 3\)", images=narrow, out=elsewhere, **tables)
    assert checks.address(elsewhere) == 1_000


def test_extension_itself_refuses_what_would_reach_beyond_memory() -> None:
    out = np.zeros_like(IMAGE)
    with pytest.raises(ValueError, match="would have refused"):
        _native.fuse_cpu([IMAGE], GRID, LUT, out, 1, "scalar")
    with pytest.raises(ValueError, match="a path that this machine does not have"):
        _native.fuse_cpu([IMAGE, IMAGE], GRID, LUT, out, 1, "sse9")
    with pytest.raises(TypeError):
        _native.fuse_cpu([IMAGE, IMAGE], GRID.astype(np.float64), LUT, out, 1, "scalar")  # .noconvert()


@pytest.mark.skipif(_native.has_cuda, reason="this build has CUDA")
def test_stub_answers_without_cuda() -> None:
    with pytest.raises(RuntimeError, match="this build of lutfuse has no CUDA"):
        _native.fuse_cuda_from_host([IMAGE, IMAGE], GRID, LUT, np.zeros_like(IMAGE), 0)
