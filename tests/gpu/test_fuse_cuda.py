"""CUDA returns the CPU's bytes: from the host's memory, from tensors, on any stream, from any address."""

from typing import Any

import numpy as np
import pytest
import torch

from lutfuse.models.fusion.kernel import cuda_device_count, fuse

pytestmark = pytest.mark.needs_cuda

DTYPES = [np.uint8, np.uint16]
SHAPES = [(1, 1), (1, 3), (5, 4), (17, 1023), (33, 1024), (9, 1025), (64, 3840)]


def bracket(k: int, height: int, width: int, dtype: type, seed: int = 0) -> list[np.ndarray]:
    rng, top = np.random.default_rng(seed), np.iinfo(dtype).max
    return list(np.clip(rng.integers(-top // 4, top + top // 4, (k, height, width, 3)), 0, top).astype(dtype))


def tables(k: int, d: int = 8, cells: int = 16, n: int = 17, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((k, d, cells, cells), np.float32), rng.random((n, n, n, 3), np.float32)


def on_gpu(*arrays: Any, device: str = "cuda:0") -> list[Any]:
    return [torch.from_numpy(array).to(device) for array in arrays]


def assert_same_bytes(images: list[np.ndarray], grid: np.ndarray, lut: np.ndarray) -> None:
    expected = fuse(images, grid, lut, device="cpu", path="scalar")
    np.testing.assert_array_equal(fuse(images, grid, lut, device="cuda"), expected)
    fused = fuse(on_gpu(*images), *on_gpu(grid, lut))
    assert fused.is_cuda
    np.testing.assert_array_equal(fused.cpu().numpy(), expected)


def test_there_is_a_device() -> None:
    assert cuda_device_count() > 0
    assert torch.cuda.is_available()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_any_shape_and_bracket(k: int, shape: tuple[int, int], dtype: type) -> None:
    assert_same_bytes(bracket(k, *shape, dtype), *tables(k))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(60))
def test_random_brackets(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    k, d, cells, n = (int(rng.integers(*span)) for span in ((1, 10), (2, 17), (1, 65), (2, 40)))
    images = bracket(k, int(rng.integers(1, 80)), int(rng.integers(1, 3000)), dtype, seed)
    assert_same_bytes(images, *tables(k, d, cells, n, seed))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiny_image_under_the_largest_tables(dtype: type) -> None:
    assert_same_bytes(bracket(9, 7, 64, dtype), *tables(9, 16, 64, 129))  # too large for shared memory


def test_more_rows_than_a_launch_has_along_y() -> None:
    assert_same_bytes(bracket(2, 70_000, 5, np.uint8), *tables(2))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -1.0, 3e38])
def test_odd_values(odd: float) -> None:
    grid, lut = tables(3)
    grid.reshape(-1)[::7], lut.reshape(-1)[::11] = odd, odd
    assert_same_bytes(bracket(3, 20, 500, np.uint8), grid, lut)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("left", "width"), [(0, 400), (1, 400), (2, 401), (3, 399), (4, 1200)])
def test_views_at_any_address_and_stride(left: int, width: int, dtype: type) -> None:
    wide, (grid, lut) = bracket(2, 12, 1301, dtype), tables(2)
    views = [image[1:11, left : left + width] for image in wide]
    expected = fuse([view.copy() for view in views], grid, lut, device="cpu")
    np.testing.assert_array_equal(fuse(views, grid, lut, device="cuda"), expected)
    tensors = [image[1:11, left : left + width] for image in on_gpu(*wide)]
    canvas = torch.full((12, 1301, 3), 77, dtype=tensors[0].dtype, device="cuda")
    fuse(tensors, *on_gpu(grid, lut), out=canvas[1:11, left : left + width])
    np.testing.assert_array_equal(canvas[1:11, left : left + width].cpu().numpy(), expected)
    canvas[1:11, left : left + width] = 77
    assert (canvas.cpu() == 77).all(), "something beside the view was written"


def test_work_is_ordered_on_the_current_stream() -> None:
    images, (grid, lut) = bracket(2, 500, 2000, np.uint8), tables(2)
    expected = fuse(images, grid, lut, device="cpu")
    tensors, gpu_tables = on_gpu(*images), on_gpu(grid, lut)
    late = [torch.zeros_like(tensor) for tensor in tensors]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # pixels arrive long after fuse is called
        for to, tensor in zip(late, tensors, strict=True):
            to.copy_(tensor)
        fused = fuse(late, *gpu_tables)
        copied = fused.to("cpu", non_blocking=False)
    np.testing.assert_array_equal(copied.numpy(), expected)


def test_graph_replays_with_new_pixels() -> None:
    first, second, (grid, lut) = bracket(2, 64, 999, np.uint8), bracket(2, 64, 999, np.uint8, 1), tables(2)
    tensors, gpu_tables = on_gpu(*first), on_gpu(grid, lut)
    out = torch.empty_like(tensors[0])
    fuse(tensors, *gpu_tables, out=out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fuse(tensors, *gpu_tables, out=out)
    for images in (second, first):
        for tensor, image in zip(tensors, images, strict=True):
            tensor.copy_(torch.from_numpy(image))
        graph.replay()
        np.testing.assert_array_equal(out.cpu().numpy(), fuse(images, grid, lut, device="cpu"))


def test_second_device_does_the_work_and_the_first_stays_current() -> None:
    if cuda_device_count() < 2:
        pytest.skip("one CUDA device only")
    images, (grid, lut) = bracket(2, 64, 999, np.uint8), tables(2)
    expected = fuse(images, grid, lut, device="cpu")
    np.testing.assert_array_equal(fuse(images, grid, lut, device="cuda:1"), expected)
    fused = fuse(on_gpu(*images, device="cuda:1"), *on_gpu(grid, lut, device="cuda:1"))
    assert fused.device.index == 1
    assert torch.cuda.current_device() == 0
    np.testing.assert_array_equal(fused.cpu().numpy(), expected)
    with pytest.raises(ValueError, match="must be in one place"):
        fuse(on_gpu(*images), *on_gpu(grid, lut, device="cuda:1"))


def test_tensors_that_autograd_watches_are_taken_as_they_are() -> None:
    images, (grid, lut) = bracket(2, 8, 99, np.uint8), tables(2)
    watched = [table.requires_grad_() for table in on_gpu(grid, lut)]
    fused = fuse(on_gpu(*images), *watched)
    np.testing.assert_array_equal(fused.cpu().numpy(), fuse(images, grid, lut, device="cpu"))


def test_mixtures_and_wrong_devices_are_refused() -> None:
    images, (grid, lut) = bracket(2, 8, 99, np.uint8), tables(2)
    tensors = on_gpu(*images)
    with pytest.raises(ValueError, match="must be in one place"):
        fuse(tensors, grid, lut)
    with pytest.raises(ValueError, match="CUDA tensors are fused where they are"):
        fuse(tensors, *on_gpu(grid, lut), device="cpu")
    with pytest.raises(ValueError, match="out overlaps an input"):
        fuse(tensors, *on_gpu(grid, lut), out=tensors[1])
    with pytest.raises(ValueError, match="CUDA devices found"):
        fuse(images, grid, lut, device="cuda:99")
