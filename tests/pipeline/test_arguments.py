"""What the commands share: one parser, one style of error, and help that does not wait for libraries."""

import subprocess
import sys

import pytest

from lutfuse.pipeline import cli
from lutfuse.pipeline.arguments import UsageError, command_parser


def error_of(capsys, *argv):
    assert cli.main(argv) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text.strip()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_words_an_unknown_option_alike(name, capsys):
    required = ["--input", "in", "--output", "out"] if name in ("fuse", "lut") else []
    required += ["--output", "out"] if name in ("demo", "train", "evaluate", "ablate") else []
    required += ["--data", "."] if name == "evaluate" else []
    text = error_of(capsys, name, *required, "--no-such-option")
    assert text.startswith(f"lutfuse {name}: ")
    assert "--no-such-option" in text
    assert text.endswith("--help'") or "see 'lutfuse fuse --help'" in text


def test_a_command_that_does_not_exist_is_refused_with_those_that_do(capsys):
    text = error_of(capsys, "fusse")
    assert text.startswith("lutfuse: ")
    assert all(name in text for name in cli.COMMANDS)
    assert error_of(capsys).endswith("see 'lutfuse --help'")


def test_options_are_never_abbreviated():
    parser = command_parser("fuse", description="")
    parser.add_argument("--overwrite", action="store_true")
    with pytest.raises(UsageError, match="unrecognized arguments: --over; see 'lutfuse fuse --help'"):
        parser.parse_args(["--over"])


def test_help_and_version_load_neither_beam_nor_torch():
    program = """
import sys
from lutfuse.pipeline import cli
for argument in ("--help", "--version"):
    try:
        cli.main([argument])
    except SystemExit as end:
        assert end.code == 0
print(*{name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "measure the speed of this machine" in done.stdout
    assert {"apache_beam", "torch", "boto3", "pyarrow"} & set(done.stdout.split()) == set()
