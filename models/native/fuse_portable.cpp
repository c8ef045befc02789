// Plain C++ in loops a compiler can vectorise: the path of machines without hand-written code (Arm among them).
//
// Fused multiply-add is native on every 64-bit Arm and on x86 since 2013; on older x86 it is a library call,
// slow but right. So that x86 compilers may use the instruction, the same body is compiled a second time for it.
#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kChunk = 128;  // pixels; the arrays below stay in the L1 cache

struct Chunk {
  float red[kChunk], green[kChunk], blue[kChunk];
  float fraction[kChunk];
  int knot[kChunk];
  Patch<float> patch[kChunk];
  Sum<float> sum[kChunk];
};

template <class T>
LUTFUSE_INLINE void merge_chunk(const Plan<T>& plan, const float* patch, int y, int x, int n, Chunk& c) {
  const Job<T>& job = plan.job;
  const Scales scales = plan.scales;
  const float* fx = plan.column_fraction + x;
  for (int i = 0; i < n; ++i) c.sum[i] = Sum<float>{};
  for (int k = 0; k < job.exposures; ++k, patch += 4 * plan.pitch) {
    const T* pixels = job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x);
    for (int i = 0; i < n; ++i) {
      c.red[i] = pixels[3 * i];
      c.green[i] = pixels[3 * i + 1];
      c.blue[i] = pixels[3 * i + 2];
      luma_knot(c.red[i], c.green[i], c.blue[i], scales, c.knot[i], c.fraction[i]);
    }
    for (int i = 0; i < n; ++i) {
      const float* at = patch + c.knot[i];
      c.patch[i] = {at[0], at[plan.pitch], at[2 * plan.pitch], at[3 * plan.pitch]};
    }
    for (int i = 0; i < n; ++i) {
      accumulate(c.sum[i], sliced(c.patch[i], fx[i], c.fraction[i]), c.red[i], c.green[i], c.blue[i]);
    }
  }
}

template <class T>
LUTFUSE_INLINE void look_up_chunk(const Plan<T>& plan, int y, int x, int n, const Chunk& c) {
  const int lut_size = plan.job.lut_size;
  Taps<T, float, int> taps[kChunk];
  for (int i = 0; i < n; ++i) find_taps(c.sum[i], plan.scales, taps[i]);
  T* out = plan.job.out + y * plan.job.out_stride + 3 * static_cast<int64_t>(x);
  for (int i = 0; i < n; ++i) {
    int rgb[3];
    interpolate(taps[i], plan.lut, lut_size, rgb);
    for (int channel = 0; channel < 3; ++channel) out[3 * i + channel] = static_cast<T>(rgb[channel]);
  }
}

template <int pitch, class T>
LUTFUSE_INLINE void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  const int patch_floats = plan.job.exposures * 4 * pitch;
  Chunk chunk;
  for (int y = first; y < last; ++y) {
    build_row_table<pitch>(plan, y, scratch, scratch + plan.patches * patch_floats);
    for (int r = 0; r < plan.n_runs; ++r) {
      const Run& run = plan.runs[r];
      const float* patch = scratch + run.cell * patch_floats;
      for (int x = run.begin; x < run.end; x += kChunk) {
        const int n = smaller(kChunk, run.end - x);
        merge_chunk(plan, patch, y, x, n, chunk);
        look_up_chunk(plan, y, x, n, chunk);
      }
    }
  }
}

template <class T>
void fuse_rows_baseline(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows<16>(plan, first, last, scratch);
}

#if defined(__x86_64__) && !defined(__FMA__)
template <class T>
__attribute__((target("avx,fma"))) void fuse_rows_fma(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows<16>(plan, first, last, scratch);
}
#else
template <class T>
void fuse_rows_fma(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows_baseline(plan, first, last, scratch);
}
#endif

bool has_fma() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace

template <class T>
void fuse_rows_portable(const Plan<T>& plan, int first, int last, float* scratch) {
  if (has_fma()) return fuse_rows_fma(plan, first, last, scratch);
  fuse_rows_baseline(plan, first, last, scratch);
}
template void fuse_rows_portable(const Plan<uint8_t>&, int, int, float*);
template void fuse_rows_portable(const Plan<uint16_t>&, int, int, float*);

}  // namespace lutfuse
