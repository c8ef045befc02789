#!/bin/sh
# Build the kernel with AddressSanitizer and UBSan and fuzz every CPU path: tests/native/run.sh [cases] [seed]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cmake -S "$root" -B "$root/build/fuzz" -DLUTFUSE_FUZZ=ON -DLUTFUSE_CUDA=OFF >/dev/null
cmake --build "$root/build/fuzz" --parallel 2 >/dev/null
exec "$root/build/fuzz/fuzz" "$@"
