"""The whole job on one screen: brackets in, fused images to storage, rows to two tables."""

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
    """Applies the job to `root`.

    Args:
      root: a pipeline, or a test's.
      manifest: URI of the resolved brackets, one JSON object a line.
      options: of the heavy step.
      metrics: prefix of the Parquet files of fused brackets.
      failures: prefix of the Parquet files of failed brackets.
      shards: Parquet files a table; fixed, so that their number does not follow the number of bundles.
      progress_file: local file that workers append to, or None.
      hints: resources that the heavy step asks of its workers, by Beam's names; the other steps run anywhere.
    """
    fuse = beam.ParDo(FuseBrackets(options, progress_file))
    fuse.with_resource_hints(**hints or {})  # of this step itself; the return value is the same object
    outcome = (
        root
        # Not looked for while the graph is built: the launcher has just written it, a rehearsal never does.
        | "ReadBrackets" >> beam.io.ReadFromText(manifest, validate=False)
        | "ParseBrackets" >> beam.Map(from_json)
        # Spreads neighbours over all workers; elements are URIs, so it costs next to nothing.
        | "Reshuffle" >> beam.Reshuffle()
        # One step from bytes to bytes: pixels never travel between workers.
        | "FuseBrackets" >> fuse.with_outputs(FAILURES, main="metrics")
    )
    _ = outcome.metrics | "WriteMetrics" >> WriteRows(metrics, METRICS_SCHEMA, shards)
    _ = outcome[FAILURES] | "WriteFailures" >> WriteRows(failures, FAILURES_SCHEMA, shards)
