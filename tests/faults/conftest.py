"""The command in this process or in one of its own that can be killed, and what it left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lutfuse.pipeline import cli


def fuse(source: Path, output: Path, *flags: str) -> int:
    """`lutfuse fuse` in this process."""
    return cli.main(["fuse", "--input", str(source), "--output", str(output), *flags])


class Running:
    """`lutfuse fuse` in a process group of its own, as on a machine that may be taken away."""

    def __init__(self, source: Path, output: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "lutfuse", "fuse", "--input", source, "--output", output, *flags]
        self.output, self.log = output, output.parent / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait_for(self, pictures: int, limit_s: float = 120) -> None:
        """Until so many pictures are there, or the command has ended."""
        deadline = time.monotonic() + limit_s
        while self.process.poll() is None and len(pictures_of(self.output)) < pictures:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def kill(self) -> int:
        """SIGKILL to the command and all its workers; returns its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def workers(self) -> list[int]:
        """Process ids of Beam's worker processes."""
        processes = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in processes if self._is_worker(pid)]

    def _is_worker(self, pid: int) -> bool:
        try:
            same_group = os.getpgid(pid) == self.process.pid
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return same_group and b"sdk_worker_main" in line and not line.startswith(b"/bin/sh")


def pictures_of(output: Path) -> dict[str, bytes]:
    """Finished pictures by name; a temporary file is none."""
    folder = output / "fused"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.jpg")}


@pytest.fixture
def lutfuse() -> Callable[..., int]:
    """The function `fuse`."""
    return fuse


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    """Starts the command as `Running`; what still runs at the end is killed."""
    started: list[Running] = []

    def start(*arguments: object) -> Running:
        started.append(Running(*arguments))
        return started[-1]

    yield start
    for command in started:
        command.kill()


@pytest.fixture
def pictures() -> Callable[[Path], dict[str, bytes]]:
    """The function `pictures_of`."""
    return pictures_of


@pytest.fixture
def tree(tmp_path, write_bracket) -> Callable[..., Path]:
    """Writes so many brackets of a size; returns the folder that holds them."""

    def write(count: int, size: tuple[int, int] = (96, 64)) -> Path:
        for i in range(count):
            write_bracket(tmp_path / "in" / f"scene {i:03}", 2 + i % 3, size=size, seed=i)
        return tmp_path / "in"

    return write
