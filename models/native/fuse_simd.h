// The SIMD row loop, for any vector type V of sixteen lanes; included by fuse_avx2.cpp and fuse_avx512.cpp after they
// define V.
//
// V offers: F and I (lanes with the operations of fuse_math.h); load(pixels, red, green, blue) and luma(pixels, luma),
// which read nothing beyond the sixteenth pixel; lookup<pitch>(table, knot); narrowed(a), the lower 16 bits, ordered as
// Words16; load(float*), store(float*, F), store(int*, I).
//
// Note [stages]. A run of columns is worked through in chunks that stay in the L1 cache, one loop for each stage: weights,
//   merge, shares, LUT. A pixel's operations are a long chain, and a processor looks only so many operations ahead: in
//   loops of short chains the next pixels begin while these are under way. So do the two halves of F and I on AVX2.
#pragma once
#include <immintrin.h>

#include "fuse_plan.h"

namespace lutfuse {
namespace {

constexpr int kLanes = 16;
constexpr int kChunk = 128;  // pixels
constexpr int kAhead = 1024;  // bytes before their use, pixels are asked for: 5 % of the time with two exposures

// Sixteen 16-bit lanes, of pixels 0...3, 8...11, 4...7, 12...15: the order in which two registers are packed into one.
struct Words16 {
  __m256i v;
  Words16() = default;
  LUTFUSE_INLINE Words16(__m256i lanes) : v(lanes) {}
  LUTFUSE_INLINE explicit Words16(int all) : v(_mm256_set1_epi16(static_cast<int16_t>(all))) {}
  friend LUTFUSE_INLINE Words16 operator+(Words16 a, Words16 b) { return _mm256_add_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words16 operator-(Words16 a, Words16 b) { return _mm256_sub_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words16 low16(Words16 a, Words16 b) { return _mm256_mullo_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words16 high16(Words16 a, Words16 b) { return _mm256_mulhi_epu16(a.v, b.v); }
};

LUTFUSE_INLINE void store(void* to, __m256i lanes) { _mm256_store_si256(static_cast<__m256i*>(to), lanes); }
LUTFUSE_INLINE __m256i load(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }

template <class T>
struct Staged;
template <>
struct Staged<uint8_t> {
  alignas(64) float weights[kMaxExposures][kChunk];
  alignas(64) uint16_t red[kChunk], green[kChunk], blue[kChunk];  // fractions, ordered as Words16
  alignas(64) int node[kChunk];                                   // bytes from the LUT's first node
  alignas(64) int shares[2][2 * kChunk];                          // per blue end, for every four pixels [green end][pixel]
};
template <>
struct Staged<uint16_t> {
  alignas(64) float weights[kMaxExposures][kChunk];
  alignas(64) int node[kChunk];
  alignas(64) float red[kChunk], green[kChunk], blue[kChunk];
};

// ---- weights and merge, sixteen pixels

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

template <class V>
LUTFUSE_INLINE void stage(const Sum<typename V::F>& sum, const Scales<uint8_t>& s, int slot, Staged<uint8_t>& staged) {
  const typename V::F scale = divided(typename V::F(s.to_lut), sum.weight);
  const auto coordinate = [&](typename V::F of) {
    return coordinate_of(Words16(V::narrowed(level16(of, scale))), s.lut_size - 1);
  };
  const Coordinate<Words16> red = coordinate(sum.red), green = coordinate(sum.green), blue = coordinate(sum.blue);
  store(staged.red + slot, red.fraction.v);
  store(staged.green + slot, green.fraction.v);
  store(staged.blue + slot, blue.fraction.v);
  const Words16 line = low16(blue.knot, Words16(s.lut_size)) + red.knot;
  const __m256i bytes = _mm256_set1_epi32(s.lut_size << 4 | 1 << 20);  // of a green line, of a node
  store(staged.node + slot, _mm256_madd_epi16(_mm256_unpacklo_epi16(line.v, green.knot.v), bytes));
  store(staged.node + slot + 8, _mm256_madd_epi16(_mm256_unpackhi_epi16(line.v, green.knot.v), bytes));
}
template <class V>
LUTFUSE_INLINE void stage(const Sum<typename V::F>& sum, const Scales<uint16_t>& s, int slot, Staged<uint16_t>& staged) {
  Taps<uint16_t, typename V::F, typename V::I> taps;
  find_taps(sum, s, taps);
  V::store(staged.node + slot, taps.node << 4);
  V::store(staged.red + slot, taps.red);
  V::store(staged.green + slot, taps.green);
  V::store(staged.blue + slot, taps.blue);
}

// K == 0: the number of exposures is known at run time only.
template <class V, int K, class T>
LUTFUSE_INLINE void merge(const Plan<T>& plan, const T* const* rows, int x, int slot, Staged<T>& staged) {
  using F = typename V::F;
  const int exposures = K ? K : plan.job.exposures;
  Sum<F> sum;
  for (int k = 0; k < exposures; ++k) {
    F red, green, blue;
    V::load(rows[k] + 3 * static_cast<int64_t>(x + slot), red, green, blue);
    accumulate(sum, V::load(staged.weights[k] + slot), red, green, blue);
  }
  stage<V>(sum, plan.scales, slot, staged);
}

// ---- shares, 8 bits: sixteen pixels. The halves of a register are the two ends along green.

LUTFUSE_INLINE void share_out(int slot, Staged<uint8_t>& staged) {
  for (int half = 0; half < 2; ++half) {  // pixels 0...3 and 8...11, 4...7 and 12...15
    const auto fraction = [&](const uint16_t* of) {
      const auto* eight = reinterpret_cast<const __m128i*>(of + slot + 8 * half);
      return Words16(_mm256_broadcastsi128_si256(_mm_load_si128(eight)));
    };
    const Split<Words16> greens = split(Words16(kOne), fraction(staged.green));
    const Words16 green = _mm256_blend_epi32(greens.below.v, greens.above.v, 0xf0), red = fraction(staged.red);
    const Split<Words16> blues = split(green, fraction(staged.blue));
    for (int b = 0; b < 2; ++b) {
      const Split<Words16> reds = split(b ? blues.above : blues.below, red);
      int* shares = staged.shares[b] + 2 * (slot + 4 * half);
      store(shares, _mm256_unpacklo_epi16(reds.below.v, reds.above.v));
      store(shares + 16, _mm256_unpackhi_epi16(reds.below.v, reds.above.v));
    }
  }
}
LUTFUSE_INLINE void share_out(int, Staged<uint16_t>&) {}

// ---- eight output pixels, 8 bits: pixel i shares a register with pixel i + 4

struct Shares {
  __m256i of[2];  // per blue end
};

// One pixel's sums, those of the green end below in the lower half.
template <int i>
LUTFUSE_INLINE __m256i look_up_one(const char* lut, int64_t next_blue, int64_t node, const Shares& shares) {
  const auto part = [&](const char* from, __m256i of) {
    return _mm256_madd_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), _mm256_shuffle_epi32(of, i * 0x55));
  };
  return _mm256_add_epi32(part(lut + node, shares.of[0]), part(lut + next_blue + node, shares.of[1]));
}
template <int i>
LUTFUSE_INLINE __m256i look_up_two(const char* lut, int64_t next_blue, const int* nodes, const Shares* shares) {
  const __m256i low = look_up_one<i>(lut, next_blue, nodes[i], shares[0]);
  const __m256i high = look_up_one<i>(lut, next_blue, nodes[i + 4], shares[1]);
  const __m256i sum = _mm256_add_epi32(_mm256_blend_epi32(low, high, 0xf0), _mm256_permute2x128_si256(low, high, 0x21));
  return _mm256_srli_epi32(sum, kShareBits + kNodeBits);
}
LUTFUSE_INLINE void look_up_eight(const Plan<uint8_t>& plan, const Staged<uint8_t>& staged, int at, uint8_t* out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t next_blue = static_cast<int64_t>(plan.job.lut_size) * plan.job.lut_size * sizeof(Node<uint8_t>);
  const int* nodes = staged.node + at;
  const int *first_end = staged.shares[0] + 2 * at, *second_end = staged.shares[1] + 2 * at;
  const Shares shares[2] = {{{load(first_end), load(second_end)}}, {{load(first_end + 8), load(second_end + 8)}}};
  const __m256i first = _mm256_packs_epi32(look_up_two<0>(lut, next_blue, nodes, shares),  //
                                           look_up_two<1>(lut, next_blue, nodes, shares));
  const __m256i last = _mm256_packs_epi32(look_up_two<2>(lut, next_blue, nodes, shares),  //
                                          look_up_two<3>(lut, next_blue, nodes, shares));
  const __m256i drop_fourth = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                               0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(first, last), drop_fourth);
  // Twelve bytes and twelve: stores in three pieces cost less than joining them.
  const __m128i high = _mm256_extracti128_si256(bytes, 1);
  const int end = _mm_extract_epi32(high, 2);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 12), high);
  __builtin_memcpy(out + 20, &end, 4);
}

