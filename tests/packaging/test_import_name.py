"""Only the name `lutfuse` is installed, and what else is on the path does not matter.

Two kinds of folder could get in the way: a user's project with packages called `models`, `pipeline` and
`transforms`, and a checkout, whose folder `lutfuse` has no modules. In both, the command, the library, a
user's own job and worker processes must give the bytes of a run elsewhere.
"""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest

from lutfuse.pipeline import cli

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow

WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
FUSE = ("fuse", "--lut-size", "17", "--device", "cpu")

# What a user may write with the library; frames come as .npy.
LIBRARY = """\
import sys

import numpy as np

from lutfuse.models.fusion.kernel import fuse
from lutfuse.models.student.predictor import Predictor


def main(target, *paths):
    frames = [np.load(path) for path in paths]
    predictor = Predictor.load()
    prediction = predictor.predict(frames)
    ordered = [frames[i] for i in prediction.order]
    fused = fuse(ordered, prediction.grid, predictor.bake(prediction.latent, 17), device="cpu")
    np.save(target, fused)


if __name__ == "__main__":
    main(*sys.argv[1:])
"""

# A job of a user's: a function of the user's own `transforms` feeds our heavy step.
JOB = """\
import os
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from lutfuse.transforms.fuse import FAILURES, FuseBrackets
from lutfuse.transforms.options import FuseOptions
from transforms import to_bracket


def main(source, output, *beam_args):
    options = FuseOptions(output=output, lut_size=17, device="cpu")
    with beam.Pipeline("FnApiRunner", PipelineOptions(list(beam_args))) as pipeline:
        folders = sorted(entry.path for entry in os.scandir(source))
        brackets = pipeline | beam.Create(folders) | beam.Reshuffle() | beam.Map(to_bracket)
        brackets | beam.ParDo(FuseBrackets(options)).with_outputs(FAILURES, main="rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.fixture
def expected(brackets, pictures, tmp_path, capsys):
    """What `lutfuse fuse` makes of the brackets in this process."""
    assert cli.main([*FUSE, "--input", str(brackets), "--output", str(tmp_path / "expected")]) == 0
    made = pictures(tmp_path / "expected")
    assert len(set(made.values())) == 3
    return made


def started(path):
    """The environment of a process, with `path` as its PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | ({"PYTHONPATH": str(path)} if path else {})


# ---- beside a user's own packages


@pytest.fixture(params=[".", pytest.param("", marks=slow)], ids=["PYTHONPATH", "cwd"])
def beside_own_packages(request, own_packages):
    """Folder and environment of a process that has the user's packages first on its path."""
    return {"cwd": own_packages, "env": started(request.param)}


def test_the_users_packages_are_the_ones_that_are_found_there(python, beside_own_packages, run):
    # Without this, the tests below would prove nothing.
    program = """
from importlib.util import find_spec
for name in ("models", "pipeline", "transforms"):
    print(find_spec(name).origin)
"""
    found = run(python, "-c", program, **beside_own_packages).stdout.split()
    own = beside_own_packages["cwd"]
    assert found == [f"{own}/{name}/__init__.py" for name in ("models", "pipeline", "transforms")]


@pytest.mark.parametrize(
    ("how", "flags"),
    [
        ("module", ()),
        pytest.param("script", (), marks=slow),
        pytest.param("module", WORKERS, marks=slow),
    ],
    ids=["module", "script", "processes"],
)
def test_the_command_runs_beside_them(
    python, beside_own_packages, how, flags, brackets, expected, run, pictures, tmp_path
):
    command = (python, "-m", "lutfuse") if how == "module" else (python.with_name("lutfuse"),)
    where = ("--input", brackets, "--output", tmp_path / "out")
    run(*command, *FUSE, *where, *flags, **beside_own_packages)
    assert pictures(tmp_path / "out") == expected


