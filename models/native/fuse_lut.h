// The maths of the kernel, once: eq. 4, the LUT. A pixel lands in one of its cells, between two nodes along each colour.
#pragma once
#include "fuse_math.h"

namespace lutfuse {

// 8 bits: integer coordinates, nodes and shares.
constexpr int kShareBits = 14, kOne = 1 << kShareBits;
constexpr int kNodeBits = 7;  // a node holds level * 128, plus one half so that the final shift rounds

// A merged level in 65535ths, in the lower 16 bits: adding 2^23 rounds to an integer. Roundings before that amount to
// 20 * 2^-24 at most, less than the half that would take white beyond 65535.
template <class F>
LUTFUSE_INLINE auto level16(F sum, F scale) {
  return bits_of(fma(sum, scale, F(8388608.f)));
}

// Coordinates and shares are 16-bit lanes: every value is below 2^16, every product is taken as halves. The product of
// a level with the LUT's intervals is the knot and the fraction; even for white the knot is N - 2 at most.
template <class I>
struct Coordinate {
  I knot, fraction;
};
template <class I>
LUTFUSE_INLINE Coordinate<I> coordinate_of(I level, int intervals) {
  return {high16(level, I(intervals)), low16(level, I(intervals))};
}

// A share of kOne, split between two nodes: one part is rounded, the other is the difference, so nothing is lost or made.
template <class I>
struct Split {
  I below, above;
};
template <class I>
LUTFUSE_INLINE Split<I> split(I share, I fraction) {
  const I above = high16(fraction, share);
  return {share - above, above};
}

template <class T>
struct Scales {
  Luma<T> luma;
  float to_lut;  // from levels to 65535ths at 8 bits, to LUT coordinates at 16
  int lut_size;  // N
};
template <class T>
Scales<T> scales_of(const Job<T>& job) {
  const float to_lut = sizeof(T) == 1 ? 257.f : static_cast<float>((job.lut_size - 1) / 65535.0);
  return {luma_of(job.knots, T{}), to_lut, job.lut_size};
}

// Taps: where in the LUT a pixel lands.
template <class T, class F = float, class I = int>
struct Taps;

template <>
struct Taps<uint8_t> {
  int node;
  int shares[2][2];  // [blue][green], see packed_shares
};

// Low half: the red end below, high half: the one above. A GPU multiplies two 16-bit ends with two bytes at once, so
// there both low bytes come first, then both high bytes.
static LUTFUSE_INLINE int packed_shares(const Split<int>& reds) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(reds.below, reds.above, 0x5140);
#else
  return reds.below | reds.above << 16;
#endif
}
static LUTFUSE_INLINE void find_taps(const Sum<float>& sum, const Scales<uint8_t>& s, Taps<uint8_t>& taps) {
  const float scale = divided(s.to_lut, sum.weight);
  const auto coordinate = [&](float of) { return coordinate_of(level16(of, scale) & 0xffff, s.lut_size - 1); };
  const Coordinate<int> red = coordinate(sum.red), green = coordinate(sum.green), blue = coordinate(sum.blue);
  taps.node = (blue.knot * s.lut_size + red.knot) * s.lut_size + green.knot;
  const Split<int> greens = split(kOne, green.fraction);
  for (int g = 0; g < 2; ++g) {
    const Split<int> blues = split(g ? greens.above : greens.below, blue.fraction);
    for (int b = 0; b < 2; ++b) {
      taps.shares[b][g] = packed_shares(split(b ? blues.above : blues.below, red.fraction));
    }
  }
}

// 16 bits: float nodes. 14-bit shares would leave errors of several levels.
template <class F, class I>
struct Taps<uint16_t, F, I> {
  I node;
  F red, green, blue;  // fractions
};

template <class F, class I>
LUTFUSE_INLINE void lut_coordinate(F sum, F scale, int n, I& knot, F& fraction) {
  const F at = smaller(sum * scale, F(static_cast<float>(n - 1)));
  knot = smaller(truncated(at), I(n - 2));
  fraction = at - widened(knot);
}
template <class F, class I>
LUTFUSE_INLINE void find_taps(const Sum<F>& sum, const Scales<uint16_t>& s, Taps<uint16_t, F, I>& taps) {
  const F scale = divided(F(s.to_lut), sum.weight);
  I red, green, blue;
  lut_coordinate(sum.red, scale, s.lut_size, red, taps.red);
  lut_coordinate(sum.green, scale, s.lut_size, green, taps.green);
  lut_coordinate(sum.blue, scale, s.lut_size, blue, taps.blue);
  taps.node = product16(blue, I(s.lut_size * s.lut_size)) + product16(green, I(s.lut_size)) + red;
}

// ---- eq. 4: the packed LUT and one pixel's interpolation

template <class T>
struct Node;

