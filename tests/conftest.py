"""What every test may need: where real brackets are, and what to do where there is no GPU."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("LUTFUSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def _cuda_devices() -> int:
    from models.fusion import cuda_device_count

    return cuda_device_count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, each with its reason; `-ra` lists them at the end."""
    no_data = pytest.mark.skip(reason=f"no real brackets at {DATA} (set LUTFUSE_DATA)")
    no_cuda = pytest.mark.skip(reason="no CUDA device (FAIL_WITHOUT_CUDA=1 makes this a failure)")
    for item in items:
        if item.get_closest_marker("needs_data") and not DATA.is_dir():
            item.add_marker(no_data)
        wants_cuda = item.get_closest_marker("needs_cuda") is not None
        if wants_cuda and not os.environ.get("FAIL_WITHOUT_CUDA") and _cuda_devices() == 0:
            item.add_marker(no_cuda)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Root of the real brackets; only tests marked `needs_data` may ask for it."""
    return DATA
