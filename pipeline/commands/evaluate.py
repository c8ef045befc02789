"""`lutfuse evaluate`: the quality of a set of brackets."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lutfuse.models.evaluation.evaluate import NATIVE_SIDE, Evaluation, evaluate
from lutfuse.models.evaluation.scores import summary, to_markdown
from lutfuse.pipeline.arguments import (
    OK,
    UsageError,
    add_lut_size,
    command_parser,
    existing_file,
    existing_folder,
    make_output,
    whole_number,
)

DESCRIPTION = """\
Fuse every bracket below DIR with the student, with OpenCV's Mertens and by plain averaging, and score the
results. Writes OUTPUT/scores.csv and OUTPUT/scores.md, one line per bracket and method, and contact sheets
in OUTPUT/sheets; prints the means. Images are read with 8 bits per channel.
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of `lutfuse evaluate`."""
    parser = command_parser("evaluate", description=DESCRIPTION)
    parser.add_argument(
        "--data",
        type=existing_folder,
        action="append",
        required=True,
        metavar="DIR",
        help="folder of bracket folders, searched recursively; may be given more than once",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for tables and sheets"
    )
    _add_method(parser)
    return parser


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        type=existing_file,
        metavar="FILE",
        help=".safetensors to use (default: the shipped weights)",
    )
    parser.add_argument(
        "--frames",
        choices=("all", "ends"),
        default="all",
        help="all frames of a bracket, or its darkest and brightest only (default: %(default)s)",
    )
    add_lut_size(parser)
    parser.add_argument(
        "--max-side",
        type=whole_number(1, NATIVE_SIDE),
        default=NATIVE_SIDE,
        metavar="PX",
        help="reduce larger images to this long side first (default: native size)",
    )
    parser.add_argument("--no-sheets", action="store_true", help="tables only")


def main(argv: Sequence[str]) -> int:
    """Runs `lutfuse evaluate ARGV` and returns its exit code."""
    args = build_parser().parse_args(argv)
    evaluation = Evaluation(
        data=tuple(args.data),
        output=args.output,
        weights=args.weights,
        ends=args.frames == "ends",
        lut_size=args.lut_size,
        max_side=args.max_side,
        sheets=not args.no_sheets,
    )
    make_output(evaluation.output)
    try:
        rows = evaluate(evaluation)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(to_markdown(summary(rows)))
    print(f"per bracket: {args.output / 'scores.md'}")
    return OK
