"""The configuration of one job: everything that the command line specifies."""

from dataclasses import dataclass, field

from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.storage import files


@dataclass(frozen=True)
class JobConfig:
    """The resolved configuration of one job.

    Attributes:
      source: folder, glob or manifest; local paths are absolute.
      group_by: "folder" or "exif".
      exif_gap_s: longest pause between two shots of a bracket, in seconds, when grouping by EXIF.
      reference: stem of reference images.
      fuse: options of the fusion step.
      job_id: part of the names of this job's row files; the same for the same input, so that a re-run
        replaces its own rows and no others.
      dry_run: only show what would be done.
      verbose: show tracebacks and Beam's log.
      beam_args: options that are passed on to Beam.
      hints: resources that the fusion step needs on its workers, by Beam's names.
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
        """URI of the resolved manifest that the pipeline reads."""
        return files.join(self.fuse.output, "brackets", f"{self.job_id}.jsonl")

    def rows_prefix(self, table: str) -> str:
        """Prefix of the Parquet files of `table`, "metrics" or "failures"."""
        return files.join(self.fuse.output, table, self.job_id)
