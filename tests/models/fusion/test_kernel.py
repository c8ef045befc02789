"""The kernel against its slow twin, and every path of it against every other: the same bytes."""

import gc
import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest

from lutfuse.models.fusion.kernel import available_paths, cuda_device_count, fuse
from lutfuse.models.fusion.twin import fuse_twin

RNG = np.random.default_rng
DTYPES = [np.uint8, np.uint16]


def identity_lut(n: int) -> np.ndarray:
    """[N, N, N, 3] float32, indexed [blue, green, red, channel]."""
    blue, green, red = np.meshgrid(*[np.linspace(0, 1, n)] * 3, indexing="ij")
    return np.stack([red, green, blue], axis=-1).astype(np.float32)


def smooth_lut(n: int) -> np.ndarray:
    """A tone curve and some cross-talk, of the steepness real ones have."""
    lut = identity_lut(n)
    return (0.9 * lut**0.8 + 0.1 * lut[..., ::-1] ** 2).astype(np.float32)


def frames(k: int, height: int, width: int, dtype: type, seed: int = 0) -> list[np.ndarray]:
    """Noise, with plenty of pixels at both ends of the range."""
    rng, top = RNG(seed), np.iinfo(dtype).max
    noise = rng.integers(-top // 4, top + top // 4, (k, height, width, 3))
    return list(np.clip(noise, 0, top).astype(dtype))


def weights(k: int, d: int = 8, height: int = 16, width: int = 16, seed: int = 1) -> np.ndarray:
    return RNG(seed).random((k, d, height, width), dtype=np.float32)


def fuse_all(images: list[np.ndarray], grid: np.ndarray, lut: np.ndarray) -> np.ndarray:
    """Fuses along every path, asserts that all agree, and returns what they agree on."""
    expected = fuse(images, grid, lut, path="scalar", device="cpu")
    for path in available_paths():
        np.testing.assert_array_equal(
            fuse(images, grid, lut, path=path, device="cpu"), expected, err_msg=path
        )
    return expected


def test_machine_has_the_reference_the_tile_and_the_portable_path() -> None:
    assert available_paths()[:3] == ("scalar", "tile", "portable")


# ---- the twin


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(100))
def test_every_path_returns_the_same_bytes_within_one_level_of_float64(seed: int, dtype: type) -> None:
    rng = RNG(seed)
    k, d, n = rng.integers(1, 10), rng.integers(2, 17), rng.choice([2, 3, 9, 17, 33, 65])
    grid_height, grid_width = rng.integers(1, 25, 2)
    height, width = rng.integers(1, 40), rng.integers(1, 500)
    images = frames(k, height, width, dtype, seed)
    grid, lut = weights(k, d, grid_height, grid_width, seed), smooth_lut(n)
    fused = fuse_all(images, grid, lut)
    assert np.abs(fused - fuse_twin(images, grid, lut)).max() <= 1


@pytest.mark.parametrize("k", range(1, 10))
def test_any_number_of_exposures(k: int) -> None:
    images, grid, lut = frames(k, 5, 300, np.uint8), weights(k), smooth_lut(17)
    assert np.abs(fuse_all(images, grid, lut) - fuse_twin(images, grid, lut)).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", range(2, 17))
def test_any_number_of_luma_knots(d: int, dtype: type) -> None:
    images, grid, lut = frames(3, 4, 100, dtype), weights(3, d), smooth_lut(9)
    assert np.abs(fuse_all(images, grid, lut) - fuse_twin(images, grid, lut)).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_largest_grid_lut_and_bracket(dtype: type) -> None:
    images, grid, lut = frames(9, 70, 600, dtype), weights(9, 16, 64, 64), smooth_lut(129)
    assert np.abs(fuse_all(images, grid, lut) - fuse_twin(images, grid, lut)).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 127, 128, 129, 255, 257, 300])
