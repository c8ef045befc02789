// AVX2 and FMA. Sixteen lanes are two registers whose operations run side by side. Compiled for these
// instruction sets; path_available() keeps other machines away.
#include <type_traits>

#include "fuse_simd.h"

namespace lutfuse {
namespace {

// Sixteen 16-bit lanes, in the order that _mm256_packus_epi32 gives: pixels 0...3, 8...11, 4...7, 12...15.
struct U16x16 {
  __m256i v;
  LUTFUSE_INLINE U16x16(__m256i lanes) : v(lanes) {}
  LUTFUSE_INLINE explicit U16x16(int all) : v(_mm256_set1_epi16(static_cast<int16_t>(all))) {}
  friend LUTFUSE_INLINE U16x16 operator+(U16x16 a, U16x16 b) { return _mm256_add_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x16 operator-(U16x16 a, U16x16 b) { return _mm256_sub_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x16 mul_low16(U16x16 a, U16x16 b) { return _mm256_mullo_epi16(a.v, b.v); }
  friend LUTFUSE_INLINE U16x16 mul_high16(U16x16 a, U16x16 b) { return _mm256_mulhi_epu16(a.v, b.v); }
};

LUTFUSE_INLINE void store(void* to, __m256i lanes) { _mm256_store_si256(static_cast<__m256i*>(to), lanes); }
LUTFUSE_INLINE __m256i load(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }

// ---- 8 bits. The halves of a register are the nodes below and above along green.

struct ChunkTaps8 {
  alignas(64) uint16_t red[kChunk], green[kChunk], blue[kChunk];  // fractions, in the order of U16x16
  alignas(64) int node[kChunk];                                   // byte offset in the LUT
  alignas(64) int weights[2][2 * kChunk];  // [blue end], then [green end][pixel] for every four pixels

  template <class F>
  LUTFUSE_INLINE void find(const Sum<F>& sum, const Scales<uint8_t>& s, int i) {
    const F scale = divide(F(s.to_lut), sum.weight);
    const auto coordinate = [&](F channel) {
      return lut_coordinate(U16x16(narrow16(to_unorm16(channel, scale))), s.lut_size - 1);
    };
    const LutCoordinate<U16x16> r = coordinate(sum.red), g = coordinate(sum.green), b = coordinate(sum.blue);
    store(red + i, r.fraction.v);
    store(green + i, g.fraction.v);
    store(blue + i, b.fraction.v);
    const U16x16 line = mul_low16(b.index, U16x16(s.lut_size)) + r.index;
    const __m256i factors = _mm256_set1_epi32(node_byte_factors(s.lut_size));
    store(node + i, _mm256_madd_epi16(_mm256_unpacklo_epi16(line.v, g.index.v), factors));
    store(node + i + 8, _mm256_madd_epi16(_mm256_unpackhi_epi16(line.v, g.index.v), factors));
  }

  // The weights of pixels i...i + 15, from their fractions.
  LUTFUSE_INLINE void find_weights(int i) {
    for (int half = 0; half < 2; ++half) {  // pixels 0...3 and 8...11, then 4...7 and 12...15
      const auto fraction = [&](const uint16_t* channel) {
        const auto* eight = reinterpret_cast<const __m128i*>(channel + i + 8 * half);
        return U16x16(_mm256_broadcastsi128_si256(_mm_load_si128(eight)));
      };
      const Split<U16x16> greens = split(U16x16(kTapOne), fraction(green));
      const U16x16 both = _mm256_blend_epi32(greens.below.v, greens.above.v, 0xf0), r = fraction(red);
      const Split<U16x16> blues = split(both, fraction(blue));
      for (int b = 0; b < 2; ++b) {
        const Split<U16x16> reds = split(b ? blues.above : blues.below, r);
        int* to = weights[b] + 2 * (i + 4 * half);
        store(to, _mm256_unpacklo_epi16(reds.below.v, reds.above.v));
        store(to + 16, _mm256_unpackhi_epi16(reds.below.v, reds.above.v));
      }
    }
  }
};

struct TapWeights {
  __m256i blue[2];  // below and above
};

// The sums of pixel i of four, those below and above along green not yet added.
template <int i>
LUTFUSE_INLINE __m256i interpolate_pixel(const char* node, int64_t next_blue, const TapWeights& weights) {
  const auto dot = [](const char* nodes, __m256i four) {
    return _mm256_madd_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(nodes)),
                             _mm256_shuffle_epi32(four, i * 0x55));
  };
  return _mm256_add_epi32(dot(node, weights.blue[0]), dot(node + next_blue, weights.blue[1]));
}
// Pixel i in the lower half, pixel i + 4 in the upper.
template <int i>
LUTFUSE_INLINE __m256i interpolate_pair(const char* lut, int64_t next_blue, const int* nodes,
                                        const TapWeights* weights) {
  const __m256i low = interpolate_pixel<i>(lut + nodes[i], next_blue, weights[0]);
  const __m256i high = interpolate_pixel<i>(lut + nodes[i + 4], next_blue, weights[1]);
  const __m256i sum = _mm256_add_epi32(_mm256_blend_epi32(low, high, 0xf0),  //
                                       _mm256_permute2x128_si256(low, high, 0x21));
  return _mm256_srli_epi32(sum, kTapBits + kNodeBits);
}
LUTFUSE_INLINE void interpolate8(const Plan<uint8_t>& plan, const ChunkTaps8& taps, int i, uint8_t* out) {
  const auto* lut = reinterpret_cast<const char*>(plan.lut);
  const int64_t next_blue = blue_stride(plan);
  const int* nodes = taps.node + i;
  const int *below = taps.weights[0] + 2 * i, *above = taps.weights[1] + 2 * i;
  const TapWeights weights[2] = {{{load(below), load(above)}}, {{load(below + 8), load(above + 8)}}};
  const __m256i first = _mm256_packs_epi32(interpolate_pair<0>(lut, next_blue, nodes, weights),
                                           interpolate_pair<1>(lut, next_blue, nodes, weights));
  const __m256i last = _mm256_packs_epi32(interpolate_pair<2>(lut, next_blue, nodes, weights),
                                          interpolate_pair<3>(lut, next_blue, nodes, weights));
  const __m256i drop_fourth = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,  //
                                               0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(first, last), drop_fourth);
  // Twelve bytes in each half: storing three pieces costs less than joining the halves.
  const __m128i high = _mm256_extracti128_si256(bytes, 1);
  const int end = _mm_extract_epi32(high, 2);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(bytes));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 12), high);
  __builtin_memcpy(out + 20, &end, 4);
}

