// The maths of the kernel, once for all paths. This file has eq. 2 (docs/method.md), slice and merge;
// fuse_lut.h has eq. 4. F and I are float and int in scalar code and CUDA; fuse_avx2.cpp and fuse_avx512.cpp
// define vectors with the same operations.
//
// Everything is explicit (fma, truncation, integer weights with exact sums): no path can round differently.
//
// Note [8 bits]. Luma, LUT coordinates and interpolation weights are integers, the last two of 16 bits, which
//   SIMD units multiply two per 32-bit lane. Fusion weights and the merge are floats, as for 16-bit images. A
//   merged colour is rounded to 1/257 of a level, interpolation weights to 14 bits. With the final rounding,
//   output is within 0.51 levels of exact arithmetic under a smooth LUT with N = 33, and within 0.87 under a
//   LUT of zeros and ones.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fuse.h"

#if defined(__CUDACC__)
#define LUTFUSE_INLINE __host__ __device__ __forceinline__
#else
#define LUTFUSE_INLINE inline __attribute__((always_inline))
#endif

namespace lutfuse {

constexpr float kMinWeight = 1e-8f;
constexpr float kMaxWeight = 1048576.f;  // 2^20: nine weighted 16-bit pixels stay finite

// ---- lane operations. The vector types define those that they need.

static LUTFUSE_INLINE float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
static LUTFUSE_INLINE float divide(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}
static LUTFUSE_INLINE float max(float a, float b) { return a > b ? a : b; }
static LUTFUSE_INLINE float min(float a, float b) { return a < b ? a : b; }
static LUTFUSE_INLINE int min(int a, int b) { return a < b ? a : b; }
static LUTFUSE_INLINE int to_int(float a) { return static_cast<int>(a); }  // rounds toward zero
static LUTFUSE_INLINE float to_float(int a) { return static_cast<float>(a); }
static LUTFUSE_INLINE int bit_cast_to_int(float a) {
#if defined(__CUDA_ARCH__)
  return __float_as_int(a);
#else
  int bits;
  std::memcpy(&bits, &a, sizeof bits);
  return bits;
#endif
}
static LUTFUSE_INLINE int mul15(int a, int b) { return a * b; }  // both below 2^15
// The halves of a 32-bit product, as 16-bit lanes have them; b below 2^15.
static LUTFUSE_INLINE int mul_low16(int a, int b) { return a * b & 0xffff; }
static LUTFUSE_INLINE int mul_high16(int a, int b) { return a * b >> 16; }

static LUTFUSE_INLINE float lerp(float a, float b, float t) { return fma(t, b - a, a); }

// NaN becomes `low`: both comparisons are false for it. Note [odd values].
static LUTFUSE_INLINE float clamp(float value, float low, float high) {
  value = value > low ? value : low;
  return value < high ? value : high;
}

// ---- addresses

template <class T>
LUTFUSE_INLINE const T* image_pixel(const Job<T>& job, int k, int y, int x) {
  return job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x);
}
template <class T>
LUTFUSE_INLINE T* out_pixel(const Job<T>& job, int y, int x) {
  return job.out + y * job.out_stride + 3 * static_cast<int64_t>(x);
}

// ---- positions in the grid

struct GridPosition {
  int cell;        // interpolate between this cell and the next
  float fraction;  // 0 at this cell's centre, 1 at the next one's
};

// Note [positions]: pixel i of n under `cells` cells. A quotient of integers is exact for any image size.
static LUTFUSE_INLINE GridPosition grid_position(int64_t i, int64_t n, int cells) {
  int64_t numerator = (2 * i + 1) * cells - n;
  const int64_t last = 2 * n * (cells - 1);
  numerator = numerator < 0 ? 0 : numerator > last ? last : numerator;
  int cell = static_cast<int>(numerator / (2 * n));
  cell = cell > cells - 2 ? cells - 2 : cell;
  cell = cell < 0 ? 0 : cell;  // a single cell
  const auto remainder = static_cast<float>(numerator - 2 * n * cell);
  return {cell, divide(remainder, static_cast<float>(2 * n))};
}

// ---- eq. 2: slice. Rows of the grid are interpolated once per image row; per pixel, a bilinear patch in x
// (columns) and z (luma) is left: weight = value + dx * fx + (dz + dxdz * fx) * fz.

template <class F>
struct Patch {
  F value, dx, dz, dxdz;
};