def test_the_library_runs_beside_them(python, beside_own_packages, frames, run, tmp_path):
    paths = [str(tmp_path / f"{i}.npy") for i in range(3)]
    for path, frame in zip(paths, frames(3), strict=True):
        np.save(path, frame)
    script = beside_own_packages["cwd"] / "library.py"
    script.write_text(LIBRARY)
    here, there = tmp_path / "here.npy", tmp_path / "there.npy"
    run(python, script, there, *paths, **beside_own_packages)
    runpy.run_path(str(script))["main"](here, *paths)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize("flags", [(), pytest.param(WORKERS, marks=slow)], ids=["threads", "processes"])
def test_the_users_job_has_its_own_transforms_and_ours(
    python, beside_own_packages, flags, brackets, expected, run, pictures, tmp_path
):
    script = beside_own_packages["cwd"] / "job.py"
    script.write_text(JOB)
    run(python, script, brackets, tmp_path / "out", *flags, **beside_own_packages)
    assert pictures(tmp_path / "out") == expected


# ---- in a checkout, whose folder `lutfuse` is on the path before what is installed


@pytest.fixture(params=["in", "above", "PYTHONPATH"])
def around_a_checkout(request, tmp_path):
    """Folder and environment of a process that finds a folder `lutfuse` which is not what is installed."""
    (tmp_path / "clones").mkdir()
    (tmp_path / "clones" / "lutfuse").symlink_to(ROOT)
    folders = {"in": ROOT, "above": tmp_path / "clones", "PYTHONPATH": tmp_path}
    return {
        "cwd": folders[request.param],
        "env": started(ROOT if request.param == "PYTHONPATH" else None),
    }


def test_what_is_installed_is_found_around_a_checkout(python, around_a_checkout, run):
    program = """
import sys
import lutfuse.models.native._native, lutfuse.pipeline.cli
print(lutfuse.__version__, lutfuse.pipeline.cli.__file__)
"""
    version, file = run(python, "-c", program, **around_a_checkout).stdout.split()
    assert version == run(python, "-c", "import lutfuse; print(lutfuse.__version__)").stdout.strip()
    environment = python.parents[1]
    assert Path(file).is_relative_to(environment) or file == cli.__file__


@slow
@pytest.mark.parametrize("flags", [(), WORKERS], ids=["threads", "processes"])
def test_the_command_runs_around_a_checkout(
    python, around_a_checkout, flags, brackets, expected, run, pictures, tmp_path
):
    where = ("--input", brackets, "--output", tmp_path / "out")
    run(python, "-m", "lutfuse", *FUSE, *where, *flags, **around_a_checkout)
    assert pictures(tmp_path / "out") == expected


# ---- the name itself


def test_importing_it_loads_nothing_heavy_and_takes_no_time(python, run, tmp_path):
    program = """
import sys, time
start = time.process_time()
import lutfuse
spent = time.process_time() - start
print(spent, *{name.partition(".")[0] for name in sys.modules})
"""
    spent, *loaded = run(python, "-c", program, cwd=tmp_path).stdout.split()
    assert "lutfuse" in loaded
    assert {"torch", "apache_beam", "numpy", "cv2", "pyarrow"} & set(loaded) == set()
    assert float(spent) < 0.1


def test_the_command_says_the_version_that_is_installed(python, run, tmp_path):
    program = "import importlib.metadata as m, lutfuse; print(m.version('lutfuse'), lutfuse.__version__)"
    installed, own = run(python, "-c", program, cwd=tmp_path).stdout.split()
    assert own == installed
    assert run(python, "-m", "lutfuse", "--version", cwd=tmp_path).stdout.split()[-1] == installed


@slow
@pytest.mark.timeout(3600)
def test_the_version_is_the_wheels(wheel, clean_python, run, tmp_path):
    version = run(clean_python, "-c", "import lutfuse; print(lutfuse.__version__)", cwd=tmp_path)
    assert wheel.name.split("-")[1] == version.stdout.strip()
