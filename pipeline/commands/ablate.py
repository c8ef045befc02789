"""`lutfuse ablate`: what each part of the method is worth."""

import argparse
import json
from collections.abc import Sequence

from lutfuse.models.checked import ConfigError
from lutfuse.models.evaluation.ablate import VARIANTS, Ablation, ablate, chosen, variants_of
from lutfuse.models.evaluation.evaluate import NATIVE_SIDE
from lutfuse.models.evaluation.line_plot import check_matplotlib
from lutfuse.pipeline.arguments import (
    OK,
    UsageError,
    command_parser,
    existing_file,
    existing_folder,
    make_output,
    whole_number,
)
from lutfuse.pipeline.training import ConsoleWatch, add_training_arguments, training_of

DESCRIPTION = """\
Train the recipe, and the recipe with one thing changed, each with the same seed, the same batches and the
same number of student steps, and score them on the same brackets: the held-out scenes and those of --test.
Writes OUTPUT/ablation.csv and ablation.md after every variant, then PSNR against the size of the LUT as
psnr_vs_n.csv and psnr_vs_n.png, which needs matplotlib (pip install 'lutfuse[plot]'). After an interruption,
run the same command again to go on.
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `lutfuse ablate`."""
    changes = "\n".join(f"  {name:20} {json.dumps(change)}" for name, change in VARIANTS.items())
    parser = command_parser(
        "ablate", description=DESCRIPTION, epilog=f"variants and what they change:\n{changes}"
    )
    add_training_arguments(parser)
    _add_scores(parser.add_argument_group("scores"))
    return parser


def _add_scores(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--test",
        type=existing_folder,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of bracket folders to score on besides the held-out scenes; may be given more than once",
    )
    group.add_argument(
        "--max-side",
        type=whole_number(1, NATIVE_SIDE),
        default=Ablation.max_side,
        metavar="PX",
        help="long side to which larger test images are reduced first (default: %(default)s)",
    )
    group.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="NAME,…",
        help="variants to train; the tables also show those that are there (default: all)",
    )
    group.add_argument(
        "--weights",
        type=existing_file,
        metavar="FILE",
        help=".safetensors for PSNR against N (default: those of the variant `recipe`)",
    )


def main(argv: Sequence[str]) -> int:
    """Runs `lutfuse ablate ARGV` and returns its exit code."""
    ablation = resolve(build_parser().parse_args(argv))
    make_output(ablation.training.output)
    try:
        with ConsoleWatch() as watch:
            tables = ablate(ablation, watch)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(tables)
    return OK


def resolve(args: argparse.Namespace) -> Ablation:
    """The ablation that the options describe; what would stop it after hours of training is checked here.

    Raises:
      UsageError, ConfigError: an option is wrong, or matplotlib is missing.
    """
    check_matplotlib()
    training = training_of(args)
    try:
        chosen(args.only, variants_of(training.config))
    except ConfigError as error:
        raise UsageError(f"--only {error}") from None
    return Ablation(training, tuple(args.test), args.max_side, args.only, args.weights)
