"""The options that worker processes get, and the error when one of them is lost."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from lutfuse.pipeline.local_runner import WorkerLostError, local_runner


def test_workers_get_the_options_of_the_launcher():
    options = PipelineOptions(["--s3_endpoint_url=http://127.0.0.1:1", "--s3_region_name=us-east-1"])
    told = dict(local_runner(options)._provision_info.provision_info.pipeline_options)
    assert told["beam:option:s3_endpoint_url:v1"] == options.view_as(S3Options).s3_endpoint_url
    assert told["beam:option:s3_region_name:v1"] == "us-east-1"


def failing(message):
    def run(*_):
        raise RuntimeError(message)

    return run


def test_only_a_lost_worker_is_called_one(monkeypatch):
    runner = local_runner(PipelineOptions([]))
    monkeypatch.setattr(FnApiRunner, "run_pipeline", failing("Channel closed prematurely."))
    with pytest.raises(WorkerLostError, match="a worker process ended early"):
        runner.run_pipeline(None, None)
    monkeypatch.setattr(FnApiRunner, "run_pipeline", failing("another reason"))
    with pytest.raises(RuntimeError, match="another reason"):
        runner.run_pipeline(None, None)
