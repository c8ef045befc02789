// The maths of the kernel, once: for floats (scalar path, CUDA) and, through the same templates, for SIMD lanes. Here eq. 2,
// slice and merge; the LUT is in fuse_lut.h.
//
// F and I are float and int here; fuse_avx2.cpp and fuse_avx512.cpp bring vectors with the same operations.
// Everything is spelled out (fma, truncation, integer shares that add up), so that no path can round differently.
//
// Note [8 bits]. Luma, LUT coordinates and shares are integers, the last two of 16 bits, which SIMD units multiply two to a
//   lane; weights and the merge are floats, as at 16 bits. A merged colour is rounded to 1/257 of a level, shares to 14
//   bits: with the last rounding 0.51 levels from exact arithmetic under a smooth LUT of 33, 0.87 under one of zeros and ones.
#pragma once
#include <cstdint>
#include <cstring>

#include "fuse.h"

#if defined(__CUDACC__)
#define LUTFUSE_INLINE __host__ __device__ __forceinline__
#else
#define LUTFUSE_INLINE inline __attribute__((always_inline))
#endif

namespace lutfuse {

constexpr float kMinWeight = 1e-8f;
constexpr float kMaxWeight = 1048576.f;  // 2^20: nine weighted 16-bit pixels stay finite

// ---- lane operations: what vector types offer too, where they are used on them

static LUTFUSE_INLINE float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
static LUTFUSE_INLINE float divided(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}
static LUTFUSE_INLINE float larger(float a, float b) { return a > b ? a : b; }
static LUTFUSE_INLINE float smaller(float a, float b) { return a < b ? a : b; }
static LUTFUSE_INLINE int smaller(int a, int b) { return a < b ? a : b; }
static LUTFUSE_INLINE int truncated(float a) { return static_cast<int>(a); }
static LUTFUSE_INLINE float widened(int a) { return static_cast<float>(a); }
static LUTFUSE_INLINE int bits_of(float a) {
#if defined(__CUDA_ARCH__)
  return __float_as_int(a);
#else
  int bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
#endif
}
static LUTFUSE_INLINE int product16(int a, int b) { return a * b; }       // factors of at most 15 bits
static LUTFUSE_INLINE int low16(int a, int b) { return a * b & 0xffff; }  // halves of a product: what 16-bit lanes
static LUTFUSE_INLINE int high16(int a, int b) { return a * b >> 16; }    // multiply; b below 2^15

// ---- positions in the grid

struct Position {
  int cell;        // interpolate between this cell and the next
  float fraction;  // 0 at this cell's centre, 1 at the next one's
};

// Note [positions]: pixel i of n over `cells` cells. A quotient of integers: exact whatever the image's size.
static LUTFUSE_INLINE Position position_of(int64_t i, int64_t n, int cells) {
  int64_t numerator = (2 * i + 1) * cells - n;
  const int64_t last = 2 * n * (cells - 1);
  numerator = numerator < 0 ? 0 : numerator > last ? last : numerator;
  int cell = static_cast<int>(numerator / (2 * n));
  cell = cell > cells - 2 ? cells - 2 : cell;
  cell = cell < 0 ? 0 : cell;  // a single cell
  const auto rest = static_cast<float>(numerator - 2 * n * cell);
  return {cell, divided(rest, static_cast<float>(2 * n))};
}

// Note [odd values]: both comparisons are false for NaN.
static LUTFUSE_INLINE float cleaned(float value, float highest) {
  value = value > 0.f ? value : 0.f;
  return value < highest ? value : highest;
}

// ---- eq. 2: slice. The grid is interpolated over rows once per image row; what is left for a pixel is
// weight = value + column * fx + (luma + both * fx) * fz.

template <class F>
struct Patch {
  F value, column, luma, both;
};

static LUTFUSE_INLINE float lerp(float a, float b, float t) { return fma(t, b - a, a); }

// near/far: this column's and the next one's weight, each at a luma knot and the knot above it. `unit`, a power of two,
// is that of the fraction between the two.
template <class F>
LUTFUSE_INLINE void make_patch(const F& near, const F& near_up, const F& far, const F& far_up, float unit, Patch<F>& patch) {
  patch.value = near;
  patch.column = far - near;
  patch.luma = (near_up - near) * unit;
  patch.both = ((far_up - far) - (near_up - near)) * unit;
}

template <class F>
LUTFUSE_INLINE F sliced(const Patch<F>& patch, F fx, F fz) {
  const F weight = fma(fz, fma(fx, patch.both, patch.luma), fma(fx, patch.column, patch.value));
  return larger(weight, F(kMinWeight));
}

template <class T>
struct Luma;
template <>
struct Luma<uint8_t> {  // from levels to 2^26ths of a luma knot, in integers; white lands just below the last knot
  int red, green, blue;
  int digits[3];  // the same to the base of 256: of each digit red's, green's and blue's signed byte, lowest first
  static constexpr int bits = 26;
};
template <>
struct Luma<uint16_t> {
  float red, green, blue;  // from levels to knots
  int last_interval;       // D - 2
};

// The coefficients add up to less than 1 / 255 of all knots, so that no pixel reaches the last one.
static LUTFUSE_INLINE Luma<uint8_t> luma_of(int knots, uint8_t) {
  const double scale = (knots - 1) / 255.0 * (1 << Luma<uint8_t>::bits);
  const int all = static_cast<int>(scale), red = static_cast<int>(0.299 * scale), green = static_cast<int>(0.587 * scale);
  Luma<uint8_t> luma{red, green, all - red - green, {}};
  const int channels[3] = {luma.red, luma.green, luma.blue};
  for (int c = 0; c < 3; ++c) {
    for (int rest = channels[c], i = 0; i < 3; ++i) {
      const int digit = ((rest + 128) & 255) - 128;
      luma.digits[i] |= (digit & 255) << 8 * c;
      rest = (rest - digit) / 256;
    }
  }
  return luma;
}
static LUTFUSE_INLINE Luma<uint16_t> luma_of(int knots, uint16_t) {
  const double scale = (knots - 1) / 65535.0;
  return {static_cast<float>(0.299 * scale), static_cast<float>(0.587 * scale), static_cast<float>(0.114 * scale), knots - 2};
}

// Fractions keep the unit they are found in; slopes over luma are scaled to it.
template <class T>
constexpr float kLumaUnit = sizeof(T) == 1 ? 1.f / (1 << Luma<uint8_t>::bits) : 1.f;

template <class I, class F>
LUTFUSE_INLINE void luma_knot(I at, I& knot, F& fraction) {
  knot = at >> Luma<uint8_t>::bits;
  fraction = widened(at & I((1 << Luma<uint8_t>::bits) - 1));
}
template <class I, class F>
LUTFUSE_INLINE void luma_knot(F red, F green, F blue, const Luma<uint16_t>& luma, I& knot, F& fraction) {
  const F at = fma(blue, F(luma.blue), fma(green, F(luma.green), red * F(luma.red)));
  knot = smaller(truncated(at), I(luma.last_interval));
  fraction = at - widened(knot);
}

// One pixel's, whatever its depth.
static LUTFUSE_INLINE void luma_knot(int red, int green, int blue, const Luma<uint8_t>& luma, int& knot, float& fraction) {
  luma_knot(red * luma.red + green * luma.green + blue * luma.blue, knot, fraction);
}
static LUTFUSE_INLINE void luma_knot(int red, int green, int blue, const Luma<uint16_t>& luma, int& knot, float& fraction) {
  luma_knot(widened(red), widened(green), widened(blue), luma, knot, fraction);
}

// ---- eq. 2: merge

template <class F>
struct Sum {
  F red{0.f}, green{0.f}, blue{0.f}, weight{0.f};
};

template <class F>
LUTFUSE_INLINE void accumulate(Sum<F>& sum, F weight, F red, F green, F blue) {
  sum.red = fma(weight, red, sum.red);
  sum.green = fma(weight, green, sum.green);
  sum.blue = fma(weight, blue, sum.blue);
  sum.weight = sum.weight + weight;
}

}  // namespace lutfuse
