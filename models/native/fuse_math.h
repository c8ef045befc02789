// The maths of the kernel, once: for floats (scalar path, CUDA) and, through the same templates, for SIMD lanes.
//
// F and I are float and int here; fuse_avx2.cpp and fuse_avx512.cpp bring vectors with the same operations.
// Everything is spelled out (fma, truncation, integer shares that add up), so that no path can round differently.
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#define LUTFUSE_INLINE __host__ __device__ __forceinline__
#else
#define LUTFUSE_INLINE inline __attribute__((always_inline))
#endif

namespace lutfuse {

constexpr float kMinWeight = 1e-8f;
constexpr float kMaxWeight = 1048576.f;  // 2^20: nine weighted 16-bit pixels stay finite

// ---- lane operations: what a vector type must offer too

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
static LUTFUSE_INLINE int product16(int a, int b) { return a * b; }  // factors of at most 15 bits
static LUTFUSE_INLINE int scaled15(int a, int b) { return (a * b + (1 << 14)) >> 15; }  // as is; b in units of 2^-15

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

// near/far: this column's and the next one's weight, each at a luma knot and the knot above it.
static LUTFUSE_INLINE Patch<float> patch_of(float near, float near_up, float far, float far_up) {
  return {near, far - near, near_up - near, (far_up - far) - (near_up - near)};
}

template <class F>
LUTFUSE_INLINE F sliced(const Patch<F>& patch, F fx, F fz) {
  const F weight = fma(fz, fma(fx, patch.both, patch.luma), fma(fx, patch.column, patch.value));
  return larger(weight, F(kMinWeight));
}

struct Scales {
  float luma_red, luma_green, luma_blue;  // from levels to luma knots
  int last_interval;                      // D - 2
  float to_lut;                           // from levels to LUT coordinates (fixed-point ones for uint8)
  int lut_size;                           // N
};

template <class F, class I>
LUTFUSE_INLINE void luma_knot(F red, F green, F blue, const Scales& s, I& knot, F& fraction) {
  const F at = fma(blue, F(s.luma_blue), fma(green, F(s.luma_green), red * F(s.luma_red)));
  knot = smaller(truncated(at), I(s.last_interval));
  fraction = at - widened(knot);
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

// ---- eq. 4: the LUT. Taps say where in the LUT a pixel lands; the four (blue, green) edges of that LUT cell,
// each between two nodes that differ in red, are at node + {0, N, N * N, N * N + N}.

template <class T, class F, class I>
struct Taps;

// 8 bits: integer nodes and integer shares.
constexpr int kShareBits = 14, kOne = 1 << kShareBits;
constexpr int kNodeBits = 7;  // a node holds level * 128, plus one half so that the final shift rounds

template <class F, class I>
struct Taps<uint8_t, F, I> {
  I node;
  I shares[4];  // per edge, low half: red end below; high half: red end above. All eight add up to kOne.
};

// The last coordinate is one share short of the last node: the fraction never reaches kOne, the knot never N - 1,
// and white still rounds to white.
template <class F, class I>
LUTFUSE_INLINE void lut_coordinate(F sum, F scale, const Scales& s, I& knot, I& fraction) {
  const I at = smaller(truncated(fma(sum, scale, F(0.5f))), I(((s.lut_size - 1) << kShareBits) - 1));
  knot = at >> kShareBits;
  fraction = at & I(kOne - 1);
}
template <class F, class I>
LUTFUSE_INLINE void find_taps(const Sum<F>& sum, const Scales& s, Taps<uint8_t, F, I>& taps) {
  const F scale = divided(F(s.to_lut), sum.weight);
  I red, green, blue, red_part, green_part, blue_part;
  lut_coordinate(sum.red, scale, s, red, red_part);
  lut_coordinate(sum.green, scale, s, green, green_part);
  lut_coordinate(sum.blue, scale, s, blue, blue_part);
  taps.node = product16(blue, I(s.lut_size * s.lut_size)) + product16(green, I(s.lut_size)) + red;
  // Only one product of each split is rounded, its partner is the difference: nothing is lost or made.
  const I both = scaled15(blue_part, green_part + green_part);
  const I green_only = green_part - both;
  const I edges[4] = {I(kOne) - blue_part - green_only, green_only, blue_part - both, both};
  for (int e = 0; e < 4; ++e) {
    const I above = scaled15(edges[e], red_part + red_part);
    taps.shares[e] = (edges[e] - above) | (above << 16);
  }
}

// 16 bits: float nodes. 14-bit shares would leave errors of several levels.
template <class F, class I>
struct Taps<uint16_t, F, I> {
  I node;
  F red, green, blue;  // fractions
};

template <class F, class I>
LUTFUSE_INLINE void lut_coordinate(F sum, F scale, const Scales& s, I& knot, F& fraction) {
  const F at = smaller(sum * scale, F(static_cast<float>(s.lut_size - 1)));
  knot = smaller(truncated(at), I(s.lut_size - 2));
  fraction = at - widened(knot);
}
template <class F, class I>
LUTFUSE_INLINE void find_taps(const Sum<F>& sum, const Scales& s, Taps<uint16_t, F, I>& taps) {
  const F scale = divided(F(s.to_lut), sum.weight);
  I red, green, blue;
  lut_coordinate(sum.red, scale, s, red, taps.red);
  lut_coordinate(sum.green, scale, s, green, taps.green);
  lut_coordinate(sum.blue, scale, s, blue, taps.blue);
  taps.node = product16(blue, I(s.lut_size * s.lut_size)) + product16(green, I(s.lut_size)) + red;
}

// ---- eq. 4: the packed LUT and one pixel's interpolation

template <class T>
struct Node;

template <>
struct alignas(16) Node<uint8_t> {
  int16_t ends[4][2];  // per channel (the fourth is padding): this node, the next one along red

  static LUTFUSE_INLINE int16_t packed(float value) {
    return static_cast<int16_t>(truncated(cleaned(value, 1.f) * (255 << kNodeBits) + 0.5f) + (1 << (kNodeBits - 1)));
  }
};

template <>
struct alignas(16) Node<uint16_t> {
  float channels[4];  // level + one half, so that truncation rounds; the fourth is padding

  static LUTFUSE_INLINE float packed(float value) { return cleaned(value, 1.f) * 65535.f + 0.5f; }
};

// Packs node i of n; `above` is its neighbour along red, or itself on the border, where that end gets no share.
static LUTFUSE_INLINE void pack_node(const float* lut, int64_t i, int64_t above, Node<uint8_t>& node) {
  for (int c = 0; c < 3; ++c) {
    node.ends[c][0] = Node<uint8_t>::packed(lut[3 * i + c]);
    node.ends[c][1] = Node<uint8_t>::packed(lut[3 * above + c]);
  }
  node.ends[3][0] = node.ends[3][1] = 0;
}
static LUTFUSE_INLINE void pack_node(const float* lut, int64_t i, int64_t /*above*/, Node<uint16_t>& node) {
  for (int c = 0; c < 3; ++c) node.channels[c] = Node<uint16_t>::packed(lut[3 * i + c]);
  node.channels[3] = 0.f;
}

#if defined(__CUDA_ARCH__)
// The same sums of integers: a GPU multiplies two 16-bit ends with two bytes at once, so shares go in by bytes.
static __device__ __forceinline__ void interpolate(const Taps<uint8_t, float, int>& taps, const Node<uint8_t>* lut, int n,
                                                   int rgb[3]) {
  const int edges[4] = {0, n, n * n, n * n + n};
  unsigned low[3] = {0, 0, 0}, high[3] = {0, 0, 0};
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const uint4 node = __ldg(reinterpret_cast<const uint4*>(lut + taps.node + edges[e]));
    const unsigned ends[3] = {node.x, node.y, node.z};
    const unsigned bytes = __byte_perm(taps.shares[e], 0, 0x3120);  // both low bytes, then both high bytes
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
static LUTFUSE_INLINE void interpolate(const Taps<uint8_t, float, int>& taps, const Node<uint8_t>* lut, int n, int rgb[3]) {
  const int edges[4] = {0, n, n * n, n * n + n};
  // Eight sums, channels and padding by ends, as they lie in memory: a compiler can add them as one vector.
  int sums[4][2] = {};
  for (int e = 0; e < 4; ++e) {
    const Node<uint8_t>& node = lut[taps.node + edges[e]];
    const int below = taps.shares[e] & 0xffff, above = taps.shares[e] >> 16;
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
static LUTFUSE_INLINE void interpolate(const Taps<uint16_t, float, int>& taps, const Node<uint16_t>* lut, int n, int rgb[3]) {
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
