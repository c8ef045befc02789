// The SIMD row loop, for any vector type V of sixteen lanes. fuse_avx2.cpp and fuse_avx512.cpp include it and
// then define V.
//
// V offers
//   F and I                            lanes with the operations of fuse_math.h
//   load(float*), store(float*, F), store(int*, I)
//   load_rgb(pixels, red, green, blue)
//   luma(pixels, coefficients)         8 bits: luma in fixed point, as find_luma_knot takes it
//   table_lookup<pitch>(table, knot)   each lane's luma knot's entry
//   ChunkTaps<T>                       a chunk's taps; find(sum, scales, i) sets those of pixels i...i + 15
//   interpolate(plan, taps, n, out)    output of a chunk's first n pixels
//   kExposuresPerLoop                  how many exposures' tables fit the registers, to be sliced in one loop
// and accesses nothing beyond the last pixel it is asked for.
//
// Note [stages]. Spans are processed in chunks, with one loop per stage: weights of an exposure or two, then
//   merge and taps, then interpolation. A pixel's operations are one long dependency chain, and out-of-order
//   execution looks only so far ahead; in a loop of short chains the next pixels start while these are in
//   flight. So do the two halves of F and I on AVX2. On AVX-512, a single loop for all stages was a fifth
//   slower, and so were two stages interleaved half a step apart.
#pragma once
#include <immintrin.h>

#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kLanes = 16;
// Prefetching pixels this far ahead saves a quarter of the time on AVX-512, 4 % on AVX2.
constexpr int kPrefetchBytes = 1024;

template <class V, class T>
struct Buffers {  // what one stage leaves for the next
  alignas(64) float weights[kExposures.max][kChunk];
  typename V::template ChunkTaps<T> taps;
};

// ---- weights, sixteen pixels

template <class V>
LUTFUSE_INLINE void load_luma_knot(const uint8_t* pixels, const LumaCoefficients<uint8_t>& to_luma,
                                   typename V::I& knot, typename V::F& fraction) {
  find_luma_knot(V::luma(pixels, to_luma), knot, fraction);
}
template <class V>
LUTFUSE_INLINE void load_luma_knot(const uint16_t* pixels, const LumaCoefficients<uint16_t>& to_luma,
                                   typename V::I& knot, typename V::F& fraction) {
  typename V::F red, green, blue;
  V::load_rgb(pixels, red, green, blue);
  find_luma_knot(red, green, blue, to_luma, knot, fraction);
}

template <class V, int pitch, class T>
LUTFUSE_INLINE void slice_pixels(const LumaCoefficients<T>& to_luma, const T* pixels, const float* table,
                                 typename V::F fx, float* weights) {
  typename V::F fraction;
  typename V::I knot;
  load_luma_knot<V>(pixels, to_luma, knot, fraction);
  const Patch<typename V::F> patch{V::template table_lookup<pitch>(table, knot),
                                   V::template table_lookup<pitch>(table + pitch, knot),
                                   V::template table_lookup<pitch>(table + 2 * pitch, knot),
                                   V::template table_lookup<pitch>(table + 3 * pitch, knot)};
  V::store(weights, slice(patch, fx, fraction));
}

// Several exposures, whose tables follow each other.
template <class V, int pitch, int exposures, class T>
LUTFUSE_INLINE void slice_chunk(const LumaCoefficients<T> to_luma, const T* const* pixels,
                                const float* tables, const float* fractions, int n,
                                float (*weights)[kChunk]) {
  for (int i = 0; i < n; i += kLanes) {
    const typename V::F fx = V::load(fractions + i);
    for (int k = 0; k < exposures; ++k) {
      __builtin_prefetch(pixels[k] + 3 * i + kPrefetchBytes / sizeof(T));
      slice_pixels<V, pitch>(to_luma, pixels[k] + 3 * i, tables + 4 * pitch * k, fx, weights[k] + i);
    }
  }
}

// ---- merge, sixteen pixels

