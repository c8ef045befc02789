#!/usr/bin/env bash
# Fuses brackets on Dataflow: a profile's options, then yours, to `lutfuse fuse`. Without --submit nothing is
# read, uploaded or started; the command and what it would submit are printed.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/run_dataflow.sh [--profile l4|t4|a100|cpu] [--dry-run | --submit]
         --project ID --region REGION --temp_location gs://BUCKET/tmp
         --sdk_container_image REGION-docker.pkg.dev/ID/REPOSITORY/lutfuse:TAG
         --input gs://… --output gs://…  [options of lutfuse fuse and of Beam]

  --profile   what the workers are (default: l4); an option given after it wins over the profile's
  --dry-run   print the submission and stop (the default); needs no credentials
  --submit    start the job and wait for it

exit codes: 0 done; 2 wrong usage, nothing was uploaded; the others are those of lutfuse fuse
TEXT
}

profile=l4
rehearse=(--dry_run=True)
given=()
while (($#)); do
  case $1 in
    --profile) profile=${2:-}; shift ;;
    --profile=*) profile=${1#*=} ;;
    --submit) rehearse=() ;;
    --dry-run) rehearse=(--dry_run=True) ;;
    -h | --help) usage; exit 0 ;;
    *) given+=("$1") ;;
  esac
  shift || break
done

# One worker of each profile fuses with all of its CPUs: decoding and encoding take most of a bracket's time,
# so CPUs, not the GPU, decide the speed. A process for every CPU, which is Dataflow's default: the student of a
# process serves one thread at a time. Two threads each: one waits for storage while the other computes.
# In flight: what is left of the worker's memory after 1 GB a process, shared among them, with room to spare.
# Shuffle: the service's, for only names and rows pass through it, about 1 GB a million brackets.
# Disk: 50 GB for image and driver; pictures never touch it.
# Autoscaling follows the throughput; --max_num_workers caps it (your GPU quota has the last word).
common=(
  --runner=DataflowRunner
  --sdk_location=container # the image has everything: nothing is installed at start
  --experiments=shuffle_mode=service
  --autoscaling_algorithm=THROUGHPUT_BASED
  --disk_size_gb=50
  --number_of_worker_harness_threads=2
)
# The steps before and after the fusing are light and run on small machines without a GPU: the machine type of
# the GPU is in the hint.
gpu=(
  --device=cuda # a worker without a GPU stops the job instead of running on at a tenth of the speed
  --machine_type=e2-standard-2
  --num_workers=4 # a new GPU worker takes minutes for its driver: do not begin with one
)
driver=install-nvidia-driver:5xx # for CUDA 12

case $profile in
  l4) # the cheapest GPU an hour for its CPUs, and made for pictures; machines g2 only
    workers=("${gpu[@]}" --max_num_workers=32 --min-ram=28 --cpu-count=8 --max-inflight-mb=2500
      "--accelerator=type:nvidia-l4;count:1;machine_type:g2-standard-8;$driver")
    ;;
  t4) # older, in most regions; attached to n1 machines
    workers=("${gpu[@]}" --max_num_workers=32 --min-ram=26 --cpu-count=8 --max-inflight-mb=2300
      "--accelerator=type:nvidia-tesla-t4;count:1;machine_type:n1-standard-8;$driver")
    ;;
  a100) # where A100s are reserved anyway: 12 CPUs cannot keep one busy with this work
    workers=("${gpu[@]}" --max_num_workers=8 --min-ram=80 --cpu-count=12 --max-inflight-mb=5000
      "--accelerator=type:nvidia-tesla-a100;count:1;machine_type:a2-highgpu-1g;$driver")
    ;;
  cpu) # Ice Lake or Cascade Lake: AVX-512 or AVX2; without hints, so that Dataflow may also place it with FlexRS
    workers=(--device=cpu --machine_type=n2-standard-8 --num_workers=4 --max_num_workers=64
      --max-inflight-mb=2500)
    ;;
  *)
    echo "run_dataflow.sh: --profile '$profile': unknown; choose l4, t4, a100 or cpu" >&2
    exit 2
    ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lutfuse=${LUTFUSE:-$(command -v lutfuse || echo "$here/.venv/bin/lutfuse")}
if ! command -v "$lutfuse" >/dev/null; then
  echo "run_dataflow.sh: lutfuse is not installed here; run 'make setup' or set LUTFUSE" >&2
  exit 2
fi

# Beam's dry run looks for nothing on the network if it is told that there are no credentials to look for.
((${#rehearse[@]})) && export NO_GCE_CHECK=true
command=("$lutfuse" fuse "${common[@]}" "${workers[@]}" "${given[@]}" "${rehearse[@]}")
printf '%q ' "${command[@]}"
echo
exec "${command[@]}"
