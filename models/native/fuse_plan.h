// What all rows of one call share, as plain pointers: files compiled for newer instruction sets include this
// and must not instantiate library templates, which the linker could then pick for every machine.
#pragma once
#include "fuse.h"
#include "fuse_math.h"

namespace lutfuse {

struct Run {  // columns [begin, end) between the same two grid cells
  int begin, end, cell;
};

template <class T>
struct Plan {
  Job<T> job;
  Scales scales;
  int pitch;                    // luma knots per table row, padded with the last one: 8 or 16
  int patches;                  // max(Gw - 1, 1)
  const float* grid;            // [K][Gh][Gw][pitch], cleaned
  const float* column_fraction;  // [W]
  const Run* runs;
  int n_runs;
  const Node<T>* lut;  // [N * N * N]
};

template <class T>
Scales scales_of(const Job<T>& job) {
  const double levels = sizeof(T) == 1 ? 255.0 : 65535.0;
  const double fixed = sizeof(T) == 1 ? kOne : 1;
  const double knots = (job.knots - 1) / levels;
  return {static_cast<float>(0.299 * knots), static_cast<float>(0.587 * knots), static_cast<float>(0.114 * knots),
          job.knots - 2, static_cast<float>((job.lut_size - 1) * fixed / levels), job.lut_size};
}

// The patches of one image row, [patch][K][value | column | luma | both][pitch]: a SIMD lane picks its luma knot
// out of `pitch` neighbours. `line` is scratch, [Gw][pitch].
template <int pitch, class T>
LUTFUSE_INLINE void build_row_table(const Plan<T>& plan, int y, float* __restrict table, float* __restrict line) {
  const Job<T>& job = plan.job;
  const int cells = job.grid_width;
  const Position row = position_of(y, job.height, job.grid_height);
  const int next_row = smaller(row.cell + 1, job.grid_height - 1);
  for (int k = 0; k < job.exposures; ++k) {
    const float* here = plan.grid + (static_cast<int64_t>(k) * job.grid_height + row.cell) * cells * pitch;
    const float* next = plan.grid + (static_cast<int64_t>(k) * job.grid_height + next_row) * cells * pitch;
    for (int i = 0; i < cells * pitch; ++i) line[i] = lerp(here[i], next[i], row.fraction);
    for (int p = 0; p < plan.patches; ++p) {
      const float* near = line + p * pitch;
      const float* far = line + smaller(p + 1, cells - 1) * pitch;
      float* out = table + (static_cast<int64_t>(p) * job.exposures + k) * 4 * pitch;
      for (int z = 0; z < pitch - 1; ++z) {
        const Patch<float> patch = patch_of(near[z], near[z + 1], far[z], far[z + 1]);
        out[z] = patch.value;
        out[pitch + z] = patch.column;
        out[2 * pitch + z] = patch.luma;
        out[3 * pitch + z] = patch.both;
      }
    }
  }
}

// One pixel, the plain way. `patch` is its run's part of the row table.
template <class T>
LUTFUSE_INLINE void fuse_pixel(const Plan<T>& plan, const float* patch, int y, int x) {
  const Job<T>& job = plan.job;
  const int pitch = plan.pitch;
  Sum<float> sum;
  for (int k = 0; k < job.exposures; ++k) {
    const T* pixel = job.images[k] + y * job.image_strides[k] + 3 * static_cast<int64_t>(x);
    const float red = pixel[0], green = pixel[1], blue = pixel[2];
    int knot;
    float fraction;
    luma_knot(red, green, blue, plan.scales, knot, fraction);
    const float* at = patch + k * 4 * pitch + knot;
    const Patch<float> weights{at[0], at[pitch], at[2 * pitch], at[3 * pitch]};
    accumulate(sum, sliced(weights, plan.column_fraction[x], fraction), red, green, blue);
  }
  Taps<T, float, int> taps;
  find_taps(sum, plan.scales, taps);
  int rgb[3];
  interpolate(taps, plan.lut, job.lut_size, rgb);
  T* out = job.out + y * job.out_stride + 3 * static_cast<int64_t>(x);
  for (int c = 0; c < 3; ++c) out[c] = static_cast<T>(rgb[c]);
}

// Fuses rows [first, last). `scratch` holds row_scratch_floats() floats, 64-byte aligned.
template <class T>
using RowFunction = void (*)(const Plan<T>& plan, int first, int last, float* scratch);

template <class T>
size_t row_scratch_floats(const Plan<T>& plan) {
  const size_t table = static_cast<size_t>(plan.patches) * plan.job.exposures * 4;
  return (table + plan.job.grid_width) * plan.pitch;
}

// Each in its own file, compiled for its own instruction set.
template <class T>
void fuse_rows_portable(const Plan<T>& plan, int first, int last, float* scratch);
template <class T>
void fuse_rows_avx2(const Plan<T>& plan, int first, int last, float* scratch);
template <class T>
void fuse_rows_avx512(const Plan<T>& plan, int first, int last, float* scratch);

}  // namespace lutfuse
