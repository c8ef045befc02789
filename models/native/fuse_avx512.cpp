// Sixteen lanes: AVX-512 F, BW, DQ and VL merge the exposures; the LUT gathers stay 256 bits wide, where
// joining 128-bit nodes is cheapest. Compiled for them; path_available() keeps other machines away.
#include "fuse_simd.h"

namespace lutfuse {
namespace {

struct Avx512 {
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
    friend LUTFUSE_INLINE I product16(I a, I b) { return _mm512_madd_epi16(a.v, b.v); }
  };

  friend LUTFUSE_INLINE I truncated(F a) { return _mm512_cvttps_epi32(a.v); }
  friend LUTFUSE_INLINE F widened(I a) { return _mm512_cvtepi32_ps(a.v); }

  friend LUTFUSE_INLINE I bits_of(F a) { return _mm512_castps_si512(a.v); }
  static LUTFUSE_INLINE __m256i narrowed(I a) {
    const __m512i low = _mm512_and_si512(a.v, _mm512_set1_epi32(0xffff));
    return _mm256_packus_epi32(_mm512_castsi512_si256(low), _mm512_extracti64x4_epi64(low, 1));
  }

  static LUTFUSE_INLINE F load(const float* from) { return _mm512_loadu_ps(from); }
  static LUTFUSE_INLINE void store(float* to, F lanes) { _mm512_storeu_ps(to, lanes.v); }
  static LUTFUSE_INLINE void store(int* to, I lanes) { _mm512_storeu_si512(to, lanes.v); }

  // 48 bytes: twelve to each 128-bit quarter, of which each pixel's lane gets four; -1: zero.
  static LUTFUSE_INLINE __m512i quarters(const uint8_t* pixels) {
    const __m512i spread = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    return _mm512_permutexvar_epi32(spread, _mm512_maskz_loadu_epi32(0x0fff, pixels));
  }
  static LUTFUSE_INLINE I picked(__m512i bytes, __m128i which) {
    return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(which));
  }
  static constexpr char no = -1;

  static LUTFUSE_INLINE void load(const uint8_t* pixels, F& red, F& green, F& blue) {
    const __m512i bytes = quarters(pixels);
    red = widened(picked(bytes, _mm_setr_epi8(0, no, no, no, 3, no, no, no, 6, no, no, no, 9, no, no, no)));
    green = widened(picked(bytes, _mm_setr_epi8(1, no, no, no, 4, no, no, no, 7, no, no, no, 10, no, no, no)));
    blue = widened(picked(bytes, _mm_setr_epi8(2, no, no, no, 5, no, no, no, 8, no, no, no, 11, no, no, no)));
  }

  // Coefficients have more than 16 bits: an upper part and eleven bits, multiplied one after the other.
  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const Luma<uint8_t>& luma) {
    const __m512i bytes = quarters(pixels);
    const I red_green = picked(bytes, _mm_setr_epi8(0, no, 1, no, 3, no, 4, no, 6, no, 7, no, 9, no, 10, no));
    const I only_blue = picked(bytes, _mm_setr_epi8(2, no, no, no, 5, no, no, no, 8, no, no, no, 11, no, no, no));
    constexpr int low = 2047;
    const I upper = product16(red_green, I(luma.red >> 11 | luma.green >> 11 << 16)) + product16(only_blue, I(luma.blue >> 11));
    const I lower =
        product16(red_green, I((luma.red & low) | (luma.green & low) << 16)) + product16(only_blue, I(luma.blue & low));
    return (upper << 11) + lower;
  }

  // 96 bytes: 48 words, every third of which is a channel's.
  static LUTFUSE_INLINE void load(const uint16_t* pixels, F& red, F& green, F& blue) {
    const __m512i early = _mm512_loadu_si512(pixels), late = _mm512_maskz_loadu_epi32(0x00ff, pixels + 32);
    alignas(64) static constexpr uint16_t kEveryThird[3][32] = {
        {0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45},
        {1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46},
        {2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38, 41, 44, 47}};
    const auto channel = [&](const uint16_t* where) __attribute__((always_inline)) {
      const __m512i words = _mm512_permutex2var_epi16(early, _mm512_load_si512(where), late);
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
};

}  // namespace

template <class T>
void fuse_rows_avx512(const Plan<T>& plan, int first, int last, float* scratch) {
  fuse_rows_of<Avx512, 16>(plan, first, last, scratch);
}
template void fuse_rows_avx512(const Plan<uint8_t>&, int, int, float*);
template void fuse_rows_avx512(const Plan<uint16_t>&, int, int, float*);

}  // namespace lutfuse
