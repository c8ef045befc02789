"""The pipeline graph: brackets in, fused images to storage, rows to two tables."""

from collections.abc import Mapping

import apache_beam as beam
from apache_beam.pvalue import PBegin

from lutfuse.transforms.fuse import FAILURES, FuseBrackets
from lutfuse.transforms.inputs.brackets import from_json
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.rows import FAILURES_SCHEMA, METRICS_SCHEMA, WriteRows


def build(
    root: PBegin | beam.Pipeline,
    *,
    manifest: str,
    options: FuseOptions,
    metrics: str,
    failures: str,
    shards: int = 1,
    progress_file: str | None = None,
    hints: Mapping[str, str] | None = None,
) -> None:
    """Apply the job's transforms to `root`.

    Args:
      root: the pipeline, or its beginning.
      manifest: URI of the resolved brackets, one JSON object per line.
      options: of the fusion step.
      metrics: prefix of the Parquet files of fused brackets.
      failures: prefix of the Parquet files of failed brackets.
      shards: Parquet files per table; given, or their number would depend on the number of bundles.
      progress_file: local file that workers append to, or None.
      hints: resources that the fusion step needs on its workers, by Beam's names; other steps run anywhere.
    """
    fuse = beam.ParDo(FuseBrackets(options, progress_file))
    fuse.with_resource_hints(**hints or {})  # changes `fuse` itself
    outcome = (
        root
        # Not validated while the graph is built: the launcher has just written it, a rehearsal never does.
        | "ReadBrackets" >> beam.io.ReadFromText(manifest, validate=False)
        | "ParseBrackets" >> beam.Map(from_json)
        # Distributes neighbours over all workers; elements are URIs, so this is cheap.
        | "Reshuffle" >> beam.Reshuffle()
        # A single step from files to files: pixels never travel between workers.
        | "FuseBrackets" >> fuse.with_outputs(FAILURES, main="metrics")
    )
    _ = outcome.metrics | "WriteMetrics" >> WriteRows(metrics, METRICS_SCHEMA, shards)
    _ = outcome[FAILURES] | "WriteFailures" >> WriteRows(failures, FAILURES_SCHEMA, shards)
