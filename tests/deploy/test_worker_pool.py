"""Packaging and pickling proved: workers that have only the wheel give the bytes of the in-process run."""

import contextlib
import os
import socket
import subprocess
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lutfuse.transforms.recovery import CIRCUMSTANCES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CARRIED = {
    "lutfuse/py.typed",
    "lutfuse/models/student/weights/lutfuse-student.safetensors",
    "lutfuse/models/student/weights/lutfuse-student.json",
    "lutfuse/models/looks/presets/neutral.json",
    "lutfuse/models/looks/look.schema.json",
}
PACKAGES = {"lutfuse"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(command, port, log, **options):
    """A server that listens on `port` while the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT, **options
        )
        try:
            for _ in range(1200):
                with socket.socket() as probe:
                    if probe.connect_ex(("localhost", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def lutfuse(python, *argv, cwd):
    command = [python, "-m", "lutfuse", "fuse", *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr


def pictures(output):
    return {path.name: path.read_bytes() for path in sorted((output / "fused").iterdir())}


def decisive_rows(output):
    rows = [row for path in output.glob("metrics/*.parquet") for row in pq.read_table(path).to_pylist()]
    kept = [{k: v for k, v in row.items() if k not in CIRCUMSTANCES} for row in rows]
    return sorted(kept, key=lambda row: row["group_id"])


def test_the_wheel_carries_weights_presets_and_schema_but_no_sources(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= CARRIED
    assert {Path(name).parts[0] for name in names if ".dist-info/" not in name} == PACKAGES
    stray = {name for name in names if name.endswith((".cpp", ".cu", ".h", ".pyc", ".ipynb", ".log"))}
    assert stray == set()
    assert (
        sum(name.startswith("lutfuse/models/native/_native.") and name.endswith(".so") for name in names) == 1
    )


def test_the_clean_environment_has_the_wheel_and_nothing_of_this_checkout(clean_python, tmp_path):
    program = "import models, transforms, pipeline; print(models.__file__, transforms.__file__)"
    done = subprocess.run(
        [clean_python, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert all(Path(file).is_relative_to(clean_python.parents[1]) for file in done.stdout.split())


def test_a_worker_pool_with_only_the_wheel_gives_the_bytes_of_the_in_process_run(
    clean_python, write_bracket, tmp_path
):
    for i, size in enumerate([(64, 48), (50, 70), (33, 21)]):
        write_bracket(tmp_path / "in" / f"scene {i}", 2 + i, size=size, seed=i, reference=i == 0)
    common = ("--input", tmp_path / "in", "--look", "warm", "--lut-size", "17")
    # The same wheel launches and works, as in the image.
    lutfuse(clean_python, *common, "--output", tmp_path / "here", cwd=tmp_path)

    elsewhere = tmp_path / "elsewhere"  # an empty folder: nothing can be imported from it by accident
    elsewhere.mkdir()
    # The pool starts its workers as `python`, so that name has to be the clean environment's.
    environment = {
        "PATH": f"{clean_python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(elsewhere),
        "PYTHONSAFEPATH": "1",
    }
    pool, jobs = free_port(), free_port()
    pool_command = (clean_python, "-m", "apache_beam.runners.worker.worker_pool_main")
    job_command = (clean_python, "-m", "apache_beam.runners.portability.local_job_service_main")
    with (
        serving(
            (*pool_command, f"--service_port={pool}"),
            pool,
            tmp_path / "pool.log",
            cwd=elsewhere,
            env=environment,
        ),
        serving((*job_command, f"--port={jobs}"), jobs, tmp_path / "jobs.log", cwd=elsewhere),
    ):
        lutfuse(
            clean_python,
            *common,
            "--output",
            tmp_path / "there",
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
            cwd=tmp_path,
        )
    assert "Starting worker with command" in (tmp_path / "pool.log").read_text()
    here = pictures(tmp_path / "here")
    assert len(here) == 3
    assert pictures(tmp_path / "there") == here
    assert decisive_rows(tmp_path / "there") == decisive_rows(tmp_path / "here")
