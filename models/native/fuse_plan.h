// What all rows of one call share, as plain pointers, and what each CPU path provides. Files compiled for
// newer instruction sets include this header; they must not instantiate library templates, as the linker
// could pick such an instance for every machine.
#pragma once
#include "fuse_lut.h"

namespace lutfuse {

constexpr int kChunk = 128;    // pixels per stage of work; a chunk's arrays stay in the L1 cache
constexpr int kMaxPitch = 16;  // luma knots per table row
static_assert(kKnots.max <= kMaxPitch);

struct Span {  // columns [begin, end) between the same two grid cells
  int begin, end, cell;
  const float* fractions;  // one per column, starting on a cache line
};

template <class T>
struct Plan {
  Job<T> job;
  Scales<T> scales;
  int pitch;          // luma knots per table row, padded with the last one: 8 or 16
  int patches;        // per row: max(Gw - 1, 1)
  const float* grid;  // [K][Gh][Gw][pitch], clamped
  const Span* spans;
  int n_spans;
  const Node<T>* lut;  // [N * N * N]
};

template <int n>
struct FloatVector {  // a typedef: GCC 12 ignores the attribute in a dependent `using`
  typedef float Type __attribute__((vector_size(n * sizeof(float))));
};

// The patches of one image row, [patch][K][value | dx | dz | dxdz][pitch]: a SIMD lane picks its luma knot
// out of `pitch` neighbours. The last knot has no interval above it; its entry is never used. `line` is
// scratch, [Gw + 1][pitch].
template <int pitch, class T>
LUTFUSE_INLINE void build_row_table(const Plan<T>& plan, int y, float* __restrict table,
                                    float* __restrict line) {
  using Knots = typename FloatVector<pitch>::Type;
  static_assert(sizeof(Knots) == pitch * sizeof(float));
  const Job<T>& job = plan.job;
  const int cells = job.grid_width;
  const GridPosition row = grid_position(y, job.height, job.grid_height);
  const int next_row = min(row.cell + 1, job.grid_height - 1);
  line[cells * pitch] = 0.f;
  for (int k = 0; k < job.exposures; ++k) {
    const float* here = plan.grid + (static_cast<int64_t>(k) * job.grid_height + row.cell) * cells * pitch;
    const float* next = plan.grid + (static_cast<int64_t>(k) * job.grid_height + next_row) * cells * pitch;
    for (int i = 0; i < cells * pitch; ++i) line[i] = lerp(here[i], next[i], row.fraction);
    for (int p = 0; p < plan.patches; ++p) {
      const float* near = line + p * pitch;
      const float* far = line + min(p + 1, cells - 1) * pitch;
      float* out = table + (static_cast<int64_t>(p) * job.exposures + k) * 4 * pitch;
      Knots corners[4];
      __builtin_memcpy(&corners[0], near, sizeof(Knots));
      __builtin_memcpy(&corners[1], near + 1, sizeof(Knots));
      __builtin_memcpy(&corners[2], far, sizeof(Knots));
      __builtin_memcpy(&corners[3], far + 1, sizeof(Knots));
      Patch<Knots> patch;
      make_patch(corners[0], corners[1], corners[2], corners[3], kLumaUnit<T>, patch);
      __builtin_memcpy(out, &patch, sizeof patch);
    }
  }
}

// Calls fuse_span(y, span, patch) for each span of rows [first, last); `patch` is the span's part of the row
// table, [K][value | dx | dz | dxdz][pitch], which is built in `scratch`.
template <int pitch, class T, class FuseSpan>
LUTFUSE_INLINE void for_each_span(const Plan<T>& plan, int first, int last, float* scratch,
                                  FuseSpan fuse_span) {
  const int patch_floats = plan.job.exposures * 4 * pitch;
  for (int y = first; y < last; ++y) {
    build_row_table<pitch>(plan, y, scratch, scratch + plan.patches * patch_floats);
    for (int i = 0; i < plan.n_spans; ++i) {
      const Span& span = plan.spans[i];
      fuse_span(y, span, scratch + span.cell * patch_floats);
    }
  }
}

// One pixel, in scalar code.
template <int pitch, class T>
LUTFUSE_INLINE void fuse_pixel(const Plan<T>& plan, const float* patch, const Span& span, int y, int x) {
  Sum<float> sum;
  for (int k = 0; k < plan.job.exposures; ++k) {
    const T* pixel = image_pixel(plan.job, k, y, x);
    int knot;
    float fraction;
    find_luma_knot(pixel[0], pixel[1], pixel[2], plan.scales.luma, knot, fraction);
    const float* entry = patch + k * 4 * pitch + knot;
    const Patch<float> weights{entry[0], entry[pitch], entry[2 * pitch], entry[3 * pitch]};
    const float weight = slice(weights, span.fractions[x - span.begin], fraction);
    accumulate(sum, weight, to_float(pixel[0]), to_float(pixel[1]), to_float(pixel[2]));
  }
  Taps<T> taps;
  find_taps(sum, plan.scales, taps);
  int rgb[3];
  interpolate(taps, plan.lut, plan.job.lut_size, rgb);
  T* out = out_pixel(plan.job, y, x);
  for (int c = 0; c < 3; ++c) out[c] = static_cast<T>(rgb[c]);
}

// ---- what each CPU path provides, from a file of its own, compiled for its instruction set

// The same as pack_node, but converts each value once, in loops that vectorise. Entries that get no weight
// (the padding, the upper end of the last red) hold whatever follows. `levels` is scratch, 3 N^2 + 8.
static LUTFUSE_INLINE void pack_nodes(const float* lut, int n, int16_t* levels, Node<uint8_t>* nodes) {
  using Eight = int16_t __attribute__((vector_size(16)));
  const int line = 3 * n, plane = n * line;
  for (int i = plane; i < plane + 8; ++i) levels[i] = 0;
  for (int blue = 0; blue < n; ++blue, lut += plane) {
    for (int i = 0; i < plane; ++i) levels[i] = Node<uint8_t>::pack(lut[i]);
    for (int red = 0; red < n; ++red) {
      for (int green = 0; green < n; ++green, ++nodes) {
        const int16_t* from = levels + green * line + 3 * red;
        Eight here, next;
        __builtin_memcpy(&here, from, sizeof here);
        __builtin_memcpy(&next, from + 3, sizeof next);
        const Eight ends = __builtin_shufflevector(here, next, 0, 8, 1, 9, 2, 10, 3, 11);
        __builtin_memcpy(nodes, &ends, sizeof ends);
      }
    }
  }
}
static LUTFUSE_INLINE void pack_nodes(const float* lut, int n, int16_t*, Node<uint16_t>* nodes) {
  for (int i = 0; i < n * n * n; ++i) pack_node(lut, i, n, nodes[i]);
}

template <class T>
struct Backend {
  void (*pack)(const float* lut, int n, int16_t* levels, Node<T>* nodes);
  // Fuses rows [first, last). `scratch` holds row_scratch_floats() floats, 64-byte aligned.
  void (*fuse_rows)(const Plan<T>& plan, int first, int last, float* scratch);
};

template <class T>
size_t row_scratch_floats(const Plan<T>& plan) {
  const size_t table = static_cast<size_t>(plan.patches) * plan.job.exposures * 4;
  return (table + plan.job.grid_width + 1) * plan.pitch;
}

template <class T>
Backend<T> portable_backend();
template <class T>
Backend<T> avx2_backend();
template <class T>
Backend<T> avx512_backend();

}  // namespace lutfuse
