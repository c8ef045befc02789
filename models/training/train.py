"""A training from start to end: scenes, steps, checkpoints and a log.

Every step draws its batch from (seed, step) alone, so a run that was killed and is started again in the same
folder with the same recipe goes on from its last checkpoint as if nothing had happened.
"""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lutfuse.models.atomic_file import write_whole
from lutfuse.models.checked import ConfigError
from lutfuse.models.student.checkpoint import load_student, save_student
from lutfuse.models.student.network import Student
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.models.training.scene_cache import Scenes, load_scenes
from lutfuse.models.training.trainer import Trainer, validate
from lutfuse.models.training.watch import SILENT, Watch

Row = dict[str, float]  # a line of the log


@dataclass(frozen=True)
class TrainRun:
    """One training: from which pictures, by which recipe, and where it goes.

    `output` gets student.safetensors with its .json, state.safetensors, config.json, log.jsonl and scenes/.
    """

    output: Path
    data: tuple[Path, ...] = ()  # folders of bracket folders
    hdr: tuple[Path, ...] = ()  # folders of radiance images
    config: TrainConfig = field(default_factory=TrainConfig)
    device: str = "auto"  # or cpu, cuda
    threads: int | None = None  # of torch on the CPU; None leaves them as they are
    checkpoint_every: int = 200  # steps
    init: Path | None = None  # .safetensors to start from
    name: str = "student"  # first part of the model id


def train(run: TrainRun, watch: Watch = SILENT) -> None:
    """Train a student, or go on with the one in `run.output`.

    Raises:
      ValueError: the run cannot be done as it is described (ConfigError), or a file cannot be read.
      OSError: something cannot be written.
    """
    device = prepare_torch(run)
    init = load_student(run.init)[0] if run.init else None
    scenes = prepare_scenes(run, watch)
    train_on(scenes, run, resume(run, device, init, watch), watch)


def default_threads() -> int:
    """CPU threads that torch takes by itself."""
    return torch.get_num_threads()


def prepare_torch(run: TrainRun) -> torch.device:
    """Sets torch's threads, and finds the device."""
    if run.threads:
        torch.set_num_threads(run.threads)
    return choose_device(run.device)


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is a GPU, else the CPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: torch sees no CUDA device; use cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def prepare_scenes(run: TrainRun, watch: Watch = SILENT) -> Scenes:
    """The scenes of the run, from its pictures or as an earlier run left them in its output."""
    return load_scenes(run.data, run.hdr, run.config, run.output / "scenes", watch)


def resume(
    run: TrainRun, device: torch.device, init: Student | None = None, watch: Watch = SILENT
) -> Trainer:
    """A new run in `run.output`, or the one that is there if it has the same recipe."""
    trainer = Trainer(run.config, device)
    state, stored = run.output / "state.safetensors", run.output / "config.json"
    if state.exists():
        if TrainConfig.from_json(json.loads(stored.read_text())) != run.config:
            raise ConfigError(f"{run.output} holds a run with another configuration; choose another folder")
        trainer.load(state)
        watch.note(f"resuming at step {trainer.updates} of {trainer.total}")
    elif init:
        trainer.start_from(init)
    write_whole(stored, (json.dumps(run.config.to_json(), indent=2) + "\n").encode())
    return trainer


def train_on(scenes: Scenes, run: TrainRun, trainer: Trainer, watch: Watch = SILENT) -> None:
    """Run to the last step, with a checkpoint and a line in log.jsonl every `run.checkpoint_every` steps."""
    shown, held_out = scenes.split(run.config)
    if not shown.real and not shown.rendered:
        raise ConfigError(
            f"held_out is {run.config.held_out}: with so few brackets none is left to train on; give more, "
            "or lower it"
        )
    lap = Lap()
    while trainer.updates < trainer.total:
        watch.progress("steps", trainer.updates, trainer.total)
        lap.add(trainer.train_step(shown.real, shown.rendered))
        if trainer.updates % run.checkpoint_every == 0 or trainer.updates == trainer.total:
            row = log_row(trainer, lap, held_out)
            _checkpoint(trainer, run, len(shown.real) + len(shown.rendered))
            with (run.output / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            watch.row(row)
            lap = Lap()
    watch.progress("steps", trainer.updates, trainer.total)


class Lap:
    """The steps since the last checkpoint: their speed, and the means of their terms."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steps = 0
        self._terms: dict[str, list[float]] = {}

    def add(self, terms: Mapping[str, float]) -> None:
        """One step more."""
        self._steps += 1
        for name, value in terms.items():
            self._terms.setdefault(name, []).append(value)

    def speed(self) -> float:
        """Steps per second."""
        return round(self._steps / (time.monotonic() - self._started), 3)

    def means(self) -> Row:
        """Per term, over the steps that had it."""
        return {name: round(statistics.fmean(values), 5) for name, values in self._terms.items()}


def log_row(trainer: Trainer, lap: Lap, held_out: Scenes) -> Row:
    """A line of the log: where the run is, the means since the last line, scores on what is held out."""
    row: Row = {"step": trainer.step, "steps_per_s": lap.speed()}
    if trainer.teacher:
        row["teacher_step"] = trainer.teacher.step
    row |= lap.means()
    if trainer.step:  # a frozen teacher comes first
        # One view of each panorama is enough to watch.
        rendered = held_out.rendered[:: trainer.config.hdr_views]
        for prefix, scenes in (("", held_out.real), ("hdr_", rendered)):
            scores = validate(trainer.average, scenes, trainer.config, trainer.device)
            row |= {f"{prefix}{name}": score for name, score in scores.items()}
    return row


def _checkpoint(trainer: Trainer, run: TrainRun, scenes: int) -> None:
    provenance = {
        "recipe": trainer.config.to_json(),
        "step": trainer.step,
        "scenes": scenes,
        "data": sorted(folder.name for folder in run.data + run.hdr),
        "torch": torch.__version__,
        "init": _described(run.init) if run.init else None,
    }
    save_student(trainer.average, run.output / "student.safetensors", run.name, provenance)
    trainer.save(run.output / "state.safetensors")


def _described(weights: Path) -> dict[str, Any]:
    """Where the weights to start from came from: their hash and their own provenance."""
    card = json.loads(weights.with_suffix(".json").read_text())
    return {"sha256": card["sha256"], "provenance": card["provenance"]}