def test_any_width_around_what_registers_and_chunks_hold(width: int, dtype: type) -> None:
    for height in (1, 3, 17):
        images, grid, lut = frames(2, height, width, dtype), weights(2, 8, 3, 2), smooth_lut(17)
        assert np.abs(fuse_all(images, grid, lut) - fuse_twin(images, grid, lut)).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_steep_lut_errs_by_no_more_than_its_steepness_amplifies(dtype: type) -> None:
    images, grid = frames(4, 20, 300, dtype), weights(4)
    lut = RNG(5).random((33, 33, 33, 3), dtype=np.float32)  # up to 32 levels out for one in
    assert np.abs(fuse_all(images, grid, lut) - fuse_twin(images, grid, lut)).max() <= 1


# ---- exactness


@pytest.mark.parametrize(("dtype", "step"), [(t, s) for t in DTYPES for s in (1, 3, 5, 15, 17, 51, 85)])
def test_identity_lut_is_exact_where_its_nodes_are_levels(dtype: type, step: int) -> None:
    top = np.iinfo(dtype).max
    assert top % step == 0
    ramp = np.linspace(0, top, 65536).round().astype(dtype)
    image = np.stack([ramp, ramp[::-1], np.roll(ramp, 999)], axis=-1).reshape(64, 1024, 3)
    np.testing.assert_array_equal(fuse_all([image], weights(1), identity_lut(step + 1)), image)


@pytest.mark.parametrize("n", [2, 9, 17, 33, 65, 129])
def test_identity_lut_is_exact_for_every_byte_at_the_usual_sizes(n: int) -> None:
    columns = RNG(0).permuted(np.tile(np.arange(256, dtype=np.uint8), (3, 64)), axis=1)
    image = np.ascontiguousarray(columns.T).reshape(64, 256, 3)
    np.testing.assert_array_equal(fuse_all([image] * 3, weights(3), identity_lut(n)), image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_grid_nodes_are_hit_exactly(dtype: type) -> None:
    # One cell a pixel and knots at black and white: the weights are the grid's own values.
    top = int(np.iinfo(dtype).max)
    images = [np.zeros((4, 6, 3), dtype), np.full((4, 6, 3), top, dtype)]
    grid = RNG(0).integers(1, 9, (2, 2, 4, 6)).astype(np.float32)
    share = grid[1, 1] / (grid[0, 0] + grid[1, 1])
    fused = fuse_all(images, grid, identity_lut(2))
    assert np.abs(fused - top * share[..., None].astype(np.float64)).max() <= 0.51


# ---- odd values


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_zero_weights_average_the_exposures(dtype: type) -> None:
    images = frames(4, 6, 50, dtype)
    fused = fuse_all(images, np.zeros((4, 8, 16, 16), np.float32), identity_lut(2))
    assert np.abs(fused - np.mean(images, axis=0)).max() <= 0.51


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chosen", range(3))
def test_one_hot_weights_choose_one_exposure(chosen: int, dtype: type) -> None:
    images, grid = frames(3, 6, 50, dtype), np.zeros((3, 8, 16, 16), np.float32)
    grid[chosen] = 1
    np.testing.assert_array_equal(fuse_all(images, grid, identity_lut(2)), images[chosen])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -1.0, 3e38, -3e38, 1e-45])
def test_odd_grid_and_lut_values_follow_the_policy_on_every_path(odd: float, dtype: type) -> None:
    images, grid, lut = frames(3, 9, 120, dtype), weights(3), smooth_lut(9)
    grid.reshape(-1)[::7], lut.reshape(-1)[::11] = odd, odd
    fused = fuse_all(images, grid, lut)
    if abs(odd) < 1e30:  # beyond, the weights differ so much that float32 cannot follow float64
        assert np.abs(fused - fuse_twin(images, grid, lut)).max() <= 1
    grid[:], lut[:] = odd, odd
    uniform = fuse_all(images, grid, lut)
    assert np.abs(uniform - fuse_twin(images, grid, lut)).max() <= 1


# ---- memory


@pytest.mark.parametrize("path", available_paths())
@pytest.mark.parametrize("dtype", DTYPES)
def test_strided_rows_are_read_and_written_in_place(dtype: type, path: str) -> None:
    wide, grid, lut = frames(2, 20, 90, dtype), weights(2), smooth_lut(9)
    views = [wide[0][3:17, 5:76], wide[1][::1, 11:82][2:16]]
    canvas = np.full((40, 100, 3), 77, dtype)
    fuse(views, grid, lut, device="cpu", path=path, out=canvas[1:29:2, 3:74])
    packed = fuse([view.copy() for view in views], grid, lut, device="cpu", path="scalar")
    np.testing.assert_array_equal(canvas[1:29:2, 3:74], packed)
    canvas[1:29:2, 3:74] = 77
    assert (canvas == 77).all(), "something beside the view was written"


