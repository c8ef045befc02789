"""`lutfuse fuse`: brackets to fused images and rows.

Everything that can be known wrong is known here, before a bracket is touched; messages give the flag, the
value, the rule and the remedy.
"""

import argparse
import hashlib
import logging
import math
import re
import sys
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from lutfuse.models.contract import EXPOSURES
from lutfuse.pipeline import job
from lutfuse.pipeline.arguments import (
    UsageError,
    absolute,
    add_device,
    add_lut_size,
    add_reference,
    add_weights,
    command_parser,
    positive,
    whole_number,
)
from lutfuse.pipeline.beam_options import check_beam_args
from lutfuse.pipeline.config import JobConfig
from lutfuse.pipeline.editing import add_editing_arguments, editing_of
from lutfuse.pipeline.exit_codes import EXIT_CODES, FAILED
from lutfuse.transforms.images.types import DecodeLimits
from lutfuse.transforms.inputs.exif_groups import GAP_S
from lutfuse.transforms.options import EXTENSIONS, FuseOptions

EXAMPLES = """\
examples:
  lutfuse fuse --input photos/ --output fused-photos/
  lutfuse fuse --input 'shoot/*/IMG_*.jpg' --output out --format tiff
  lutfuse fuse --input gs://bucket/manifest.parquet --output gs://bucket/fused --runner DataflowRunner …
  lutfuse fuse --input photos/ --output out --direct_running_mode multi_processing --direct_num_workers 4
"""
_WILDCARDS = re.compile(r"[*?\[\]]")
_ACCELERATOR = re.compile(
    r"type:[a-z0-9-]+;count:[1-9]\d*(;machine_type:[a-z0-9-]+)?;install-nvidia-driver(:[\w.-]+)?"
)


def main(argv: Sequence[str]) -> int:
    """Runs `lutfuse fuse ARGV` and returns its exit code."""
    parser = command_parser(
        "fuse",
        usage="lutfuse fuse --input URI --output URI [options] [Beam options]",
        description=f"Fuse brackets of {EXPOSURES} exposures into one well-exposed image each.\n"
        "Options of Apache Beam (--runner, --direct_num_workers, …) are passed on to it.",
        epilog=f"{EXAMPLES}\n{EXIT_CODES}",
    )
    add_fuse_arguments(parser)
    args, beam_args = parser.parse_known_args(argv)
    quiet_logs(args.verbose)
    try:
        check_beam_args(beam_args)
        FileSystems.set_options(PipelineOptions(beam_args))  # a look may be in a bucket
        return job.run(resolve(args, beam_args), Console())
    except UsageError:
        raise
    except Exception as error:
        if args.verbose:
            raise
        print(f"lutfuse fuse: the job failed: {_last_line(error)}", file=sys.stderr)
        print("finished brackets are kept: run the same command again, or add --verbose", file=sys.stderr)
        return FAILED


def _last_line(error: BaseException) -> str:
    # Beam puts the worker's whole traceback into the message; its last line is the error.
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"


