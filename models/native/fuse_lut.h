// The maths of the kernel, once: eq. 4 (docs/method.md), trilinear interpolation in the LUT.
#pragma once
#include "fuse_math.h"

namespace lutfuse {

// 8 bits: integer coordinates, nodes and weights.
constexpr int kTapBits = 14, kTapOne = 1 << kTapBits;  // interpolation weights add up to kTapOne
constexpr int kNodeBits = 7;  // a node holds level * 128 plus one half, so that the final shift rounds

// A merged colour as 16-bit unorm, in the low 16 bits: adding 2^23 rounds to an integer. Earlier roundings
// add up to a relative 20 * 2^-24 at most, too little to take white beyond 65535.
template <class F>
LUTFUSE_INLINE auto to_unorm16(F sum, F scale) {
  return bit_cast_to_int(fma(sum, scale, F(8388608.f)));
}

// Coordinates and weights fit 16-bit lanes: every value is below 2^16, every product is taken in halves. The
// halves of colour times intervals are index and fraction; even for white the index is N - 2 at most.
template <class I>
struct LutCoordinate {
  I index, fraction;
};
template <class I>
LUTFUSE_INLINE LutCoordinate<I> lut_coordinate(I unorm16, int intervals) {
  return {mul_high16(unorm16, I(intervals)), mul_low16(unorm16, I(intervals))};
}

// Splits a weight between the two nodes around a coordinate. One part is rounded, the other is the
// difference, so the sum is exact.
template <class I>
struct Split {
  I below, above;
};
template <class I>
LUTFUSE_INLINE Split<I> split(I weight, I fraction) {
  const I above = mul_high16(fraction, weight);
  return {weight - above, above};
}

template <class T>
struct Scales {
  LumaCoefficients<T> luma;
  float to_lut;  // from levels to 16-bit unorms at 8 bits, to LUT coordinates at 16
  int lut_size;  // N
};
template <class T>
Scales<T> make_scales(const Job<T>& job) {
  const float to_lut = sizeof(T) == 1 ? 257.f : static_cast<float>((job.lut_size - 1) / 65535.0);
  return {luma_coefficients(job.knots, T{}), to_lut, job.lut_size};
}

// Taps: the first node of the LUT cell that a pixel falls in, and its interpolation weights.
template <class T, class F = float, class I = int>
struct Taps;

template <>
struct Taps<uint8_t> {
  int node;
  int weights[2][2];  // [blue][green], see pack_weights
};

// Low half: the node below along red, high half: the one above. The GPU's dp2a multiplies two 16-bit values
// by two bytes, so there both low bytes come first, then both high bytes.
static LUTFUSE_INLINE int pack_weights(const Split<int>& reds) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(reds.below, reds.above, 0x5140);
#else
  return reds.below | reds.above << 16;
#endif
}
static LUTFUSE_INLINE void find_taps(const Sum<float>& sum, const Scales<uint8_t>& s, Taps<uint8_t>& taps) {
  const float scale = divide(s.to_lut, sum.weight);
  const auto coordinate = [&](float channel) {
    return lut_coordinate(to_unorm16(channel, scale) & 0xffff, s.lut_size - 1);
  };
  const auto red = coordinate(sum.red), green = coordinate(sum.green), blue = coordinate(sum.blue);
  taps.node = (blue.index * s.lut_size + red.index) * s.lut_size + green.index;
  const Split<int> greens = split(kTapOne, green.fraction);
  for (int g = 0; g < 2; ++g) {
    const Split<int> blues = split(g ? greens.above : greens.below, blue.fraction);
    for (int b = 0; b < 2; ++b) {
      taps.weights[b][g] = pack_weights(split(b ? blues.above : blues.below, red.fraction));
    }
  }
}

// 16 bits: float nodes; 14-bit weights would be off by several levels.
template <class F, class I>
struct Taps<uint16_t, F, I> {
  I node;
  F red, green, blue;  // fractions
};

template <class F, class I>
LUTFUSE_INLINE void lut_coordinate(F sum, F scale, int n, I& index, F& fraction) {
  const F position = min(sum * scale, F(static_cast<float>(n - 1)));
  index = min(to_int(position), I(n - 2));
  fraction = position - to_float(index);
}
template <class F, class I>
LUTFUSE_INLINE void find_taps(const Sum<F>& sum, const Scales<uint16_t>& s, Taps<uint16_t, F, I>& taps) {
  const F scale = divide(F(s.to_lut), sum.weight);
  I red, green, blue;
  lut_coordinate(sum.red, scale, s.lut_size, red, taps.red);
  lut_coordinate(sum.green, scale, s.lut_size, green, taps.green);
  lut_coordinate(sum.blue, scale, s.lut_size, blue, taps.blue);
  taps.node = mul15(blue, I(s.lut_size * s.lut_size)) + mul15(green, I(s.lut_size)) + red;
}

// ---- the packed LUT, and the interpolation of one pixel

