"""The wheel has one import name and no native sources; the sdist has all that the wheel is built from."""

import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = {".cpp", ".cu", ".h"}
CARRIED = {
    "lutfuse/py.typed",
    "lutfuse/models/student/weights/lutfuse-student.safetensors",
    "lutfuse/models/student/weights/lutfuse-student.json",
    "lutfuse/models/looks/presets/neutral.json",
    "lutfuse/models/looks/look.schema.json",
    "lutfuse/models/native/_native.pyi",
}


@pytest.fixture(
    params=[
        "Python files alone",  # quick: without the extension
        pytest.param("whole", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ]
)
def wheel_names(request, pack):
    """Names of the files of a wheel."""
    whole = request.param == "whole"
    wheel = request.getfixturevalue("wheel") if whole else pack("build_wheel", **{"wheel.cmake": "false"})
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    extensions = [name for name in names if Path(name).suffix == ".so"]
    assert len(extensions) == whole
    assert all(name.startswith("lutfuse/models/native/_native.") for name in extensions)
    return set(names)


@pytest.fixture
def sdist_names(sdist):
    """Names of the files of the sdist, relative to its folder."""
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_has_one_import_name(wheel_names):
    tops = {Path(name).parts[0] for name in wheel_names}
    assert "lutfuse" in tops
    assert all(top.endswith(".dist-info") for top in tops - {"lutfuse"})


def test_the_wheel_carries_weights_presets_schema_and_types_but_no_sources(wheel_names):
    assert wheel_names >= CARRIED
    assert {Path(name).suffix for name in wheel_names} & (NATIVE | {".pyc", ".ipynb", ".log"}) == set()
    tracked = {f"lutfuse/{path.relative_to(ROOT)}" for path in ROOT.glob("models/looks/presets/*.json")}
    assert len(tracked) >= 5
    assert wheel_names >= tracked


def test_every_module_of_the_checkout_is_in_the_wheel(wheel_names):
    modules = {
        f"lutfuse/{path.relative_to(ROOT)}"
        for room in ("models", "pipeline", "transforms")
        for path in (ROOT / room).rglob("*.py")
    }
    assert len(modules) > 60
    packed = {name for name in wheel_names if name.endswith(".py")}
    assert packed == modules | {"lutfuse/__init__.py", "lutfuse/__main__.py"}


def test_the_sdist_has_all_that_the_wheel_is_built_from(sdist_names):
    native = {
        str(path.relative_to(ROOT)) for path in (ROOT / "models/native").iterdir() if path.suffix in NATIVE
    }
    assert len(native) > 5
    assert sdist_names >= native | {"CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE"}
    assert sdist_names >= {name.removeprefix("lutfuse/") for name in CARRIED} - {"py.typed"}
    assert "lutfuse/py.typed" in sdist_names
    assert {name.partition("/")[0] for name in sdist_names} & {"docs", "tests", "deploy"} == set()