template <class V, class T>
LUTFUSE_INLINE Sum<typename V::F> merge(const T* const* pixels, int exposures, int i,
                                        const Buffers<V, T>& buffers) {
  using F = typename V::F;
  Sum<F> sum;
  for (int k = 0; k < exposures; ++k) {
    F red, green, blue;
    V::load_rgb(pixels[k] + 3 * i, red, green, blue);
    accumulate(sum, V::load(buffers.weights[k] + i), red, green, blue);
  }
  return sum;
}

// ---- taps

// 8 bits: the factors that turn a pair of 16-bit lanes, blue * N + red and green, into a node's byte offset.
LUTFUSE_INLINE int node_byte_factors(int lut_size) {
  constexpr int bytes = sizeof(Node<uint8_t>);
  return lut_size * bytes | bytes << 16;
}

// Bytes from a node to the next one along blue.
template <class T>
LUTFUSE_INLINE int64_t blue_stride(const Plan<T>& plan) {
  return static_cast<int64_t>(plan.job.lut_size) * plan.job.lut_size * sizeof(Node<T>);
}

template <class V>
struct ChunkTaps16 {             // 16 bits per channel
  alignas(64) int node[kChunk];  // byte offset in the LUT
  alignas(64) float red[kChunk], green[kChunk], blue[kChunk];
  LUTFUSE_INLINE void find(const Sum<typename V::F>& sum, const Scales<uint16_t>& s, int i) {
    Taps<uint16_t, typename V::F, typename V::I> taps;
    find_taps(sum, s, taps);
    static_assert(sizeof(Node<uint16_t>) == 1 << 4);
    V::store(node + i, taps.node << 4);
    V::store(red + i, taps.red);
    V::store(green + i, taps.green);
    V::store(blue + i, taps.blue);
  }
};

// ---- rows

// A span of at least kLanes columns. Its last chunk moves back to end with the span: pixels fused twice come
// out the same, and nothing outside the span is touched. K == 0: any number of exposures.
template <class V, int K, int pitch, class T>
LUTFUSE_INLINE void fuse_span(const Plan<T>& plan, const float* patch, const Span& span, int y,
                              Buffers<V, T>& buffers) {
  const Job<T>& job = plan.job;
  const int exposures = K ? K : job.exposures;
  const int longest = min(kChunk, (span.end - span.begin) / kLanes * kLanes);
  for (int x = span.begin, n; x < span.end; x += n) {
    n = min(longest, (span.end - x + kLanes - 1) / kLanes * kLanes);
    x = min(x, span.end - n);
    const float* fractions = span.fractions + (x - span.begin);
    const T* pixels[kExposures.max];
    for (int k = 0; k < exposures; ++k) pixels[k] = image_pixel(job, k, y, x);
    int k = 0;
    for (; k + V::kExposuresPerLoop <= exposures; k += V::kExposuresPerLoop) {
      slice_chunk<V, pitch, V::kExposuresPerLoop>(plan.scales.luma, pixels + k, patch + 4 * pitch * k,
                                                  fractions, n, buffers.weights + k);
    }
    for (; k < exposures; ++k) {
      slice_chunk<V, pitch, 1>(plan.scales.luma, pixels + k, patch + 4 * pitch * k, fractions, n,
                               buffers.weights + k);
    }
    for (int i = 0; i < n; i += kLanes) {
      buffers.taps.find(merge<V>(pixels, exposures, i, buffers), plan.scales, i);
    }
    V::interpolate(plan, buffers.taps, n, out_pixel(job, y, x));
  }
}

template <class V, int pitch, class T>
void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  dispatch_exposures(plan.job.exposures, [&](auto count) {
    Buffers<V, T> buffers;
    const auto fuse = [&](int y, const Span& span, const float* patch) __attribute__((always_inline)) {
      if (span.end - span.begin >= kLanes) {
        fuse_span<V, decltype(count)::value, pitch>(plan, patch, span, y, buffers);
      } else {
        for (int x = span.begin; x < span.end; ++x) fuse_pixel<pitch>(plan, patch, span, y, x);
      }
    };
    for_each_span<pitch>(plan, first, last, scratch, fuse);
  });
}

}  // namespace
}  // namespace lutfuse
