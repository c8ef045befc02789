// Sixteen lanes: AVX-512 F, BW, DQ, VL, VBMI and VNNI, as of Ice Lake and Zen 4. Compiled for these
// instruction sets; path_available() keeps other machines away.
//
// Note [blocks]. A register has four blocks of 128 bits, each the size of a LUT node. Of sixteen pixels, the
//   first four are A, then B, C and D. A register interpolates two pixels, one of A and one of B (or C and
//   D). Its blocks are [A below | A above | B below | B above]: the nodes below and above along green at 8
//   bits, along red at 16. So one shuffle within blocks gives both pixels their weights.
#include <type_traits>

#include "fuse_simd.h"

namespace lutfuse {
namespace {

// The operand of a permutation: each lane's source.
template <class Lane, int lanes>
struct alignas(64) Indices {
  Lane lane[lanes];
  __m512i load() const { return _mm512_load_si512(lane); }
};

// Two pairs of nodes, at byte offsets `first` and `second`, one in each half.
LUTFUSE_INLINE __m512i load_node_pairs(const char* lut, int64_t first, int64_t second) {
  const auto pair = [&](int64_t offset) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lut + offset));
  };
  return _mm512_inserti64x4(_mm512_castsi256_si512(pair(first)), pair(second), 1);
}
// Lane i of each block, broadcast within the block.
template <int i>
LUTFUSE_INLINE __m512i broadcast_in_blocks(__m512i a) {
  return _mm512_shuffle_epi32(a, static_cast<_MM_PERM_ENUM>(i * 0x55));
}
// The lower 48 bytes.
LUTFUSE_INLINE void store_pixels(void* out, __m512i pixels) {
  auto* to = static_cast<char*>(out);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(pixels));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti32x4_epi32(pixels, 2));
}

// ---- 8 bits