def quiet_logs(verbose: bool) -> None:
    """Keep Beam's log out of the progress bar unless it is asked for."""
    # Beam logs every error that it then raises; `main` shows it once, in one line.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL, format="%(levelname)s %(message)s"
    )
    logging.getLogger("lutfuse").setLevel(logging.INFO if verbose else logging.WARNING)


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `lutfuse fuse`, grouped by purpose."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--input",
        required=True,
        metavar="URI",
        help="folder (searched to any depth; each folder of images is a bracket), glob, or manifest "
        "(.jsonl, .csv, .parquet with group_id, uris[, reference]); local, gs:// or s3://",
    )
    data.add_argument(
        "--output",
        required=True,
        metavar="URI",
        help="folder for fused/, metrics/, failures/ and run.json; local, gs:// or s3://",
    )
    data.add_argument(
        "--group-by",
        choices=("folder", "exif"),
        default="folder",
        help="what makes a bracket: the folder, or capture time and exposure of the files in it "
        "(default: %(default)s; a manifest says so itself)",
    )
    data.add_argument(
        "--exif-gap",
        type=positive,
        default=GAP_S,
        metavar="S",
        help="with --group-by exif: longest pause between two shots of a bracket, in seconds, beside the "
        "exposure itself (default: %(default)g)",
    )
    add_reference(data)
    picture = parser.add_argument_group("picture")
    add_lut_size(picture)
    picture.add_argument(
        "--format",
        choices=tuple(EXTENSIONS),
        default=FuseOptions.image_format,
        help="format of the fused images; png and tiff keep 16 bit (default: %(default)s)",
    )
    picture.add_argument(
        "--quality",
        type=whole_number(1, 100),
        default=FuseOptions.quality,
        metavar="Q",
        help="JPEG quality, 1 to 100 (default: %(default)s)",
    )
    add_editing_arguments(parser)
    run = parser.add_argument_group("run")
    add_device(
        run, "where the full-size pixels are computed; cuda fails where there is no GPU, auto falls back"
    )
    add_weights(run)
    run.add_argument(
        "--max-megapixels",
        type=positive,
        default=DecodeLimits().max_megapixels,
        metavar="MP",
        help="refuse larger images before decoding them, in megapixels (default: %(default)g)",
    )
    run.add_argument(
        "--max-inflight-mb",
        type=positive,
        default=FuseOptions.max_inflight_bytes / 1e6,
        metavar="MB",
        help="decoded pixels a worker process holds at a time, in megabytes; a bracket that does not fit "
        "waits, one over the limit runs alone (default: %(default)g)",
    )
    run.add_argument("--overwrite", action="store_true", help="fuse again what an earlier run finished")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and the number of brackets; write nothing",
    )
    run.add_argument("-v", "--verbose", action="store_true", help="show Beam's log, and tracebacks of errors")
    _add_worker_arguments(parser)


def _add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    workers = parser.add_argument_group("workers that fuse (Dataflow and other remote runners)")
    workers.add_argument(
        "--accelerator",
        type=accelerator,
        metavar="GPU",
        help="GPU of each worker: a type such as nvidia-l4, or Beam's whole hint, "
        "'type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver:5xx'",
    )
    workers.add_argument("--min-ram", type=positive, metavar="GB", help="least memory of a worker, in GB")
    workers.add_argument(
        "--cpu-count", type=whole_number(1, 1024), metavar="N", help="least CPUs of a worker, 1 to 1024"
    )


def accelerator(text: str) -> str:
    """An argparse type for Beam's accelerator hint; a bare GPU type stands for one with its driver."""
    # 5xx: a driver for CUDA 12, which the kernel is built with.
    hint = text if ";" in text else f"type:{text};count:1;install-nvidia-driver:5xx"
    if not _ACCELERATOR.fullmatch(hint):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no GPU; give a type such as nvidia-l4 or type:…;count:…[;machine_type:…];"
            "install-nvidia-driver[:5xx]"
        )
    return hint


def _hints(args: argparse.Namespace) -> dict[str, str]:
    asked = {
        "accelerator": args.accelerator,
        "min_ram": args.min_ram and f"{args.min_ram:g}GB",
        "cpu_count": args.cpu_count and str(args.cpu_count),
    }
    return {name: value for name, value in asked.items() if value}


def resolve(args: argparse.Namespace, beam_args: list[str]) -> JobConfig:
    """A checked `JobConfig` from parsed arguments.

    Raises:
      UsageError: an option that argparse alone could not judge is wrong.
    """
    source, output = absolute(args.input), absolute(args.output)
    if _WILDCARDS.search(output):
        raise UsageError(f"--output {args.output}: wildcard characters are not allowed; choose a plain name")
    if not args.reference.strip() or "/" in args.reference:
        raise UsageError(f"--reference {args.reference!r}: must be a file name without folder and extension")
    fuse = FuseOptions(
        output=output,
        image_format=args.format,
        quality=args.quality,
        lut_size=args.lut_size,
        device=args.device,
        overwrite=args.overwrite,
        weights=args.weights and absolute(args.weights),
        limits=DecodeLimits(max_megapixels=args.max_megapixels),
        max_inflight_bytes=math.ceil(args.max_inflight_mb * 1e6),
        **editing_of(args),
    )
    identity = "\n".join((source, args.group_by, str(args.exif_gap), args.reference))
    job_id = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return JobConfig(
        source=source,
        group_by=args.group_by,
        exif_gap_s=args.exif_gap,
        reference=args.reference,
        fuse=fuse,
        job_id=job_id,
        dry_run=args.dry_run,
        verbose=args.verbose,
        beam_args=tuple(beam_args),
        hints=_hints(args),
    )
