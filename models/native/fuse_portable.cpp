// Plain C++ in loops that compilers can vectorise, for machines without hand-written code, such as Arm.
//
// Fused multiply-add is an instruction on every 64-bit Arm and on x86 since 2013; on older x86 it is a
// library call, slow but right. The body is compiled a second time for x86 with the instruction.
#include "fuse_plan.h"

namespace lutfuse {
namespace {

// A structure of arrays: neighbouring pixels in neighbouring lanes.
struct Chunk {
  float red[kChunk], green[kChunk], blue[kChunk], fraction[kChunk];
  int knot[kChunk];
  float value[kChunk], dx[kChunk], dz[kChunk], dxdz[kChunk];
  float sum_red[kChunk], sum_green[kChunk], sum_blue[kChunk], sum_weight[kChunk];
};

template <class T>
struct ChunkTaps;
template <>
struct ChunkTaps<uint8_t> {
  int node[kChunk], weights[4][kChunk];
  LUTFUSE_INLINE void set(int i, const Taps<uint8_t>& taps) {
    node[i] = taps.node;
    for (int e = 0; e < 4; ++e) weights[e][i] = taps.weights[e / 2][e % 2];
  }
  LUTFUSE_INLINE Taps<uint8_t> get(int i) const {
    return {node[i], {{weights[0][i], weights[1][i]}, {weights[2][i], weights[3][i]}}};
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
LUTFUSE_INLINE void add_exposure(const T* __restrict pixels, const float* __restrict patch,
                                 const float* __restrict fx, const Scales<T> scales, int n,
                                 Chunk& __restrict c) {
  for (int i = 0; i < n; ++i) {
    c.red[i] = pixels[3 * i];
    c.green[i] = pixels[3 * i + 1];
    c.blue[i] = pixels[3 * i + 2];
  }
  for (int i = 0; i < n; ++i) {
    find_luma_knot(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], scales.luma, c.knot[i],
                   c.fraction[i]);
  }
  for (int i = 0; i < n; ++i) {
    const float* entry = patch + c.knot[i];
    c.value[i] = entry[0];
    c.dx[i] = entry[kMaxPitch];
    c.dz[i] = entry[2 * kMaxPitch];
    c.dxdz[i] = entry[3 * kMaxPitch];
  }
  for (int i = 0; i < n; ++i) {
    Sum<float> sum{c.sum_red[i], c.sum_green[i], c.sum_blue[i], c.sum_weight[i]};
    const Patch<float> weights{c.value[i], c.dx[i], c.dz[i], c.dxdz[i]};
    accumulate(sum, slice(weights, fx[i], c.fraction[i]), c.red[i], c.green[i], c.blue[i]);
    c.sum_red[i] = sum.red;
    c.sum_green[i] = sum.green;
    c.sum_blue[i] = sum.blue;
    c.sum_weight[i] = sum.weight;
  }
}

template <class T>
LUTFUSE_INLINE void interpolate_chunk(const Chunk& __restrict c, const Scales<T> scales,
                                      const Node<T>* __restrict lut, int n,
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
  Chunk chunk;
  ChunkTaps<T> taps;
  const auto fuse_span = [&](int y, const Span& span, const float* patch) __attribute__((always_inline)) {
    for (int x = span.begin; x < span.end; x += kChunk) {
      const int n = min(kChunk, span.end - x);
      for (int i = 0; i < n; ++i) {
        chunk.sum_red[i] = chunk.sum_green[i] = chunk.sum_blue[i] = chunk.sum_weight[i] = 0.f;
      }
      for (int k = 0; k < job.exposures; ++k) {
        add_exposure(image_pixel(job, k, y, x), patch + k * 4 * kMaxPitch, span.fractions + (x - span.begin),
                     plan.scales, n, chunk);
      }
      interpolate_chunk(chunk, plan.scales, plan.lut, n, taps, out_pixel(job, y, x));
    }
  };
  for_each_span<kMaxPitch>(plan, first, last, scratch, fuse_span);
}

template <class T>
void fuse_rows_baseline(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows(plan, first, last, scratch);
}

#if defined(__x86_64__) && !defined(__FMA__)
template <class T>
__attribute__((target("avx2,fma"))) void fuse_rows_fma(const Plan<T>& plan, int first, int last,
                                                       float* scratch) {
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
Backend<T> portable_backend() {
  return {pack_nodes, has_fma() ? fuse_rows_fma<T> : fuse_rows_baseline<T>};
}
template Backend<uint8_t> portable_backend();
template Backend<uint16_t> portable_backend();

}  // namespace lutfuse
