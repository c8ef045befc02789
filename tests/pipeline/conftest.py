"""The command line of `lutfuse fuse` as a configuration."""

from collections.abc import Callable

import pytest

from lutfuse.pipeline.arguments import command_parser
from lutfuse.pipeline.commands.fuse import add_fuse_arguments, resolve
from lutfuse.pipeline.config import JobConfig


@pytest.fixture
def parse() -> Callable[..., JobConfig]:
    """Resolves options of `lutfuse fuse`; --input and --output are given unless they are among them."""

    def parse(*argv: object) -> JobConfig:
        parser = command_parser("fuse", description="")
        add_fuse_arguments(parser)
        args, rest = parser.parse_known_args(["--input", "in", "--output", "out", *map(str, argv)])
        return resolve(args, rest)

    return parse
