"""A bracket with its reference, options to fuse it, and the model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lutfuse.models.student.predictor import Predictor
from lutfuse.transforms.fuse import FuseBrackets
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """The shipped model."""
    return Predictor.load()


@pytest.fixture
def options(tmp_path: Path) -> FuseOptions:
    """Defaults, with an output folder of this test."""
    return FuseOptions(output=f"{tmp_path}/out")


@pytest.fixture
def bracket(tmp_path: Path, write_bracket) -> Bracket:
    """Three exposures of 64x48 px, 0.jpg to 2.jpg, and a reference."""
    *uris, reference = write_bracket(tmp_path / "in" / "scene", 3, reference=True)
    return Bracket("deep/scene", tuple(uris), reference)


@pytest.fixture
def start_step() -> Callable[..., FuseBrackets]:
    """Makes the DoFn for `options` and sets it up, as a runner does on a worker."""

    def start(options: FuseOptions, progress_file: str | None = None) -> FuseBrackets:
        step = FuseBrackets(options, progress_file)
        step.setup()
        return step

    return start
