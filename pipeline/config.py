"""One job, resolved: everything that the command line decides."""

from dataclasses import dataclass, field

from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.storage import files


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
