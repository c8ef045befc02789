"""A template staged to Cloud Storage: the launcher writes it down, submits nothing and reads no rows."""

import argparse
import io
import json

import pytest
from rich.console import Console

from lutfuse.pipeline import job
from lutfuse.pipeline.commands.fuse import add_fuse_arguments, resolve

IMAGE = "europe-west4-docker.pkg.dev/my-lab/lutfuse/lutfuse:0.1"
L4 = "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver:5xx"


@pytest.mark.parametrize("bucket", ["gs"], indirect=True)
def test_a_staged_template_says_image_workers_and_hints(bucket):
    line = json.dumps({"group_id": "a", "uris": ["in/1.jpg", "in/2.jpg"]})
    bucket.put("brackets.jsonl", line.encode())
    argv = [
        f"--input={bucket.root}/brackets.jsonl",
        f"--output={bucket.root}/out",
        "--device=cuda",
        f"--accelerator={L4}",
        "--min-ram=28",
        "--runner=DataflowRunner",
        "--project=my-lab",
        "--region=europe-west4",
        f"--temp_location={bucket.root}/temp",
        f"--template_location={bucket.root}/templates/job.json",
        f"--sdk_container_image={IMAGE}",
        "--sdk_location=container",
        "--machine_type=e2-standard-2",
        "--disk_size_gb=50",
        "--max_num_workers=32",
        "--number_of_worker_harness_threads=16",
        "--experiments=no_use_multiple_sdk_containers",
    ]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_fuse_arguments(parser)
    out = io.StringIO()
    assert job.run(resolve(*parser.parse_known_args(argv)), Console(file=out, width=200)) == 0
    assert "job written" in out.getvalue()

    environment = json.loads(bucket.get("templates/job.json"))["environment"]
    (pool,) = (pool for pool in environment["workerPools"] if pool["kind"] == "harness")
    assert pool["machineType"] == "e2-standard-2"
    assert pool["diskSizeGb"] == 50
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 32
    images = {image["containerImage"] for image in pool["sdkHarnessContainerImages"]}
    assert images == {IMAGE}
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    options = environment["sdkPipelineOptions"]["options"]
    assert options["number_of_worker_harness_threads"] == 16
    hints = str(options) + bucket.get("templates/job.json").decode()
    assert "lutfuse-" in hints

    assert json.loads(bucket.get("out/run.json"))["status"] == "submitted"
    assert bucket.keys("out/metrics") == []
    assert bucket.keys("out/brackets") != []
