// AVX2 and FMA: sixteen lanes are two registers, whose operations run side by side. Compiled for them;
// path_available() keeps other machines away.
#include "fuse_simd.h"

namespace lutfuse {
namespace {

struct Avx2 {
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
  static LUTFUSE_INLINE __m256i narrowed(I x) {
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

  // Coefficients have more than 16 bits: an upper part and eleven bits, multiplied one after the other.
  static LUTFUSE_INLINE I luma(const uint8_t* pixels, const Luma<uint8_t>& luma) {
    const Bytes bytes(pixels);
    constexpr char no = kZero;
    const I red_green = bytes.picked(_mm_setr_epi8(0, no, 1, no, 3, no, 4, no, 6, no, 7, no, 9, no, 10, no));
    const I only_blue = bytes.picked(_mm_setr_epi8(2, no, no, no, 5, no, no, no, 8, no, no, no, 11, no, no, no));
    constexpr int low = 2047;
    const I upper = product16(red_green, I(luma.red >> 11 | luma.green >> 11 << 16)) + product16(only_blue, I(luma.blue >> 11));
    const I lower =
        product16(red_green, I((luma.red & low) | (luma.green & low) << 16)) + product16(only_blue, I(luma.blue & low));
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
};

}  // namespace

template <class T>
void fuse_rows_avx2(const Plan<T>& plan, int first, int last, float* scratch) {
  if (plan.pitch == 8) return fuse_rows_of<Avx2, 8>(plan, first, last, scratch);
  fuse_rows_of<Avx2, 16>(plan, first, last, scratch);
}
template void fuse_rows_avx2(const Plan<uint8_t>&, int, int, float*);
template void fuse_rows_avx2(const Plan<uint16_t>&, int, int, float*);

}  // namespace lutfuse
