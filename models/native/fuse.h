// One pass over the pixels of a bracket: slice the weight grid and merge the exposures (eq. 2), then apply
// the 3D LUT (eq. 4). Equations are those of docs/method.md.
//
// Layouts  image  [H, W, 3]       uint8 or uint16, RGB, display-encoded, any row stride
//          grid   [K, D, Gh, Gw]  float32 fusion weights, packed
//          lut    [N, N, N, 3]    float32 in [0, 1], packed, indexed [blue][green][red][channel] as in .cube
//
// Note [positions]. The grid's cells tile the image and hold their value at their centre; beyond the
// outermost
//   centres the border value holds. Luma has a knot at black and one at white. The LUT has nodes at 0 and 1.
// Note [odd values]. Before use, grid values are clamped to [0, 2^20], LUT values to [0, 1]; NaN becomes 0.
//   Every sliced weight is at least 1e-8, so where all weights vanish the exposures count alike. No value of
//   any pixel, grid or LUT leads to an access out of bounds.
// Note [same bytes]. Every path performs the operations of fuse_math.h and fuse_lut.h in the same order, each
//   rounded once (fused multiply-adds are explicit, contraction is off), so all paths return the same bytes.
//
// Callers check shapes, strides, alignment and overlap before they come here (models/fusion/kernel.py).
#pragma once
#include <cstddef>
#include <cstdint>

namespace lutfuse {

struct Limits {  // both included
  int min, max;
};
constexpr Limits kExposures{1, 9};    // K
constexpr Limits kKnots{2, 16};       // D
constexpr Limits kCells{1, 64};       // Gh and Gw
constexpr Limits kLutSizes{2, 129};   // N
constexpr Limits kSides{1, 1 << 24};  // H and W, pixels

template <class T>  // uint8_t or uint16_t
struct Job {
  int exposures, height, width;
  const T* images[kExposures.max];
  int64_t image_strides[kExposures.max];  // elements from one row to the next
  T* out;                                 // overlaps no input
  int64_t out_stride;
  const float* grid;
  int knots, grid_height, grid_width;  // D, Gh, Gw
  const float* lut;
  int lut_size;  // N
};

// `scalar` is the reference, a plain loop. `tile` is the body of the CUDA kernel, compiled for the host.
enum class Path { scalar, tile, portable, avx2, avx512 };

bool path_available(Path path);  // true where the path is in this build and the machine can run it

// Blocks until `out` is written. Starts threads - 1 threads and joins them all, which keeps it fork-safe.
template <class T>
void fuse_cpu(const Job<T>& job, int threads, Path path);

// CUDA. Functions that return a message return nullptr on success. A build without CUDA has no devices.
int cuda_device_count();  // 0 where there is no driver

template <class T>
size_t cuda_scratch_bytes(const Job<T>& job);

// Device pointers. Enqueues on `stream` (a cudaStream_t); never synchronises, allocates nothing.
template <class T>
const char* fuse_cuda(const Job<T>& job, void* scratch, int device, void* stream);

// Host pointers. Copies in, fuses and copies out on a stream of its own, and waits for it.
template <class T>
const char* fuse_cuda_from_host(const Job<T>& job, int device);

}  // namespace lutfuse
