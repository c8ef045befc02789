"""What the commands have in common: their parsers' style, options, checks, and the error of wrong usage."""

import argparse
from pathlib import Path

from lutfuse.transforms.storage import files
from lutfuse.transforms.weights import weights_files


class UsageError(ValueError):
    """Wrong usage: the command ends with exit code 2 and this message."""


def command_parser(
    name: str, *, description: str, epilog: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """The parser of `lutfuse NAME`: texts as they are written, options in full."""
    return argparse.ArgumentParser(
        prog=f"lutfuse {name}",
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_reference(group: argparse._ActionsContainer) -> None:
    """--reference."""
    group.add_argument(
        "--reference",
        default="reference",
        metavar="NAME",
        help="file name without extension of the image to measure against; it is never fused "
        "(default: %(default)s)",
    )


def add_weights(group: argparse._ActionsContainer) -> None:
    """--weights."""
    group.add_argument(
        "--weights",
        metavar="URI",
        help="model weights, a .safetensors file with its .json beside it; local, gs:// or s3:// "
        "(default: the shipped ones)",
    )


def absolute(uri: str) -> str:
    """`uri` as workers can use it, which may run in another folder than the launcher."""
    return str(Path(uri).absolute()) if files.is_local(uri) else uri.rstrip("/")


def check_weights(weights: str | None) -> None:
    """Look for the file of --weights and its JSON; None are the shipped ones.

    Raises:
      UsageError: one of them is missing or cannot be looked for.
    """
    for file in weights_files(weights) if weights else ():
        try:
            why = "is missing" if files.size(file) is None else None
        except OSError as error:
            why = f"cannot be read ({files.explain(error)})"
        if why:
            raise UsageError(
                f"--weights {weights}: {file} {why}; name a .safetensors file and keep its JSON beside it"
            )
