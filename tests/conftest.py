"""Shared by all tests: synthetic brackets, rows of a job, and what is skipped on this machine."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

DATA = Path(os.environ.get("LUTFUSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _cuda_devices() -> int:
    from lutfuse.models.fusion.kernel import cuda_device_count

    return cuda_device_count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow` runs the tests that take minutes as well."""
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, each with its reason; `-ra` lists them at the end."""
    slow = pytest.mark.skip(reason="takes minutes (make test-slow runs it)")
    no_data = pytest.mark.skip(reason=f"no real brackets at {DATA} (set LUTFUSE_DATA)")
    no_cuda = pytest.mark.skip(reason="no CUDA device (FAIL_WITHOUT_CUDA=1 makes this a failure)")
    for item in items:
        if item.get_closest_marker("needs_data") and not DATA.is_dir():
            item.add_marker(no_data)
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(slow)
        wants_cuda = item.get_closest_marker("needs_cuda") is not None
        if wants_cuda and not os.environ.get("FAIL_WITHOUT_CUDA") and _cuda_devices() == 0:
            item.add_marker(no_cuda)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Root of the real brackets; only tests marked `needs_data` may ask for it."""
    return DATA


def synthetic_frames(
    count: int, size: tuple[int, int] = (64, 48), seed: int = 0, dtype: type = np.uint8
) -> list[np.ndarray]:
    """`count` exposures [H, W, 3] of one random smooth scene, dark to bright; `size` is (width, height)."""
    width, height = size
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(size)
    phases = rng.uniform(0, 6, (3, 2))
    radiance = np.stack([2 + np.sin(9 * rows + p) + np.cos(7 * columns + q) for p, q in phases], -1)
    radiance = radiance * np.exp(rng.normal(0, 0.05, radiance.shape))
    peak = np.iinfo(dtype).max
    gains = 2.0 ** np.linspace(-3, 1, count)
    return [np.clip((radiance * g / 4) ** (1 / 2.2) * peak, 0, peak).round().astype(dtype) for g in gains]


@pytest.fixture
def frames() -> Callable[..., list[np.ndarray]]:
    """The function `synthetic_frames`."""
    return synthetic_frames


@pytest.fixture
def rows() -> Callable[[Path, str], list[dict[str, Any]]]:
    """Reads all rows of a job on disk: (output, "metrics" or "failures")."""

    def read(output: Path, table: str) -> list[dict[str, Any]]:
        paths = sorted((output / table).glob("*.parquet"))
        return [row for path in paths for row in pq.read_table(path).to_pylist()]

    return read


@pytest.fixture
def write_bracket() -> Callable[..., list[str]]:
    """Writes exposures (and a reference) into a folder: (folder, count, format, …) to their paths."""
    from lutfuse.transforms.images import io as image_io

    def write(
        folder: Path, count: int = 3, *, suffix: str = "jpg", reference: bool = False, **scene: Any
    ) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        formats = {"jpg": "jpeg", "png": "png", "tif": "tiff"}
        images = synthetic_frames(count, **scene)
        names = [f"{i}.{suffix}" for i in range(count)]
        if reference:
            images.append(images[count // 2])
            names.append("reference.png")
        for name, pixels in zip(names, images, strict=True):
            form = formats[name.rpartition(".")[2]]
            (folder / name).write_bytes(image_io.encode(pixels, format=form, quality=97))
        return [str(folder / name) for name in names]

    return write
