"""Shared by all commands: the parser, argument types, common options, and the error for wrong usage.

Each error message names the value, the rule and the remedy, and has the same form in all commands.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lutfuse.models.contract import DEFAULT_LUT_SIZE, LUT_SIZES, Limits

SCENE_SIDES = Limits(16, 32768)  # px, width and height of a synthesised image

OK, FAILED, WRONG_USAGE, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES = """\
exit codes:
  0  success; every bracket was fused
  1  the job itself failed; finished brackets are kept, run the same command again
  2  wrong usage; nothing was done
  3  finished, but some brackets failed; failures/*.parquet lists which and why
"""


class UsageError(ValueError):
    """Wrong usage: the command prints this message and ends with exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see '{self.prog} --help'")


def command_parser(
    name: str, *, description: str, epilog: str | None = None, usage: str | None = None
) -> argparse.ArgumentParser:
    """The parser of `lutfuse NAME`; texts keep their line breaks, options cannot be abbreviated.

    Parsing raises UsageError for wrong arguments.
    """
    return _Parser(
        prog=f"lutfuse {name}".rstrip(),
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


# --- types ----------------------------------------------------------------------------------------------


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """An argparse type for an integer from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is out of range; choose {low} to {high}")
        return value

    return parse


def positive(text: str) -> float:
    """An argparse type for a finite number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is out of range; give a number above 0")
    return value


def fraction(text: str) -> float:
    """An argparse type for a number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range; give 0 to 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def lut_size(text: str) -> int:
    """An argparse type for the size of a LUT; the message gives the reason for the upper limit."""
    try:
        return whole_number(*LUT_SIZES)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error} (a LUT of {LUT_SIZES.high} has {LUT_SIZES.high**3 / 1e6:.1f} million nodes, and "
            "OpenColorIO reads no larger one)"
        ) from None


def existing_folder(text: str) -> Path:
    """An argparse type for a local folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder; check the path")
    return Path(text)


def existing_file(text: str) -> Path:
    """An argparse type for a local file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text} does not exist; check the path")
    return Path(text)


# --- options of several commands -----------------------------------------------------------------


def add_lut_size(group: argparse._ActionsContainer, flag: str = "--lut-size") -> None:
    """--lut-size N."""
    group.add_argument(
        flag,
        type=lut_size,
        default=DEFAULT_LUT_SIZE,
        metavar="N",
        help=f"nodes along each axis of the 3D LUT, {LUT_SIZES} (default: %(default)s)",
    )


def add_reference(group: argparse._ActionsContainer) -> None:
    """--reference NAME."""
    group.add_argument(
        "--reference",
        default="reference",
        metavar="NAME",
        help="file name without extension of the image to measure against; it is never fused "
        "(default: %(default)s)",
    )


def add_weights(group: argparse._ActionsContainer) -> None:
    """--weights URI."""
    group.add_argument(
        "--weights",
        metavar="URI",
        help="model weights, a .safetensors file with its .json beside it; local, gs:// or s3:// "
        "(default: the shipped ones)",
    )


def add_device(group: argparse._ActionsContainer, purpose: str) -> None:
    """--device; its help starts with `purpose`."""
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"{purpose} (default: %(default)s)"
    )


def add_scene_size(parser: argparse.ArgumentParser) -> None:
    """`--width` and `--height` of a synthesised image; UHD by default."""
    for side, default in (("width", 3840), ("height", 2160)):
        parser.add_argument(
            f"--{side}", type=whole_number(*SCENE_SIDES), default=default, help="in px (default: %(default)s)"
        )


def make_output(folder: Path) -> None:
    """Make the local folder of --output if need be.

    Raises:
      UsageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--output {folder}: cannot be made ({error.strerror}); choose a folder you may write to"
        ) from None
