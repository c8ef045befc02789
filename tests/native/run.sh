#!/bin/sh
# Build the kernel with AddressSanitizer and UBSan and fuzz every CPU path: tests/native/run.sh [cases] [seed]
# On a machine without AVX-512, its path runs on emulated intrinsics.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
emulate=ON
has() { grep -qw "$1" /proc/cpuinfo; }
if { has avx512_vnni && has avx512vbmi; } || ! has avx2; then emulate=OFF; fi
cmake -S "$root" -B "$root/build/fuzz" -DLUTFUSE_FUZZ=ON -DLUTFUSE_CUDA=OFF \
  -DLUTFUSE_FUZZ_EMULATE_AVX512=$emulate >/dev/null
cmake --build "$root/build/fuzz" --parallel 2 >/dev/null
exec "$root/build/fuzz/fuzz" "$@"
