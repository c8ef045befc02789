"""What the deployment's tests share: the scripts that are no part of the package, as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cost() -> ModuleType:
    """deploy/cost.py."""
    return load(ROOT / "deploy" / "cost.py")


@pytest.fixture(scope="session")
def replay() -> ModuleType:
    """tests/deploy/replay.py."""
    return load(ROOT / "tests" / "deploy" / "replay.py")
