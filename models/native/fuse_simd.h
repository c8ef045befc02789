// The SIMD row loop, for any vector type V; included by fuse_avx2.cpp and fuse_avx512.cpp after they define V.
//
// V offers: F and I (lanes with the operations of fuse_math.h), width, load(pixels, red, green, blue) without
// reading beyond V::width pixels, lookup<pitch>(table, knot), store(int*, I), store(float*, F), load_floats.
// A run of columns is worked through in chunks that stay in the L1 cache: first merge and find all taps, then
// gather LUT nodes, so that the gathers of many pixels are in flight together.
#pragma once
#include <immintrin.h>

#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kChunk = 128;  // pixels

template <class T>
struct Staged;
template <>
struct Staged<uint8_t> {
  alignas(64) int node[kChunk];  // bytes from the LUT's first node
  alignas(64) int shares[4][kChunk];
};
template <>
struct Staged<uint16_t> {
  alignas(64) int node[kChunk];
  alignas(64) float red[kChunk], green[kChunk], blue[kChunk];
};

template <class V>
LUTFUSE_INLINE void stage(const Taps<uint8_t, typename V::F, typename V::I>& taps, int at, Staged<uint8_t>& staged) {
  V::store(staged.node + at, taps.node << 4);
  for (int e = 0; e < 4; ++e) V::store(staged.shares[e] + at, taps.shares[e]);
}
template <class V>
LUTFUSE_INLINE void stage(const Taps<uint16_t, typename V::F, typename V::I>& taps, int at, Staged<uint16_t>& staged) {
  V::store(staged.node + at, taps.node << 4);
  V::store(staged.red + at, taps.red);
  V::store(staged.green + at, taps.green);
  V::store(staged.blue + at, taps.blue);
}

// Merges V::width pixels from column x on. K == 0: the number of exposures is known at run time only.
template <class V, int K, int pitch, class T>
LUTFUSE_INLINE void merge_lanes(const Plan<T>& plan, const T* const* rows, const float* patch, int x, int at,
                                Staged<T>& staged) {
  using F = typename V::F;
  using I = typename V::I;
  const int exposures = K ? K : plan.job.exposures;
  const F fx = V::load_floats(plan.column_fraction + x);
  Sum<F> sum;
  for (int k = 0; k < exposures; ++k, patch += 4 * pitch) {
    F red, green, blue, fraction;
    I knot;
    V::load(rows[k] + 3 * static_cast<int64_t>(x), red, green, blue);
    luma_knot(red, green, blue, plan.scales, knot, fraction);
    const Patch<F> weights{V::template lookup<pitch>(patch, knot), V::template lookup<pitch>(patch + pitch, knot),
                           V::template lookup<pitch>(patch + 2 * pitch, knot),
                           V::template lookup<pitch>(patch + 3 * pitch, knot)};
    accumulate(sum, sliced(weights, fx, fraction), red, green, blue);
  }
  Taps<T, F, I> taps;
  find_taps(sum, plan.scales, taps);
  stage<V>(taps, at, staged);
}

struct Edges {  // where the four (blue, green) edges of the LUT's first cell start
  const char* start[4];
};

// ---- eight output pixels, 8 bits: pixel i shares a register with pixel i + 4

LUTFUSE_INLINE __m256i load_two(const char* low, const char* high) {
  const __m128i first = _mm_load_si128(reinterpret_cast<const __m128i*>(low));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(first), _mm_load_si128(reinterpret_cast<const __m128i*>(high)), 1);
}
template <int i>
LUTFUSE_INLINE __m256i look_up_two(const Edges& edges, const int* nodes, const __m256i* shares) {
  const int64_t low = nodes[i], high = nodes[i + 4];
  __m256i part[4];
  for (int e = 0; e < 4; ++e) {
    const __m256i ends = load_two(edges.start[e] + low, edges.start[e] + high);
    part[e] = _mm256_madd_epi16(ends, _mm256_shuffle_epi32(shares[e], i * 0x55));
  }
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(part[0], part[1]), _mm256_add_epi32(part[2], part[3]));
  return _mm256_srli_epi32(sum, kShareBits + kNodeBits);
}
LUTFUSE_INLINE void look_up_eight(const Edges& edges, const Staged<uint8_t>& staged, int at, uint8_t* out) {
  const int* nodes = staged.node + at;
  __m256i shares[4];
  for (int e = 0; e < 4; ++e) shares[e] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(staged.shares[e] + at));
  const __m256i first = _mm256_packs_epi32(look_up_two<0>(edges, nodes, shares), look_up_two<1>(edges, nodes, shares));
  const __m256i last = _mm256_packs_epi32(look_up_two<2>(edges, nodes, shares), look_up_two<3>(edges, nodes, shares));
  const __m256i drop_fourth = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                               0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(first, last), drop_fourth);
  const __m256i joined = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(joined));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), _mm256_extracti128_si256(joined, 1));
}