def test_one_array_and_a_sequence_are_the_same_bracket() -> None:
    stack = np.stack(frames(3, 8, 40, np.uint8))
    np.testing.assert_array_equal(
        fuse(stack, weights(3), smooth_lut(9)), fuse(list(stack), weights(3), smooth_lut(9))
    )


def test_tables_may_be_views() -> None:
    images, grid, lut = frames(2, 8, 40, np.uint8), weights(2), smooth_lut(9)
    swapped, mirrored = grid.swapaxes(2, 3), lut[..., ::-1]
    np.testing.assert_array_equal(
        fuse(images, swapped, mirrored), fuse(images, swapped.copy(), mirrored.copy())
    )


def test_out_is_returned_and_inputs_stay_as_they_are() -> None:
    images, grid, lut = frames(2, 8, 40, np.uint8), weights(2), smooth_lut(9)
    before = [image.copy() for image in images]
    out = np.empty_like(images[0])
    assert fuse(images, grid, lut, device="cpu", out=out) is out
    np.testing.assert_array_equal(images, before)


# ---- threads and processes


@pytest.mark.parametrize("path", [path for path in available_paths() if path != "tile"])
def test_threads_change_nothing(path: str) -> None:
    images, grid, lut = frames(3, 131, 200, np.uint8), weights(3), smooth_lut(17)
    alone = fuse(images, grid, lut, device="cpu", path=path)
    for threads in (2, 3, 8, 500):
        np.testing.assert_array_equal(
            fuse(images, grid, lut, device="cpu", threads=threads, path=path), alone
        )


def test_calls_from_many_threads_do_not_disturb_each_other() -> None:
    brackets = [frames(2, 64, 300, np.uint8, seed) for seed in range(4)]
    expected = [fuse(images, weights(2), smooth_lut(17), device="cpu") for images in brackets]
    rounds: list[list[np.ndarray]] = [[] for _ in brackets]

    def work(i: int) -> None:
        for _ in range(10):
            rounds[i].append(fuse(brackets[i], weights(2), smooth_lut(17), device="cpu"))

    pool = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    for fused, image in zip(rounds, expected, strict=True):
        assert len(fused) == 10
        np.testing.assert_array_equal(fused, np.broadcast_to(image, (10, *image.shape)))


def test_other_python_threads_run_while_the_kernel_does() -> None:
    images, grid, lut = frames(9, 2000, 1000, np.uint8), weights(9), smooth_lut(17)
    done = threading.Event()
    kernel = threading.Thread(target=lambda: (fuse(images, grid, lut, device="cpu"), done.set()))
    ticks = 0
    kernel.start()
    while not done.wait(0.001):
        ticks += 1
    kernel.join()
    assert ticks >= 3, "the kernel held the interpreter's lock"


def _fuse_in_child(queue: "multiprocessing.Queue[bytes]") -> None:
    images = frames(2, 64, 100, np.uint8)
    queue.put(fuse(images, weights(2), smooth_lut(9), device="cpu", threads=2).tobytes())


def test_forked_children_fuse_after_their_parent_did() -> None:
    images = frames(2, 64, 100, np.uint8)
    expected = fuse(images, weights(2), smooth_lut(9), device="cpu", threads=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fuse_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == expected.tobytes()
    child.join()


def test_no_memory_is_kept_between_calls() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    images, grid, lut = frames(2, 64, 300, np.uint8), weights(2), smooth_lut(65)
    for _ in range(3):
        fuse(images, grid, lut, device="cpu", threads=2)
    gc.collect()
    before = resident()
    for _ in range(50):
        fuse(images, grid, lut, device="cpu", threads=2)
    assert resident() - before < 20e6  # one packed LUT is 4.4 MB


def test_cuda_device_count_never_raises() -> None:
    assert cuda_device_count() >= 0
