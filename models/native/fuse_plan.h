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
  Scales<T> scales;
  int pitch;                    // luma knots per table row, padded with the last one: 8 or 16
  int patches;                  // max(Gw - 1, 1)
  const float* grid;            // [K][Gh][Gw][pitch], cleaned
  const float* column_fraction;  // [W]
  const Run* runs;
  int n_runs;
  const Node<T>* lut;  // [N * N * N]
};

// The coefficients add up to less than 1 / 255 of all knots, so that no pixel reaches the last one.
static LUTFUSE_INLINE Luma<uint8_t> luma_of(int knots, uint8_t) {
  const double scale = (knots - 1) / 255.0 * (1 << Luma<uint8_t>::bits);
  const int all = static_cast<int>(scale), red = static_cast<int>(0.299 * scale), green = static_cast<int>(0.587 * scale);
  return {red, green, all - red - green};
}
static LUTFUSE_INLINE Luma<uint16_t> luma_of(int knots, uint16_t) {
  const double scale = (knots - 1) / 65535.0;
  return {static_cast<float>(0.299 * scale), static_cast<float>(0.587 * scale), static_cast<float>(0.114 * scale), knots - 2};
}

template <class T>
Scales<T> scales_of(const Job<T>& job) {
  const float to_lut = sizeof(T) == 1 ? 257.f : static_cast<float>((job.lut_size - 1) / 65535.0);
  return {luma_of(job.knots, T{}), to_lut, job.lut_size};
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
        const Patch<float> patch = patch_of(near[z], near[z + 1], far[z], far[z + 1], kLumaUnit<T>);
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
    int knot;
    float fraction;
    luma_knot(pixel[0], pixel[1], pixel[2], plan.scales.luma, knot, fraction);
    const float* at = patch + k * 4 * pitch + knot;
    const Patch<float> weights{at[0], at[pitch], at[2 * pitch], at[3 * pitch]};
    const float weight = sliced(weights, plan.column_fraction[x], fraction);
    accumulate(sum, weight, widened(pixel[0]), widened(pixel[1]), widened(pixel[2]));
  }
  Taps<T> taps;
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
