"""A Dataflow job is judged before anything is uploaded, and says what it would submit."""

import argparse
import io
import json
import os
import subprocess
import sys

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from lutfuse.models.looks.cube import write_cube
from lutfuse.pipeline import dataflow, graph, job
from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.beam_options import beam_options
from lutfuse.pipeline.commands.fuse import add_fuse_arguments, resolve
from lutfuse.transforms.options import FuseOptions

IMAGE = "europe-west4-docker.pkg.dev/my-lab/lutfuse/lutfuse:0.1"
L4 = "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver:5xx"
GOOD = {
    "--input": "gs://pictures/in",
    "--output": "gs://pictures/out",
    "--runner": "DataflowRunner",
    "--project": "my-lab",
    "--region": "europe-west4",
    "--temp_location": "gs://pictures/tmp",
    "--sdk_container_image": IMAGE,
    "--device": "cuda",
    "--accelerator": "nvidia-l4",
    "--machine_type": "g2-standard-8",
}


def config(**changes):
    """The configuration of GOOD with options replaced; None leaves one out."""
    given = GOOD | {f"--{name.replace('__', '-')}": value for name, value in changes.items()}
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_fuse_arguments(parser)
    argv = [f"{name}={value}" for name, value in given.items() if value is not None]
    return resolve(*parser.parse_known_args(argv))


def check(**changes):
    made = config(**changes)
    dataflow.check(made, beam_options(made))


def rehearse(**changes):
    out = io.StringIO()
    assert job.run(config(dry_run="True", **changes), Console(file=out, width=200)) == 0
    return json.loads(out.getvalue().rpartition("}")[0] + "}")


def test_a_complete_job_passes_and_other_runners_are_not_judged():
    check()
    check(accelerator=None, machine_type=None, device="cpu")
    check(runner="DirectRunner", project=None, region=None, temp_location=None, sdk_container_image=None)


@pytest.mark.parametrize(
    ("changes", "option", "remedy"),
    [
        ({"project": None}, "--project", "ID"),
        ({"project": "My Lab"}, "--project", "not the name"),
        ({"region": None}, "--region", "us-central1"),
        ({"temp_location": None}, "--temp_location", "gs://BUCKET"),
        ({"temp_location": "/scratch"}, "--temp_location", "gs://BUCKET"),
        ({"staging_location": "s3://b/x"}, "--staging_location", "gs://BUCKET"),
        ({"sdk_container_image": None}, "--sdk_container_image", "deploy/cloudbuild.yaml"),
        ({"sdk_container_image": "lutfuse"}, "--sdk_container_image", "HOST/PATH:TAG"),
        ({"input": "/photos"}, "--input", "bucket"),
        ({"output": "/fused"}, "--output", "bucket"),
        ({"weights": "/mine.safetensors"}, "--weights /mine.safetensors", "bucket"),
        ({"machine_type": None}, "--machine_type", "g2-standard-8"),
        ({"machine_type": "n1-standard-8"}, "--machine_type", "g2-"),
        ({"accelerator": "nvidia-tesla-t4"}, "--machine_type", "n1-"),
        ({"accelerator": L4.replace("g2-", "a2-")}, "--machine_type", "g2-"),
        ({"accelerator": "nvidia-future-1", "machine_type": None}, "--machine_type", "type that can have it"),
        ({"accelerator": None}, "--device", "--accelerator"),
        ({"device": "cpu"}, "--device", "--device cuda"),
    ],
)
def test_what_is_missing_or_does_not_match_is_named_with_its_remedy(changes, option, remedy):
    with pytest.raises(UsageError) as caught:
        check(**changes)
    assert str(caught.value).startswith(option)
    assert remedy in str(caught.value)