// ---- 16 bits. The halves of a register are the nodes below and above along red.

LUTFUSE_INLINE __m256 lerp(__m256 a, __m256 b, __m256 t) {
  return _mm256_fmadd_ps(t, _mm256_sub_ps(b, a), a);
}
template <class ChunkTaps>
LUTFUSE_INLINE __m128i interpolate_pixel(const Node<uint16_t>* lut, int64_t n, const ChunkTaps& taps, int i) {
  const auto* first = reinterpret_cast<const char*>(lut) + taps.node[i];
  const auto edge = [&](int64_t node) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(first + node * sizeof(Node<uint16_t>)));
  };
  const __m256 green = _mm256_broadcast_ss(taps.green + i), blue = _mm256_broadcast_ss(taps.blue + i);
  const __m256 reds = lerp(lerp(edge(0), edge(n), green), lerp(edge(n * n), edge(n * n + n), green), blue);
  const __m128 below = _mm256_castps256_ps128(reds), above = _mm256_extractf128_ps(reds, 1);
  return _mm_cvttps_epi32(_mm_fmadd_ps(_mm_broadcast_ss(taps.red + i), _mm_sub_ps(above, below), below));
}
template <class ChunkTaps>
LUTFUSE_INLINE void interpolate8(const Plan<uint16_t>& plan, const ChunkTaps& taps, int i, uint16_t* out) {
  const auto pixel = [&](int j) { return interpolate_pixel(plan.lut, plan.job.lut_size, taps, i + j); };
  const __m128i drop_fourth = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1);
  __m128i pairs[4];
  for (int p = 0; p < 4; ++p) {
    pairs[p] = _mm_shuffle_epi8(_mm_packus_epi32(pixel(2 * p), pixel(2 * p + 1)), drop_fourth);
  }
  // Four times twelve bytes make three times sixteen.
  auto* to = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(to, _mm_or_si128(pairs[0], _mm_slli_si128(pairs[1], 12)));
  _mm_storeu_si128(to + 1, _mm_or_si128(_mm_srli_si128(pairs[1], 4), _mm_slli_si128(pairs[2], 8)));
  _mm_storeu_si128(to + 2, _mm_or_si128(_mm_srli_si128(pairs[2], 8), _mm_slli_si128(pairs[3], 4)));
}

// ---- lanes

struct Avx2 {
  static constexpr int kExposuresPerLoop = 1;

