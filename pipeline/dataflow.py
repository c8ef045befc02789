"""Checks a Dataflow job before it is submitted, and shows what would be submitted.

Nothing here contacts Google Cloud: a job that cannot start is refused before anything is uploaded.
"""

import re
from collections.abc import Mapping
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.config import JobConfig
from lutfuse.transforms.inputs.manifest import MANIFEST_SUFFIXES
from lutfuse.transforms.storage import files

# By GPU: prefix of its machine types, and an example. See https://cloud.google.com/compute/docs/gpus
GPU_MACHINES = {
    "nvidia-l4": ("g2-", "g2-standard-8"),
    "nvidia-tesla-t4": ("n1-", "n1-standard-8"),
    "nvidia-tesla-v100": ("n1-", "n1-standard-8"),
    "nvidia-tesla-p4": ("n1-", "n1-standard-8"),
    "nvidia-tesla-a100": ("a2-highgpu-", "a2-highgpu-1g"),
    "nvidia-a100-80gb": ("a2-ultragpu-", "a2-ultragpu-1g"),
    "nvidia-h100-80gb": ("a3-highgpu-", "a3-highgpu-1g"),
}
_PROJECT = r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
# A host, path, and tag or digest; a bare name would be looked up on Docker Hub.
_IMAGE = re.compile(r"[\w.-]+(:\d+)?/[\w./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")


def is_dataflow(options: PipelineOptions) -> bool:
    """Whether the job runs on Dataflow."""
    runner = options.view_as(StandardOptions).runner or ""
    return runner.rpartition(".")[2].lower() in ("dataflow", "dataflowrunner")


def is_rehearsal(options: PipelineOptions) -> bool:
    """Whether Beam's `--dry_run` asks to assemble the job without submitting it."""
    return bool(is_dataflow(options) and options.view_as(TestOptions).dry_run)


def is_template(options: PipelineOptions) -> bool:
    """Whether the job is only written to a file: for a template, or by a Flex Template's launcher."""
    return bool(is_dataflow(options) and options.view_as(GoogleCloudOptions).template_location)


def check(config: JobConfig, options: PipelineOptions) -> None:
    """Refuse a Dataflow job that cannot start; no effect for other runners.

    Raises:
      UsageError: names the option and the remedy.
    """
    if not is_dataflow(options):
        return
    _check_place(options.view_as(GoogleCloudOptions))
    _check_image(options.view_as(WorkerOptions).sdk_container_image)
    _check_uris(config)
    _check_gpu(config, options.view_as(WorkerOptions).machine_type)


def _check_place(cloud: GoogleCloudOptions) -> None:
    if not re.fullmatch(_PROJECT, cloud.project or ""):
        raise UsageError(
            f"--project {cloud.project or 'is missing'}: give the ID (not the name) of the "
            "Google Cloud project that pays for the job"
        )
    if not cloud.region:
        raise UsageError("--region is missing: give the region of your bucket, for example us-central1")
    buckets = {"--temp_location": cloud.temp_location, "--staging_location": cloud.staging_location}
    if not any(buckets.values()):
        raise UsageError("--temp_location is missing: give a bucket for staged files, gs://BUCKET/tmp")
    for name, uri in buckets.items():
        if uri and not re.fullmatch(r"gs://[a-z0-9][\w.-]+(/.*)?", uri):
            raise UsageError(f"{name} {uri}: must be a bucket the job may write to, gs://BUCKET/FOLDER")


def _check_image(image: str | None) -> None:
    if not image:
        raise UsageError(
            "--sdk_container_image is missing: Beam's own image lacks lutfuse; build one with "
            "deploy/cloudbuild.yaml and give REGION-docker.pkg.dev/PROJECT/REPOSITORY/lutfuse:TAG"
        )
    if not _IMAGE.fullmatch(image):
        raise UsageError(
            f"--sdk_container_image {image}: must be HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, "
            "so that every worker pulls the same image"
        )


def _check_uris(config: JobConfig) -> None:
    is_manifest = config.source.lower().endswith(MANIFEST_SUFFIXES)  # the launcher reads it
    fuse = config.fuse
    given = {"--output": fuse.output, "--weights": fuse.weights}
    given |= {} if is_manifest else {"--input": config.source}
    if fuse.luts is not None and fuse.luts.cube is None:  # the launcher reads a single .cube
        given["--luts"] = fuse.luts.uri
    for name, uri in given.items():
        if uri and files.is_local(uri):
            raise UsageError(
                f"{name} {uri}: workers cannot read local files; copy them to a bucket and give gs://…"
            )


def _check_gpu(config: JobConfig, machine_type: str | None) -> None:
    hint, device = config.hints.get("accelerator"), config.fuse.device
    if hint is None:
        if device == "cuda":
            raise UsageError(
                "--device cuda: no GPU is requested; add --accelerator nvidia-l4 --machine_type g2-standard-8"
            )
        return
    if device == "cpu":
        raise UsageError(f"--device cpu: --accelerator {hint} would stay idle; use --device cuda")
    fields = dict(part.partition(":")[::2] for part in hint.split(";"))
    gpu, machine = fields["type"], fields.get("machine_type") or machine_type
    prefix, example = GPU_MACHINES.get(gpu, ("", "a machine type that can have it"))
    if not machine:
        raise UsageError(f"--machine_type is missing: {gpu} needs {example}")
    if not machine.startswith(prefix):
        raise UsageError(f"--machine_type {machine}: cannot have {gpu}; use {prefix}…, such as {example}")


def submission(result: Any, options: PipelineOptions) -> dict[str, Any]:
    """What would be submitted to Dataflow, as plain JSON values; `result` is that of a dry run."""
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    pipeline = result.job.proto_pipeline
    return {
        "job_name": cloud.job_name,
        "project": cloud.project,
        "region": cloud.region,
        "temp_location": cloud.temp_location,
        "staging_location": cloud.staging_location or cloud.temp_location,
        "service_account": cloud.service_account_email,
        "machine_type": worker.machine_type,
        "disk_size_gb": worker.disk_size_gb,
        "num_workers": worker.num_workers,
        "max_num_workers": worker.max_num_workers,
        "autoscaling": worker.autoscaling_algorithm,
        "harness_threads": options.view_as(DebugOptions).number_of_worker_harness_threads,
        "experiments": sorted(options.get_all_options().get("experiments") or []),
        "service_options": cloud.dataflow_service_options or [],
        "environments": [_environment(name, pipeline) for name in sorted(pipeline.components.environments)],
    }


def _environment(name: str, pipeline: Any) -> dict[str, Any]:
    from apache_beam.portability.api import beam_runner_api_pb2

    environment = pipeline.components.environments[name]
    image = beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
    steps = {
        transform.unique_name.split("/")[0]
        for transform in pipeline.components.transforms.values()
        if transform.environment_id == name and not transform.subtransforms
    }
    return {"image": image, "hints": _hints(environment.resource_hints), "steps": sorted(steps)}


def _hints(encoded: Mapping[str, bytes]) -> dict[str, str]:
    # "beam:resources:min_ram_bytes:v1" becomes "min_ram_bytes".
    return {urn.split(":")[2]: value.decode() for urn, value in sorted(encoded.items())}