// Ordered [blue][red][green]: the two ends of a cell along green are neighbours, those along red in one node.
template <>
struct alignas(16) Node<uint8_t> {
  int16_t ends[4][2];  // per channel (the fourth is padding): this node, the next one along red

  static LUTFUSE_INLINE int16_t packed(float value) {
    return static_cast<int16_t>(truncated(cleaned(value, 1.f) * (255 << kNodeBits) + 0.5f) + (1 << (kNodeBits - 1)));
  }
};

// Ordered [blue][green][red].
template <>
struct alignas(16) Node<uint16_t> {
  float channels[4];  // level + one half, so that truncation rounds; the fourth is padding

  static LUTFUSE_INLINE float packed(float value) { return cleaned(value, 1.f) * 65535.f + 0.5f; }
};

// Packs node i of n^3. The last one along red has no next one, and that end gets no share.
static LUTFUSE_INLINE void pack_node(const float* lut, int i, int n, Node<uint8_t>& node) {
  const int red = i / n % n, below = (i / n - red + i % n) * n + red, above = red == n - 1 ? below : below + 1;
  for (int c = 0; c < 3; ++c) {
    node.ends[c][0] = Node<uint8_t>::packed(lut[3 * below + c]);
    node.ends[c][1] = Node<uint8_t>::packed(lut[3 * above + c]);
  }
  node.ends[3][0] = node.ends[3][1] = 0;
}
static LUTFUSE_INLINE void pack_node(const float* lut, int i, int /*n*/, Node<uint16_t>& node) {
  for (int c = 0; c < 3; ++c) node.channels[c] = Node<uint16_t>::packed(lut[3 * i + c]);
  node.channels[3] = 0.f;
}

#if defined(__CUDA_ARCH__)
// The same sums of integers, of low bytes and of high ones.
static __device__ __forceinline__ void interpolate(const Taps<uint8_t>& taps, const Node<uint8_t>* lut, int n,
                                                   int rgb[3]) {
  unsigned low[3] = {0, 0, 0}, high[3] = {0, 0, 0};
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const uint4 node = __ldg(reinterpret_cast<const uint4*>(lut + taps.node + e / 2 * n * n + e % 2));
    const unsigned ends[3] = {node.x, node.y, node.z};
    const unsigned bytes = taps.shares[e / 2][e % 2];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      low[c] = __dp2a_lo(ends[c], bytes, low[c]);
      high[c] = __dp2a_hi(ends[c], bytes, high[c]);
    }
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) rgb[c] = static_cast<int>((low[c] + (high[c] << 8)) >> (kShareBits + kNodeBits));
}
#else
static LUTFUSE_INLINE void interpolate(const Taps<uint8_t>& taps, const Node<uint8_t>* lut, int n, int rgb[3]) {
  // Eight sums, channels and padding by ends, as they lie in memory: a compiler can add them as one vector.
  int sums[4][2] = {};
  for (int e = 0; e < 4; ++e) {
    const Node<uint8_t>& node = lut[taps.node + e / 2 * n * n + e % 2];
    const int below = taps.shares[e / 2][e % 2] & 0xffff, above = taps.shares[e / 2][e % 2] >> 16;
    for (int c = 0; c < 4; ++c) {
      sums[c][0] += below * node.ends[c][0];
      sums[c][1] += above * node.ends[c][1];
    }
  }
  for (int c = 0; c < 3; ++c) rgb[c] = (sums[c][0] + sums[c][1]) >> (kShareBits + kNodeBits);
}
#endif

// A whole node at once: 16 bytes, aligned.
static LUTFUSE_INLINE Node<uint16_t> fetched(const Node<uint16_t>* node) {
#if defined(__CUDA_ARCH__)
  const float4 raw = __ldg(reinterpret_cast<const float4*>(node));
  return {{raw.x, raw.y, raw.z, raw.w}};
#else
  return *node;
#endif
}
static LUTFUSE_INLINE void interpolate(const Taps<uint16_t>& taps, const Node<uint16_t>* lut, int n, int rgb[3]) {
  float ends[2][3];
  for (int end = 0; end < 2; ++end) {
    const Node<uint16_t>* at = lut + taps.node + end;
    const Node<uint16_t> nodes[4] = {fetched(at), fetched(at + n), fetched(at + n * n), fetched(at + n * n + n)};
    for (int c = 0; c < 3; ++c) {
      const float below = lerp(nodes[0].channels[c], nodes[1].channels[c], taps.green);
      const float above = lerp(nodes[2].channels[c], nodes[3].channels[c], taps.green);
      ends[end][c] = lerp(below, above, taps.blue);
    }
  }
  for (int c = 0; c < 3; ++c) rgb[c] = truncated(lerp(ends[0][c], ends[1][c], taps.red));
}

}  // namespace lutfuse
