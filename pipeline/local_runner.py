"""Beam's local runner, with the pipeline options passed to its worker processes."""

from typing import Any

from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
from apache_beam.runners.portability.portable_runner import JobServiceHandle


def local_runner(options: PipelineOptions) -> FnApiRunner:
    """The runner that DirectRunner falls back to, without its search for another one on the network.

    Worker processes get `options`, too; otherwise they lack the endpoint and the keys of `s3://`.
    """
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    return _LocalRunner(provision_info=ExtendedProvisionInfo(provision))


class WorkerLostError(RuntimeError):
    """A worker process ended before its work was done."""


class _LocalRunner(FnApiRunner):
    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> Any:
        try:
            return super().run_pipeline(pipeline, options)
        except RuntimeError as error:
            if "Channel closed" not in str(error):
                raise
            raise WorkerLostError(
                "a worker process ended early: killed, or out of memory (use fewer --direct_num_workers)"
            ) from error
