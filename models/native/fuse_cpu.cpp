// The CPU's side: prepare what all rows share, choose the path, divide the rows among threads.
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "fuse_plan.h"
#include "fuse_tile.h"

namespace lutfuse {
namespace {

constexpr size_t kCacheLine = 64;
constexpr int kCacheLineFloats = kCacheLine / sizeof(float);

template <class I>
I round_up(I n, I multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

struct AlignedDelete {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(kCacheLine)); }
};
template <class T>
using Buffer = std::unique_ptr<T[], AlignedDelete>;

template <class T>
Buffer<T> allocate(size_t count) {  // uninitialised, aligned to a cache line
  const size_t bytes = count * sizeof(T);
  Buffer<T> buffer(static_cast<T*>(::operator new(bytes, std::align_val_t(kCacheLine))));
#if defined(__linux__)
  // Page faults on a large LUT in 4 KiB pages would take longer than filling it. This is advice and may fail.
  constexpr uintptr_t kPage = 4096;
  const auto first_page = round_up(reinterpret_cast<uintptr_t>(buffer.get()), kPage);
  if (bytes >= 4u << 20) madvise(reinterpret_cast<void*>(first_page), bytes - kPage, MADV_HUGEPAGE);
#endif
  return buffer;
}

// [K][D][Gh][Gw] to [K][Gh][Gw][pitch]: a cell's knots adjacent in memory, padded with the last one.
template <class T>
Buffer<float> transpose_grid(const Job<T>& job, int pitch) {
  const int cells = job.grid_height * job.grid_width;
  auto grid = allocate<float>(static_cast<size_t>(job.exposures) * cells * pitch);
  for (int k = 0; k < job.exposures; ++k) {
    for (int cell = 0; cell < cells; ++cell) {
      for (int z = 0; z < pitch; ++z) {
        const int64_t plane = static_cast<int64_t>(k) * job.knots + min(z, job.knots - 1);
        grid[(static_cast<int64_t>(k) * cells + cell) * pitch + z] =
            clamp(job.grid[plane * cells + cell], 0.f, kMaxWeight);
      }
    }
  }
  return grid;
}

template <class T>
Buffer<Node<T>> pack_lut(const Job<T>& job, const Backend<T>& backend) {
  const size_t n = job.lut_size;
  auto nodes = allocate<Node<T>>(n * n * n);
  backend.pack(job.lut, job.lut_size, allocate<int16_t>(3 * n * n + 8).get(), nodes.get());
  return nodes;
}

std::vector<GridPosition> grid_positions(int pixels, int cells) {
  std::vector<GridPosition> positions(pixels);
  for (int i = 0; i < pixels; ++i) positions[i] = grid_position(i, pixels, cells);
  return positions;
}

// `fractions` has room for all columns and for the padding that aligns each span's.
std::vector<Span> make_spans(const std::vector<GridPosition>& columns, float* fractions) {
  std::vector<Span> spans;
  for (int x = 0; x < static_cast<int>(columns.size()); ++x) {
    if (spans.empty() || spans.back().cell != columns[x].cell) {
      if (!spans.empty()) fractions += round_up(spans.back().end - spans.back().begin, kCacheLineFloats);
      spans.push_back({x, x, columns[x].cell, fractions});
    }
    fractions[x - spans.back().begin] = columns[x].fraction;
    spans.back().end = x + 1;
  }
  return spans;
}

// ---- the reference: pixel by pixel

template <class T>
void fuse_rows_scalar(const Plan<T>& plan, int first, int last, float* scratch) {
  for_each_span<kMaxPitch>(plan, first, last, scratch, [&](int y, const Span& span, const float* patch) {
    for (int x = span.begin; x < span.end; ++x) fuse_pixel<kMaxPitch>(plan, patch, span, y, x);
  });
}

// ---- the CUDA kernel's body, tile by tile

template <int K, class T>
void fuse_all_tiles(const TilePlan<T>& plan) {
  const Job<T>& job = plan.job;
  for (int y = 0; y < job.height; ++y) {
    const auto patch = [&](int k, int cell, int knot) {
      return grid_patch(plan, plan.rows[y], k, cell, knot);
    };
    for (int x = 0; x < job.width; x += kTilePixels) {
      const size_t bytes = 3 * sizeof(T) * min(kTilePixels, job.width - x);
      const auto read = [&](int k) {
        Tile<T> tile{};
        std::memcpy(tile.words, image_pixel(job, k, y, x), bytes);
        return tile;
      };
      const Tile<T> fused = fuse_tile<K>(plan, plan.tiles[x / kTilePixels], read, patch);
      std::memcpy(out_pixel(job, y, x), fused.words, bytes);
    }
  }
}

template <class T>
void fuse_tiles(const Job<T>& job) {
  const auto grid = transpose_grid(job, job.knots);
  const auto lut = pack_lut(job, portable_backend<T>());
  const auto rows = grid_positions(job.height, job.grid_height);
  std::vector<TileColumns> tiles((job.width + kTilePixels - 1) / kTilePixels);
  for (int x = 0; x < static_cast<int>(kTilePixels * tiles.size()); ++x) {
    tiles[x / kTilePixels].columns[x % kTilePixels] =
        grid_position(min(x, job.width - 1), job.width, job.grid_width);
  }
  const TilePlan<T> plan{job, make_scales(job), grid.get(), rows.data(), tiles.data(), lut.get()};
  dispatch_exposures(job.exposures, [&](auto count) { fuse_all_tiles<decltype(count)::value>(plan); });
}

// ---- choosing and running

template <class T>
Backend<T> backend_for(Path path) {
  switch (path) {
#if defined(LUTFUSE_X86)
    case Path::avx512: return avx512_backend<T>();
    case Path::avx2: return avx2_backend<T>();
#endif
    case Path::scalar: return {portable_backend<T>().pack, fuse_rows_scalar<T>};
    default: return portable_backend<T>();
  }
}

// Each thread starts on contiguous rows of its own, which suits prefetchers; they are the same at every call,
// so an image fused again is still in the right cache. It goes on with blocks that others have not reached,
// which makes up for a busy core.
template <class T>
void fuse_on_threads(const Plan<T>& plan, const Backend<T>& backend, int threads) {
  constexpr int kRows = 16;
  const int height = plan.job.height, blocks = (height + kRows - 1) / kRows;
  threads = min(threads, blocks);
  const size_t floats = round_up<size_t>(row_scratch_floats(plan), kCacheLineFloats);  // no false sharing
  const auto scratch = allocate<float>(floats * threads);
  std::vector<std::atomic<bool>> taken(blocks);
  const auto work = [&](int worker) {
    const auto first = static_cast<int>(static_cast<int64_t>(blocks) * worker / threads);
    for (int i = 0; i < blocks; ++i) {
      const int block = (first + i) % blocks;
      if (taken[block].exchange(true)) continue;
      backend.fuse_rows(plan, block * kRows, min((block + 1) * kRows, height),
                        scratch.get() + worker * floats);
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads);
  try {
    for (int worker = 1; worker < threads; ++worker) pool.emplace_back(work, worker);
  } catch (const std::exception&) {
    // The system gives no more threads: those that started, and this one, do all rows.
  }
  work(0);
  for (std::thread& thread : pool) thread.join();
}

}  // namespace

bool path_available(Path path) {
  switch (path) {
#if defined(LUTFUSE_X86)
    case Path::avx512:  // as of Ice Lake and Zen 4
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
             path_available(Path::avx2);
    case Path::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    case Path::avx512:
    case Path::avx2: return false;
#endif
    default: return true;
  }
}

template <class T>
void fuse_cpu(const Job<T>& job, int threads, Path path) {
  if (path == Path::tile) return fuse_tiles(job);
  // An AVX2 register holds eight knots; all other paths look up sixteen at no extra cost.
  const int pitch = path == Path::avx2 && job.knots <= 8 ? 8 : kMaxPitch;
  const auto grid = transpose_grid(job, pitch);
  const Backend<T> backend = backend_for<T>(path);
  const auto lut = pack_lut(job, backend);
  const auto fractions = allocate<float>(job.width + kCacheLineFloats * static_cast<size_t>(job.grid_width));
  const auto spans = make_spans(grid_positions(job.width, job.grid_width), fractions.get());
  const int patches = job.grid_width > 1 ? job.grid_width - 1 : 1, n_spans = static_cast<int>(spans.size());
  const Plan<T> plan{job, make_scales(job), pitch, patches, grid.get(), spans.data(), n_spans, lut.get()};
  fuse_on_threads(plan, backend, threads);
}
template void fuse_cpu(const Job<uint8_t>&, int, Path);
template void fuse_cpu(const Job<uint16_t>&, int, Path);

}  // namespace lutfuse
