// CUDA: one launch prepares what all pixels share, a second one fuses. No texture units: their interpolation has
// eight bits of fraction and would change the output.
#include <cuda_runtime.h>

#include "fuse_tile.h"

namespace lutfuse {
namespace {

constexpr int kThreads = 256;              // a block does kThreads * kTile pixels of one row
constexpr size_t kSharedBytes = 48 * 1024;  // what every device gives a block without being asked

// ---- preparing: clean and transpose the grid, pack the LUT, place rows and columns (a 64-bit division each, which
// every thread would repeat)

template <class T>
struct Scratch {
  Node<T>* lut;
  float* grid;
  Position* rows;
  Columns* columns;
  size_t bytes;
};

template <class T>
Scratch<T> scratch_of(const Job<T>& job, void* memory) {
  const size_t n = job.lut_size;
  const size_t lut = n * n * n * sizeof(Node<T>);
  const size_t cells = static_cast<size_t>(job.exposures) * job.grid_height * job.grid_width * job.knots;
  const size_t rows = lut + cells * sizeof(float);
  const size_t columns = (rows + job.height * sizeof(Position) + 15) / 16 * 16;
  auto* bytes = static_cast<char*>(memory);
  return {reinterpret_cast<Node<T>*>(bytes), reinterpret_cast<float*>(bytes + lut),
          reinterpret_cast<Position*>(bytes + rows), reinterpret_cast<Columns*>(bytes + columns),
          columns + (job.width + kTile - 1) / kTile * sizeof(Columns)};
}

template <class T>
__global__ void __launch_bounds__(kThreads) prepare(const __grid_constant__ Job<T> job, const __grid_constant__ Scratch<T> to) {
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
    to.grid[i] = cleaned(job.grid[(k * job.knots + knot) * cells + cell], kMaxWeight);
  }
  for (int y = first; y < job.height; y += step) to.rows[y] = position_of(y, job.height, job.grid_height);
  for (int x = first; x < (job.width + kTile - 1) / kTile * kTile; x += step) {
    to.columns[x / kTile].of[x % kTile] = position_of(smaller(x, job.width - 1), job.width, job.grid_width);
  }
}

// ---- fusing

// Words where every row of every image starts on a multiple of four bytes, elements elsewhere and at row ends.
template <bool words, class T>
__device__ __forceinline__ Words<T> read_tile(const T* pixels, int n) {
  Words<T> tile{};
  if (words && n == kTile) {
#pragma unroll
    for (int i = 0; i < Words<T>::count; ++i) tile.word[i] = __ldcs(reinterpret_cast<const unsigned*>(pixels) + i);
  } else {
#pragma unroll
    for (int i = 0; i < 3 * kTile; ++i) tile.set_channel(i, i < 3 * n ? pixels[i] : 0);
  }
  return tile;
}
template <bool words, class T>
__device__ __forceinline__ void write_tile(const Words<T>& tile, T* pixels, int n) {
  if (words && n == kTile) {
#pragma unroll
    for (int i = 0; i < Words<T>::count; ++i) __stcs(reinterpret_cast<unsigned*>(pixels) + i, tile.word[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 3 * kTile; ++i) {
      if (i < 3 * n) pixels[i] = static_cast<T>(tile.channel(i));
    }
  }
}

// K == 0: any number of exposures, read one at a time. Otherwise all are asked for before the first is needed.
// `shared`: the row's patches under this block, [K][patches][D - 1], are computed once and kept in shared memory.
template <int K, bool words, bool shared, class T>
__global__ void __launch_bounds__(kThreads) fuse_block(const __grid_constant__ TilePlan<T> plan) {
  extern __shared__ Patch<float> table[];
  const Job<T>& job = plan.job;
  const int y = blockIdx.x, block_x = blockIdx.y * kThreads * kTile, x = block_x + threadIdx.x * kTile;
  const int n = smaller(kTile, job.width - x);  // not above 0: this thread only helps with the table
  const auto pixels = [&](int k) { return job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x); };
  Words<T> tiles[K ? K : 1];
  if (K && n > 0) {
#pragma unroll
    for (int k = 0; k < K; ++k) tiles[k] = read_tile<words>(pixels(k), n);
  }
  const Position row = plan.rows[y];
  const int intervals = job.knots - 1, first = plan.columns[block_x / kTile].of[0].cell;
  const int last_tile = (smaller(block_x + kThreads * kTile, job.width) - 1) / kTile;
  const int patches = plan.columns[last_tile].of[kTile - 1].cell - first + 1;
  if (shared) {
    for (int i = threadIdx.x; i < job.exposures * patches * intervals; i += kThreads) {
      const int rest = i / intervals;
      table[i] = patch_at(plan, row, rest / patches, first + rest % patches, i % intervals);
    }
    __syncthreads();
  }
  if (n <= 0) return;
  const Columns columns = plan.columns[x / kTile];
  const auto read = [&](int k) { return K ? tiles[K ? k : 0] : read_tile<words>(pixels(k), n); };
  const auto patch = [&](int k, int cell, int knot) {
    return shared ? table[(k * patches + cell - first) * intervals + knot] : patch_at(plan, row, k, cell, knot);
  };
  const Words<T> fused = fuse_tile<K>(plan, columns, read, patch);
  write_tile<words>(fused, job.out + y * job.out_stride + 3 * static_cast<int64_t>(x), n);
}

template <class T>
bool rows_start_on_words(const Job<T>& job) {
  const auto bits = [](const T* data, int64_t stride) {
    return reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride * static_cast<int64_t>(sizeof(T)));
  };
  uintptr_t all = bits(job.out, job.out_stride);
  for (int k = 0; k < job.exposures; ++k) all |= bits(job.images[k], job.image_strides[k]);
  return all % 4 == 0;
}

