"""What the package's tests share: sdist and wheel, an environment with nothing else, and a hostile folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lutfuse.transforms.recovery import CIRCUMSTANCES

ROOT = Path(__file__).parents[2]

# A user's project. Importing two of its packages is an error; the third has a module named like one of ours.
OWN_PACKAGES = {
    "models/__init__.py": 'raise ImportError("the models of the user")\n',
    "pipeline/__init__.py": 'raise ImportError("the pipeline of the user")\n',
    "transforms/__init__.py": """\
from pathlib import Path

from lutfuse.transforms.inputs.brackets import Bracket


def to_bracket(folder):
    reference = [str(path) for path in Path(folder).glob("reference.png")]
    exposures = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    return Bracket(Path(folder).name, tuple(exposures), *reference)
""",
    "transforms/fuse.py": 'raise ImportError("a module of the user")\n',
}


def run(*command: object, **options: object) -> subprocess.CompletedProcess:
    """Runs a command and returns it; a failure shows what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(name="run")
def run_fixture() -> Callable[..., subprocess.CompletedProcess]:
    """The function `run`."""
    return run


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Packs a copy of the tracked files, so that leftovers of this checkout cannot hide a gap.

    (hook, config settings) to the file: hook is "build_sdist" or "build_wheel" of the build backend.
    """
    source = tmp_path_factory.mktemp("source")
    names = run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)

    def built(hook: str, **settings: str) -> Path:
        folder = tmp_path_factory.mktemp("packed")
        program = f"import scikit_build_core.build as backend; backend.{hook}({str(folder)!r}, {settings!r})"
        run(sys.executable, "-c", program, cwd=source)
        (made,) = folder.iterdir()
        return made

    return built


@pytest.fixture(scope="session")
def sdist(pack: Callable[..., Path]) -> Path:
    """The source distribution."""
    return pack("build_sdist")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, sdist: Path) -> Path:
    """The wheel, built from the source distribution in an environment that pip makes for it."""
    folder = tmp_path_factory.mktemp("wheel")
    # The CPU part alone: minutes less, and the same Python files.
    environment = os.environ | {"LUTFUSE_CUDA": "OFF"}
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", folder, sdist, env=environment, timeout=900)
    (built,) = folder.glob("lutfuse-*.whl")
    return built


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """Python of a virtual environment with the wheel and what it requires; LUTFUSE_CLEAN_VENV reuses one."""
    reused = os.environ.get("LUTFUSE_CLEAN_VENV")
    folder = Path(reused) if reused else tmp_path_factory.mktemp("clean") / "venv"
    python = folder / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, timeout=1800)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel, timeout=600)
    run(python, "-m", "pip", "check")
    return python


@pytest.fixture(
    params=[
        "here",  # what the tests run with: an editable install, as `make setup` makes it
        pytest.param("wheel", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ]
)
def python(request: pytest.FixtureRequest) -> Path:
    """Python of each kind of installation."""
    return Path(sys.executable) if request.param == "here" else request.getfixturevalue("clean_python")


@pytest.fixture
def own_packages(tmp_path: Path) -> Path:
    """A folder with packages of a user's own that are called as ours were."""
    folder = tmp_path / "project"
    for name, text in OWN_PACKAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def brackets(tmp_path: Path, write_bracket: Callable[..., list[str]]) -> Path:
    """A folder of three brackets of 2, 3 and 4 exposures of three sizes, one with a reference."""
    for i, size in enumerate([(64, 48), (50, 70), (33, 21)]):
        write_bracket(tmp_path / "in" / f"scene {i}", 2 + i, size=size, seed=i, reference=i == 0)
    return tmp_path / "in"


@pytest.fixture
def pictures() -> Callable[[Path], dict[str, bytes]]:
    """Fused pictures of an output folder by name."""
    return lambda output: {path.name: path.read_bytes() for path in sorted((output / "fused").iterdir())}


@pytest.fixture
def rows() -> Callable[[Path], list[dict]]:
    """Rows of an output folder, without the columns that may differ between runs."""

    def read(output: Path) -> list[dict]:
        found = [row for path in output.glob("metrics/*.parquet") for row in pq.read_table(path).to_pylist()]
        kept = [{name: row[name] for name in row.keys() - CIRCUMSTANCES} for row in found]
        return sorted(kept, key=lambda row: row["group_id"])

    return read