  struct F {
    __m256 a, b;  // pixels 0...7, 8...15
    F() = default;
    LUTFUSE_INLINE F(__m256 a, __m256 b) : a(a), b(b) {}
    LUTFUSE_INLINE explicit F(float all) : a(_mm256_set1_ps(all)), b(a) {}
    friend LUTFUSE_INLINE F operator+(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F operator-(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F operator*(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F fma(F x, F y, F z) {
      return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
    }
    friend LUTFUSE_INLINE F divide(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
    friend LUTFUSE_INLINE F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  };

  struct I {
    __m256i a, b;
    I() = default;
    LUTFUSE_INLINE I(__m256i a, __m256i b) : a(a), b(b) {}
    LUTFUSE_INLINE explicit I(int all) : a(_mm256_set1_epi32(all)), b(a) {}
    friend LUTFUSE_INLINE I operator+(I x, I y) {
      return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
    }
    friend LUTFUSE_INLINE I operator&(I x, I y) {
      return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
    }
    friend LUTFUSE_INLINE I operator<<(I x, int bits) {
      return {_mm256_slli_epi32(x.a, bits), _mm256_slli_epi32(x.b, bits)};
    }
    friend LUTFUSE_INLINE I operator>>(I x, int bits) {
      return {_mm256_srli_epi32(x.a, bits), _mm256_srli_epi32(x.b, bits)};
    }
    friend LUTFUSE_INLINE I min(I x, I y) { return {_mm256_min_epi32(x.a, y.a), _mm256_min_epi32(x.b, y.b)}; }
    // The upper half of each 32-bit lane is zero, so the sum of two products is the one product.
    friend LUTFUSE_INLINE I mul15(I x, I y) {
      return {_mm256_madd_epi16(x.a, y.a), _mm256_madd_epi16(x.b, y.b)};
    }
  };

  friend LUTFUSE_INLINE I to_int(F x) { return {_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b)}; }
  friend LUTFUSE_INLINE F to_float(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  friend LUTFUSE_INLINE I bit_cast_to_int(F x) {
    return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
  }
  friend LUTFUSE_INLINE __m256i narrow16(I x) {  // in the order of U16x16
    const I low = x & I(0xffff);
    return _mm256_packus_epi32(low.a, low.b);
  }

  static LUTFUSE_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static LUTFUSE_INLINE void store(float* to, F x) {
    _mm256_storeu_ps(to, x.a);
    _mm256_storeu_ps(to + 8, x.b);
  }
  static LUTFUSE_INLINE void store(int* to, I x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x.a);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), x.b);
  }

