"""A student small enough for milliseconds."""

import pytest

from lutfuse.models.student.config import StudentConfig


@pytest.fixture(scope="session")
def tiny() -> StudentConfig:
    """32 px thumbnails, 4 luma knots, 4×4 cells, two blocks."""
    return StudentConfig(
        thumb=32, luma_bins=4, grid_rows=4, grid_cols=4, width=8, blocks=2, latent=6, lut_hidden=8
    )
