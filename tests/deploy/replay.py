"""Does without Docker what deploy/Dockerfile does: its COPY and RUN steps, in clean environments and folders.

    python tests/deploy/replay.py --root /var/tmp/replay [--no-cuda] [--torch-index URL]

Each stage that is built on Python gets a folder for its files and a clean virtual environment for its
packages; a path that the Dockerfile writes as /x is ROOT/STAGE/x. Not replayed, and listed at the end:
what comes out of other images (the CUDA compiler, which has to be on PATH here; Beam's boot; the
launcher), and steps that need to be root. Ends with an error where a step fails, or where the last stage
holds sources or a build tool.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS_ROOT = ("useradd",)
FORBIDDEN = (".cpp", ".cu", ".h", ".c")
BUILD_TOOLS = ("cmake", "ninja", "scikit-build-core", "nanobind")


@dataclass
class Stage:
    """One FROM of the Dockerfile, and where it is replayed."""

    base: str
    name: str
    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_python(self) -> bool:
        """Whether this stage runs anything: the others only lend files."""
        return self.base.startswith("python:")

    @property
    def venv(self) -> Path:
        """Stands for the Python of the stage's image."""
        return self.root.with_name(f"{self.root.name}-venv")

    def inside(self, path: str) -> Path:
        """Where `path` of the image is here."""
        return self.root / (path if path.startswith("/") else f"{self.workdir}/{path}").lstrip("/")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(keyword, arguments) of a Dockerfile; comments are dropped and continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword:
            yield keyword, rest.strip()


class Replay:
    """Replays instructions one by one; `skipped` says what was left out."""

    def __init__(self, root: Path, arguments: dict[str, str], cuda: bool) -> None:
        self.root, self.given, self.cuda = root, arguments, cuda
        self.arguments: dict[str, str] = {}
        self.stages: list[Stage] = []
        self.skipped: list[str] = []

    def run(self, text: str) -> Stage:
        """All of the Dockerfile; returns the last stage."""
        for keyword, rest in instructions(text):
            print(f"{keyword} {rest}", flush=True)
            getattr(self, f"_{keyword.lower()}")(rest)
        return self.stages[-1]

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self.arguments[name] = self.given.get(name, default)

    def _from(self, rest: str) -> None:
        base, _, name = self._filled(rest).partition(" AS ")
        name = name or "image"
        stage = Stage(base, name, self.root / name)
        self.stages.append(stage)
        if stage.is_python:
            shutil.rmtree(stage.root, ignore_errors=True)
            stage.root.mkdir(parents=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", stage.venv], check=True)

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.stages[-1].environment[name] = value

    def _workdir(self, rest: str) -> None:
        stage = self.stages[-1]
        stage.workdir = rest
        stage.inside(rest).mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        stage = self.stages[-1]
        if rest.startswith("--from="):
            self.skipped.append(f"COPY {rest}: comes out of another image")
            return
        *sources, target = rest.split()
        for source in sources:
            to = stage.inside(target)
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.so")  # as Dockerfile.dockerignore
                shutil.copytree(ROOT / source, to, ignore=ignored, dirs_exist_ok=True)
            else:
                to = to / Path(source).name if target.endswith("/") else to
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / source, to)

    def _run(self, rest: str) -> None:
        stage = self.stages[-1]
        if rest.startswith(NEEDS_ROOT):
            self.skipped.append(f"RUN {rest}: needs to be root")
            return
        rest, mounts = self._mounted(rest)
        if not self.cuda:
            rest = rest.replace("LUTFUSE_CUDA=ON", "LUTFUSE_CUDA=OFF")
        command = re.sub(r"(?<![\w.$}/:])/[a-z][\w./-]*", lambda path: self._place(path[0], mounts), rest)
        environment = (
            os.environ | self.arguments | {"PATH": f"{stage.venv}/bin{os.pathsep}{os.environ['PATH']}"}
        )
        environment |= {name: value for name, value in stage.environment.items() if "PATH" not in name}
        # The steps are those of our own Dockerfile.
        subprocess.run(["bash", "-euc", command], check=True, cwd=stage.inside("."), env=environment)

    def _mounted(self, rest: str) -> tuple[str, dict[str, Path]]:
        mounts = {}
        while match := re.match(r"--mount=type=bind,from=(\w+),source=(\S+?),target=(\S+)\s+", rest):
            source = next(stage for stage in self.stages if stage.name == match[1])
            mounts[match[3]] = source.inside(match[2])
            rest = rest[match.end() :]
        return rest, mounts

    def _place(self, path: str, mounts: dict[str, Path]) -> str:
        for target, source in mounts.items():
            if path.startswith(target):
                return f"{source}{path.removeprefix(target)}"
        return str(self.stages[-1].inside(path))

    def _entrypoint(self, rest: str) -> None:
        self.skipped.append(f"ENTRYPOINT {rest}: comes out of another image")

    def _filled(self, text: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda name: self.arguments[name[1]], text)


def leftovers(stage: Stage) -> list[str]:
    """What the last stage should not have: our sources, or what built them."""
    files = [str(path) for path in stage.root.rglob("*") if path.suffix in FORBIDDEN]
    packages = stage.venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    files += [str(path) for path in (packages / "lutfuse").rglob("*") if path.suffix in FORBIDDEN]
    freeze = subprocess.run(
        [stage.venv / "bin" / "python", "-m", "pip", "freeze"], check=True, capture_output=True, text=True
    )
    return files + [line for line in freeze.stdout.split() if line.partition("==")[0] in BUILD_TOOLS]


def main(argv: Sequence[str] | None = None) -> int:
    """Replays the Dockerfile and says what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--no-cuda", dest="cuda", action="store_false", help="build the CPU part alone")
    parser.add_argument("--torch-index", help="index of torch's CPU wheels in place of the Dockerfile's")
    args = parser.parse_args(argv)
    arguments = {"TORCH_INDEX": args.torch_index} if args.torch_index else {}
    replay = Replay(args.root.absolute(), arguments, args.cuda)
    stage = replay.run((ROOT / "deploy" / "Dockerfile").read_text())
    print("\nnot replayed:", *replay.skipped, sep="\n  ")
    left = leftovers(stage)
    if left:
        print("\nin the last stage, and should not be:", *left, sep="\n  ")
        return 1
    print("\nthe last stage has what it needs and nothing of the build")
    return 0


if __name__ == "__main__":
    sys.exit(main())
