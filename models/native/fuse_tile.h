// What one CUDA thread does: four neighbouring pixels, read and written as 32-bit words. Also compiled for the
// host (Path::tile), so that this code is tested where there is no GPU.
#pragma once
#include "fuse_lut.h"

namespace lutfuse {

constexpr int kTile = 4;  // pixels a thread

template <class T>
struct Words {  // four packed RGB pixels
  static constexpr int count = kTile * 3 * sizeof(T) / 4;
  uint32_t word[count];

  // Indices are known at compile time once the loops are unrolled: words stay in registers.
  LUTFUSE_INLINE int channel(int i) const {
    constexpr int per_word = 4 / sizeof(T), bits = 8 * sizeof(T);
    return static_cast<int>(word[i / per_word] >> (bits * (i % per_word)) & ((1u << bits) - 1));
  }
  LUTFUSE_INLINE void set_channel(int i, int value) {
    constexpr int per_word = 4 / sizeof(T), bits = 8 * sizeof(T);
    const uint32_t shifted = static_cast<uint32_t>(value) << (bits * (i % per_word));
    word[i / per_word] = i % per_word == 0 ? shifted : word[i / per_word] | shifted;
  }
};

// Of every image column, padded to whole tiles with the last one's.
struct alignas(16) Columns {
  Position of[kTile];
};

// The part of a Plan that a tile needs. Grid and row table have no padding: pitch = D.
template <class T>
struct TilePlan {
  Job<T> job;
  Scales<T> scales;
  const float* grid;      // [K][Gh][Gw][D], cleaned
  const Position* rows;    // [H]
  const Columns* columns;  // [ceil(W / kTile)]
  const Node<T>* lut;
};

template <class T>
LUTFUSE_INLINE Patch<float> patch_at(const TilePlan<T>& plan, Position row, int k, int cell, int knot) {
  const Job<T>& job = plan.job;
  const int next_row = smaller(row.cell + 1, job.grid_height - 1), next_cell = smaller(cell + 1, job.grid_width - 1);
  const float* here = plan.grid + static_cast<int64_t>(k * job.grid_height + row.cell) * job.grid_width * job.knots;
  const float* next = plan.grid + static_cast<int64_t>(k * job.grid_height + next_row) * job.grid_width * job.knots;
  const int near = cell * job.knots + knot, far = next_cell * job.knots + knot;
  const auto value = [&](int at) { return lerp(here[at], next[at], row.fraction); };
  Patch<float> patch;
  make_patch(value(near), value(near + 1), value(far), value(far + 1), kLumaUnit<T>, patch);
  return patch;
}

// K == 0: the number of exposures is known at run time only. `read(k)` gives the Words of exposure k,
// `patch(k, cell, knot)` the patch_at of this row.
template <int K, class T, class Read, class PatchOf>
LUTFUSE_INLINE Words<T> fuse_tile(const TilePlan<T>& plan, const Columns& columns, Read read, PatchOf patch) {
  const int exposures = K ? K : plan.job.exposures;
  Sum<float> sums[kTile];
#pragma unroll
  for (int k = 0; k < exposures; ++k) {
    const Words<T> words = read(k);
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      const int red = words.channel(3 * i), green = words.channel(3 * i + 1), blue = words.channel(3 * i + 2);
      int knot;
      float fraction;
      luma_knot(red, green, blue, plan.scales.luma, knot, fraction);
      const float weight = sliced(patch(k, columns.of[i].cell, knot), columns.of[i].fraction, fraction);
      accumulate(sums[i], weight, widened(red), widened(green), widened(blue));
    }
  }
  Words<T> result;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    Taps<T> taps;
    find_taps(sums[i], plan.scales, taps);
    int rgb[3];
    interpolate(taps, plan.lut, plan.job.lut_size, rgb);
#pragma unroll
    for (int c = 0; c < 3; ++c) result.set_channel(3 * i + c, rgb[c]);
  }
  return result;
}

}  // namespace lutfuse
