// AVX2 and FMA: sixteen lanes are two registers, whose operations run side by side. Compiled for them;
// path_available() keeps other machines away.
#include <type_traits>

#include "fuse_simd.h"

namespace lutfuse {
namespace {

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

struct LevelTaps {
  alignas(64) uint16_t red[kChunk], green[kChunk], blue[kChunk];  // fractions, ordered as Words16
  alignas(64) int node[kChunk];                                   // bytes from the LUT's first node
  alignas(64) int shares[2][2 * kChunk];                          // per blue end, for every four pixels [green end][pixel]
  template <class F>
  LUTFUSE_INLINE void find(const Sum<F>& sum, const Scales<uint8_t>& s, int slot) {
    const F scale = divided(F(s.to_lut), sum.weight);
    const auto coordinate = [&](F of) { return coordinate_of(Words16(narrowed(level16(of, scale))), s.lut_size - 1); };
    const Coordinate<Words16> r = coordinate(sum.red), g = coordinate(sum.green), b = coordinate(sum.blue);
    store(red + slot, r.fraction.v);
    store(green + slot, g.fraction.v);
    store(blue + slot, b.fraction.v);
    const Words16 line = low16(b.knot, Words16(s.lut_size)) + r.knot;
    const __m256i bytes = _mm256_set1_epi32(line_and_node_bytes(s.lut_size));
    store(node + slot, _mm256_madd_epi16(_mm256_unpacklo_epi16(line.v, g.knot.v), bytes));
    store(node + slot + 8, _mm256_madd_epi16(_mm256_unpackhi_epi16(line.v, g.knot.v), bytes));
  }
};

// ---- shares, 8 bits: sixteen pixels. The halves of a register are the two ends along green.

LUTFUSE_INLINE void share_out(int slot, LevelTaps& taps) {
  for (int half = 0; half < 2; ++half) {  // pixels 0...3 and 8...11, 4...7 and 12...15
    const auto fraction = [&](const uint16_t* of) {
      const auto* eight = reinterpret_cast<const __m128i*>(of + slot + 8 * half);
      return Words16(_mm256_broadcastsi128_si256(_mm_load_si128(eight)));
    };
    const Split<Words16> greens = split(Words16(kOne), fraction(taps.green));
    const Words16 green = _mm256_blend_epi32(greens.below.v, greens.above.v, 0xf0), red = fraction(taps.red);
    const Split<Words16> blues = split(green, fraction(taps.blue));
    for (int b = 0; b < 2; ++b) {
      const Split<Words16> reds = split(b ? blues.above : blues.below, red);
      int* shares = taps.shares[b] + 2 * (slot + 4 * half);
      store(shares, _mm256_unpacklo_epi16(reds.below.v, reds.above.v));
      store(shares + 16, _mm256_unpackhi_epi16(reds.below.v, reds.above.v));
    }
  }
}

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
LUTFUSE_INLINE void look_up_eight(const Plan<uint8_t>& plan, const LevelTaps& taps, int at, uint8_t* out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t next_blue = static_cast<int64_t>(plan.job.lut_size) * plan.job.lut_size * sizeof(Node<uint8_t>);
  const int* nodes = taps.node + at;
  const int *first_end = taps.shares[0] + 2 * at, *second_end = taps.shares[1] + 2 * at;
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

template <class Found>
LUTFUSE_INLINE __m128i look_up_one(const Node<uint16_t>* lut, int64_t n, const Found& taps, int i) {
  const auto* start = reinterpret_cast<const char*>(lut) + taps.node[i];
  const auto ends = [&](int e) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(start + (e / 2 * n * n + e % 2 * n) * sizeof(Node<uint16_t>)));
  };
  const auto mix = [](__m256 a, __m256 b, __m256 t) { return _mm256_fmadd_ps(t, _mm256_sub_ps(b, a), a); };
  const __m256 green = _mm256_broadcast_ss(taps.green + i);
  const __m256 both = mix(mix(ends(0), ends(1), green), mix(ends(2), ends(3), green), _mm256_broadcast_ss(taps.blue + i));
  const __m128 below = _mm256_castps256_ps128(both), above = _mm256_extractf128_ps(both, 1);
  return _mm_cvttps_epi32(_mm_fmadd_ps(_mm_broadcast_ss(taps.red + i), _mm_sub_ps(above, below), below));
}
template <class Found>
LUTFUSE_INLINE void look_up_eight(const Plan<uint16_t>& plan, const Found& taps, int at, uint16_t* out) {
  const auto one = [&](int i) { return look_up_one(plan.lut, plan.job.lut_size, taps, at + i); };
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

struct Avx2 {
  static constexpr int kTogether = 1;

  struct F {
    __m256 a, b;  // pixels 0...7, 8...15
    F() = default;
    LUTFUSE_INLINE F(__m256 a, __m256 b) : a(a), b(b) {}
    LUTFUSE_INLINE explicit F(float all) : a(_mm256_set1_ps(all)), b(a) {}
    friend LUTFUSE_INLINE F operator+(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F operator-(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F operator*(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
    friend LUTFUSE_INLINE F divided(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F larger(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F smaller(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  };

  struct I {
    __m256i a, b;
    I() = default;
    LUTFUSE_INLINE I(__m256i a, __m256i b) : a(a), b(b) {}
    LUTFUSE_INLINE explicit I(int all) : a(_mm256_set1_epi32(all)), b(a) {}
    friend LUTFUSE_INLINE I operator+(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
    friend LUTFUSE_INLINE I operator&(I x, I y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
    friend LUTFUSE_INLINE I operator<<(I x, int bits) { return {_mm256_slli_epi32(x.a, bits), _mm256_slli_epi32(x.b, bits)}; }
    friend LUTFUSE_INLINE I operator>>(I x, int bits) { return {_mm256_srli_epi32(x.a, bits), _mm256_srli_epi32(x.b, bits)}; }
    friend LUTFUSE_INLINE I smaller(I x, I y) { return {_mm256_min_epi32(x.a, y.a), _mm256_min_epi32(x.b, y.b)}; }
    // The upper halves of the lanes are zero, so the sum of two products is the one we want.
    friend LUTFUSE_INLINE I product16(I x, I y) { return {_mm256_madd_epi16(x.a, y.a), _mm256_madd_epi16(x.b, y.b)}; }
  };

  friend LUTFUSE_INLINE I truncated(F x) { return {_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)}; }
  friend LUTFUSE_INLINE F widened(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  friend LUTFUSE_INLINE I bits_of(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
  friend LUTFUSE_INLINE __m256i narrowed(I x) {
    const I low = x & I(0xffff);
    return _mm256_packus_epi32(low.a, low.b);
  }

  static LUTFUSE_INLINE F load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static LUTFUSE_INLINE void store(float* to, F x) {
    _mm256_storeu_ps(to, x.a);
    _mm256_storeu_ps(to + 8, x.b);
  }
  static LUTFUSE_INLINE void store(int* to, I x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x.a);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), x.b);
  }

  static LUTFUSE_INLINE __m256i two(const void* low, const void* high) {
    const __m128i first = _mm_loadu_si128(static_cast<const __m128i*>(low));
    const __m256i last = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(high)));
    return _mm256_blend_epi32(_mm256_castsi128_si256(first), last, 0xf0);
  }

  // 48 bytes, twelve to each half of a register. The second register's start four bytes in, to end where the pixels end.
  struct Bytes {
    __m256i a, b;
    LUTFUSE_INLINE explicit Bytes(const uint8_t* pixels) : a(two(pixels, pixels + 12)), b(two(pixels + 20, pixels + 32)) {}
    // To each pixel's lane, four of its bytes; -1: zero.
    LUTFUSE_INLINE I picked(__m128i which) const {
      const __m256i where = _mm256_broadcastsi128_si256(which);
      return {_mm256_shuffle_epi8(a, where), _mm256_shuffle_epi8(b, _mm256_add_epi8(where, _mm256_set1_epi8(4)))};
    }
  };
  static constexpr char kZero = -128;  // stays below zero when moved on by four

  static LUTFUSE_INLINE void load(const uint8_t* pixels, F& red, F& green, F& blue) {
    const Bytes bytes(pixels);
    constexpr char no = kZero;
    red = widened(bytes.picked(_mm_setr_epi8(0, no, no, no, 3, no, no, no, 6, no, no, no, 9, no, no, no)));
    green = widened(bytes.picked(_mm_setr_epi8(1, no, no, no, 4, no, no, no, 7, no, no, no, 10, no, no, no)));
    blue = widened(bytes.picked(_mm_setr_epi8(2, no, no, no, 5, no, no, no, 8, no, no, no, 11, no, no, no)));
  }

  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const Luma<uint8_t>& luma) {
    const Bytes bytes(pixels);
    constexpr char no = kZero;
    const I red_green = bytes.picked(_mm_setr_epi8(0, no, 1, no, 3, no, 4, no, 6, no, 7, no, 9, no, 10, no));
    const I only_blue = bytes.picked(_mm_setr_epi8(2, no, no, no, 5, no, no, no, 8, no, no, no, 11, no, no, no));
    // Coefficients have more than 16 bits: an upper part and eleven bits, multiplied one after the other.
    constexpr int low = 2047;
    const auto dot = [&](int red, int green, int blue) __attribute__((always_inline)) {
      return product16(red_green, I(red | green << 16)) + product16(only_blue, I(blue));  // the first: of two each
    };
    const I upper = dot(luma.red >> 11, luma.green >> 11, luma.blue >> 11);
    const I lower = dot(luma.red & low, luma.green & low, luma.blue & low);
    return (upper << 11) + lower;
  }

  // 96 bytes: per half, two overlapping loads, of which each channel takes what it finds.
  static LUTFUSE_INLINE void load(const uint16_t* pixels, F& red, F& green, F& blue) {
    const I early{two(pixels, pixels + 12), two(pixels + 24, pixels + 36)};
    const I late{two(pixels + 4, pixels + 16), two(pixels + 28, pixels + 40)};
    const auto channel = [&](__m128i from_early, __m128i from_late) __attribute__((always_inline)) {
      const auto picked = [&](__m256i x, __m256i y) __attribute__((always_inline)) {
        return _mm256_or_si256(_mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(from_early)),
                               _mm256_shuffle_epi8(y, _mm256_broadcastsi128_si256(from_late)));
      };
      return widened(I{picked(early.a, late.a), picked(early.b, late.b)});
    };
    constexpr char no = -1;
    red = channel(_mm_setr_epi8(0, 1, no, no, 6, 7, no, no, 12, 13, no, no, no, no, no, no),
                  _mm_setr_epi8(no, no, no, no, no, no, no, no, no, no, no, no, 10, 11, no, no));
    green = channel(_mm_setr_epi8(2, 3, no, no, 8, 9, no, no, 14, 15, no, no, no, no, no, no),
                    _mm_setr_epi8(no, no, no, no, no, no, no, no, no, no, no, no, 12, 13, no, no));
    blue = channel(_mm_setr_epi8(4, 5, no, no, 10, 11, no, no, no, no, no, no, no, no, no, no),
                   _mm_setr_epi8(no, no, no, no, no, no, no, no, 8, 9, no, no, 14, 15, no, no));
  }

  template <int pitch>
  static LUTFUSE_INLINE F lookup(const float* table, I knot) {
    const __m256 low = _mm256_loadu_ps(table);
    const F found{_mm256_permutevar8x32_ps(low, knot.a), _mm256_permutevar8x32_ps(low, knot.b)};
    if constexpr (pitch == 8) return found;
    const __m256 high = _mm256_loadu_ps(table + 8);
    // Bit 3 of the knot, moved to the sign, chooses the half.
    const auto either = [](__m256 x, __m256 y, __m256i knot) {
      return _mm256_blendv_ps(x, y, _mm256_castsi256_ps(_mm256_slli_epi32(knot, 28)));
    };
    return {either(found.a, _mm256_permutevar8x32_ps(high, knot.a), knot.a),
            either(found.b, _mm256_permutevar8x32_ps(high, knot.b), knot.b)};
  }

  template <class T>
  using Taps = std::conditional_t<sizeof(T) == 1, LevelTaps, DeepTaps<Avx2>>;

  static LUTFUSE_INLINE void look_up(const Plan<uint8_t>& plan, LevelTaps& taps, int n, uint8_t* out) {
    for (int i = 0; i < n; i += kLanes) share_out(i, taps);
    for (int i = 0; i < n; i += 8) look_up_eight(plan, taps, i, out + 3 * i);
  }
  static LUTFUSE_INLINE void look_up(const Plan<uint16_t>& plan, const DeepTaps<Avx2>& taps, int n, uint16_t* out) {
    for (int i = 0; i < n; i += 8) look_up_eight(plan, taps, i, out + 3 * i);
  }
};

template <class T>
void fuse_rows_avx2(const Plan<T>& plan, int first, int last, float* scratch) {
  if (plan.pitch == 8) return fuse_rows_of<Avx2, 8>(plan, first, last, scratch);
  fuse_rows_of<Avx2, 16>(plan, first, last, scratch);
}

}  // namespace

template <class T>
Functions<T> functions_avx2() {
  return {pack_nodes, fuse_rows_avx2<T>};
}
template Functions<uint8_t> functions_avx2();
template Functions<uint16_t> functions_avx2();

}  // namespace lutfuse