// The corners w00...w11 are indexed by x, this grid column or the next, and by z, a luma knot or the one
// above. `unit`, a power of two, is that of fz.
template <class F>
LUTFUSE_INLINE void make_patch(const F& w00, const F& w01, const F& w10, const F& w11, float unit,
                               Patch<F>& patch) {
  patch.value = w00;
  patch.dx = w10 - w00;
  patch.dz = (w01 - w00) * unit;
  patch.dxdz = ((w11 - w10) - (w01 - w00)) * unit;
}

template <class F>
LUTFUSE_INLINE F slice(const Patch<F>& patch, F fx, F fz) {
  const F weight = fma(fz, fma(fx, patch.dxdz, patch.dz), fma(fx, patch.dx, patch.value));
  return max(weight, F(kMinWeight));
}

template <class T>
struct LumaCoefficients;
template <>
struct LumaCoefficients<uint8_t> {  // from levels to luma knots, in fixed point
  int red, green, blue;
  // The same in base 256, for dot products of bytes: digits[i] packs digit i of red, green and blue, each a
  // signed byte, the lowest digit first.
  int digits[3];
  static constexpr int kFractionBits = 26;
};
template <>
struct LumaCoefficients<uint16_t> {
  float red, green, blue;  // from levels to luma knots
  int last_interval;       // D - 2
};

// The coefficients add up to less than (D - 1) / 255, so no pixel reaches the last knot.
static LUTFUSE_INLINE LumaCoefficients<uint8_t> luma_coefficients(int knots, uint8_t) {
  const double scale = (knots - 1) / 255.0 * (1 << LumaCoefficients<uint8_t>::kFractionBits);
  const int all = static_cast<int>(scale);
  const int red = static_cast<int>(0.299 * scale), green = static_cast<int>(0.587 * scale);
  LumaCoefficients<uint8_t> luma{red, green, all - red - green, {}};
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
static LUTFUSE_INLINE LumaCoefficients<uint16_t> luma_coefficients(int knots, uint16_t) {
  const double scale = (knots - 1) / 65535.0;
  return {static_cast<float>(0.299 * scale), static_cast<float>(0.587 * scale),
          static_cast<float>(0.114 * scale), knots - 2};
}

// The unit of find_luma_knot's fraction: make_patch scales the slopes, so that no pixel scales its fraction.
template <class T>
constexpr float kLumaUnit = sizeof(T) == 1 ? 1.f / (1 << LumaCoefficients<uint8_t>::kFractionBits) : 1.f;

template <class I, class F>
LUTFUSE_INLINE void find_luma_knot(I luma, I& knot, F& fraction) {
  constexpr int bits = LumaCoefficients<uint8_t>::kFractionBits;
  knot = luma >> bits;
  fraction = to_float(luma & I((1 << bits) - 1));
}
template <class I, class F>
LUTFUSE_INLINE void find_luma_knot(F red, F green, F blue, const LumaCoefficients<uint16_t>& to_luma, I& knot,
                                   F& fraction) {
  const F luma = fma(blue, F(to_luma.blue), fma(green, F(to_luma.green), red * F(to_luma.red)));
  knot = min(to_int(luma), I(to_luma.last_interval));
  fraction = luma - to_float(knot);
}

// One pixel of either depth.
static LUTFUSE_INLINE void find_luma_knot(int red, int green, int blue,
                                          const LumaCoefficients<uint8_t>& to_luma, int& knot,
                                          float& fraction) {
  find_luma_knot(red * to_luma.red + green * to_luma.green + blue * to_luma.blue, knot, fraction);
}
static LUTFUSE_INLINE void find_luma_knot(int red, int green, int blue,
                                          const LumaCoefficients<uint16_t>& to_luma, int& knot,
                                          float& fraction) {
  find_luma_knot(to_float(red), to_float(green), to_float(blue), to_luma, knot, fraction);
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

// Calls f(std::integral_constant<int, K>()), so that loops over the exposures unroll where K is known: two
// and three are most brackets, nine the most work. For other numbers K is 0 and the loops count at run time.
template <class F>
inline void dispatch_exposures(int exposures, F f) {
  switch (exposures) {
    case 2: return f(std::integral_constant<int, 2>());
    case 3: return f(std::integral_constant<int, 3>());
    case 9: return f(std::integral_constant<int, 9>());
    default: return f(std::integral_constant<int, 0>());
  }
}

}  // namespace lutfuse
