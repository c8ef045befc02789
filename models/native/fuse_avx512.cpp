// Sixteen lanes: AVX-512 F, BW, DQ, VL, VBMI and VNNI, as of Ice Lake and Zen 4. Compiled for them; path_available()
// keeps other machines away.
//
// Note [quarters]. A register has four quarters of 128 bits, in which a node of the LUT fits. Of sixteen pixels, A are the
//   first four, then B, C and D. A register looks two pixels up at once, one of A and one of B (or C and D):
//   its quarters are [A below | A above | B below | B above], below and above being the two ends of a cell along green at
//   8 bits, along red at 16. So one shuffle within quarters gives both pixels their shares.
#include <type_traits>

#include "fuse_simd.h"

namespace lutfuse {
namespace {

// A table of the lanes' sources.
template <class Lane, int lanes>
struct alignas(64) Where {
  Lane lane[lanes];
  __m512i load() const { return _mm512_load_si512(lane); }
};

// Two pairs of nodes, `first` and `second` bytes from `from`, one to each half.
LUTFUSE_INLINE __m512i two_pairs(const char* from, int64_t first, int64_t second) {
  const auto pair = [&](int64_t at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at)); };
  return _mm512_inserti64x4(_mm512_castsi256_si512(pair(first)), pair(second), 1);
}
// Lane i of each quarter, to all of it.
template <int i>
LUTFUSE_INLINE __m512i everywhere(__m512i a) {
  return _mm512_shuffle_epi32(a, static_cast<_MM_PERM_ENUM>(i * 0x55));
}
// 48 bytes.
LUTFUSE_INLINE void store_pixels(void* out, __m512i pixels) {
  auto* to = static_cast<char*>(out);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(pixels));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti32x4_epi32(pixels, 2));
}

// ---- 8 bits