// ---- eight output pixels, 16 bits: the two halves of a register are the ends of an edge

LUTFUSE_INLINE __m128i look_up_one(const Node<uint16_t>* lut, int64_t n, const Staged<uint16_t>& staged, int i) {
  const auto* start = reinterpret_cast<const char*>(lut) + staged.node[i];
  const auto ends = [&](int e) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(start + (e / 2 * n * n + e % 2 * n) * sizeof(Node<uint16_t>)));
  };
  const auto mix = [](__m256 a, __m256 b, __m256 t) { return _mm256_fmadd_ps(t, _mm256_sub_ps(b, a), a); };
  const __m256 green = _mm256_broadcast_ss(staged.green + i);
  const __m256 both = mix(mix(ends(0), ends(1), green), mix(ends(2), ends(3), green), _mm256_broadcast_ss(staged.blue + i));
  const __m128 below = _mm256_castps256_ps128(both), above = _mm256_extractf128_ps(both, 1);
  return _mm_cvttps_epi32(_mm_fmadd_ps(_mm_broadcast_ss(staged.red + i), _mm_sub_ps(above, below), below));
}
LUTFUSE_INLINE void look_up_eight(const Plan<uint16_t>& plan, const Staged<uint16_t>& staged, int at, uint16_t* out) {
  const auto one = [&](int i) { return look_up_one(plan.lut, plan.job.lut_size, staged, at + i); };
  const __m128i drop_fourth = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1);
  __m128i pairs[4];
  for (int i = 0; i < 4; ++i) {
    const __m128i two = _mm_packus_epi32(one(2 * i), one(2 * i + 1));
    pairs[i] = _mm_shuffle_epi8(two, drop_fourth);
  }
  // Four times twelve bytes make three times sixteen.
  auto* to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, _mm_or_si128(pairs[0], _mm_slli_si128(pairs[1], 12)));
  _mm_storeu_si128(to + 1, _mm_or_si128(_mm_srli_si128(pairs[1], 4), _mm_slli_si128(pairs[2], 8)));
  _mm_storeu_si128(to + 2, _mm_or_si128(_mm_srli_si128(pairs[2], 8), _mm_slli_si128(pairs[3], 4)));
}

