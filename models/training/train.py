"""`lutfuse train`: a student from one's own brackets, with or without references, on CPU or GPU.

Every step draws its batch from (seed, step) alone, so a run that is killed and started again with the same
flags goes on from its last checkpoint as if nothing had happened.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from lutfuse.models.checked import ConfigError, read_json
from lutfuse.models.student.checkpoint import load_student, output_folder, save_student
from lutfuse.models.student.network import Student
from lutfuse.models.training.radiance import RADIANCE_SUFFIXES, read_radiance, render_scene
from lutfuse.models.training.recipe import Distil, TrainConfig
from lutfuse.models.training.samples import split
from lutfuse.models.training.scenes import (
    REFERENCE_RECIPE,
    Scene,
    bracket_folders,
    cached,
    fingerprint,
    load_scene,
)
from lutfuse.models.training.trainer import Trainer, validate

DESCRIPTION = """\
Train a student on brackets and write OUTPUT/student.safetensors with its .json. A folder of images is a
bracket; an image whose stem is `reference` is its reference; without one, brackets of three and more frames
aim at the mean of two classical answers to all their frames. Run the same command again to go on after an
interruption.
"""

console = Console(stderr=True)


def main(argv: list[str]) -> int:
    """Runs the command; 0 trained, 2 wrong usage."""
    args = _parser().parse_args(argv)
    try:
        config = resolve(args)
        device = choose_device(args.device)
        torch.set_num_threads(args.threads)
        init = load_student(args.init)[0] if args.init else None
        scenes = load_scenes(args.data, args.hdr, config, output_folder(args.output / "scenes"))
        train(resume(config, device, args.output, init), *scenes, args)
    except ValueError as error:
        print(f"lutfuse train: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lutfuse train", description=DESCRIPTION)
    recipe = add_arguments(parser)
    recipe.add_argument(
        "--init", type=Path, metavar="FILE",
        help=".safetensors to start from, for instance to go on from shipped weights (default: random)",
    )  # fmt: skip
    recipe.add_argument("--name", default="student", help="first part of the model id (default: %(default)s)")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What every command that trains takes; returns the group of the recipe."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", type=Path, action="append", default=[], metavar="DIR",
        help="folder of bracket folders, searched recursively; may be given more than once",
    )  # fmt: skip
    data.add_argument(
        "--hdr", type=Path, action="append", default=[], metavar="DIR",
        help="folder of .hdr radiance images (2:1: panoramas) to render brackets from",
    )  # fmt: skip
    data.add_argument(
        "--output", type=Path, required=True, metavar="DIR",
        help="where weights, checkpoint, log.jsonl, config.json and prepared scenes go",
    )  # fmt: skip
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument(
        "--config", type=Path, metavar="FILE",
        help="JSON of training options, or the .json of a weights file, whose recipe is repeated "
        "(default: the recipe of the shipped weights)",
    )  # fmt: skip
    recipe.add_argument(
        "--steps", type=int, metavar="N", help="updates of the weights (default: the recipe's)"
    )
    recipe.add_argument(
        "--seed", type=int, metavar="N", help="of data order and start (default: the recipe's)"
    )
    recipe.add_argument(
        "--distil", choices=get_args(Distil),
        help="learn from a teacher as well: one that is trained first and then frozen, or one that learns in "
        "turn with the student; its sizes are the recipe's (default: the recipe's)",
    )  # fmt: skip
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)"
    )
    machine.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), metavar="N",
        help="CPU threads of torch (default: %(default)s)",
    )  # fmt: skip
    machine.add_argument(
        "--checkpoint-every", type=int, default=200, metavar="STEPS",
        help="steps between checkpoints, each with a validation (default: %(default)s)",
    )  # fmt: skip
    return recipe


def resolve(args: argparse.Namespace) -> TrainConfig:
    """The recipe with the flags' overrides; checks everything that can be checked before work begins."""
    for flag, value in (("--threads", args.threads), ("--checkpoint-every", args.checkpoint_every)):
        if value < 1:
            raise ConfigError(f"{flag} is {value}; it must be at least 1")
    if not args.data and not args.hdr:
        raise ConfigError("no training data; give --data or --hdr")
    for flag, folder in [("--data", d) for d in args.data] + [("--hdr", d) for d in args.hdr]:
        if not folder.is_dir():
            raise ConfigError(f"{flag} {folder} is not a folder; check the path")
    values = _read_recipe(args.config) if args.config else {}
    overrides = {"steps": args.steps, "seed": args.seed, "distil": args.distil}
    return TrainConfig.from_json(values | {k: v for k, v in overrides.items() if v is not None})


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        values: Any = read_json(path.read_bytes())
    except (OSError, ConfigError) as error:
        raise ConfigError(f"--config {path} cannot be read: {error}") from None
    if "provenance" in values:
        provenance = values["provenance"]
        values = provenance.get("recipe") if isinstance(provenance, dict) else None
    if not isinstance(values, dict):
        raise ConfigError(
            f"--config {path} must hold an object of training options, or with one at provenance.recipe"
        )
    return values


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is a GPU, else the CPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch sees no CUDA device; use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def load_scenes(
    brackets: Sequence[Path], radiance: Sequence[Path], config: TrainConfig, cache: Path
) -> tuple[list[Scene], list[Scene]]:
    """(real scenes, rendered scenes); each is prepared once and kept in `cache`."""
    folders = [folder for root in brackets for folder in bracket_folders(root)]
    images = [
        p for root in radiance for p in sorted(root.rglob("*")) if p.suffix.lower() in RADIANCE_SUFFIXES
    ]
    if not folders and not images:
        raise ConfigError(
            "neither --data nor --hdr holds a bracket: a bracket is a folder of 2 or more images"
        )
    with _progress() as progress:
        real = [_real(f, config, cache) for f in progress.track(folders, description="brackets")]
        views = [_rendered(p, config, cache) for p in progress.track(images, description="radiance")]
    return real, [scene for of_one in views for scene in of_one]


