#!/bin/sh
# Build the kernel with AddressSanitizer and UBSan and fuzz every CPU path: tests/native/run.sh [cases] [seed]
# Without AVX-512 in the machine, its path runs on intrinsics written as loops.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
in_loops=ON
if grep -qw avx512_vnni /proc/cpuinfo && grep -qw avx512vbmi /proc/cpuinfo || ! grep -qw avx2 /proc/cpuinfo; then in_loops=OFF; fi
cmake -S "$root" -B "$root/build/fuzz" -DLUTFUSE_FUZZ=ON -DLUTFUSE_CUDA=OFF \
  -DLUTFUSE_FUZZ_AVX512_IN_LOOPS=$in_loops >/dev/null
cmake --build "$root/build/fuzz" --parallel 2 >/dev/null
exec "$root/build/fuzz/fuzz" "$@"
