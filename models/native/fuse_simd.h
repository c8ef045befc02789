// The SIMD row loop, for any vector type V of sixteen lanes; included by fuse_avx2.cpp and fuse_avx512.cpp before they
// define V.
//
// V offers
//   F and I                         lanes with the operations of fuse_math.h
//   load(float*), store(float*, F), store(int*, I)
//   lookup<pitch>(table, knot)      a luma knot's entry, for each lane
//   load(pixels, red, green, blue)
//   luma(pixels, luma)              8 bits: 2^26ths of a luma knot
//   Taps<T>                         where a chunk lands in the LUT; find(sum, scales, slot) fills sixteen slots
//   look_up(plan, taps, n, out)     a chunk's output
//   kTogether                       exposures to weigh in one loop: as many as there are registers for their tables
// and reads and writes nothing beyond the last pixel it is asked for.
//
// Note [stages]. A run of columns is worked through in chunks that stay in the L1 cache, one loop for each stage: weights of
//   an exposure or two, merge and place in the LUT, look-up. A pixel's operations are a long chain, and a processor looks
//   only so many operations ahead: in loops of short chains the next pixels begin while these are under way. So do the two
//   halves of F and I on AVX2. One loop for all stages, or two stages half a step apart, was a fifth slower on AVX-512.
#pragma once
#include <immintrin.h>

#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kLanes = 16;
constexpr int kChunk = 128;   // pixels
constexpr int kAhead = 1024;  // bytes before their use, pixels are asked for: a quarter of the time on AVX-512, 4 % on AVX2

template <class V, class T>
struct Staged {
  alignas(64) float weights[kMaxExposures][kChunk];
  typename V::template Taps<T> taps;
};

// ---- weights, sixteen pixels

template <class V>
LUTFUSE_INLINE void luma_at(const uint8_t* pixels, const Luma<uint8_t>& luma, typename V::I& knot, typename V::F& fraction) {
  luma_knot(V::luma(pixels, luma), knot, fraction);
}
template <class V>
LUTFUSE_INLINE void luma_at(const uint16_t* pixels, const Luma<uint16_t>& luma, typename V::I& knot, typename V::F& fraction) {
  typename V::F red, green, blue;
  V::load(pixels, red, green, blue);
  luma_knot(red, green, blue, luma, knot, fraction);
}

template <class V, int pitch, class T>
LUTFUSE_INLINE void weigh(const Luma<T>& luma, const T* pixels, const float* patch, typename V::F fx, float* weights) {
  typename V::F fraction;
  typename V::I knot;
  luma_at<V>(pixels, luma, knot, fraction);
  const Patch<typename V::F> patches{V::template lookup<pitch>(patch, knot), V::template lookup<pitch>(patch + pitch, knot),
                                     V::template lookup<pitch>(patch + 2 * pitch, knot),
                                     V::template lookup<pitch>(patch + 3 * pitch, knot)};
  V::store(weights, sliced(patches, fx, fraction));
}

// `together` exposures, whose tables follow each other.
template <class V, int pitch, int together, class T>
LUTFUSE_INLINE void weigh_chunk(const Luma<T> luma, const T* const* rows, const float* tables, const float* fractions, int n,
                                float (*weights)[kChunk]) {
  for (int i = 0; i < n; i += kLanes) {
    const typename V::F fx = V::load(fractions + i);
    for (int k = 0; k < together; ++k) {
      __builtin_prefetch(rows[k] + 3 * i + kAhead / sizeof(T));
      weigh<V, pitch>(luma, rows[k] + 3 * i, tables + 4 * pitch * k, fx, weights[k] + i);
    }
  }
}

// ---- merge, sixteen pixels. K == 0: the number of exposures is known at run time only.

template <class V, int K, class T>
LUTFUSE_INLINE Sum<typename V::F> merge(const T* const* rows, int exposures, int i, const Staged<V, T>& staged) {
  using F = typename V::F;
  Sum<F> sum;
  for (int k = 0; k < (K ? K : exposures); ++k) {
    F red, green, blue;
    V::load(rows[k] + 3 * i, red, green, blue);
    accumulate(sum, V::load(staged.weights[k] + i), red, green, blue);
  }
  return sum;
}