// ---- eight output pixels, 16 bits: the two halves of a register are the ends of an edge

LUTFUSE_INLINE __m128i look_up_one(const Edges& edges, const Staged<uint16_t>& staged, int i) {
  const int64_t node = staged.node[i];
  const auto ends = [&](int e) { return _mm256_loadu_ps(reinterpret_cast<const float*>(edges.start[e] + node)); };
  const auto mix = [](__m256 a, __m256 b, __m256 t) { return _mm256_fmadd_ps(t, _mm256_sub_ps(b, a), a); };
  const __m256 green = _mm256_broadcast_ss(staged.green + i);
  const __m256 both = mix(mix(ends(0), ends(1), green), mix(ends(2), ends(3), green), _mm256_broadcast_ss(staged.blue + i));
  const __m128 below = _mm256_castps256_ps128(both), above = _mm256_extractf128_ps(both, 1);
  return _mm_cvttps_epi32(_mm_fmadd_ps(_mm_broadcast_ss(staged.red + i), _mm_sub_ps(above, below), below));
}
LUTFUSE_INLINE void look_up_eight(const Edges& edges, const Staged<uint16_t>& staged, int at, uint16_t* out) {
  const __m128i drop_fourth = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1);
  __m128i pairs[4];
  for (int i = 0; i < 4; ++i) {
    const __m128i two = _mm_packus_epi32(look_up_one(edges, staged, at + 2 * i), look_up_one(edges, staged, at + 2 * i + 1));
    pairs[i] = _mm_shuffle_epi8(two, drop_fourth);
  }
  // Four times twelve bytes make three times sixteen.
  auto* to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, _mm_or_si128(pairs[0], _mm_slli_si128(pairs[1], 12)));
  _mm_storeu_si128(to + 1, _mm_or_si128(_mm_srli_si128(pairs[1], 4), _mm_slli_si128(pairs[2], 8)));
  _mm_storeu_si128(to + 2, _mm_or_si128(_mm_srli_si128(pairs[2], 8), _mm_slli_si128(pairs[3], 4)));
}

// ---- rows

// A run of at least V::width columns. Its last vector moves back to end with the run: pixels done twice come out
// the same, and nothing outside the run is touched.
template <class V, int K, int pitch, class T>
LUTFUSE_INLINE void fuse_run(const Plan<T>& plan, const T* const* rows, const float* patch, const Run& run, const Edges& edges,
                             Staged<T>& staged, T* out) {
  for (int begin = run.begin; begin < run.end; begin += kChunk) {
    const int x = smaller(begin, run.end - V::width);
    const int n = smaller(kChunk, run.end - x);
    for (int i = 0; i < n; i += V::width) {
      const int at = smaller(i, n - V::width);
      merge_lanes<V, K, pitch>(plan, rows, patch, x + at, at, staged);
    }
    for (int i = 0; i < n; i += 8) {
      const int at = smaller(i, n - 8);
      look_up_eight(edges, staged, at, out + 3 * static_cast<int64_t>(x + at));
    }
  }
}

template <class V, int K, int pitch, class T>
void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  const Job<T>& job = plan.job;
  const int n = job.lut_size, patch_floats = job.exposures * 4 * pitch;
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const Edges edges{{lut, lut + n * sizeof(Node<T>), lut + n * n * sizeof(Node<T>), lut + (n * n + n) * sizeof(Node<T>)}};
  Staged<T> staged;
  for (int y = first; y < last; ++y) {
    build_row_table<pitch>(plan, y, scratch, scratch + plan.patches * patch_floats);
    const T* rows[kMaxExposures];
    for (int k = 0; k < job.exposures; ++k) rows[k] = job.images[k] + y * job.image_strides[k];
    for (int r = 0; r < plan.n_runs; ++r) {
      const Run& run = plan.runs[r];
      const float* patch = scratch + run.cell * patch_floats;
      if (run.end - run.begin >= V::width) {
        fuse_run<V, K, pitch>(plan, rows, patch, run, edges, staged, job.out + y * job.out_stride);
      } else {
        for (int x = run.begin; x < run.end; ++x) fuse_pixel(plan, patch, y, x);
      }
    }
  }
}

// Pairs and triples are most brackets: their loops are unrolled.
template <class V, int pitch, class T>
void fuse_rows_of(const Plan<T>& plan, int first, int last, float* scratch) {
  switch (plan.job.exposures) {
    case 2: return fuse_rows<V, 2, pitch>(plan, first, last, scratch);
    case 3: return fuse_rows<V, 3, pitch>(plan, first, last, scratch);
    default: return fuse_rows<V, 0, pitch>(plan, first, last, scratch);
  }
}

}  // namespace
}  // namespace lutfuse
