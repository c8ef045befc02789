"""`lutfuse fuse`: brackets to fused images and rows.

Wrong usage is detected here, before any bracket is processed; messages give option, value, rule and remedy.
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

from lutfuse.models.contract import EXPOSURES, Limits
from lutfuse.pipeline import job
from lutfuse.pipeline.arguments import (
    EXIT_CODES,
    FAILED,
    UsageError,
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
from lutfuse.pipeline.editing import add_editing_arguments, editing_options
from lutfuse.pipeline.locations import absolute
from lutfuse.transforms.images.types import JPEG_QUALITY, DecodeLimits
from lutfuse.transforms.inputs.exif_groups import GAP_S
from lutfuse.transforms.options import EXTENSIONS, FuseOptions

EXAMPLES = """\
examples:
  lutfuse fuse --input photos/ --output fused-photos/
  lutfuse fuse --input 'shoot/*/IMG_*.jpg' --output out --format tiff
  lutfuse fuse --input gs://bucket/manifest.parquet --output gs://bucket/fused --runner DataflowRunner …
  lutfuse fuse --input photos/ --output out --direct_running_mode multi_processing --direct_num_workers 4
"""
CPU_COUNTS = Limits(1, 1024)
_WILDCARDS = re.compile(r"[*?\[\]]")
_ACCELERATOR = re.compile(
    r"type:[a-z0-9-]+;count:[1-9]\d*(;machine_type:[a-z0-9-]+)?;install-nvidia-driver(:[\w.-]+)?"
)


def main(argv: Sequence[str]) -> int:
    """Run `lutfuse fuse ARGV` and return its exit code."""
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
        FileSystems.set_options(PipelineOptions(beam_args))  # the look and the LUT may be in a bucket
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
    # Beam puts the whole traceback of the worker into the message; the last line is the error.
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"


def quiet_logs(verbose: bool) -> None:
    """Show only warnings of lutfuse, which leaves the progress bar intact, unless `verbose`."""
    # Beam logs every error that it raises; `main` prints it once, in one line.
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL, format="%(levelname)s %(message)s"
    )
    logging.getLogger("lutfuse").setLevel(logging.INFO if verbose else logging.WARNING)


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `lutfuse fuse`, grouped by purpose."""
    _add_data_arguments(parser.add_argument_group("data"))
    _add_image_arguments(parser.add_argument_group("fused images"))
    add_editing_arguments(parser)
    _add_run_arguments(parser.add_argument_group("run"))
    _add_worker_arguments(parser.add_argument_group("workers that fuse (Dataflow and other remote runners)"))


def _add_data_arguments(data: argparse._ArgumentGroup) -> None:
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
        help="how files become brackets: by folder, or within a folder by capture time and exposure "
        "(default: %(default)s; a manifest lists its brackets itself)",
    )
    data.add_argument(
        "--exif-gap",
        type=positive,
        default=GAP_S,
        metavar="S",
        help="with --group-by exif: longest pause between two shots of a bracket, in seconds, not counting "
        "the exposure time (default: %(default)g)",
    )
    add_reference(data)


def _add_image_arguments(images: argparse._ArgumentGroup) -> None:
    add_lut_size(images)
    images.add_argument(
        "--format",
        choices=tuple(EXTENSIONS),
        default=FuseOptions.image_format,
        help="format of the fused images; png and tiff keep 16 bit (default: %(default)s)",
    )
    images.add_argument(
        "--quality",
        type=whole_number(*JPEG_QUALITY),
        default=FuseOptions.quality,
        metavar="Q",
        help=f"JPEG quality, {JPEG_QUALITY} (default: %(default)s)",
    )


def _add_run_arguments(run: argparse._ArgumentGroup) -> None:
    add_device(
        run,
        "device that processes the full-size pixels; cuda fails without a GPU, auto uses the CPU then",
    )
    add_weights(run)
    run.add_argument(
        "--max-megapixels",
        type=positive,
        default=DecodeLimits().max_megapixels,
        metavar="MP",
        help="refuse larger images without decoding them, in megapixels (default: %(default)g)",
    )
    run.add_argument(
        "--max-inflight-mb",
        type=positive,
        default=FuseOptions.max_inflight_bytes / 1e6,
        metavar="MB",
        help="decoded pixels that a worker process may hold at a time, in megabytes; a bracket that does not "
        "fit waits, one over the limit runs alone (default: %(default)g)",
    )
    run.add_argument("--overwrite", action="store_true", help="fuse again what an earlier run finished")
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and the number of brackets; write nothing",
    )
    run.add_argument("-v", "--verbose", action="store_true", help="show Beam's log, and tracebacks of errors")


def _add_worker_arguments(workers: argparse._ArgumentGroup) -> None:
    workers.add_argument(
        "--accelerator",
        type=accelerator,
        metavar="GPU",
        help="GPU of each worker: a type such as nvidia-l4, or the complete hint for Beam, "
        "'type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver:5xx'",
    )
    workers.add_argument("--min-ram", type=positive, metavar="GB", help="minimum memory of a worker, in GB")
    workers.add_argument(
        "--cpu-count",
        type=whole_number(*CPU_COUNTS),
        metavar="N",
        help=f"minimum number of CPUs of a worker, {CPU_COUNTS}",
    )


def accelerator(text: str) -> str:
    """An argparse type for Beam's accelerator hint; a bare GPU type means one GPU with its driver."""
    # 5xx is a driver for CUDA 12, which the kernel is built with.
    hint = text if ";" in text else f"type:{text};count:1;install-nvidia-driver:5xx"
    if not _ACCELERATOR.fullmatch(hint):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a GPU; give a type such as nvidia-l4 or type:…;count:…[;machine_type:…];"
            "install-nvidia-driver[:5xx]"
        )
    return hint


def _hints(args: argparse.Namespace) -> dict[str, str]:
    hints = {
        "accelerator": args.accelerator,
        "min_ram": args.min_ram and f"{args.min_ram:g}GB",
        "cpu_count": args.cpu_count and str(args.cpu_count),
    }
    return {name: value for name, value in hints.items() if value}


def resolve(args: argparse.Namespace, beam_args: list[str]) -> JobConfig:
    """The `JobConfig` of parsed arguments, checked as far as possible without the input.

    Raises:
      UsageError: an option is wrong in a way that argparse does not detect.
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
        **editing_options(args),
    )
    return JobConfig(
        source=source,
        group_by=args.group_by,
        exif_gap_s=args.exif_gap,
        reference=args.reference,
        fuse=fuse,
        job_id=_job_id(source, args),
        dry_run=args.dry_run,
        verbose=args.verbose,
        beam_args=tuple(beam_args),
        hints=_hints(args),
    )


def _job_id(source: str, args: argparse.Namespace) -> str:
    identity = "\n".join((source, args.group_by, str(args.exif_gap), args.reference))
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:12]