// What 16-bit pairs (line, green knot) are multiplied with, to make the bytes from the first node of 8 bits.
LUTFUSE_INLINE int line_and_node_bytes(int lut_size) {
  constexpr int bytes = sizeof(Node<uint8_t>);
  return lut_size * bytes | bytes << 16;
}

// Where pixels of 16 bits land, on either instruction set.
template <class V>
struct DeepTaps {
  alignas(64) int node[kChunk];  // bytes from the LUT's first node
  alignas(64) float red[kChunk], green[kChunk], blue[kChunk];
  LUTFUSE_INLINE void find(const Sum<typename V::F>& sum, const Scales<uint16_t>& s, int slot) {
    Taps<uint16_t, typename V::F, typename V::I> taps;
    find_taps(sum, s, taps);
    V::store(node + slot, taps.node << 4);
    V::store(red + slot, taps.red);
    V::store(green + slot, taps.green);
    V::store(blue + slot, taps.blue);
  }
};

// ---- rows

// A run of at least kLanes columns. Its last chunk moves back to end with the run: pixels done twice come out the same,
// and nothing outside the run is touched.
template <class V, int K, int pitch, class T>
LUTFUSE_INLINE void fuse_run(const Plan<T>& plan, const T* const* rows, const float* patch, const Run& run,
                             Staged<V, T>& staged, T* out) {
  const int exposures = K ? K : plan.job.exposures;
  const int most = smaller(kChunk, (run.end - run.begin) / kLanes * kLanes);
  for (int x = run.begin, n; x < run.end; x += n) {
    n = smaller(most, (run.end - x + kLanes - 1) / kLanes * kLanes);
    x = smaller(x, run.end - n);
    const float* fractions = run.fractions + (x - run.begin);
    const T* at[kMaxExposures];
    for (int k = 0; k < exposures; ++k) at[k] = rows[k] + 3 * static_cast<int64_t>(x);
    int k = 0;
    for (; k + V::kTogether <= exposures; k += V::kTogether) {
      weigh_chunk<V, pitch, V::kTogether>(plan.scales.luma, at + k, patch + 4 * pitch * k, fractions, n, staged.weights + k);
    }
    for (; k < exposures; ++k) {
      weigh_chunk<V, pitch, 1>(plan.scales.luma, at + k, patch + 4 * pitch * k, fractions, n, staged.weights + k);
    }
    for (int i = 0; i < n; i += kLanes) staged.taps.find(merge<V, K>(at, exposures, i, staged), plan.scales, i);
    V::look_up(plan, staged.taps, n, out + 3 * static_cast<int64_t>(x));
  }
}

template <class V, int K, int pitch, class T>
void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  const Job<T>& job = plan.job;
  const int patch_floats = job.exposures * 4 * pitch;
  Staged<V, T> staged;
  for (int y = first; y < last; ++y) {
    build_row_table<pitch>(plan, y, scratch, scratch + plan.patches * patch_floats);
    const T* rows[kMaxExposures];
    for (int k = 0; k < job.exposures; ++k) rows[k] = job.images[k] + y * job.image_strides[k];
    for (int r = 0; r < plan.n_runs; ++r) {
      const Run& run = plan.runs[r];
      const float* patch = scratch + run.cell * patch_floats;
      if (run.end - run.begin >= kLanes) {
        fuse_run<V, K, pitch>(plan, rows, patch, run, staged, job.out + y * job.out_stride);
      } else {
        for (int x = run.begin; x < run.end; ++x) fuse_pixel(plan, patch, run, y, x);
      }
    }
  }
}

// Pairs and triples are most brackets, nine exposures the most work: their loops are unrolled.
template <class V, int pitch, class T>
void fuse_rows_of(const Plan<T>& plan, int first, int last, float* scratch) {
  switch (plan.job.exposures) {
    case 2: return fuse_rows<V, 2, pitch>(plan, first, last, scratch);
    case 3: return fuse_rows<V, 3, pitch>(plan, first, last, scratch);
    case 9: return fuse_rows<V, 9, pitch>(plan, first, last, scratch);
    default: return fuse_rows<V, 0, pitch>(plan, first, last, scratch);
  }
}

}  // namespace
}  // namespace lutfuse
