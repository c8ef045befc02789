// The CPU's side: prepare what all rows share, choose the path, share the rows among threads.
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "fuse_plan.h"
#include "fuse_tile.h"

namespace lutfuse {
namespace {

struct FreeDeleter {
  void operator()(void* p) const { ::operator delete(p, std::align_val_t(64)); }
};
template <class T>
using Buffer = std::unique_ptr<T[], FreeDeleter>;

constexpr int kAligned = 16;  // floats in a cache line

template <class T>
Buffer<T> allocate(size_t count) {  // not initialised, 64-byte aligned
  const size_t bytes = count * sizeof(T);
  Buffer<T> buffer(static_cast<T*>(::operator new(bytes, std::align_val_t(64))));
#if defined(__linux__)
  // Touching a large LUT for the first time in 4 KiB pages would take longer than filling it.
  constexpr uintptr_t kPage = 4096;
  const auto start = (reinterpret_cast<uintptr_t>(buffer.get()) + kPage - 1) / kPage * kPage;
  if (bytes >= 4u << 20) madvise(reinterpret_cast<void*>(start), bytes - kPage, MADV_HUGEPAGE);  // advice: may fail
#endif
  return buffer;
}

// [K][D][Gh][Gw] to [K][Gh][Gw][pitch]: the knots of a cell next to each other, padded with the last one.
template <class T>
Buffer<float> transposed_grid(const Job<T>& job, int pitch) {
  const int cells = job.grid_height * job.grid_width;
  auto grid = allocate<float>(static_cast<size_t>(job.exposures) * cells * pitch);
  for (int k = 0; k < job.exposures; ++k) {
    for (int cell = 0; cell < cells; ++cell) {
      for (int z = 0; z < pitch; ++z) {
        const float value = job.grid[(static_cast<int64_t>(k) * job.knots + smaller(z, job.knots - 1)) * cells + cell];
        grid[(static_cast<int64_t>(k) * cells + cell) * pitch + z] = cleaned(value, kMaxWeight);
      }
    }
  }
  return grid;
}

template <class T>
Buffer<Node<T>> packed_lut(const Job<T>& job, const Functions<T>& functions) {
  const size_t n = job.lut_size;
  auto nodes = allocate<Node<T>>(n * n * n);
  functions.pack(job.lut, job.lut_size, allocate<int16_t>(3 * n * n + 8).get(), nodes.get());
  return nodes;
}

std::vector<Position> positions_of(int pixels, int cells) {
  std::vector<Position> positions(pixels);
  for (int i = 0; i < pixels; ++i) positions[i] = position_of(i, pixels, cells);
  return positions;
}

// `fractions` has room for the columns and for what aligns each run's.
std::vector<Run> runs_of(const std::vector<Position>& columns, float* fractions) {
  std::vector<Run> runs;
  for (int x = 0; x < static_cast<int>(columns.size()); ++x) {
    if (runs.empty() || runs.back().cell != columns[x].cell) {
      if (!runs.empty()) fractions += (runs.back().end - runs.back().begin + kAligned - 1) / kAligned * kAligned;
      runs.push_back({x, x, columns[x].cell, fractions});
    }
    fractions[x - runs.back().begin] = columns[x].fraction;
    runs.back().end = x + 1;
  }
  return runs;
}

// ---- the reference: one pixel after the other

template <class T>
void fuse_rows_scalar(const Plan<T>& plan, int first, int last, float* scratch) {
  const int patch_floats = plan.job.exposures * 4 * plan.pitch;
  for (int y = first; y < last; ++y) {
    build_row_table<16>(plan, y, scratch, scratch + plan.patches * patch_floats);
    for (int r = 0; r < plan.n_runs; ++r) {
      const Run& run = plan.runs[r];
      for (int x = run.begin; x < run.end; ++x) fuse_pixel(plan, scratch + run.cell * patch_floats, run, y, x);
    }
  }
}

// ---- the CUDA kernel's body, one tile after the other

template <class T, int K>
void fuse_tiles_of(const TilePlan<T>& plan) {
  const Job<T>& job = plan.job;
  for (int y = 0; y < job.height; ++y) {
    const auto patch = [&](int k, int cell, int knot) { return patch_at(plan, plan.rows[y], k, cell, knot); };
    for (int x = 0; x < job.width; x += kTile) {
      const size_t bytes = 3 * sizeof(T) * smaller(kTile, job.width - x);
      const auto read = [&](int k) {
        Words<T> words{};
        std::memcpy(words.word, job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x), bytes);
        return words;
      };
      const Words<T> fused = fuse_tile<K>(plan, plan.columns[x / kTile], read, patch);
      std::memcpy(job.out + y * job.out_stride + 3 * static_cast<int64_t>(x), fused.word, bytes);
    }
  }
}

template <class T>
void fuse_tiles(const Job<T>& job) {
  const auto grid = transposed_grid(job, job.knots);
  const auto lut = packed_lut(job, functions_portable<T>());
  const auto rows = positions_of(job.height, job.grid_height);
  std::vector<Columns> columns((job.width + kTile - 1) / kTile);
  for (size_t x = 0; x < kTile * columns.size(); ++x) {
    columns[x / kTile].of[x % kTile] = position_of(smaller(static_cast<int>(x), job.width - 1), job.width, job.grid_width);
  }
  const TilePlan<T> plan{job, scales_of(job), grid.get(), rows.data(), columns.data(), lut.get()};
  switch (job.exposures) {
    case 2: return fuse_tiles_of<T, 2>(plan);
    case 3: return fuse_tiles_of<T, 3>(plan);
    default: return fuse_tiles_of<T, 0>(plan);
  }
}

// ---- choosing and running

template <class T>
Functions<T> functions_of(Path path) {
  switch (path) {
#if defined(LUTFUSE_X86)
    case Path::avx512: return functions_avx512<T>();
    case Path::avx2: return functions_avx2<T>();
#endif
    case Path::scalar: return {functions_portable<T>().pack, fuse_rows_scalar<T>};
    default: return functions_portable<T>();
  }
}

// Each thread begins with a stretch of its own, long enough for prefetchers, the same at every call, so that an image fused
// again is still in the right cache. Then it goes on through what the others have left: that evens out a busy core.
template <class T>
void run_rows(const Plan<T>& plan, const Functions<T>& functions, int threads) {
  constexpr int kRows = 16;
  const int height = plan.job.height, blocks = (height + kRows - 1) / kRows;
  threads = smaller(threads, blocks);
  const size_t floats = (row_scratch_floats(plan) + kAligned - 1) / kAligned * kAligned;  // no two threads share a cache line
  const auto scratch = allocate<float>(floats * threads);
  std::vector<std::atomic<bool>> taken(blocks);
  const auto work = [&](int worker) {
    const auto first = static_cast<int>(static_cast<int64_t>(blocks) * worker / threads);
    for (int i = 0; i < blocks; ++i) {
      const int block = (first + i) % blocks;
      if (taken[block].exchange(true)) continue;
      functions.fuse_rows(plan, block * kRows, smaller((block + 1) * kRows, height), scratch.get() + worker * floats);
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads);
  try {
    for (int worker = 1; worker < threads; ++worker) pool.emplace_back(work, worker);
  } catch (const std::exception&) {
    // The machine gives no more threads: those that started, and this one, do all the rows.
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
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") && path_available(Path::avx2);
    case Path::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    case Path::avx512:
    case Path::avx2: return false;
#endif
    default: return true;
  }
}

Path fastest_path() {
  for (const Path path : {Path::avx512, Path::avx2}) {
    if (path_available(path)) return path;
  }
  return Path::portable;
}

template <class T>
void fuse_cpu(const Job<T>& job, int threads, Path path) {
  if (path == Path::tile) return fuse_tiles(job);
  // Only AVX2 has registers of eight knots; all others look sixteen up at no extra cost.
  const int pitch = path == Path::avx2 && job.knots <= 8 ? 8 : 16;
  const auto grid = transposed_grid(job, pitch);
  const Functions<T> functions = functions_of<T>(path);
  const auto lut = packed_lut(job, functions);
  const auto fractions = allocate<float>(job.width + kAligned * static_cast<size_t>(job.grid_width));
  const auto runs = runs_of(positions_of(job.width, job.grid_width), fractions.get());
  const Plan<T> plan{job,        scales_of(job), pitch,      job.grid_width > 1 ? job.grid_width - 1 : 1,
                     grid.get(), runs.data(),    static_cast<int>(runs.size()), lut.get()};
  run_rows(plan, functions, threads);
}
template void fuse_cpu(const Job<uint8_t>&, int, Path);
template void fuse_cpu(const Job<uint16_t>&, int, Path);

}  // namespace lutfuse
