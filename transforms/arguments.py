"""Types for command-line arguments that say value, rule and remedy when they refuse one."""

import argparse
from collections.abc import Callable

SIDES = (16, 32768)  # px, of a synthesised picture


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
    """An argparse type for a number over zero."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is out of range; give a number over 0")
    return value


def share(text: str) -> float:
    """An argparse type for a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range; give 0 to 1")
    return value


def add_size(parser: argparse.ArgumentParser) -> None:
    """`--width` and `--height` of a synthesised picture, UHD where nothing is said."""
    for side, default in (("width", 3840), ("height", 2160)):
        parser.add_argument(
            f"--{side}", type=whole_number(*SIDES), default=default, help="px (default: %(default)s)"
        )
