"""The `lutfuse` command: one subcommand a purpose, heavy imports only where they are used."""

import argparse
import logging
import sys
from collections.abc import Sequence

EXIT_CODES = """\
exit codes:
  0  every bracket was fused
  1  the job itself failed; finished brackets are kept, run the same command again
  2  wrong usage; nothing was done
  3  finished, but some brackets failed; failures/*.parquet says which and why
"""

EXAMPLES = """\
examples:
  lutfuse fuse --input photos/ --output fused-photos/
  lutfuse fuse --input 'shoot/*/IMG_*.jpg' --output out --format tiff
  lutfuse fuse --input gs://bucket/manifest.parquet --output gs://bucket/fused --runner DataflowRunner …
  lutfuse fuse --input photos/ --output out --direct_running_mode multi_processing --direct_num_workers 4
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the top level; subcommands parse their own arguments."""
    parser = argparse.ArgumentParser(
        prog="lutfuse",
        description="Fuse exposure brackets into well-exposed images, one or a million.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def fuse(argv: Sequence[str]) -> int:
    """`lutfuse fuse`: brackets to fused images and rows."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from rich.console import Console

    from lutfuse.pipeline import job, options, usage

    parser = usage.command_parser(
        "fuse",
        usage="lutfuse fuse --input URI --output URI [options] [Beam options]",
        description="Fuse brackets of 2 to 9 exposures into one well-exposed image each.\n"
        "Options of Apache Beam (--runner, --direct_num_workers, …) are passed on to it.",
        epilog=f"{EXAMPLES}\n{EXIT_CODES}",
    )
    options.add_fuse_arguments(parser)
    args, beam_args = parser.parse_known_args(argv)
    quiet_logs(args.verbose)
    try:
        options.check_beam_args(beam_args)
        FileSystems.set_options(PipelineOptions(beam_args))  # a look may be in a bucket
        return job.run(options.resolve(args, beam_args), Console())
    except options.UsageError as error:
        print(f"lutfuse fuse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nlutfuse fuse: stopped; finished brackets are kept, run the same command again", file=sys.stderr
        )
        return 130
    except Exception as error:
        if args.verbose:
            raise
        print(f"lutfuse fuse: the job failed: {_last_line(error)}", file=sys.stderr)
        print("finished brackets are kept: run the same command again, or add --verbose", file=sys.stderr)
        return 1


def _last_line(error: BaseException) -> str:
    # Beam puts the worker's whole traceback into the message; its last line is the error.
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"


def quiet_logs(verbose: bool) -> None:
    """Beam's log stays out of the progress bar unless asked for."""
    # Beam logs every error that it then raises; `fuse` shows it once, in one line.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL, format="%(levelname)s %(message)s"
    )
    logging.getLogger("lutfuse").setLevel(logging.INFO if verbose else logging.WARNING)


def lut(argv: Sequence[str]) -> int:
    """`lutfuse lut`: one bracket's LUT as a `.cube`."""
    from lutfuse.pipeline.lut import main

    return main(argv)


def demo(argv: Sequence[str]) -> int:
    """`lutfuse demo`: writes the synthesised bracket."""
    from lutfuse.transforms.demo import main

    return main(argv)


def train(argv: Sequence[str]) -> int:
    """`lutfuse train`: trains a model."""
    from lutfuse.models.training.train import main

    return main(list(argv))


def evaluate(argv: Sequence[str]) -> int:
    """`lutfuse evaluate`: measures quality on a data set."""
    from lutfuse.models.evaluation.evaluate import main

    return main(list(argv))


def ablate(argv: Sequence[str]) -> int:
    """`lutfuse ablate`: measures what each part of the method is worth."""
    from lutfuse.models.evaluation.ablate import main

    return main(list(argv))


def bench(argv: Sequence[str]) -> int:
    """`lutfuse bench`: measures this machine."""
    from lutfuse.transforms.bench import main

    return main(argv)


COMMANDS = {
    "fuse": (fuse, "fuse brackets into images"),
    "lut": (lut, "write the LUT of one bracket as a .cube, for grading tools"),
    "demo": (demo, "write a synthesised bracket with its reference"),
    "train": (train, "train a model on brackets of your own"),
    "evaluate": (evaluate, "measure quality on a set of brackets"),
    "ablate": (ablate, "train variants with one part left out, and compare them"),
    "bench": (bench, "measure the speed of this machine"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `lutfuse ARGV` and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]][0](arguments[1:])
    build_parser().parse_args(arguments)
    return 2


if __name__ == "__main__":
    sys.exit(main())
