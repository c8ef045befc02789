"""`lutfuse bench`: the speed of this machine, stage by stage."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lutfuse.models.contract import EXPOSURES
from lutfuse.pipeline.arguments import (
    OK,
    add_device,
    add_lut_size,
    add_scene_size,
    command_parser,
    whole_number,
)
from lutfuse.transforms.bench import BASELINES, BRACKET_SIZES, STAGES, bench


def main(argv: Sequence[str]) -> int:
    """Run `lutfuse bench ARGV` and return its exit code."""
    parser = command_parser(
        "bench",
        description="Measure this machine: msec per bracket of each stage, and of OpenCV's Mertens and plain "
        "torch\nin place of the kernel (in parentheses: as a multiple of the kernel's time).",
    )
    add_scene_size(parser)
    parser.add_argument(
        "--exposures",
        type=whole_number(*EXPOSURES),
        nargs="+",
        default=BRACKET_SIZES,
        metavar="K",
        help=f"bracket sizes (default: {' '.join(map(str, BRACKET_SIZES))})",
    )
    add_lut_size(parser)
    add_device(parser, "device that processes the full-size pixels")
    parser.add_argument(
        "--repeats", type=whole_number(1, 1000), default=7, help="runs per figure (default: %(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    args = vars(parser.parse_args(argv))
    target = args.pop("json")
    result = bench(**args)
    console = Console()
    console.print(f"{result['machine']['processor']}, kernel: {result['kernel']}")
    console.print(table(result))
    if target:
        Path(target).write_text(json.dumps(result, indent=2), encoding="utf-8")
    return OK


def table(result: dict[str, Any]) -> Table:
    """The figures as a table with one column per bracket size."""
    title = f"msec per bracket, {result['width']}x{result['height']}, one thread"
    rendered = Table("", *(f"K = {bracket['exposures']}" for bracket in result["brackets"]), title=title)
    for name in (*STAGES, "total"):
        rendered.add_row(name, *(f"{bracket[name]:.0f}" for bracket in result["brackets"]))
    rendered.add_row(
        "total / codecs", *(f"{bracket['total_to_codecs']:.2f}" for bracket in result["brackets"])
    )
    rates = (f"{bracket['brackets_per_hour_per_core']:.0f}" for bracket in result["brackets"])
    rendered.add_row("brackets/hour/core", *rates)
    for name in BASELINES:
        ratios = (
            f"{bracket[name]:.0f} ({bracket[name] / bracket['fuse']:.0f}x)" for bracket in result["brackets"]
        )
        rendered.add_row(f"{name}, instead of fuse", *ratios)
    return rendered
