#!/bin/sh
# Everything that needs a GPU, on a machine that has one: build, tests, memory checks, table of times.
#
#   tests/gpu/run.sh              PYTHON=python3 names the interpreter, which must have torch with CUDA;
#                                 PIP_ARGS=--no-build-isolation builds with what is installed (offline)
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}

echo "== build"
LUTFUSE_CUDA=ON "$python" -m pip install --quiet --no-deps ${PIP_ARGS:-} --editable .
"$python" -c 'from lutfuse.models.fusion.kernel import cuda_device_count as n; print(n(), "CUDA devices"); assert n()'

echo "== tests"
FAIL_WITHOUT_CUDA=1 "$python" -m pytest -q tests/gpu tests/models/fusion tests/models/native

echo "== compute-sanitizer"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    FAIL_WITHOUT_CUDA=1 compute-sanitizer --tool "$tool" --error-exitcode 9 \
      "$python" -m pytest -q tests/gpu -k "any_shape and not 3840 or tiny_image"
  done
else
  echo "not on this machine"
fi

echo "== times"
"$python" tests/benchmarks/bench_fuse.py --device cuda
"$python" tests/benchmarks/bench_fuse.py
