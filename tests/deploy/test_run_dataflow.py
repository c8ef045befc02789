"""deploy/run_dataflow.sh rehearses by default, on a machine that has no credentials at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "run_dataflow.sh"
GIVEN = (
    "--project=my-lab",
    "--region=us-central1",
    "--temp_location=gs://pictures/temp",
    "--sdk_container_image=us-docker.pkg.dev/my-lab/lutfuse/lutfuse:1",
    "--input=gs://pictures/in",
    "--output=gs://pictures/out",
)


@pytest.fixture
def bare(tmp_path):
    """An environment without credentials, where every request to the network would fail."""
    program = tmp_path / "lutfuse"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lutfuse "$@"\n')
    program.chmod(0o755)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(tmp_path), "LUTFUSE": str(program), "https_proxy": "http://127.0.0.1:9"}


def launch(environment, *argv):
    return subprocess.run(
        [SCRIPT, *argv], capture_output=True, text=True, env=environment, timeout=240, check=False
    )


def echoing(environment, tmp_path):
    """The same with a `lutfuse` that only says how it was called."""
    program = tmp_path / "echo"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return environment | {"LUTFUSE": str(program)}


def test_a_dry_run_without_credentials_prints_a_submission_with_image_and_accelerator(bare):
    done = launch(bare, *GIVEN)
    assert done.returncode == 0, done.stderr
    command, _, rest = done.stdout.partition("\n")
    assert "--runner=DataflowRunner" in command
    shown = json.loads(rest.rpartition("}")[0] + "}")
    heavy = next(made for made in shown["environments"] if "FuseBrackets" in made["steps"])
    assert heavy["image"].endswith("lutfuse:1")
    assert heavy["hints"]["accelerator"].startswith("type:nvidia-l4;count:1;machine_type:g2-standard-8")
    assert "nothing was read, written or submitted" in rest


def test_what_is_missing_ends_with_2_before_anything_is_uploaded(bare):
    done = launch(bare, *(option for option in GIVEN if "image" not in option), "--submit")
    assert done.returncode == 2
    assert "--sdk_container_image is missing" in done.stderr


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("l4", ["type:nvidia-l4;", "machine_type:g2-standard-8", "--device=cuda"]),
        ("t4", ["type:nvidia-tesla-t4;", "machine_type:n1-standard-8", "--device=cuda"]),
        ("a100", ["type:nvidia-tesla-a100;", "machine_type:a2-highgpu-1g", "--device=cuda"]),
        ("cpu", ["--machine_type=n2-standard-8", "--device=cpu"]),
    ],
)
def test_each_profile_says_machine_threads_disk_and_scaling(bare, tmp_path, profile, expected):
    done = launch(echoing(bare, tmp_path), "--profile", profile, *GIVEN)
    assert done.returncode == 0, done.stderr
    called = done.stdout
    for word in (*expected, "number_of_worker_harness_threads", "disk_size_gb", "max_num_workers", "shuffle"):
        assert word in called
    assert ("accelerator" in called) == (profile != "cpu")
    assert "--dry_run=True" in called


def test_only_submit_submits_and_an_option_of_ones_own_comes_after_the_profiles(bare, tmp_path):
    done = launch(echoing(bare, tmp_path), "--submit", *GIVEN, "--max_num_workers=3")
    assert "--dry_run=True" not in done.stdout
    assert done.stdout.rindex("--max_num_workers=3") > done.stdout.rindex("--max_num_workers=32")


def test_an_unknown_profile_ends_with_2(bare):
    done = launch(bare, "--profile", "tpu", *GIVEN)
    assert done.returncode == 2
    assert "choose l4, t4, a100 or cpu" in done.stderr
