// Eight lanes: AVX2 and FMA. Compiled for them; path_available() keeps other machines away.
#include "fuse_simd.h"

namespace lutfuse {
namespace {

struct Avx2 {
  static constexpr int width = 8;

  struct F {
    __m256 v;
    F() = default;
    LUTFUSE_INLINE F(__m256 lanes) : v(lanes) {}
    LUTFUSE_INLINE explicit F(float all) : v(_mm256_set1_ps(all)) {}
    friend LUTFUSE_INLINE F operator+(F a, F b) { return _mm256_add_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator-(F a, F b) { return _mm256_sub_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F operator*(F a, F b) { return _mm256_mul_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
    friend LUTFUSE_INLINE F divided(F a, F b) { return _mm256_div_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F larger(F a, F b) { return _mm256_max_ps(a.v, b.v); }
    friend LUTFUSE_INLINE F smaller(F a, F b) { return _mm256_min_ps(a.v, b.v); }
  };

  struct I {
    __m256i v;
    I() = default;
    LUTFUSE_INLINE I(__m256i lanes) : v(lanes) {}
    LUTFUSE_INLINE explicit I(int all) : v(_mm256_set1_epi32(all)) {}
    friend LUTFUSE_INLINE I operator+(I a, I b) { return _mm256_add_epi32(a.v, b.v); }
    friend LUTFUSE_INLINE I operator-(I a, I b) { return _mm256_sub_epi32(a.v, b.v); }
    friend LUTFUSE_INLINE I operator|(I a, I b) { return _mm256_or_si256(a.v, b.v); }
    friend LUTFUSE_INLINE I operator&(I a, I b) { return _mm256_and_si256(a.v, b.v); }
    friend LUTFUSE_INLINE I operator<<(I a, int bits) { return _mm256_slli_epi32(a.v, bits); }
    friend LUTFUSE_INLINE I operator>>(I a, int bits) { return _mm256_srli_epi32(a.v, bits); }
    friend LUTFUSE_INLINE I smaller(I a, I b) { return _mm256_min_epi32(a.v, b.v); }
    // The upper halves of the lanes are zero, so the sum of two products is the one we want.
    friend LUTFUSE_INLINE I product16(I a, I b) { return _mm256_madd_epi16(a.v, b.v); }
    friend LUTFUSE_INLINE I scaled15(I a, I b) { return _mm256_mulhrs_epi16(a.v, b.v); }
  };

  friend LUTFUSE_INLINE I truncated(F a) { return _mm256_cvttps_epi32(a.v); }
  friend LUTFUSE_INLINE F widened(I a) { return _mm256_cvtepi32_ps(a.v); }

  static LUTFUSE_INLINE F load_floats(const float* from) { return _mm256_loadu_ps(from); }
  static LUTFUSE_INLINE void store(float* to, F lanes) { _mm256_storeu_ps(to, lanes.v); }
  static LUTFUSE_INLINE void store(int* to, I lanes) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), lanes.v); }

  static LUTFUSE_INLINE __m256i two(const void* low, const void* high) {
    const __m128i first = _mm_loadu_si128(static_cast<const __m128i*>(low));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), _mm_loadu_si128(static_cast<const __m128i*>(high)), 1);
  }

  // 24 bytes. The second load starts 8 bytes in, not 12, to end where the pixels end.
  static LUTFUSE_INLINE void load(const uint8_t* pixels, F& red, F& green, F& blue) {
    const __m256i bytes = two(pixels, pixels + 8);
    const auto channel = [&](int c) __attribute__((always_inline)) {
      const __m256i first = _mm256_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1,  //
                                             4, -1, -1, -1, 7, -1, -1, -1, 10, -1, -1, -1, 13, -1, -1, -1);
      const __m256i step = _mm256_setr_epi8(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,  //
                                            1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0);
      __m256i where = first;
      for (int i = 0; i < c; ++i) where = _mm256_add_epi8(where, step);
      return F(_mm256_cvtepi32_ps(_mm256_shuffle_epi8(bytes, where)));
    };
    red = channel(0);
    green = channel(1);
    blue = channel(2);
  }

  // 48 bytes: per half, two overlapping loads, of which each channel takes what it finds.
  static LUTFUSE_INLINE void load(const uint16_t* pixels, F& red, F& green, F& blue) {
    const __m256i early = two(pixels, pixels + 12), late = two(pixels + 4, pixels + 16);
    const auto channel = [&](__m128i from_early, __m128i from_late) __attribute__((always_inline)) {
      const __m256i a = _mm256_shuffle_epi8(early, _mm256_broadcastsi128_si256(from_early));
      const __m256i b = _mm256_shuffle_epi8(late, _mm256_broadcastsi128_si256(from_late));
      return F(_mm256_cvtepi32_ps(_mm256_or_si256(a, b)));
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
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), knot.v);
    if constexpr (pitch == 8) return low;
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), knot.v);
    // Bit 3 of the knot, moved to the sign, chooses the half.
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(knot.v, 28)));
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