struct Words32 {  // 32 lanes of 16 bits
  __m512i v;
  LUTFUSE_INLINE Words32(__m512i lanes) : v(lanes) {}
  LUTFUSE_INLINE explicit Words32(int all) : v(_mm512_set1_epi16(static_cast<short>(all))) {}
  friend LUTFUSE_INLINE Words32 operator+(Words32 a, Words32 b) { return _mm512_add_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words32 operator-(Words32 a, Words32 b) { return _mm512_sub_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words32 low16(Words32 a, Words32 b) { return _mm512_mullo_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE Words32 high16(Words32 a, Words32 b) { return _mm512_mulhi_epu16(a.v, b.v); }
};

struct LevelTaps {
  alignas(64) int node[kChunk];           // bytes from the LUT's first node
  alignas(64) int shares[2][2 * kChunk];  // per blue end: A and B as in Note [quarters], then C and D

  // Words in the order [A C | A C | B D | B D]: twice, for both ends along green.
  static LUTFUSE_INLINE Words32 twice(__m512i levels) {
#define PIXELS(a) 4 * (a), 4 * (a) + 1, 4 * (a) + 4, 4 * (a) + 5, 4 * (a) + 8, 4 * (a) + 9, 4 * (a) + 12, 4 * (a) + 13
    static constexpr Where<uint8_t, 64> kTwice{{PIXELS(0), PIXELS(8), PIXELS(0), PIXELS(8),  //
                                                PIXELS(4), PIXELS(12), PIXELS(4), PIXELS(12)}};
#undef PIXELS
    return _mm512_permutexvar_epi8(kTwice.load(), levels);
  }

  template <class F>
  LUTFUSE_INLINE void find(const Sum<F>& sum, const Scales<uint8_t>& s, int slot) {
    const F scale = divided(F(s.to_lut), sum.weight);
    const auto coordinate = [&](F of) { return coordinate_of(twice(level16(of, scale).v), s.lut_size - 1); };
    const Coordinate<Words32> red = coordinate(sum.red), green = coordinate(sum.green), blue = coordinate(sum.blue);
    const Words32 line = low16(blue.knot, Words32(s.lut_size)) + red.knot;
    static constexpr Where<uint16_t, 32> kPairs{{0, 32, 1, 33, 2, 34, 3, 35, 16, 48, 17, 49, 18, 50, 19, 51,  //
                                                 4, 36, 5, 37, 6, 38, 7, 39, 20, 52, 21, 53, 22, 54, 23, 55}};
    const __m512i pairs = _mm512_permutex2var_epi16(line.v, kPairs.load(), green.knot.v);
    _mm512_storeu_si512(node + slot, _mm512_madd_epi16(pairs, _mm512_set1_epi32(line_and_node_bytes(s.lut_size))));

    const Split<Words32> greens = split(Words32(kOne), green.fraction);
    const Split<Words32> blues = split(Words32(_mm512_mask_blend_epi64(0xcc, greens.below.v, greens.above.v)), blue.fraction);
    for (int b = 0; b < 2; ++b) {
      const Split<Words32> reds = split(b ? blues.above : blues.below, red.fraction);
      _mm512_storeu_si512(shares[b] + 2 * slot, _mm512_unpacklo_epi16(reds.below.v, reds.above.v));
      _mm512_storeu_si512(shares[b] + 2 * slot + 16, _mm512_unpackhi_epi16(reds.below.v, reds.above.v));
    }
  }
};

// A_i and B_i, the ends along green not yet added.
template <int i>
LUTFUSE_INLINE __m512i look_up_two(const char* lut, int64_t next_blue, const int* nodes, __m512i first, __m512i second) {
  const auto part = [&](const char* from, __m512i shares) {
    return _mm512_madd_epi16(two_pairs(from, nodes[i], nodes[i + 4]), everywhere<i>(shares));
  };
  return _mm512_add_epi32(part(lut, first), part(lut + next_blue, second));
}
// [A_i | A_j | B_i | B_j]
template <int i, int j>
LUTFUSE_INLINE __m512i look_up_four(const char* lut, int64_t next_blue, const int* nodes, __m512i first, __m512i second) {
  const __m512i x = look_up_two<i>(lut, next_blue, nodes, first, second);
  const __m512i y = look_up_two<j>(lut, next_blue, nodes, first, second);
  static constexpr Where<int64_t, 8> kCrossed{{2, 3, 8, 9, 6, 7, 12, 13}};
  const __m512i sum = _mm512_add_epi32(_mm512_mask_blend_epi64(0xcc, x, y), _mm512_permutex2var_epi64(x, kCrossed.load(), y));
  return _mm512_srli_epi32(sum, kShareBits + kNodeBits);
}
// Words: [A0 A2 | A1 A3 | B0 B2 | B1 B3]
LUTFUSE_INLINE __m512i look_up_eight(const char* lut, int64_t next_blue, const int* nodes, const int* first, const int* second) {
  const __m512i of_first = _mm512_loadu_si512(first), of_second = _mm512_loadu_si512(second);
  return _mm512_packs_epi32(look_up_four<0, 1>(lut, next_blue, nodes, of_first, of_second),
                            look_up_four<2, 3>(lut, next_blue, nodes, of_first, of_second));
}
LUTFUSE_INLINE void look_up_chunk(const Plan<uint8_t>& plan, const LevelTaps& taps, int n, uint8_t* __restrict out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t next_blue = static_cast<int64_t>(plan.job.lut_size) * plan.job.lut_size * sizeof(Node<uint8_t>);
#define PIXEL(at) at, at + 1, at + 2  // the fourth byte is padding
  static constexpr Where<uint8_t, 64> kInOrder{{PIXEL(0), PIXEL(16), PIXEL(4), PIXEL(20), PIXEL(32), PIXEL(48), PIXEL(36), PIXEL(52),
                                                PIXEL(8), PIXEL(24), PIXEL(12), PIXEL(28), PIXEL(40), PIXEL(56), PIXEL(44), PIXEL(60)}};
#undef PIXEL
  for (int i = 0; i < n; i += kLanes) {
    const int *nodes = taps.node + i, *first = taps.shares[0] + 2 * i, *second = taps.shares[1] + 2 * i;
    const __m512i bytes = _mm512_packus_epi16(look_up_eight(lut, next_blue, nodes, first, second),
                                              look_up_eight(lut, next_blue, nodes + 8, first + 16, second + 16));
    store_pixels(out + 3 * i, _mm512_permutexvar_epi8(kInOrder.load(), bytes));
  }
}

// ---- 16 bits

struct Fractions {
  __m512 red;          // of A and B
  __m512i green, blue;  // [A | A | B | B]
};

// A_i and B_i, the ends along red not yet mixed.
template <int i>
LUTFUSE_INLINE __m512 look_up_two(const char* lut, int64_t n, const int* nodes, const Fractions& fractions) {
  const auto ends = [&](int64_t next) { return _mm512_castsi512_ps(two_pairs(lut + next * sizeof(Node<uint16_t>), nodes[i], nodes[i + 4])); };
  const auto mix = [](__m512 a, __m512 b, __m512 t) { return _mm512_fmadd_ps(t, _mm512_sub_ps(b, a), a); };
  const __m512 green = _mm512_castsi512_ps(everywhere<i>(fractions.green));
  const __m512 below = mix(ends(0), ends(n), green), above = mix(ends(n * n), ends(n * n + n), green);
  return mix(below, above, _mm512_castsi512_ps(everywhere<i>(fractions.blue)));
}
// [A_i | B_i | A_j | B_j]
template <int i, int j>
LUTFUSE_INLINE __m512i look_up_four(const char* lut, int64_t n, const int* nodes, const Fractions& fractions) {
  const __m512 x = look_up_two<i>(lut, n, nodes, fractions), y = look_up_two<j>(lut, n, nodes, fractions);
  const __m512 below = _mm512_shuffle_f32x4(x, y, 0x88), above = _mm512_shuffle_f32x4(x, y, 0xdd);
  static constexpr Where<int, 16> kReds{{i, i, i, i, i + 4, i + 4, i + 4, i + 4, j, j, j, j, j + 4, j + 4, j + 4, j + 4}};
  const __m512 red = _mm512_permutexvar_ps(kReds.load(), fractions.red);
  return _mm512_cvttps_epi32(_mm512_fmadd_ps(red, _mm512_sub_ps(above, below), below));
}
LUTFUSE_INLINE void look_up_eight(const char* lut, int64_t n, const int* nodes, const Fractions& fractions, uint16_t* out) {
  // Words: [A0 A2 | B0 B2 | A1 A3 | B1 B3]
  const __m512i words = _mm512_packus_epi32(look_up_four<0, 1>(lut, n, nodes, fractions), look_up_four<2, 3>(lut, n, nodes, fractions));
#define PIXEL(at) at, at + 1, at + 2  // the fourth word is padding
  static constexpr Where<uint16_t, 32> kInOrder{{PIXEL(0), PIXEL(16), PIXEL(4), PIXEL(20), PIXEL(8), PIXEL(24), PIXEL(12), PIXEL(28)}};
#undef PIXEL
  store_pixels(out, _mm512_permutexvar_epi16(kInOrder.load(), words));
}
template <class Found>
LUTFUSE_INLINE void look_up_chunk(const Plan<uint16_t>& plan, const Found& taps, int n, uint16_t* __restrict out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t size = plan.job.lut_size;
  for (int i = 0; i < n; i += kLanes) {
    const __m512 red = _mm512_loadu_ps(taps.red + i);
    const __m512i green = _mm512_loadu_si512(taps.green + i), blue = _mm512_loadu_si512(taps.blue + i);
    look_up_eight(lut, size, taps.node + i, {red, _mm512_shuffle_i32x4(green, green, 0x50), _mm512_shuffle_i32x4(blue, blue, 0x50)},
                  out + 3 * i);
    look_up_eight(lut, size, taps.node + i + 8,
                  {_mm512_shuffle_f32x4(red, red, 0xee), _mm512_shuffle_i32x4(green, green, 0xfa), _mm512_shuffle_i32x4(blue, blue, 0xfa)},
                  out + 3 * i + 24);
  }
}

// ---- lanes

struct Avx512 {
  static constexpr int kTogether = 2;

  struct F {
    __m512 v;
    F() = default;
    LUTFUSE_INLINE F(__m512 lanes) : v(lanes) {}
    LUTFUSE_INLINE explicit F(float all) : v(_mm512_set1_ps(all)) {}
    friend LUTFUSE_INLINE F operator+(F a, F b) { return _mm512_add_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator-(F a, F b) { return _mm512_sub_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator*(F a, F b) { return _mm512_mul_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
    friend LUTFUSE_INLINE F divided(F a, F b) { return _mm512_div_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F larger(F a, F b) { return _mm512_max_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F smaller(F a, F b) { return _mm512_min_ps(a.v, b.v); }
  };

  struct I {
    __m512i v;
    I() = default;
    LUTFUSE_INLINE I(__m512i lanes) : v(lanes) {}
    LUTFUSE_INLINE explicit I(int all) : v(_mm512_set1_epi32(all)) {}
    friend LUTFUSE_INLINE I operator+(I a, I b) { return _mm512_add_epi32(a.v, b.v); }
    friend LUTFUSE_INLINE I operator&(I a, I b) { return _mm512_and_si512(a.v, b.v); }
    friend LUTFUSE_INLINE I operator<<(I a, int bits) { return _mm512_slli_epi32(a.v, bits); }
    friend LUTFUSE_INLINE I operator>>(I a, int bits) { return _mm512_srli_epi32(a.v, bits); }
    friend LUTFUSE_INLINE I smaller(I a, I b) { return _mm512_min_epi32(a.v, b.v); }
    // The upper halves of the lanes are zero, so the sum of two products is the one we want.
    friend LUTFUSE_INLINE I product16(I a, I b) { return _mm512_madd_epi16(a.v, b.v); }
  };

  friend LUTFUSE_INLINE I truncated(F a) { return _mm512_cvttps_epi32(a.v); }
  friend LUTFUSE_INLINE F widened(I a) { return _mm512_cvtepi32_ps(a.v); }
  friend LUTFUSE_INLINE I bits_of(F a) { return _mm512_castps_si512(a.v); }

  static LUTFUSE_INLINE F load(const float* from) { return _mm512_loadu_ps(from); }
  static LUTFUSE_INLINE void store(float* to, F lanes) { _mm512_storeu_ps(to, lanes.v); }
  static LUTFUSE_INLINE void store(int* to, I lanes) { _mm512_storeu_si512(to, lanes.v); }

  // 48 bytes: to each pixel's lane `count` of its three, from the `first` on.
  template <int first, int count>
  static LUTFUSE_INLINE I picked(const uint8_t* pixels) {
    static constexpr Where<uint8_t, 64> kWhere = [] {
      Where<uint8_t, 64> where{};
      for (int i = 0; i < 64; ++i) where.lane[i] = static_cast<uint8_t>(i / 4 * 3 + first + i % 4 % count);
      return where;
    }();
    constexpr __mmask64 used = count == 3 ? 0x7777777777777777 : 0x1111111111111111;
    return _mm512_maskz_permutexvar_epi8(used, kWhere.load(), _mm512_maskz_loadu_epi32(0x0fff, pixels));
  }
  static LUTFUSE_INLINE void load(const uint8_t* pixels, F& red, F& green, F& blue) {
    red = widened(picked<0, 1>(pixels));
    green = widened(picked<1, 1>(pixels));
    blue = widened(picked<2, 1>(pixels));
  }
  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const Luma<uint8_t>& luma) {
    const I rgb = picked<0, 3>(pixels);
    // Side by side: that is faster than one sum after the other.
    const auto dot = [&](int digit) { return I(_mm512_dpbusd_epi32(I(0).v, rgb.v, I(luma.digits[digit]).v)); };
    return (dot(2) << 16) + ((dot(1) << 8) + dot(0));
  }

  // 96 bytes: 48 words, every third of which is a channel's.
  static LUTFUSE_INLINE void load(const uint16_t* pixels, F& red, F& green, F& blue) {
    static constexpr Where<uint16_t, 32> kEveryThird[3] = {
        {{0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45}},
        {{1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46}},
        {{2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38, 41, 44, 47}}};
    const __m512i early = _mm512_loadu_si512(pixels), late = _mm512_maskz_loadu_epi32(0x00ff, pixels + 32);
    const auto channel = [&](const Where<uint16_t, 32>& where) __attribute__((always_inline)) {
      const __m512i words = _mm512_permutex2var_epi16(early, where.load(), late);
      return F(_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(words))));
    };
    red = channel(kEveryThird[0]);
    green = channel(kEveryThird[1]);
    blue = channel(kEveryThird[2]);
  }

  template <int pitch>
  static LUTFUSE_INLINE F lookup(const float* table, I knot) {
    static_assert(pitch == 16, "one register holds all knots");
    return _mm512_permutexvar_ps(knot.v, _mm512_loadu_ps(table));
  }

  template <class T>
  using Taps = std::conditional_t<sizeof(T) == 1, LevelTaps, DeepTaps<Avx512>>;

  template <class T>
  static LUTFUSE_INLINE void look_up(const Plan<T>& plan, const Taps<T>& taps, int n, T* out) {
    look_up_chunk(plan, taps, n, out);
  }
};

}  // namespace

template <class T>
Functions<T> functions_avx512() {
  return {pack_nodes, fuse_rows_of<Avx512, 16, T>};
}
template Functions<uint8_t> functions_avx512();
template Functions<uint16_t> functions_avx512();

}  // namespace lutfuse
