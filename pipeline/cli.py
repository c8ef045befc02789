"""The `lutfuse` command: runs a subcommand and reports wrong usage and interruption.

A subcommand is a module of `commands/`. It is imported when it is called, as each needs other libraries.
"""

import importlib
import sys
from collections.abc import Sequence

import lutfuse
from lutfuse.models.checked import ConfigError
from lutfuse.pipeline.arguments import EXIT_CODES, INTERRUPTED, WRONG_USAGE, UsageError, command_parser

COMMANDS = {  # module in `commands/`: its line in the help
    "fuse": "fuse brackets into images",
    "lut": "write the LUT of one bracket as a .cube, for grading tools",
    "demo": "write a synthesised bracket with its reference",
    "train": "train a model on brackets of your own",
    "evaluate": "measure quality on a set of brackets",
    "ablate": "train variants with one part left out, and compare them",
    "bench": "measure the speed of this machine",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `lutfuse ARGV` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, *rest = arguments or [""]
    try:
        if name not in COMMANDS:
            _help_or_refuse(arguments)
        return int(importlib.import_module(f"lutfuse.pipeline.commands.{name}").main(rest))
    except (UsageError, ConfigError) as error:
        print(f"{' '.join(['lutfuse', *arguments[: name in COMMANDS]])}: {error}", file=sys.stderr)
        return WRONG_USAGE
    except KeyboardInterrupt:
        print(f"\nlutfuse {name}: interrupted; run the same command again to continue", file=sys.stderr)
        return INTERRUPTED


def _help_or_refuse(arguments: Sequence[str]) -> None:
    """Answer --help and --version, which exit; raise UsageError for everything else."""
    parser = command_parser(
        "",
        description="Fuse exposure brackets into well-exposed images, one or a million.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"lutfuse {lutfuse.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    parser.parse_args(arguments)
