"""`lutfuse lut`: writes the LUT of one bracket as a `.cube`, to be edited in a grading tool."""

import argparse
import itertools
import logging
import sys
from collections.abc import Sequence

import numpy as np

from lutfuse.models.looks.cube import CubeError, write_cube
from lutfuse.pipeline.arguments import (
    FAILED,
    OK,
    UsageError,
    add_lut_size,
    add_reference,
    add_weights,
    command_parser,
)
from lutfuse.pipeline.editing import add_look_arguments, read_look, warn_if_large
from lutfuse.pipeline.locations import absolute, check_weights
from lutfuse.transforms.edit import plan_edit
from lutfuse.transforms.exports import cube_text, merge, merge_tiff
from lutfuse.transforms.exposures import read_exposures, same_depth
from lutfuse.transforms.inputs import discovery
from lutfuse.transforms.inputs.brackets import Bracket, InputError
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import explain
from lutfuse.transforms.task import Task
from lutfuse.transforms.weights import load_predictor

EPILOG = """\
The LUT acts on the merged image of the bracket, not on camera frames: --export-merge writes that image, for
the grading tool to show. 'lutfuse fuse --luts' applies an edited LUT.

example:
  lutfuse lut --input photos/aisle --output aisle.cube --export-merge aisle.tif
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of `lutfuse lut`."""
    parser = command_parser(
        "lut",
        description="Write the 3D LUT that the model predicts for one bracket as a .cube (Adobe Cube 1.0).",
        epilog=EPILOG,
    )
    parser.add_argument("--input", required=True, metavar="BRACKET", help="folder, or glob, of one bracket")
    parser.add_argument("--output", required=True, metavar="FILE", help="the .cube to write")
    add_lut_size(parser, "--size")
    parser.add_argument("--title", help="title that grading tools show (default: name of the bracket)")
    parser.add_argument(
        "--export-merge", metavar="FILE", help="also write the image that the LUT acts on, a 16-bit .tif"
    )
    add_reference(parser)
    add_weights(parser)
    add_look_arguments(parser.add_argument_group("look, baked into the LUT"))
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `lutfuse lut ARGV` and return its exit code."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(format="lutfuse lut: %(message)s")
    try:
        for uri in write_lut(args):
            print(f"wrote {uri}")
    except (BracketError, OSError) as error:
        print(f"lutfuse lut: {explain(error)}", file=sys.stderr)
        return FAILED
    return OK


def write_lut(args: argparse.Namespace) -> list[str]:
    """Predict the LUT, write the files that the options ask for, and return their URIs."""
    options, bracket = _options(args), find_bracket(args.input, args.reference)
    _check_targets(args, bracket)
    try:
        predictor = load_predictor(options.weights)
    except ValueError as error:
        raise UsageError(f"--weights {error}") from None
    stages = Stages()
    images, _ = read_exposures(bracket, options.limits, stages)
    edit = plan_edit(same_depth([image.pixels for image in images]), options, predictor, stages)
    text = cube_text(edit.lut, Task(bracket, options, predictor.model_id), title=args.title)
    written = {absolute(args.output): text}
    if args.export_merge:
        merged = merge([image.pixels for image in images], edit, device="cpu")
        written[absolute(args.export_merge)] = merge_tiff(merged, images[edit.middle])
    for uri, data in written.items():
        files.write_bytes(uri, data)
    return list(written)


def find_bracket(source: str, reference: str) -> Bracket:
    """The one bracket of `source`.

    Raises:
      UsageError: there is none, more than one, or one that cannot be fused.
    """
    try:
        found = discovery.find_brackets(absolute(source), reference=reference)
        brackets = list(itertools.islice(found, 4))
    except InputError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"--input {source}: cannot be listed ({explain(error)})") from None
    if len(brackets) != 1:
        names = ", ".join(bracket.group_id for bracket in brackets[:3])
        content = (
            f"more than one bracket ({names}{', …' if len(brackets) > 3 else ''})" if names else "no images"
        )
        raise UsageError(f"--input {source}: holds {content}; give the folder of one bracket's exposures")
    if brackets[0].problem:
        raise UsageError(f"--input {source}: {brackets[0].problem}")
    return brackets[0]


def _options(args: argparse.Namespace) -> FuseOptions:
    warn_if_large("--size", args.size)
    try:
        write_cube(np.zeros((2, 2, 2, 3), np.float32), title=args.title)
    except CubeError as error:
        raise UsageError(f"--title: {error}") from None
    look = read_look(args)
    weights = args.weights and absolute(args.weights)
    check_weights(weights)
    return FuseOptions("", lut_size=args.size, look=look, weights=weights)


def _check_targets(args: argparse.Namespace, bracket: Bracket) -> None:
    targets = {
        "--output": (args.output, (".cube",)),
        "--export-merge": (args.export_merge, (".tif", ".tiff")),
    }
    for flag, (target, suffixes) in targets.items():
        if target and not target.lower().endswith(suffixes):
            raise UsageError(f"{flag} {target}: must end in {suffixes[0]}; choose another name")
        if target and absolute(target) in (*bracket.uris, bracket.reference):
            raise UsageError(f"{flag} {target}: is an image of the bracket itself; choose another name")
