"""Command line of `lutfuse fuse` to a checked, frozen `JobConfig`.

Everything that can be known wrong is known here, before a bracket is touched; messages give the flag, the
value, the rule and the remedy.
"""

import argparse
import hashlib
import math
import re
from dataclasses import dataclass, field
from typing import Any

from lutfuse.models.contract import DEFAULT_LUT_SIZE, LUT_SIZES
from lutfuse.pipeline.editing import add_editing_arguments, editing_fields, lut_size
from lutfuse.pipeline.usage import UsageError as UsageError
from lutfuse.pipeline.usage import absolute, add_reference, add_weights
from lutfuse.transforms.arguments import positive, whole_number
from lutfuse.transforms.images.io import DecodeLimits
from lutfuse.transforms.inputs.exif_groups import GAP_S
from lutfuse.transforms.outputs import EXTENSIONS, FuseOptions
from lutfuse.transforms.storage import files

_WILDCARDS = re.compile(r"[*?\[\]]")
_ACCELERATOR = re.compile(
    r"type:[a-z0-9-]+;count:[1-9]\d*(;machine_type:[a-z0-9-]+)?;install-nvidia-driver(:[\w.-]+)?"
)


@dataclass(frozen=True)
class JobConfig:
    """One job, resolved.

    Attributes:
      source: folder, glob or manifest; local paths are absolute.
      group_by: "folder" or "exif".
      exif_gap_s: longest pause within a bracket, in seconds, where EXIF decides.
      reference: stem of reference images.
      fuse: what the heavy step needs.
      job_id: names this job's row files; equal for equal inputs, so that a re-run replaces its own rows
        and nobody else's.
      dry_run: only show what would be done.
      verbose: show tracebacks and Beam's log.
      beam_args: options that belong to Beam.
      hints: resources the heavy step asks of its workers, by Beam's names.
    """

    source: str
    group_by: str
    exif_gap_s: float
    reference: str
    fuse: FuseOptions
    job_id: str
    dry_run: bool
    verbose: bool
    beam_args: tuple[str, ...]
    hints: dict[str, str] = field(default_factory=dict)

    @property
    def manifest_uri(self) -> str:
        """The resolved list of brackets that the pipeline reads."""
        return files.join(self.fuse.output, "brackets", f"{self.job_id}.jsonl")

    def rows_prefix(self, table: str) -> str:
        """Start of the Parquet file names of `table`, "metrics" or "failures"."""
        return files.join(self.fuse.output, table, self.job_id)


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `lutfuse fuse`, grouped by purpose."""
    data = parser.add_argument_group("data")
    data.add_argument(
        "--input",
        required=True,
        metavar="URI",
        help="folder (searched to any depth; each folder of images is a bracket), glob, or manifest "
        "(.jsonl, .csv, .parquet with group_id, uris[, reference, ev]); local, gs:// or s3://",
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
    picture.add_argument(
        "--lut-size",
        type=lut_size,
        default=DEFAULT_LUT_SIZE,
        metavar="N",
        help=f"nodes along each axis of the 3D LUT, {LUT_SIZES} (default: %(default)s)",
    )
    picture.add_argument(
        "--format",
        choices=tuple(EXTENSIONS),
        default="jpeg",
        help="format of the fused images; png and tiff keep 16 bit (default: %(default)s)",
    )
    picture.add_argument(
        "--quality",
        type=whole_number(1, 100),
        default=95,
        metavar="Q",
        help="JPEG quality, 1 to 100 (default: %(default)s)",
    )
    add_editing_arguments(parser)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the full-size pixels are computed; cuda fails where there is no GPU, auto falls back "
        "(default: %(default)s)",
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
        default=4096,
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
        **editing_fields(args),
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


def check_beam_args(beam_args: list[str]) -> None:
    """Refuse options that neither lutfuse nor Beam knows: Beam itself would drop a misspelt one in silence.

    Raises:
      UsageError: an unknown option.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in _all_subclasses(PipelineOptions):
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(beam_args)
    if unknown:
        raise UsageError(
            f"{unknown[0]}: unknown option; see 'lutfuse fuse --help', or Beam's own for runner options"
        )


def _all_subclasses(cls: Any) -> list[Any]:
    found = []
    for child in cls.__subclasses__():
        found += (
            [child, *_all_subclasses(child)]
            if "_add_argparse_args" in vars(child)
            else _all_subclasses(child)
        )
    return found
