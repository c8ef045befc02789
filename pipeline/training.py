"""What the commands that train share: their options, the run these describe, and the progress shown."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn, TimeRemainingColumn

from lutfuse.models.checked import ConfigError, read_json
from lutfuse.models.training.recipe import Distil, TrainConfig
from lutfuse.models.training.train import TrainRun, default_threads
from lutfuse.models.training.watch import Watch
from lutfuse.pipeline.arguments import UsageError, add_device, existing_folder, whole_number

MANY = 2**31 - 1


def add_training_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options of every command that trains; returns the group of the recipe, for more."""
    _add_data(parser.add_argument_group("data"))
    recipe = parser.add_argument_group("recipe")
    _add_recipe(recipe)
    _add_machine(parser.add_argument_group("machine"))
    return recipe


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        type=existing_folder,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of bracket folders, searched recursively; may be given more than once",
    )
    group.add_argument(
        "--hdr",
        type=existing_folder,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of .hdr radiance images to render brackets from (those twice as wide as high are taken "
        "for panoramas); may be given more than once",
    )
    group.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for weights, checkpoint, log.jsonl, config.json and prepared scenes",
    )


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON of training options, or the .json of a weights file, whose recipe is repeated "
        "(default: the recipe of the shipped weights)",
    )
    group.add_argument(
        "--steps",
        type=whole_number(1, MANY),
        metavar="N",
        help="updates of the weights (default: the recipe's)",
    )
    group.add_argument(
        "--seed",
        type=whole_number(0, 2**32 - 1),
        metavar="N",
        help="of the first weights and of the order of the data (default: the recipe's)",
    )
    group.add_argument(
        "--distil",
        choices=get_args(Distil),
        help="learn from a teacher as well: 'frozen' is trained first, 'alternating' takes turns with the "
        "student; its sizes are the recipe's (default: the recipe's)",
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    add_device(group, "where the networks are computed; cuda fails where there is no GPU, auto falls back")
    group.add_argument(
        "--threads",
        type=whole_number(1, 4096),
        default=default_threads(),
        metavar="N",
        help="CPU threads of torch (default: %(default)s)",
    )
    group.add_argument(
        "--checkpoint-every",
        type=whole_number(1, MANY),
        default=TrainRun.checkpoint_every,
        metavar="STEPS",
        help="steps between checkpoints, each with a validation (default: %(default)s)",
    )


def training_of(args: argparse.Namespace) -> TrainRun:
    """The run that the options describe.

    Raises:
      UsageError, ConfigError: the recipe is wrong, or nothing is given to train on.
    """
    if not args.data and not args.hdr:
        raise UsageError("no training data; give --data or --hdr")
    overrides = {"steps": args.steps, "seed": args.seed, "distil": args.distil}
    recipe = read_recipe(args.config) if args.config else {}
    return TrainRun(
        output=args.output,
        data=tuple(args.data),
        hdr=tuple(args.hdr),
        config=TrainConfig.from_json(recipe | {k: v for k, v in overrides.items() if v is not None}),
        device=args.device,
        threads=args.threads,
        checkpoint_every=args.checkpoint_every,
    )


def read_recipe(path: Path) -> dict[str, Any]:
    """The training options of --config, not yet checked.

    Raises:
      UsageError: the file holds none.
    """
    try:
        values: Any = read_json(path.read_bytes())
    except (OSError, ConfigError) as error:
        raise UsageError(f"--config {path} cannot be read: {error}") from None
    if "provenance" in values:
        provenance = values["provenance"]
        values = provenance.get("recipe") if isinstance(provenance, dict) else None
    if not isinstance(values, dict):
        raise UsageError(
            f"--config {path} must hold an object of training options, or with one at provenance.recipe"
        )
    return values


class ConsoleWatch(Watch):
    """Progress bars on a terminal, and a line per checkpoint, all on stderr; use it as a context."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._console = console
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> "ConsoleWatch":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def progress(self, task: str, done: int, total: int) -> None:
        """Moves the bar of `task`; a full one stays, and the next of that name is a new one."""
        if task not in self._running:
            self._running[task] = self._bars.add_task(task, total=total, completed=done)
        self._bars.update(self._running[task], completed=done)
        if done >= total:
            del self._running[task]

    def row(self, row: Mapping[str, float]) -> None:
        """The step, the loss and the scores of a checkpoint."""
        shown = {k: v for k, v in row.items() if "psnr" in k or "ssim" in k or k in ("step", "loss")}
        self._console.print(shown)

    def note(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text)
