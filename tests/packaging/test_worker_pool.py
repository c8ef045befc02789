"""Pickling proved: workers that have only the wheel give the bytes of the in-process run."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(python: Path, module: str, port_option: str, log: Path, **options: object) -> Iterator[int]:
    """Beam's server `module`; gives the port that it listens on while the block runs."""
    port = free_port()
    command = [str(python), "-m", f"apache_beam.runners.{module}", f"--{port_option}={port}"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            for _ in range(1200):
                with socket.socket() as probe:
                    if probe.connect_ex(("localhost", port)) == 0:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(params=["an empty folder", "a folder of the user's own packages"])
def workplace(request, own_packages, tmp_path) -> tuple[Path, dict[str, str]]:
    """Folder that workers are started in, and what their environment has beside PATH and HOME."""
    if "empty" not in request.param:
        return own_packages, {"PYTHONPATH": "."}
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty", {"PYTHONSAFEPATH": "1"}  # as in the image


def test_a_worker_pool_with_only_the_wheel_gives_the_bytes_of_the_in_process_run(
    clean_python, workplace, brackets, run, pictures, rows, tmp_path
):
    # The same wheel launches and works, as in the image.
    fuse = (clean_python, "-m", "lutfuse", "fuse", "--input", brackets, "--look", "warm", "--lut-size", "17")
    (tmp_path / "neutral").mkdir()
    run(*fuse, "--output", tmp_path / "here", cwd=tmp_path / "neutral", timeout=1200)

    folder, variables = workplace
    # The pool starts its workers as `python`, so that name has to be the clean environment's.
    path = f"{clean_python.parent}{os.pathsep}{os.environ['PATH']}"
    place = {"cwd": folder, "env": {"PATH": path, "HOME": str(tmp_path)} | variables}
    log = tmp_path / "pool.log"
    with (
        serving(clean_python, "worker.worker_pool_main", "service_port", log, **place) as pool,
        serving(clean_python, "portability.local_job_service_main", "port", tmp_path / "jobs.log") as jobs,
    ):
        portable = ("--runner=PortableRunner", f"--job_endpoint=localhost:{jobs}")
        workers = ("--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}")
        run(*fuse, "--output", tmp_path / "there", *portable, *workers, **place, timeout=1200)
    assert "Starting worker with command" in log.read_text()
    assert len(pictures(tmp_path / "here")) == 3
    assert pictures(tmp_path / "there") == pictures(tmp_path / "here")
    assert rows(tmp_path / "there") == rows(tmp_path / "here")