template <int K, class T>
void launch(const TilePlan<T>& plan, cudaStream_t stream) {
  const Job<T>& job = plan.job;
  constexpr int kPixels = kThreads * kTile;
  const dim3 blocks(job.height, (job.width + kPixels - 1) / kPixels);  // y takes no more than 65,535
  // No block spans more patches than this: its pixels' share of all cells, and one begun on either side.
  const int64_t spanned = static_cast<int64_t>(kPixels) * job.grid_width / job.width + 2;
  const int patches = static_cast<int>(spanned < job.grid_width ? spanned : job.grid_width);
  const size_t bytes = sizeof(Patch<float>) * job.exposures * patches * (job.knots - 1);
  if (bytes > kSharedBytes) {
    fuse_block<0, false, false><<<blocks, kThreads, 0, stream>>>(plan);  // a tiny image under a large grid
  } else if (rows_start_on_words(job)) {
    fuse_block<K, true, true><<<blocks, kThreads, bytes, stream>>>(plan);
  } else {
    fuse_block<K, false, true><<<blocks, kThreads, bytes, stream>>>(plan);
  }
}

// ---- the calling thread's device, put back at the end

class OnDevice {
 public:
  explicit OnDevice(int device) {
    cudaGetDevice(&before_);
    status_ = cudaSetDevice(device);
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  cudaError_t status() const { return status_; }

 private:
  int before_ = 0;
  cudaError_t status_;
};

const char* message_of(cudaError_t status) { return status == cudaSuccess ? nullptr : cudaGetErrorString(status); }

template <class T>
cudaError_t enqueue(const Job<T>& job, void* memory, cudaStream_t stream) {
  const Scratch<T> scratch = scratch_of(job, memory);
  const int nodes = job.lut_size * job.lut_size * job.lut_size;
  prepare<<<(nodes + kThreads - 1) / kThreads, kThreads, 0, stream>>>(job, scratch);
  const TilePlan<T> plan{job, scales_of(job), scratch.grid, scratch.rows, scratch.columns, scratch.lut};
  switch (job.exposures) {
    case 2: launch<2>(plan, stream); break;
    case 3: launch<3>(plan, stream); break;
    default: launch<0>(plan, stream);
  }
  return cudaGetLastError();
}

// ---- one bracket of the host's, in one allocation that goes with its stream

class Transfer {
 public:
  ~Transfer() {
    cudaFree(memory_);
    if (stream_) cudaStreamDestroy(stream_);
  }
  template <class T>
  cudaError_t run(const Job<T>& host) {
    const size_t image = rounded(sizeof(T) * 3 * host.height * host.width);
    const size_t grid = sizeof(float) * host.exposures * host.knots * host.grid_height * host.grid_width;
    const size_t lut = sizeof(float) * 3 * host.lut_size * host.lut_size * host.lut_size;
    const size_t total = image * (host.exposures + 1) + rounded(grid) + rounded(lut) + scratch_of(host, nullptr).bytes;
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    check(status_ == cudaSuccess ? cudaMalloc(&memory_, total) : status_);
    if (status_ != cudaSuccess) return status_;
    auto* next = static_cast<char*>(memory_);
    const auto take = [&](size_t bytes) { return (next += rounded(bytes)) - rounded(bytes); };
    const size_t row = 3 * sizeof(T) * host.width;
    Job<T> job = host;
    for (int k = 0; k < host.exposures; ++k) {
      T* to = reinterpret_cast<T*>(take(image));
      check(cudaMemcpy2DAsync(to, row, host.images[k], pitch(host.image_strides[k], host), row, host.height,
                              cudaMemcpyHostToDevice, stream_));
      job.images[k] = to;
      job.image_strides[k] = 3 * static_cast<int64_t>(host.width);
    }
    job.out = reinterpret_cast<T*>(take(image));
    job.out_stride = 3 * static_cast<int64_t>(host.width);
    job.grid = sent(host.grid, grid, take(grid));
    job.lut = sent(host.lut, lut, take(lut));
    if (status_ == cudaSuccess) check(enqueue(job, next, stream_));
    check(cudaStreamSynchronize(stream_));
    if (status_ != cudaSuccess) return status_;  // nothing has been written to the host's image
    return cudaMemcpy2D(host.out, pitch(host.out_stride, host), job.out, row, row, host.height, cudaMemcpyDeviceToHost);
  }

