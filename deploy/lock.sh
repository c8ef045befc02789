#!/usr/bin/env bash
# Writes requirements.txt and build-requirements.txt: every package of the image, pinned and with hashes.
# Needs uv; package indexes are those configured on this machine. TORCH_WHEELS is a folder, page or index with
# torch's CPU wheels, where the configured ones do not have them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

options=(
  --quiet --generate-hashes --no-annotate
  --python-version 3.11 --python-platform x86_64-manylinux_2_28
  --custom-compile-command deploy/lock.sh
)
[[ -z ${TORCH_WHEELS:-} ]] || options+=(--find-links "$TORCH_WHEELS")

uv pip compile "${options[@]}" -c constraints.txt -c deploy/torch-cpu.txt pyproject.toml -o deploy/requirements.txt
uv pip compile "${options[@]}" deploy/build-requirements.in -o deploy/build-requirements.txt
