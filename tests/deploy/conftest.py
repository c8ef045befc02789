"""What the deployment's tests share: an environment that has nothing but the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, **options):
    """Runs a command and returns it; a failure shows what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tracked files, so that leftovers of this checkout cannot hide a gap."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    names = run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    # The CPU part alone: minutes less, and the same Python files.
    environment = os.environ | {"LUTFUSE_CUDA": "OFF"}
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    run(*pip, "--wheel-dir", folder, source, env=environment, timeout=900)
    (built,) = folder.glob("lutfuse-*.whl")
    return built


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory, wheel):
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
