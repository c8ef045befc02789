// Plain C++ in loops a compiler can vectorise: the path of machines without hand-written code (Arm among them).
//
// Fused multiply-add is native on every 64-bit Arm and on x86 since 2013; on older x86 it is a library call,
// slow but right. So that x86 compilers may use the instruction, the same body is compiled a second time for it.
#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kChunk = 128;  // pixels; the arrays below stay in the L1 cache
constexpr int kPitch = 16;

// Arrays of each quantity, not of structures: neighbouring pixels in neighbouring lanes.
struct Chunk {
  float red[kChunk], green[kChunk], blue[kChunk], fraction[kChunk];
  int knot[kChunk];
  float value[kChunk], column[kChunk], luma[kChunk], both[kChunk];
  float sum_red[kChunk], sum_green[kChunk], sum_blue[kChunk], sum_weight[kChunk];
};

template <class T>
struct ChunkTaps;
template <>
struct ChunkTaps<uint8_t> {
  int node[kChunk], shares[4][kChunk];
  LUTFUSE_INLINE void set(int i, const Taps<uint8_t>& taps) {
    node[i] = taps.node;
    for (int e = 0; e < 4; ++e) shares[e][i] = taps.shares[e / 2][e % 2];
  }
  LUTFUSE_INLINE Taps<uint8_t> get(int i) const {
    return {node[i], {{shares[0][i], shares[1][i]}, {shares[2][i], shares[3][i]}}};
  }
};
template <>
struct ChunkTaps<uint16_t> {
  int node[kChunk];
  float red[kChunk], green[kChunk], blue[kChunk];
  LUTFUSE_INLINE void set(int i, const Taps<uint16_t>& taps) {
    node[i] = taps.node;
    red[i] = taps.red;
    green[i] = taps.green;
    blue[i] = taps.blue;
  }
  LUTFUSE_INLINE Taps<uint16_t> get(int i) const { return {node[i], red[i], green[i], blue[i]}; }
};

template <class T>
LUTFUSE_INLINE void add_exposure(const T* __restrict pixels, const float* __restrict patch, const float* __restrict fx,
                                 const Scales<T> scales, int n, Chunk& __restrict c) {
  for (int i = 0; i < n; ++i) {
    c.red[i] = pixels[3 * i];
    c.green[i] = pixels[3 * i + 1];
    c.blue[i] = pixels[3 * i + 2];
  }
  for (int i = 0; i < n; ++i) {
    luma_knot(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], scales.luma, c.knot[i], c.fraction[i]);
  }
  for (int i = 0; i < n; ++i) {
    const float* at = patch + c.knot[i];
    c.value[i] = at[0];
    c.column[i] = at[kPitch];
    c.luma[i] = at[2 * kPitch];
    c.both[i] = at[3 * kPitch];
  }
  for (int i = 0; i < n; ++i) {
    Sum<float> sum{c.sum_red[i], c.sum_green[i], c.sum_blue[i], c.sum_weight[i]};
    const Patch<float> weights{c.value[i], c.column[i], c.luma[i], c.both[i]};
    accumulate(sum, sliced(weights, fx[i], c.fraction[i]), c.red[i], c.green[i], c.blue[i]);
    c.sum_red[i] = sum.red;
    c.sum_green[i] = sum.green;
    c.sum_blue[i] = sum.blue;
    c.sum_weight[i] = sum.weight;
  }
}

template <class T>
LUTFUSE_INLINE void look_up(const Chunk& __restrict c, const Scales<T> scales, const Node<T>* __restrict lut, int n,
                            ChunkTaps<T>& __restrict chunk_taps, T* __restrict out) {
  for (int i = 0; i < n; ++i) {
    const Sum<float> sum{c.sum_red[i], c.sum_green[i], c.sum_blue[i], c.sum_weight[i]};
    Taps<T> taps;
    find_taps(sum, scales, taps);
    chunk_taps.set(i, taps);
  }
  for (int i = 0; i < n; ++i) {
    int rgb[3];
    interpolate(chunk_taps.get(i), lut, scales.lut_size, rgb);
    for (int channel = 0; channel < 3; ++channel) out[3 * i + channel] = static_cast<T>(rgb[channel]);
  }
}

template <class T>
LUTFUSE_INLINE void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  const Job<T>& job = plan.job;
  const int patch_floats = job.exposures * 4 * kPitch;
  Chunk chunk;
  ChunkTaps<T> taps;
  for (int y = first; y < last; ++y) {
    build_row_table<kPitch>(plan, y, scratch, scratch + plan.patches * patch_floats);
    for (int r = 0; r < plan.n_runs; ++r) {
      const Run& run = plan.runs[r];
      const float* patch = scratch + run.cell * patch_floats;
      for (int x = run.begin; x < run.end; x += kChunk) {
        const int n = smaller(kChunk, run.end - x);
        const int64_t at = 3 * static_cast<int64_t>(x);
        for (int i = 0; i < n; ++i) chunk.sum_red[i] = chunk.sum_green[i] = chunk.sum_blue[i] = chunk.sum_weight[i] = 0.f;
        for (int k = 0; k < job.exposures; ++k) {
          add_exposure(job.images[k] + y * job.image_strides[k] + at, patch + k * 4 * kPitch, run.fractions + (x - run.begin),
                       plan.scales, n, chunk);
        }
        look_up(chunk, plan.scales, plan.lut, n, taps, job.out + y * job.out_stride + at);
      }
    }
  }
}

template <class T>
void fuse_rows_baseline(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows(plan, first, last, scratch);
}

#if defined(__x86_64__) && !defined(__FMA__)
template <class T>
__attribute__((target("avx2,fma"))) void fuse_rows_fma(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows(plan, first, last, scratch);
}
bool has_fma() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
template <class T>
void fuse_rows_fma(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows(plan, first, last, scratch);
}
bool has_fma() { return true; }
#endif

}  // namespace

template <class T>
Functions<T> functions_portable() {
  return {pack_nodes, has_fma() ? fuse_rows_fma<T> : fuse_rows_baseline<T>};
}
template Functions<uint8_t> functions_portable();
template Functions<uint16_t> functions_portable();

}  // namespace lutfuse