// ---- rows

// A run of at least kLanes columns. Its last chunk moves back to end with the run: pixels done twice come out the same,
// and nothing outside the run is touched.
template <class V, int K, int pitch, class T>
LUTFUSE_INLINE void fuse_run(const Plan<T>& plan, const T* const* rows, const float* patch, const Run& run, Staged<T>& staged,
                             T* out) {
  for (int x = run.begin, n; x < run.end; x += n) {
    x = smaller(x, run.end - kLanes);
    n = smaller(kChunk, (run.end - x) / kLanes * kLanes);
    for (int k = 0; k < plan.job.exposures; ++k) {
      const T* pixels = rows[k] + 3 * static_cast<int64_t>(x);
      for (int i = 0; i < n; i += kLanes) {
        __builtin_prefetch(pixels + 3 * i + kAhead / sizeof(T));
        weigh<V, pitch>(plan.scales.luma, pixels + 3 * i, patch + 4 * pitch * k, V::load(plan.column_fraction + x + i),
                        staged.weights[k] + i);
      }
    }
    for (int i = 0; i < n; i += kLanes) merge<V, K>(plan, rows, x, i, staged);
    for (int i = 0; i < n; i += kLanes) share_out(i, staged);
    for (int i = 0; i < n; i += 8) look_up_eight(plan, staged, i, out + 3 * static_cast<int64_t>(x + i));
  }
}

template <class V, int K, int pitch, class T>
void fuse_rows(const Plan<T>& plan, int first, int last, float* scratch) {
  const Job<T>& job = plan.job;
  const int patch_floats = job.exposures * 4 * pitch;
  Staged<T> staged;
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
        for (int x = run.begin; x < run.end; ++x) fuse_pixel(plan, patch, y, x);
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