def _real(folder: Path, config: TrainConfig, cache: Path) -> Scene:
    key = fingerprint(sorted(folder.iterdir()))
    path = cache / f"{folder.name}-{key}-{config.scene_side}-{REFERENCE_RECIPE}.npz"
    return cached(path, partial(load_scene, folder, config.scene_side))


def _rendered(path: Path, config: TrainConfig, cache: Path) -> list[Scene]:
    def build(view: int) -> Scene:
        return render_scene(read_radiance(path), path.stem, view, config.hdr_side, config.seed)

    stem = f"{path.stem}-{fingerprint([path])}-{config.hdr_side}-{config.seed}-{REFERENCE_RECIPE}"
    return [cached(cache / f"{stem}-{k}.npz", partial(build, k)) for k in range(config.hdr_views)]


def train(trainer: Trainer, real: list[Scene], rendered: list[Scene], args: argparse.Namespace) -> None:
    """Run to the last step, with a checkpoint and a line in log.jsonl every `args.checkpoint_every`."""
    config, output, every = trainer.config, args.output, args.checkpoint_every
    real, held_real = split(real, config.held_out, config.seed)
    rendered, held_rendered = split(rendered, config.held_out, config.seed)
    if not real and not rendered:
        raise ConfigError(
            f"held_out is {config.held_out}: with so few brackets none is left to train on; give more, "
            "or lower it"
        )
    seen: dict[str, list[float]] = {}
    since, started = trainer.updates, time.monotonic()
    with _progress() as progress, (output / "log.jsonl").open("a") as log:
        task = progress.add_task("steps", total=trainer.total, completed=trainer.updates)
        while trainer.updates < trainer.total:
            for name, value in trainer.train_step(real, rendered).items():
                seen.setdefault(name, []).append(value)
            progress.update(task, completed=trainer.updates)
            if trainer.updates % every and trainer.updates != trainer.total:
                continue
            count, seconds = trainer.updates - since, time.monotonic() - started
            row = {"step": trainer.step, "steps_per_s": round(count / seconds, 3)}
            if trainer.teacher:
                row["teacher_step"] = trainer.teacher.step
            row |= {name: round(statistics.fmean(values), 5) for name, values in seen.items()}
            if trainer.step:  # a teacher may come first
                row |= validate(trainer.average, held_real, config, trainer.device)
                # One view of each panorama is enough to watch.
                scores = validate(trainer.average, held_rendered[:: config.hdr_views], config, trainer.device)
                row |= {f"hdr_{name}": score for name, score in scores.items()}
            _checkpoint(trainer, args, len(real) + len(rendered))
            log.write(json.dumps(row) + "\n")
            log.flush()
            console.print(
                {k: v for k, v in row.items() if "psnr" in k or "ssim" in k or k in ("step", "loss")}
            )
            seen, since, started = {}, trainer.updates, time.monotonic()


def resume(config: TrainConfig, device: torch.device, output: Path, init: Student | None) -> Trainer:
    """A new run in `output`, or the one that is there if it has the same configuration."""
    trainer = Trainer(config, device)
    state, stored = output / "state.safetensors", output / "config.json"
    if state.exists():
        if TrainConfig.from_json(json.loads(stored.read_text())) != config:
            raise ConfigError(
                f"--output {output} holds a run with another configuration; choose another folder"
            )
        trainer.load(state)
        console.print(f"resuming at step {trainer.updates} of {trainer.total}")
    elif init:
        trainer.start_from(init)
    stored.write_text(json.dumps(config.to_json(), indent=2) + "\n")
    return trainer


def _checkpoint(trainer: Trainer, args: argparse.Namespace, scenes: int) -> None:
    provenance = {
        "recipe": trainer.config.to_json(),
        "step": trainer.step,
        "scenes": scenes,
        "data": sorted(folder.name for folder in args.data + args.hdr),
        "torch": torch.__version__,
        "init": _described(args.init) if args.init else None,
    }
    save_student(trainer.average, args.output / "student.safetensors", args.name, provenance)
    trainer.save(args.output / "state.safetensors")


def _described(weights: Path) -> dict[str, Any]:
    """Where the weights to start from came from: their hash and their own provenance."""
    card = json.loads(weights.with_suffix(".json").read_text())
    return {"sha256": card["sha256"], "provenance": card["provenance"]}


def _progress() -> Progress:
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
