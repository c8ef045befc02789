"""Options for looks, and for LUTs that are exported, edited and given back."""

import argparse
import logging
from pathlib import Path
from typing import Any

from lutfuse.models.looks.cube import MAX_BYTES, CubeError, read_cube
from lutfuse.models.looks.load import PRESETS, LookError, load_look, load_preset
from lutfuse.models.looks.look import Look
from lutfuse.pipeline.arguments import UsageError, fraction
from lutfuse.pipeline.locations import absolute
from lutfuse.transforms.options import GivenLuts
from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.retries import explain

WIDELY_SUPPORTED = 65  # nodes along each axis; many grading tools read no larger LUTs

_log = logging.getLogger("lutfuse")


def warn_if_large(flag: str, size: int) -> None:
    """Warn if grading tools may refuse a LUT of that size."""
    if size > WIDELY_SUPPORTED:
        _log.warning(
            "%s %d: many grading tools refuse LUTs of more than %d nodes per axis",
            flag,
            size,
            WIDELY_SUPPORTED,
        )


def add_look_arguments(group: argparse._ArgumentGroup) -> None:
    """--look and --strength."""
    group.add_argument(
        "--look",
        metavar="FILE",
        help=f"look to apply to every image: a .json look, a .cube LUT, or one of {', '.join(PRESETS)}",
    )
    group.add_argument(
        "--strength", type=fraction, metavar="S", help="strength of the look, 0 to 1 (default: 1)"
    )


def add_editing_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lutfuse fuse` that apply edits, or export what can be edited elsewhere."""
    group = parser.add_argument_group("editing")
    add_look_arguments(group)
    group.add_argument(
        "--luts",
        metavar="PATH",
        help="LUTs in place of the predicted ones: a folder with a GROUP_ID.cube for every bracket, or one "
        ".cube for all; only balance and detail of a look are applied then, as its colours are in the LUT",
    )
    group.add_argument(
        "--export-luts",
        action="store_true",
        help="write the LUT of each bracket, with the look, to luts/GROUP_ID.cube; an edited one is kept "
        "unless --overwrite is given",
    )
    group.add_argument(
        "--export-merge",
        action="store_true",
        help="write the merged image that each LUT acts on to merge/GROUP_ID.tif (16 bit)",
    )


def editing_options(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of `FuseOptions` for looks and LUTs, checked against each other.

    Raises:
      UsageError: a file cannot be used, or options contradict each other.
    """
    look = read_look(args)
    if args.luts is not None:
        _check_with_luts(args, look)
    if args.export_luts:
        warn_if_large("--lut-size", args.lut_size)
    return {
        "look": look,
        "luts": None if args.luts is None else read_luts(args.luts),
        "export_luts": args.export_luts,
        "export_merge": args.export_merge,
    }


def _check_with_luts(args: argparse.Namespace, look: Look | None) -> None:
    if args.export_luts:
        raise UsageError(
            f"--export-luts: with --luts {args.luts} there is no predicted LUT to export; leave one out"
        )
    if look is not None and look.changes_colours():
        # Not an error: a job that exported with the look can be re-run with both, to skip unedited brackets.
        _log.warning(
            "--look %s: its colours are not applied, only balance and detail; --luts %s takes their place",
            args.look,
            args.luts,
        )


def read_look(args: argparse.Namespace) -> Look | None:
    """The look of --look at the strength of --strength, or None."""
    if args.look is None:
        if args.strength is not None:
            raise UsageError(
                f"--strength {args.strength:g}: needs a look; add --look or leave --strength out"
            )
        return None
    try:
        if args.look in PRESETS:
            look = load_preset(args.look)
        else:
            look = load_look(_read("--look", args.look), name=files.basename(args.look))
    except LookError as error:
        raise UsageError(f"--look {error}") from None
    return look if args.strength is None else look.at_strength(args.strength)


def read_luts(path: str) -> GivenLuts:
    """The LUTs of --luts: a folder, which is only named, or one `.cube`, which is read.

    Raises:
      UsageError: there are no LUTs, or the `.cube` cannot be read.
    """
    uri = absolute(path)
    local = Path(uri) if files.is_local(uri) else None
    if local.is_file() if local else uri.lower().endswith(".cube"):
        try:
            return GivenLuts(uri, read_cube(_read("--luts", path), name=files.basename(uri)))
        except CubeError as error:
            raise UsageError(f"--luts {error}") from None
    if local and next(local.rglob("*.cube"), None) is None:
        what = "holds no .cube" if local.is_dir() else "no such folder or file"
        raise UsageError(
            f"--luts {path}: {what}; give a folder with a GROUP_ID.cube for every bracket, as --export-luts "
            "writes it, or one .cube for all"
        )
    return GivenLuts(uri)


def _read(flag: str, path: str) -> bytes:
    try:
        return files.read_bytes(absolute(path), limit=MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{flag} {path}: cannot be read ({explain(error)})") from None