def test_what_the_launcher_reads_itself_may_be_local(tmp_path):
    check(input="/lists/brackets.jsonl")
    (tmp_path / "a.cube").write_bytes(write_cube(np.zeros((2, 2, 2, 3), np.float32)).encode())
    check(luts=f"{tmp_path}/a.cube")
    with pytest.raises(UsageError, match=f"--luts {tmp_path}: workers cannot read local files"):
        check(luts=f"{tmp_path}")


def test_objects_named_by_a_rehearsal_are_not_looked_for():
    shown = rehearse(weights="gs://nobody-has-this-bucket/mine.safetensors")
    assert shown["project"] == "my-lab"


@pytest.mark.parametrize("text", ["", "NVIDIA L4", "type:nvidia-l4", "nvidia-l4;count:0", f"{L4};x"])
def test_an_accelerator_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        config(accelerator=text)
    assert "give a type such as nvidia-l4" in capsys.readouterr().err


def test_the_machine_of_the_gpu_may_be_in_the_hint():
    check(accelerator=L4, machine_type=None)
    check(accelerator=L4, machine_type="e2-standard-2")


def test_the_submission_has_image_hints_and_worker_options():
    shown = rehearse(
        accelerator=L4,
        min__ram="28",
        cpu__count="8",
        number_of_worker_harness_threads="16",
        disk_size_gb="50",
        experiments="no_use_multiple_sdk_containers",
        sdk_location="container",
    )
    assert (shown["project"], shown["region"]) == ("my-lab", "europe-west4")
    assert shown["harness_threads"] == 16
    assert shown["disk_size_gb"] == 50
    assert "no_use_multiple_sdk_containers" in shown["experiments"]
    assert {environment["image"] for environment in shown["environments"]} == {IMAGE}
    hints = {
        step: environment["hints"] for environment in shown["environments"] for step in environment["steps"]
    }
    wanted = {"accelerator": L4, "min_ram_bytes": "28000000000", "cpu_count": "8"}
    assert hints.pop("FuseBrackets") == wanted
    # Reading names and writing rows needs no GPU.
    assert len(hints) >= 4
    assert not any(hints.values())


def test_without_worker_options_no_step_has_hints():
    shown = rehearse(accelerator=None, machine_type=None, device="auto")
    assert [environment["hints"] for environment in shown["environments"]] == [{}]


@pytest.mark.parametrize(
    "argv",
    [
        [f"{name}={value}" for name, value in GOOD.items()] + ["--look=warm", "--dry_run=True"],
        ["--input={brackets}", "--output={brackets}/out", "--look=warm", "--dry-run"],
    ],
    ids=["Dataflow", "local"],
)
def test_submitting_imports_no_torch(argv, write_bracket, tmp_path):
    # Loading it takes seconds and hundreds of MB, in a process that fuses nothing.
    write_bracket(tmp_path / "a bracket", 2)
    program = (
        "import sys; from lutfuse.pipeline import cli; code = cli.main(sys.argv[1:]); "
        "print('modules', *sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "fuse", *(part.format(brackets=tmp_path) for part in argv)],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_GCE_CHECK": "true"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.rpartition("modules ")[2].split()
    assert {"lutfuse.transforms.fuse", "lutfuse.pipeline.graph"} <= set(loaded)
    assert [name for name in loaded if name.partition(".")[0] == "torch"] == []


def test_equal_inputs_give_equal_job_names_so_that_two_jobs_cannot_write_the_same_rows():
    names = {beam_options(config(quality=q)).get_all_options()["job_name"] for q in ("80", "90")}
    assert len(names) == 1
    assert names.pop().startswith("lutfuse-")
    assert beam_options(config(job_name="mine")).get_all_options()["job_name"] == "mine"


def test_the_pickled_heavy_step_is_small():
    # Dataflow refuses a job whose description is over 20 MB; weights and pictures must not travel in it.
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    graph.build(
        pipeline,
        manifest="gs://b/m",
        options=FuseOptions(output="gs://b"),
        metrics="gs://b/x",
        failures="gs://b/y",
    )
    assert pipeline.to_runner_api().ByteSize() < 1_000_000