 private:
  static size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }
  // One row may come with any stride, which cudaMemcpy2D would refuse.
  template <class T>
  static size_t pitch(int64_t stride, const Job<T>& job) {
    return sizeof(T) * (job.height == 1 ? 3 * static_cast<int64_t>(job.width) : stride);
  }
  const float* sent(const float* from, size_t bytes, char* to) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
    return reinterpret_cast<const float*>(to);
  }
  void check(cudaError_t status) {
    if (status_ == cudaSuccess) status_ = status;  // the first error is the one to tell
  }

  cudaStream_t stream_ = nullptr;
  void* memory_ = nullptr;
  cudaError_t status_ = cudaSuccess;
};

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();  // no driver is an answer, not an error to find later
  return 0;
}

template <class T>
size_t cuda_scratch_bytes(const Job<T>& job) {
  return scratch_of(job, nullptr).bytes;
}
template size_t cuda_scratch_bytes(const Job<uint8_t>&);
template size_t cuda_scratch_bytes(const Job<uint16_t>&);

template <class T>
const char* fuse_cuda(const Job<T>& job, void* scratch, int device, void* stream) {
  const OnDevice on(device);
  if (on.status() != cudaSuccess) return message_of(on.status());
  return message_of(enqueue(job, scratch, static_cast<cudaStream_t>(stream)));
}
template const char* fuse_cuda(const Job<uint8_t>&, void*, int, void*);
template const char* fuse_cuda(const Job<uint16_t>&, void*, int, void*);

template <class T>
const char* fuse_cuda_from_host(const Job<T>& job, int device) {
  const OnDevice on(device);
  if (on.status() != cudaSuccess) return message_of(on.status());
  return message_of(Transfer().run(job));
}
template const char* fuse_cuda_from_host(const Job<uint8_t>&, int);
template const char* fuse_cuda_from_host(const Job<uint16_t>&, int);

}  // namespace lutfuse
