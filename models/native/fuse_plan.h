// What all rows of one call share, as plain pointers, and what each of the CPU's paths offers. Files compiled for newer
// instruction sets include this and must not instantiate library templates, which the linker could then pick for every
// machine.
#pragma once
#include "fuse_lut.h"

namespace lutfuse {

struct Run {  // columns [begin, end) between the same two grid cells
  int begin, end, cell;
  const float* fractions;  // of its columns, on a cache line's boundary
};

template <class T>
struct Plan {
  Job<T> job;
  Scales<T> scales;
  int pitch;                    // luma knots per table row, padded with the last one: 8 or 16
  int patches;                  // max(Gw - 1, 1)
  const float* grid;            // [K][Gh][Gw][pitch], cleaned
  const Run* runs;
  int n_runs;
  const Node<T>* lut;  // [N * N * N]
};

template <int n>
struct VectorOf {
  typedef float Type __attribute__((vector_size(n * sizeof(float))));
};

// The patches of one image row, [patch][K][value | column | luma | both][pitch]: a SIMD lane picks its luma knot
// out of `pitch` neighbours; there is none above the last, whose entry means nothing. `line` is scratch, [Gw + 1][pitch].
template <int pitch, class T>
LUTFUSE_INLINE void build_row_table(const Plan<T>& plan, int y, float* __restrict table, float* __restrict line) {
  using Knots = typename VectorOf<pitch>::Type;
  const Job<T>& job = plan.job;
  const int cells = job.grid_width;
  const Position row = position_of(y, job.height, job.grid_height);
  const int next_row = smaller(row.cell + 1, job.grid_height - 1);
  line[cells * pitch] = 0.f;
  for (int k = 0; k < job.exposures; ++k) {
    const float* here = plan.grid + (static_cast<int64_t>(k) * job.grid_height + row.cell) * cells * pitch;
    const float* next = plan.grid + (static_cast<int64_t>(k) * job.grid_height + next_row) * cells * pitch;
    for (int i = 0; i < cells * pitch; ++i) line[i] = lerp(here[i], next[i], row.fraction);
    for (int p = 0; p < plan.patches; ++p) {
      const float* near = line + p * pitch;
      const float* far = line + smaller(p + 1, cells - 1) * pitch;
      float* out = table + (static_cast<int64_t>(p) * job.exposures + k) * 4 * pitch;
      Knots at[4];
      __builtin_memcpy(&at[0], near, sizeof(Knots));
      __builtin_memcpy(&at[1], near + 1, sizeof(Knots));
      __builtin_memcpy(&at[2], far, sizeof(Knots));
      __builtin_memcpy(&at[3], far + 1, sizeof(Knots));
      Patch<Knots> patch;
      make_patch(at[0], at[1], at[2], at[3], kLumaUnit<T>, patch);
      __builtin_memcpy(out, &patch, sizeof patch);
    }
  }
}

// One pixel, the plain way. `patch` is the part of the row table that belongs to the pixel's run.
template <class T>
LUTFUSE_INLINE void fuse_pixel(const Plan<T>& plan, const float* patch, const Run& run, int y, int x) {
  const Job<T>& job = plan.job;
  const int pitch = plan.pitch;
  Sum<float> sum;
  for (int k = 0; k < job.exposures; ++k) {
    const T* pixel = job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x);
    int knot;
    float fraction;
    luma_knot(pixel[0], pixel[1], pixel[2], plan.scales.luma, knot, fraction);
    const float* at = patch + k * 4 * pitch + knot;
    const Patch<float> weights{at[0], at[pitch], at[2 * pitch], at[3 * pitch]};
    const float weight = sliced(weights, run.fractions[x - run.begin], fraction);
    accumulate(sum, weight, widened(pixel[0]), widened(pixel[1]), widened(pixel[2]));
  }
  Taps<T> taps;
  find_taps(sum, plan.scales, taps);
  int rgb[3];
  interpolate(taps, plan.lut, job.lut_size, rgb);
  T* out = job.out + y * job.out_stride + 3 * static_cast<int64_t>(x);
  for (int c = 0; c < 3; ++c) out[c] = static_cast<T>(rgb[c]);
}

// ---- a path of the CPU, in its own file, compiled for its own instruction set

// As pack_node does it, but each value is converted once, in loops that vectorise. What gets no share, padding and the
// upper end of the last red, is whatever follows. `levels`: scratch, 3 N^2 + 8.
static LUTFUSE_INLINE void pack_nodes(const float* lut, int n, int16_t* levels, Node<uint8_t>* nodes) {
  using Eight = int16_t __attribute__((vector_size(16)));
  const int line = 3 * n, plane = n * line;
  for (int i = plane; i < plane + 8; ++i) levels[i] = 0;
  for (int blue = 0; blue < n; ++blue, lut += plane) {
    for (int i = 0; i < plane; ++i) levels[i] = Node<uint8_t>::packed(lut[i]);
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
struct Functions {
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
Functions<T> functions_portable();
template <class T>
Functions<T> functions_avx2();
template <class T>
Functions<T> functions_avx512();

}  // namespace lutfuse
