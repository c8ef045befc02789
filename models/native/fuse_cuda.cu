// CUDA: one launch prepares what all pixels share, a second one fuses. Texture units are of no use: they
// interpolate with eight bits of fraction, which would change the output.
#include <cuda_runtime.h>

#include "fuse_tile.h"

namespace lutfuse {
namespace {

constexpr int kThreads = 256;                         // per block
constexpr int kBlockPixels = kThreads * kTilePixels;  // of one row
constexpr size_t kSharedMemoryBytes = 48 * 1024;      // per block, on every device without opting in

// ---- preparing: clamp and transpose the grid, pack the LUT, find the grid positions of rows and columns
// (each takes a 64-bit division, which every thread would otherwise repeat)

template <class T>
struct Scratch {
  Node<T>* lut;
  float* grid;
  GridPosition* rows;
  TileColumns* tiles;
  size_t bytes;
};

template <class T>
Scratch<T> scratch_layout(const Job<T>& job, void* memory) {
  const size_t n = job.lut_size;
  const size_t lut = n * n * n * sizeof(Node<T>);
  const size_t cells = static_cast<size_t>(job.exposures) * job.grid_height * job.grid_width * job.knots;
  const size_t rows = lut + cells * sizeof(float);
  const size_t tiles = (rows + job.height * sizeof(GridPosition) + 15) / 16 * 16;
  auto* bytes = static_cast<char*>(memory);
  return {reinterpret_cast<Node<T>*>(bytes), reinterpret_cast<float*>(bytes + lut),
          reinterpret_cast<GridPosition*>(bytes + rows), reinterpret_cast<TileColumns*>(bytes + tiles),
          tiles + (job.width + kTilePixels - 1) / kTilePixels * sizeof(TileColumns)};
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    prepare(const __grid_constant__ Job<T> job, const __grid_constant__ Scratch<T> to) {
  const int first = blockIdx.x * kThreads + threadIdx.x, step = gridDim.x * kThreads;
  const int n = job.lut_size;
  for (int i = first; i < n * n * n; i += step) {
    Node<T> node;
    pack_node(job.lut, i, n, node);
    to.lut[i] = node;
  }
  const int cells = job.grid_height * job.grid_width;
  for (int i = first; i < job.exposures * cells * job.knots; i += step) {
    const int knot = i % job.knots, k = i / job.knots / cells, cell = i / job.knots % cells;
    to.grid[i] = clamp(job.grid[(k * job.knots + knot) * cells + cell], 0.f, kMaxWeight);
  }
  for (int y = first; y < job.height; y += step) to.rows[y] = grid_position(y, job.height, job.grid_height);
  for (int x = first; x < (job.width + kTilePixels - 1) / kTilePixels * kTilePixels; x += step) {
    to.tiles[x / kTilePixels].columns[x % kTilePixels] =
        grid_position(min(x, job.width - 1), job.width, job.grid_width);
  }
}

// ---- fusing

// Words where every row of every image is aligned to four bytes; single elements elsewhere and at row ends.
template <bool words, class T>
__device__ __forceinline__ Tile<T> read_tile(const T* pixels, int n) {
  Tile<T> tile{};
  if (words && n == kTilePixels) {
#pragma unroll
    for (int i = 0; i < Tile<T>::kWords; ++i) {
      tile.words[i] = __ldcs(reinterpret_cast<const unsigned*>(pixels) + i);
    }
  } else {
#pragma unroll
    for (int i = 0; i < 3 * kTilePixels; ++i) tile.set(i, i < 3 * n ? pixels[i] : 0);
  }
  return tile;
}
template <bool words, class T>
__device__ __forceinline__ void write_tile(const Tile<T>& tile, T* pixels, int n) {
  if (words && n == kTilePixels) {
#pragma unroll
    for (int i = 0; i < Tile<T>::kWords; ++i) __stcs(reinterpret_cast<unsigned*>(pixels) + i, tile.words[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 3 * kTilePixels; ++i) {
      if (i < 3 * n) pixels[i] = static_cast<T>(tile.get(i));
    }
  }
}

// K == 0: any number of exposures, read one at a time. Otherwise all are loaded before the first is needed.
// `shared`: the row's patches under this block, [K][patches][D - 1], are computed once, in shared memory.
template <int K, bool words, bool shared, class T>
__global__ void __launch_bounds__(kThreads) fuse_block(const __grid_constant__ TilePlan<T> plan) {
  extern __shared__ Patch<float> table[];
  const Job<T>& job = plan.job;
  const int y = blockIdx.x, block_x = blockIdx.y * kBlockPixels, x = block_x + threadIdx.x * kTilePixels;
  const int n = min(kTilePixels, job.width - x);  // 0 or less: this thread only helps with the table
  Tile<T> loaded[K ? K : 1];
  if (K && n > 0) {
#pragma unroll
    for (int k = 0; k < K; ++k) loaded[k] = read_tile<words>(image_pixel(job, k, y, x), n);
  }
  const GridPosition row = plan.rows[y];
  const int intervals = job.knots - 1, first = plan.tiles[block_x / kTilePixels].columns[0].cell;
  const int last_tile = (min(block_x + kBlockPixels, job.width) - 1) / kTilePixels;
  const int patches = plan.tiles[last_tile].columns[kTilePixels - 1].cell - first + 1;
  if (shared) {
    for (int i = threadIdx.x; i < job.exposures * patches * intervals; i += kThreads) {
      const int rest = i / intervals;
      table[i] = grid_patch(plan, row, rest / patches, first + rest % patches, i % intervals);
    }
    __syncthreads();
  }
  if (n <= 0) return;
  const TileColumns positions = plan.tiles[x / kTilePixels];
  const auto read = [&](int k) {
    return K ? loaded[K ? k : 0] : read_tile<words>(image_pixel(job, k, y, x), n);
  };
  const auto patch = [&](int k, int cell, int knot) {
    return shared ? table[(k * patches + cell - first) * intervals + knot]
                  : grid_patch(plan, row, k, cell, knot);
  };
  const Tile<T> fused = fuse_tile<K>(plan, positions, read, patch);
  write_tile<words>(fused, out_pixel(job, y, x), n);
}

template <class T>
bool rows_are_word_aligned(const Job<T>& job) {
  const auto bits = [](const T* data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) |
           static_cast<uintptr_t>(stride * static_cast<int64_t>(sizeof(T)));
  };
  uintptr_t all = bits(job.out, job.out_stride);
  for (int k = 0; k < job.exposures; ++k) all |= bits(job.images[k], job.image_strides[k]);
  return all % 4 == 0;
}

template <int K, class T>
void launch(const TilePlan<T>& plan, cudaStream_t stream) {
  const Job<T>& job = plan.job;
  // Rows along x, as y is limited to 65,535.
  const dim3 blocks(job.height, (job.width + kBlockPixels - 1) / kBlockPixels);
  // The most patches a block's pixels can touch: their share of all cells, and one more at either end.
  const int64_t spanned = static_cast<int64_t>(kBlockPixels) * job.grid_width / job.width + 2;
  const int patches = static_cast<int>(spanned < job.grid_width ? spanned : job.grid_width);
  const size_t bytes = sizeof(Patch<float>) * job.exposures * patches * (job.knots - 1);
  if (bytes > kSharedMemoryBytes) {
    fuse_block<0, false, false><<<blocks, kThreads, 0, stream>>>(plan);  // a tiny image under a large grid
  } else if (rows_are_word_aligned(job)) {
    fuse_block<K, true, true><<<blocks, kThreads, bytes, stream>>>(plan);
  } else {
    fuse_block<K, false, true><<<blocks, kThreads, bytes, stream>>>(plan);
  }
}

// ---- the calling thread's device, restored at the end of the scope

class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    cudaGetDevice(&previous_);
    status_ = cudaSetDevice(device);
  }
  ~DeviceGuard() { cudaSetDevice(previous_); }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  cudaError_t status() const { return status_; }