  static LUTFUSE_INLINE __m256i load_halves(const void* low, const void* high) {
    const __m128i first = _mm_loadu_si128(static_cast<const __m128i*>(low));
    const __m256i last = _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(high)));
    return _mm256_blend_epi32(_mm256_castsi128_si256(first), last, 0xf0);
  }

  // 48 bytes, twelve in each half of a register. In the second register they start at byte 4: its loads end
  // where the pixels end.
  struct Bytes {
    __m256i a, b;
    LUTFUSE_INLINE explicit Bytes(const uint8_t* pixels)
        : a(load_halves(pixels, pixels + 12)), b(load_halves(pixels + 20, pixels + 32)) {}
    // Per half: byte `indices[i]` of its twelve, kZero for a zero.
    LUTFUSE_INLINE I shuffle(__m128i indices) const {
      const __m256i first = _mm256_broadcastsi128_si256(indices);
      const __m256i second = _mm256_add_epi8(first, _mm256_set1_epi8(4));
      return {_mm256_shuffle_epi8(a, first), _mm256_shuffle_epi8(b, second)};
    }
  };
  static constexpr char kZero = -128;  // still negative when four is added

  static LUTFUSE_INLINE void load_rgb(const uint8_t* pixels, F& red, F& green, F& blue) {
    const Bytes bytes(pixels);
    constexpr char z = kZero;
    red = to_float(bytes.shuffle(_mm_setr_epi8(0, z, z, z, 3, z, z, z, 6, z, z, z, 9, z, z, z)));
    green = to_float(bytes.shuffle(_mm_setr_epi8(1, z, z, z, 4, z, z, z, 7, z, z, z, 10, z, z, z)));
    blue = to_float(bytes.shuffle(_mm_setr_epi8(2, z, z, z, 5, z, z, z, 8, z, z, z, 11, z, z, z)));
  }

  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const LumaCoefficients<uint8_t>& to_luma) {
    const Bytes bytes(pixels);
    constexpr char z = kZero;
    const I red_green = bytes.shuffle(_mm_setr_epi8(0, z, 1, z, 3, z, 4, z, 6, z, 7, z, 9, z, 10, z));
    const I blue_only = bytes.shuffle(_mm_setr_epi8(2, z, z, z, 5, z, z, z, 8, z, z, z, 11, z, z, z));
    // The coefficients exceed 16 bits, so their upper part and lower eleven bits are multiplied separately.
    const auto dot = [&](int red, int green, int blue) __attribute__((always_inline)) {
      return mul15(red_green, I(red | green << 16)) +
             mul15(blue_only, I(blue));  // the first adds two products
    };
    constexpr int low = 2047;
    const I upper = dot(to_luma.red >> 11, to_luma.green >> 11, to_luma.blue >> 11);
    const I lower = dot(to_luma.red & low, to_luma.green & low, to_luma.blue & low);
    return (upper << 11) + lower;
  }

  // 96 bytes. For each half of a register, two overlapping loads, each with part of the channel's values.
  static LUTFUSE_INLINE void load_rgb(const uint16_t* pixels, F& red, F& green, F& blue) {
    const I early{load_halves(pixels, pixels + 12), load_halves(pixels + 24, pixels + 36)};
    const I late{load_halves(pixels + 4, pixels + 16), load_halves(pixels + 28, pixels + 40)};
    const auto channel = [&](__m128i from_early, __m128i from_late) __attribute__((always_inline)) {
      const auto shuffle = [&](__m256i x, __m256i y) __attribute__((always_inline)) {
        return _mm256_or_si256(_mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(from_early)),
                               _mm256_shuffle_epi8(y, _mm256_broadcastsi128_si256(from_late)));
      };
      return to_float(I{shuffle(early.a, late.a), shuffle(early.b, late.b)});
    };
    constexpr char z = -1;
    red = channel(_mm_setr_epi8(0, 1, z, z, 6, 7, z, z, 12, 13, z, z, z, z, z, z),
                  _mm_setr_epi8(z, z, z, z, z, z, z, z, z, z, z, z, 10, 11, z, z));
    green = channel(_mm_setr_epi8(2, 3, z, z, 8, 9, z, z, 14, 15, z, z, z, z, z, z),
                    _mm_setr_epi8(z, z, z, z, z, z, z, z, z, z, z, z, 12, 13, z, z));
    blue = channel(_mm_setr_epi8(4, 5, z, z, 10, 11, z, z, z, z, z, z, z, z, z, z),
                   _mm_setr_epi8(z, z, z, z, z, z, z, z, 8, 9, z, z, 14, 15, z, z));
  }

  template <int pitch>
  static LUTFUSE_INLINE F table_lookup(const float* table, I knot) {
    const __m256 low = _mm256_loadu_ps(table);
    const F found{_mm256_permutevar8x32_ps(low, knot.a), _mm256_permutevar8x32_ps(low, knot.b)};
    if constexpr (pitch == 8) return found;
    const __m256 high = _mm256_loadu_ps(table + 8);
    // Bit 3 of the knot, shifted to the sign bit, selects the half of the table.
    const auto select = [](__m256 x, __m256 y, __m256i knot) {
      return _mm256_blendv_ps(x, y, _mm256_castsi256_ps(_mm256_slli_epi32(knot, 28)));
    };
    return {select(found.a, _mm256_permutevar8x32_ps(high, knot.a), knot.a),
            select(found.b, _mm256_permutevar8x32_ps(high, knot.b), knot.b)};
  }

  template <class T>
  using ChunkTaps = std::conditional_t<sizeof(T) == 1, ChunkTaps8, ChunkTaps16<Avx2>>;

  static LUTFUSE_INLINE void interpolate(const Plan<uint8_t>& plan, ChunkTaps8& taps, int n, uint8_t* out) {
    for (int i = 0; i < n; i += kLanes) taps.find_weights(i);
    for (int i = 0; i < n; i += 8) interpolate8(plan, taps, i, out + 3 * i);
  }
  static LUTFUSE_INLINE void interpolate(const Plan<uint16_t>& plan, const ChunkTaps<uint16_t>& taps, int n,
                                         uint16_t* out) {
    for (int i = 0; i < n; i += 8) interpolate8(plan, taps, i, out + 3 * i);
  }
};

template <class T>
void fuse_rows_avx2(const Plan<T>& plan, int first, int last, float* scratch) {
  if (plan.pitch == 8) return fuse_rows<Avx2, 8>(plan, first, last, scratch);
  fuse_rows<Avx2, kMaxPitch>(plan, first, last, scratch);
}

}  // namespace

template <class T>
Backend<T> avx2_backend() {
  return {pack_nodes, fuse_rows_avx2<T>};
}
template Backend<uint8_t> avx2_backend();
template Backend<uint16_t> avx2_backend();

}  // namespace lutfuse