template <class T>
struct Node;

// Ordered [blue][red][green]: neighbours along green are adjacent in memory, those along red share a node.
template <>
struct alignas(16) Node<uint8_t> {
  int16_t ends[4][2];  // per channel (the fourth is padding): this node, the next one along red

  static LUTFUSE_INLINE int16_t pack(float value) {
    const int level = to_int(clamp(value, 0.f, 1.f) * (255 << kNodeBits) + 0.5f);
    return static_cast<int16_t>(level + (1 << (kNodeBits - 1)));
  }
};

// Ordered [blue][green][red].
template <>
struct alignas(16) Node<uint16_t> {
  float channels[4];  // level + one half, so that truncation rounds; the fourth is padding

  static LUTFUSE_INLINE float pack(float value) { return clamp(value, 0.f, 1.f) * 65535.f + 0.5f; }
};

// Packs node i of n^3. The last node along red has no next one; that end always gets weight 0.
static LUTFUSE_INLINE void pack_node(const float* lut, int i, int n, Node<uint8_t>& node) {
  const int red = i / n % n;
  const int below = (i / n - red + i % n) * n + red, above = red == n - 1 ? below : below + 1;
  for (int c = 0; c < 3; ++c) {
    node.ends[c][0] = Node<uint8_t>::pack(lut[3 * below + c]);
    node.ends[c][1] = Node<uint8_t>::pack(lut[3 * above + c]);
  }
  node.ends[3][0] = node.ends[3][1] = 0;
}
static LUTFUSE_INLINE void pack_node(const float* lut, int i, int /*n*/, Node<uint16_t>& node) {
  for (int c = 0; c < 3; ++c) node.channels[c] = Node<uint16_t>::pack(lut[3 * i + c]);
  node.channels[3] = 0.f;
}

#if defined(__CUDA_ARCH__)
// The same integer sums, taken for the low and the high bytes of the weights.
static __device__ __forceinline__ void interpolate(const Taps<uint8_t>& taps, const Node<uint8_t>* lut, int n,
                                                   int rgb[3]) {
  unsigned low[3] = {0, 0, 0}, high[3] = {0, 0, 0};
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const uint4 node = __ldg(reinterpret_cast<const uint4*>(lut + taps.node + e / 2 * n * n + e % 2));
    const unsigned ends[3] = {node.x, node.y, node.z};
    const unsigned bytes = taps.weights[e / 2][e % 2];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      low[c] = __dp2a_lo(ends[c], bytes, low[c]);
      high[c] = __dp2a_hi(ends[c], bytes, high[c]);
    }
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) rgb[c] = static_cast<int>((low[c] + (high[c] << 8)) >> (kTapBits + kNodeBits));
}
#else
static LUTFUSE_INLINE void interpolate(const Taps<uint8_t>& taps, const Node<uint8_t>* lut, int n,
                                       int rgb[3]) {
  // Eight sums, padding included, laid out like a node, so that compilers can add them as one vector.
  int sums[4][2] = {};
  for (int e = 0; e < 4; ++e) {
    const Node<uint8_t>& node = lut[taps.node + e / 2 * n * n + e % 2];
    const int weights = taps.weights[e / 2][e % 2], below = weights & 0xffff, above = weights >> 16;
    for (int c = 0; c < 4; ++c) {
      sums[c][0] += below * node.ends[c][0];
      sums[c][1] += above * node.ends[c][1];
    }
  }
  for (int c = 0; c < 3; ++c) rgb[c] = (sums[c][0] + sums[c][1]) >> (kTapBits + kNodeBits);
}
#endif

// A whole node in one load of 16 bytes.
static LUTFUSE_INLINE Node<uint16_t> load_node(const Node<uint16_t>* node) {
#if defined(__CUDA_ARCH__)
  const float4 raw = __ldg(reinterpret_cast<const float4*>(node));
  return {{raw.x, raw.y, raw.z, raw.w}};
#else
  return *node;
#endif
}
static LUTFUSE_INLINE void interpolate(const Taps<uint16_t>& taps, const Node<uint16_t>* lut, int n,
                                       int rgb[3]) {
  float ends[2][3];
  for (int end = 0; end < 2; ++end) {
    const Node<uint16_t>* first = lut + taps.node + end;
    const Node<uint16_t> nodes[4] = {load_node(first), load_node(first + n), load_node(first + n * n),
                                     load_node(first + n * n + n)};
    for (int c = 0; c < 3; ++c) {
      const float below = lerp(nodes[0].channels[c], nodes[1].channels[c], taps.green);
      const float above = lerp(nodes[2].channels[c], nodes[3].channels[c], taps.green);
      ends[end][c] = lerp(below, above, taps.blue);
    }
  }
  for (int c = 0; c < 3; ++c) rgb[c] = to_int(lerp(ends[0][c], ends[1][c], taps.red));
}

}  // namespace lutfuse