struct U16x32 {
  __m512i v;
  LUTFUSE_INLINE U16x32(__m512i lanes) : v(lanes) {}
  LUTFUSE_INLINE explicit U16x32(int all) : v(_mm512_set1_epi16(static_cast<int16_t>(all))) {}
  friend LUTFUSE_INLINE U16x32 operator+(U16x32 a, U16x32 b) { return _mm512_add_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x32 operator-(U16x32 a, U16x32 b) { return _mm512_sub_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x32 mul_low16(U16x32 a, U16x32 b) { return _mm512_mullo_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x32 mul_high16(U16x32 a, U16x32 b) { return _mm512_mulhi_epu16(a.v, b.v); }
};

struct ChunkTaps8 {
  alignas(64) int node[kChunk];            // byte offset in the LUT
  alignas(64) int weights[2][2 * kChunk];  // [blue end]: A and B as in Note [blocks], then C and D

  // Narrows to 16 bits, in the order [A C | A C | B D | B D]: twice, for both nodes along green.
  static LUTFUSE_INLINE U16x32 narrow16_twice(__m512i lanes) {
#define FOUR(i) \
  4 * (i), 4 * (i) + 1, 4 * (i) + 4, 4 * (i) + 5, 4 * (i) + 8, 4 * (i) + 9, 4 * (i) + 12, 4 * (i) + 13
    static constexpr Indices<uint8_t, 64> kTwice{{FOUR(0), FOUR(8), FOUR(0), FOUR(8),  //
                                                  FOUR(4), FOUR(12), FOUR(4), FOUR(12)}};
#undef FOUR
    return _mm512_permutexvar_epi8(kTwice.load(), lanes);
  }

  template <class F>
  LUTFUSE_INLINE void find(const Sum<F>& sum, const Scales<uint8_t>& s, int i) {
    const F scale = divide(F(s.to_lut), sum.weight);
    const auto coordinate = [&](F channel) {
      return lut_coordinate(narrow16_twice(to_unorm16(channel, scale).v), s.lut_size - 1);
    };
    const LutCoordinate<U16x32> r = coordinate(sum.red), g = coordinate(sum.green), b = coordinate(sum.blue);
    const U16x32 line = mul_low16(b.index, U16x32(s.lut_size)) + r.index;
    static constexpr Indices<uint16_t, 32> kPairs{
        {0, 32, 1, 33, 2, 34, 3, 35, 16, 48, 17, 49, 18, 50, 19, 51,  //
         4, 36, 5, 37, 6, 38, 7, 39, 20, 52, 21, 53, 22, 54, 23, 55}};
    const __m512i pairs = _mm512_permutex2var_epi16(line.v, kPairs.load(), g.index.v);
    const __m512i factors = _mm512_set1_epi32(node_byte_factors(s.lut_size));
    _mm512_storeu_si512(node + i, _mm512_madd_epi16(pairs, factors));

    const Split<U16x32> greens = split(U16x32(kTapOne), g.fraction);
    const U16x32 both = _mm512_mask_blend_epi64(0xcc, greens.below.v, greens.above.v);
    const Split<U16x32> blues = split(both, b.fraction);
    for (int end = 0; end < 2; ++end) {
      const Split<U16x32> reds = split(end ? blues.above : blues.below, r.fraction);
      _mm512_storeu_si512(weights[end] + 2 * i, _mm512_unpacklo_epi16(reds.below.v, reds.above.v));
      _mm512_storeu_si512(weights[end] + 2 * i + 16, _mm512_unpackhi_epi16(reds.below.v, reds.above.v));
    }
  }
};

struct TapWeights {
  __m512i blue[2];  // below and above
};

// A_i and B_i, the sums below and above along green not yet added.
template <int i>
LUTFUSE_INLINE __m512i interpolate_pair(const char* lut, int64_t next_blue, const int* nodes,
                                        const TapWeights& weights) {
  const auto dot = [&](const char* plane, __m512i four) {
    return _mm512_madd_epi16(load_node_pairs(plane, nodes[i], nodes[i + 4]), broadcast_in_blocks<i>(four));
  };
  return _mm512_add_epi32(dot(lut, weights.blue[0]), dot(lut + next_blue, weights.blue[1]));
}
// [A_i | A_j | B_i | B_j]
template <int i, int j>
LUTFUSE_INLINE __m512i interpolate4(const char* lut, int64_t next_blue, const int* nodes,
                                    const TapWeights& weights) {
  const __m512i x = interpolate_pair<i>(lut, next_blue, nodes, weights);
  const __m512i y = interpolate_pair<j>(lut, next_blue, nodes, weights);
  static constexpr Indices<int64_t, 8> kCrossed{{2, 3, 8, 9, 6, 7, 12, 13}};
  const __m512i sum = _mm512_add_epi32(_mm512_mask_blend_epi64(0xcc, x, y),  //
                                       _mm512_permutex2var_epi64(x, kCrossed.load(), y));
  return _mm512_srli_epi32(sum, kTapBits + kNodeBits);
}
// 16-bit lanes [A0 A2 | A1 A3 | B0 B2 | B1 B3]
LUTFUSE_INLINE __m512i interpolate8(const char* lut, int64_t next_blue, const int* nodes, const int* below,
                                    const int* above) {
  const TapWeights weights{{_mm512_loadu_si512(below), _mm512_loadu_si512(above)}};
  return _mm512_packs_epi32(interpolate4<0, 1>(lut, next_blue, nodes, weights),
                            interpolate4<2, 3>(lut, next_blue, nodes, weights));
}
LUTFUSE_INLINE void interpolate_chunk(const Plan<uint8_t>& plan, const ChunkTaps8& taps, int n,
                                      uint8_t* __restrict out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t next_blue = blue_stride(plan);
#define PIXEL(i) i, i + 1, i + 2  // the fourth byte is padding
  static constexpr Indices<uint8_t, 64> kInOrder{{PIXEL(0), PIXEL(16), PIXEL(4), PIXEL(20),    //
                                                  PIXEL(32), PIXEL(48), PIXEL(36), PIXEL(52),  //
                                                  PIXEL(8), PIXEL(24), PIXEL(12), PIXEL(28),   //
                                                  PIXEL(40), PIXEL(56), PIXEL(44), PIXEL(60)}};
#undef PIXEL
  for (int i = 0; i < n; i += kLanes) {
    const int *nodes = taps.node + i, *below = taps.weights[0] + 2 * i, *above = taps.weights[1] + 2 * i;
    const __m512i bytes =
        _mm512_packus_epi16(interpolate8(lut, next_blue, nodes, below, above),
                            interpolate8(lut, next_blue, nodes + 8, below + 16, above + 16));
    store_pixels(out + 3 * i, _mm512_permutexvar_epi8(kInOrder.load(), bytes));
  }
}

// ---- 16 bits

struct Fractions {
  __m512 red;           // of A and B
  __m512i green, blue;  // [A | A | B | B]
};

LUTFUSE_INLINE __m512 lerp(__m512 a, __m512 b, __m512 t) {
  return _mm512_fmadd_ps(t, _mm512_sub_ps(b, a), a);
}
// A_i and B_i, not yet interpolated along red.
template <int i>
LUTFUSE_INLINE __m512 interpolate_pair(const char* lut, int64_t n, const int* nodes,
                                       const Fractions& fractions) {
  const auto edges = [&](int64_t node) {
    return _mm512_castsi512_ps(load_node_pairs(lut + node * sizeof(Node<uint16_t>), nodes[i], nodes[i + 4]));
  };
  const __m512 green = _mm512_castsi512_ps(broadcast_in_blocks<i>(fractions.green));
  const __m512 below = lerp(edges(0), edges(n), green), above = lerp(edges(n * n), edges(n * n + n), green);
  return lerp(below, above, _mm512_castsi512_ps(broadcast_in_blocks<i>(fractions.blue)));
}
// [A_i | B_i | A_j | B_j]
template <int i, int j>
LUTFUSE_INLINE __m512i interpolate4(const char* lut, int64_t n, const int* nodes,
                                    const Fractions& fractions) {
  const __m512 x = interpolate_pair<i>(lut, n, nodes, fractions);
  const __m512 y = interpolate_pair<j>(lut, n, nodes, fractions);
  const __m512 below = _mm512_shuffle_f32x4(x, y, 0x88), above = _mm512_shuffle_f32x4(x, y, 0xdd);
  static constexpr Indices<int, 16> kReds{{i, i, i, i, i + 4, i + 4, i + 4, i + 4,  //
                                           j, j, j, j, j + 4, j + 4, j + 4, j + 4}};
  const __m512 red = _mm512_permutexvar_ps(kReds.load(), fractions.red);
  return _mm512_cvttps_epi32(lerp(below, above, red));
}
LUTFUSE_INLINE void interpolate8(const char* lut, int64_t n, const int* nodes, const Fractions& fractions,
                                 uint16_t* out) {
  // 16-bit lanes [A0 A2 | B0 B2 | A1 A3 | B1 B3]
  const __m512i lanes = _mm512_packus_epi32(interpolate4<0, 1>(lut, n, nodes, fractions),
                                            interpolate4<2, 3>(lut, n, nodes, fractions));
#define PIXEL(i) i, i + 1, i + 2  // the fourth lane is padding
  static constexpr Indices<uint16_t, 32> kInOrder{{PIXEL(0), PIXEL(16), PIXEL(4), PIXEL(20),  //
                                                   PIXEL(8), PIXEL(24), PIXEL(12), PIXEL(28)}};
#undef PIXEL
  store_pixels(out, _mm512_permutexvar_epi16(kInOrder.load(), lanes));
}
template <class ChunkTaps>
LUTFUSE_INLINE void interpolate_chunk(const Plan<uint16_t>& plan, const ChunkTaps& taps, int n,
                                      uint16_t* __restrict out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t size = plan.job.lut_size;
  for (int i = 0; i < n; i += kLanes) {
    const __m512 red = _mm512_loadu_ps(taps.red + i);
    const __m512i green = _mm512_loadu_si512(taps.green + i), blue = _mm512_loadu_si512(taps.blue + i);
    const Fractions first{red, _mm512_shuffle_i32x4(green, green, 0x50),
                          _mm512_shuffle_i32x4(blue, blue, 0x50)};
    const Fractions last{_mm512_shuffle_f32x4(red, red, 0xee), _mm512_shuffle_i32x4(green, green, 0xfa),
                         _mm512_shuffle_i32x4(blue, blue, 0xfa)};
    interpolate8(lut, size, taps.node + i, first, out + 3 * i);
    interpolate8(lut, size, taps.node + i + 8, last, out + 3 * i + 24);
  }
}

// ---- lanes

struct Avx512 {
  static constexpr int kExposuresPerLoop = 2;

  struct F {
    __m512 v;
    F() = default;
    LUTFUSE_INLINE F(__m512 lanes) : v(lanes) {}
    LUTFUSE_INLINE explicit F(float all) : v(_mm512_set1_ps(all)) {}
    friend LUTFUSE_INLINE F operator+(F a, F b) { return _mm512_add_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator-(F a, F b) { return _mm512_sub_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator*(F a, F b) { return _mm512_mul_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
    friend LUTFUSE_INLINE F divide(F a, F b) { return _mm512_div_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F max(F a, F b) { return _mm512_max_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F min(F a, F b) { return _mm512_min_ps(a.v, b.v); }
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
    friend LUTFUSE_INLINE I min(I a, I b) { return _mm512_min_epi32(a.v, b.v); }
    // The upper half of each 32-bit lane is zero, so the sum of two products is the one product.
    friend LUTFUSE_INLINE I mul15(I a, I b) { return _mm512_madd_epi16(a.v, b.v); }
  };

  friend LUTFUSE_INLINE I to_int(F a) { return _mm512_cvttps_epi32(a.v); }
  friend LUTFUSE_INLINE F to_float(I a) { return _mm512_cvtepi32_ps(a.v); }
  friend LUTFUSE_INLINE I bit_cast_to_int(F a) { return _mm512_castps_si512(a.v); }

  static LUTFUSE_INLINE F load(const float* from) { return _mm512_loadu_ps(from); }
  static LUTFUSE_INLINE void store(float* to, F lanes) { _mm512_storeu_ps(to, lanes.v); }
  static LUTFUSE_INLINE void store(int* to, I lanes) { _mm512_storeu_si512(to, lanes.v); }

  // 48 bytes: each pixel's lane gets `count` of its three channels, from `first` on.
  template <int first, int count>
  static LUTFUSE_INLINE I load_channels(const uint8_t* pixels) {
    static constexpr Indices<uint8_t, 64> kChannels = [] {
      Indices<uint8_t, 64> indices{};
      for (int i = 0; i < 64; ++i) indices.lane[i] = static_cast<uint8_t>(i / 4 * 3 + first + i % 4 % count);
      return indices;
    }();
    constexpr __mmask64 used = count == 3 ? 0x7777777777777777 : 0x1111111111111111;
    return _mm512_maskz_permutexvar_epi8(used, kChannels.load(), _mm512_maskz_loadu_epi32(0x0fff, pixels));
  }
  static LUTFUSE_INLINE void load_rgb(const uint8_t* pixels, F& red, F& green, F& blue) {
    red = to_float(load_channels<0, 1>(pixels));
    green = to_float(load_channels<1, 1>(pixels));
    blue = to_float(load_channels<2, 1>(pixels));
  }
  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const LumaCoefficients<uint8_t>& to_luma) {
    const I rgb = load_channels<0, 3>(pixels);
    // Three independent dot products are faster than a chain of accumulations.
    const auto dot = [&](int digit) {
      return I(_mm512_dpbusd_epi32(I(0).v, rgb.v, I(to_luma.digits[digit]).v));
    };
    return (dot(2) << 16) + ((dot(1) << 8) + dot(0));
  }

  // 96 bytes: 48 lanes of 16 bits, every third of one channel.
  static LUTFUSE_INLINE void load_rgb(const uint16_t* pixels, F& red, F& green, F& blue) {
    static constexpr Indices<uint16_t, 32> kEveryThird[3] = {
        {{0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45}},
        {{1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46}},
        {{2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38, 41, 44, 47}}};
    const __m512i early = _mm512_loadu_si512(pixels), late = _mm512_maskz_loadu_epi32(0x00ff, pixels + 32);
    const auto channel = [&](const Indices<uint16_t, 32>& indices) __attribute__((always_inline)) {
      const __m512i lanes = _mm512_permutex2var_epi16(early, indices.load(), late);
      return F(_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(lanes))));
    };
    red = channel(kEveryThird[0]);
    green = channel(kEveryThird[1]);
    blue = channel(kEveryThird[2]);
  }

  template <int pitch>
  static LUTFUSE_INLINE F table_lookup(const float* table, I knot) {
    static_assert(pitch == 16, "one register holds all knots");
    return _mm512_permutexvar_ps(knot.v, _mm512_loadu_ps(table));
  }

  template <class T>
  using ChunkTaps = std::conditional_t<sizeof(T) == 1, ChunkTaps8, ChunkTaps16<Avx512>>;

  template <class T>
  static LUTFUSE_INLINE void interpolate(const Plan<T>& plan, const ChunkTaps<T>& taps, int n, T* out) {
    interpolate_chunk(plan, taps, n, out);
  }
};

}  // namespace

template <class T>
Backend<T> avx512_backend() {
  return {pack_nodes, fuse_rows<Avx512, kMaxPitch, T>};
}
template Backend<uint8_t> avx512_backend();
template Backend<uint16_t> avx512_backend();

}  // namespace lutfuse
