"""`lutfuse train`: a student from one's own brackets, with or without references."""

import argparse
import dataclasses
from collections.abc import Sequence

from lutfuse.models.training.train import train
from lutfuse.pipeline.arguments import OK, UsageError, command_parser, existing_file, make_output
from lutfuse.pipeline.training import ConsoleWatch, add_training_arguments, training_of

DESCRIPTION = """\
Train a student on brackets and write OUTPUT/student.safetensors with its .json. A folder of images is a
bracket; an image whose stem is `reference` is its reference; brackets of three or more frames without one
aim at the mean of two classical answers to all their frames. After an interruption, run the same command
again to go on.
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `lutfuse train`."""
    parser = command_parser("train", description=DESCRIPTION)
    recipe = add_training_arguments(parser)
    recipe.add_argument(
        "--init",
        type=existing_file,
        metavar="FILE",
        help=".safetensors to start from, for instance to go on from shipped weights (default: random)",
    )
    recipe.add_argument("--name", default="student", help="first part of the model id (default: %(default)s)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs `lutfuse train ARGV` and returns its exit code."""
    args = build_parser().parse_args(argv)
    run = dataclasses.replace(training_of(args), init=args.init, name=args.name)
    make_output(run.output)
    try:
        with ConsoleWatch() as watch:
            train(run, watch)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return OK