 private:
  int previous_ = 0;
  cudaError_t status_;
};

const char* error_message(cudaError_t status) {
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

template <class T>
cudaError_t enqueue(const Job<T>& job, void* memory, cudaStream_t stream) {
  const Scratch<T> scratch = scratch_layout(job, memory);
  const int nodes = job.lut_size * job.lut_size * job.lut_size;
  prepare<<<(nodes + kThreads - 1) / kThreads, kThreads, 0, stream>>>(job, scratch);
  const TilePlan<T> plan{job, make_scales(job), scratch.grid, scratch.rows, scratch.tiles, scratch.lut};
  dispatch_exposures(job.exposures, [&](auto count) {
    constexpr int K = decltype(count)::value;
    launch<(K > 3 ? 0 : K)>(plan, stream);  // nine tiles at once: up to 106 registers, half the occupancy
  });
  return cudaGetLastError();
}

// ---- a bracket in host memory, with a stream and one allocation of its own

class HostBracket {
 public:
  ~HostBracket() {
    cudaFree(memory_);
    if (stream_) cudaStreamDestroy(stream_);
  }
  template <class T>
  cudaError_t run(const Job<T>& host) {
    const size_t image = round_up(sizeof(T) * 3 * host.height * host.width);
    const size_t grid = sizeof(float) * host.exposures * host.knots * host.grid_height * host.grid_width;
    const size_t lut = sizeof(float) * 3 * host.lut_size * host.lut_size * host.lut_size;
    const size_t total =
        image * (host.exposures + 1) + round_up(grid) + round_up(lut) + scratch_layout(host, nullptr).bytes;
    record(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    record(status_ == cudaSuccess ? cudaMalloc(&memory_, total) : status_);
    if (status_ != cudaSuccess) return status_;
    auto* next = static_cast<char*>(memory_);
    const auto allocate = [&](size_t bytes) { return (next += round_up(bytes)) - round_up(bytes); };
    const size_t row = 3 * sizeof(T) * host.width;
    Job<T> job = host;
    for (int k = 0; k < host.exposures; ++k) {
      T* to = reinterpret_cast<T*>(allocate(image));
      record(cudaMemcpy2DAsync(to, row, host.images[k], pitch(host.image_strides[k], host), row, host.height,
                               cudaMemcpyHostToDevice, stream_));
      job.images[k] = to;
      job.image_strides[k] = 3 * static_cast<int64_t>(host.width);
    }
    job.out = reinterpret_cast<T*>(allocate(image));
    job.out_stride = 3 * static_cast<int64_t>(host.width);
    job.grid = upload(host.grid, grid, allocate(grid));
    job.lut = upload(host.lut, lut, allocate(lut));
    if (status_ == cudaSuccess) record(enqueue(job, next, stream_));
    record(cudaStreamSynchronize(stream_));
    if (status_ != cudaSuccess) return status_;  // nothing has been written to the host's image
    return cudaMemcpy2D(host.out, pitch(host.out_stride, host), job.out, row, row, host.height,
                        cudaMemcpyDeviceToHost);
  }

 private:
  static size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }
  // cudaMemcpy2D refuses a stride below the width, which an image of one row may have.
  template <class T>
  static size_t pitch(int64_t stride, const Job<T>& job) {
    return sizeof(T) * (job.height == 1 ? 3 * static_cast<int64_t>(job.width) : stride);
  }
  const float* upload(const float* from, size_t bytes, char* to) {
    record(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
    return reinterpret_cast<const float*>(to);
  }
  void record(cudaError_t status) {
    if (status_ == cudaSuccess) status_ = status;  // the first error is the cause
  }

  cudaStream_t stream_ = nullptr;
  void* memory_ = nullptr;
  cudaError_t status_ = cudaSuccess;
};

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // clears the error: having no driver is a valid answer
  return 0;
}

template <class T>
size_t cuda_scratch_bytes(const Job<T>& job) {
  return scratch_layout(job, nullptr).bytes;
}
template size_t cuda_scratch_bytes(const Job<uint8_t>&);
template size_t cuda_scratch_bytes(const Job<uint16_t>&);

template <class T>
const char* fuse_cuda(const Job<T>& job, void* scratch, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.status() != cudaSuccess) return error_message(guard.status());
  return error_message(enqueue(job, scratch, static_cast<cudaStream_t>(stream)));
}
template const char* fuse_cuda(const Job<uint8_t>&, void*, int, void*);
template const char* fuse_cuda(const Job<uint16_t>&, void*, int, void*);

template <class T>
const char* fuse_cuda_from_host(const Job<T>& job, int device) {
  const DeviceGuard guard(device);
  if (guard.status() != cudaSuccess) return error_message(guard.status());
  return error_message(HostBracket().run(job));
}
template const char* fuse_cuda_from_host(const Job<uint8_t>&, int);
template const char* fuse_cuda_from_host(const Job<uint16_t>&, int);

}  // namespace lutfuse
