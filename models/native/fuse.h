// One pass over the pixels of a bracket: slice the weight grid, merge the exposures, look the colour up.
//
// Layouts  image  [H, W, 3]         uint8 or uint16, RGB, display-encoded, rows any distance apart
//          grid   [K, D, Gh, Gw]    float32 fusion weights, packed
//          lut    [N, N, N, 3]      float32 in [0, 1], packed, indexed [blue][green][red][channel] as in .cube
// Ranges   K 1...9, D 2...16, Gh and Gw 1...64, N 2...129, H and W 1...2^24.
//
// Note [positions]. The grid's cells tile the image and hold their value at their centre; beyond the outermost
//   centres the border value holds. Luma has a knot at black and one at white. The LUT has knots at 0 and 1.
// Note [odd values]. Grid values are clamped to [0, 2^20] and LUT values to [0, 1], NaN to 0, before use, and
//   every sliced weight to at least 1e-8: where all weights vanish the exposures count alike. No value of
//   any pixel, grid or LUT leads to an access out of bounds.
// Note [same bytes]. Every path performs the operations of fuse_math.h and fuse_lut.h in the same order, each rounded once
//   (fused multiply-adds are written out, contraction is off), so all paths return the same bytes.
//
// Callers check shapes, ranges, alignment and overlap before they come here (models/fusion.py).
#pragma once
#include <cstddef>
#include <cstdint>

namespace lutfuse {

constexpr int kMaxExposures = 9, kMaxLutSize = 129;

template <class T>  // uint8_t or uint16_t
struct Job {
  int exposures, height, width;
  const T* images[kMaxExposures];
  int64_t image_strides[kMaxExposures];  // elements from one row to the next
  T* out;                                // overlaps no input
  int64_t out_stride;
  const float* grid;
  int knots, grid_height, grid_width;  // D, Gh, Gw
  const float* lut;
  int lut_size;  // N
};

// `scalar` is the reference, a plain loop. `tile` is the CUDA kernel's body compiled for the host.
enum class Path { scalar, tile, portable, avx2, avx512 };

bool path_available(Path path);  // has this build, and does this machine run, that path
Path fastest_path();

// Blocks until `out` is written; starts and joins threads - 1 threads of its own (none survives: fork-safe).
template <class T>
void fuse_cpu(const Job<T>& job, int threads, Path path);

// CUDA. All functions return at once with a message or nullptr; a build without CUDA has no devices.
int cuda_device_count();  // 0 where there is no driver

template <class T>
size_t cuda_scratch_bytes(const Job<T>& job);

// Pointers are the device's. Enqueues on `stream` (a cudaStream_t), never synchronises, allocates nothing.
template <class T>
const char* fuse_cuda(const Job<T>& job, void* scratch, int device, void* stream);

// Pointers are the host's: copies in, fuses and copies out on a stream of its own, then waits.
template <class T>
const char* fuse_cuda_from_host(const Job<T>& job, int device);

}  // namespace lutfuse
