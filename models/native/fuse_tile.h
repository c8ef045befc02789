// What one CUDA thread does: four neighbouring pixels, read and written as 32-bit words. Also compiled for
// the host (Path::tile), so that machines without a GPU test it.
#pragma once
#include "fuse_lut.h"

namespace lutfuse {

constexpr int kTilePixels = 4;

template <class T>
struct Tile {  // packed RGB
  static constexpr int kWords = kTilePixels * 3 * sizeof(T) / 4;
  uint32_t words[kWords];

  // Once loops are unrolled, indices are constants and the words stay in registers.
  LUTFUSE_INLINE int get(int i) const {
    constexpr int per_word = 4 / sizeof(T), bits = 8 * sizeof(T);
    return static_cast<int>(words[i / per_word] >> (bits * (i % per_word)) & ((1u << bits) - 1));
  }
  LUTFUSE_INLINE void set(int i, int value) {
    constexpr int per_word = 4 / sizeof(T), bits = 8 * sizeof(T);
    const uint32_t shifted = static_cast<uint32_t>(value) << (bits * (i % per_word));
    words[i / per_word] = i % per_word == 0 ? shifted : words[i / per_word] | shifted;
  }
};

// The grid positions of a tile's columns. Past the image's right edge the last column repeats.
struct alignas(16) TileColumns {
  GridPosition columns[kTilePixels];
};

// The part of a Plan that a tile needs. Grid and row table are not padded: pitch = D.
template <class T>
struct TilePlan {
  Job<T> job;
  Scales<T> scales;
  const float* grid;         // [K][Gh][Gw][D], clamped
  const GridPosition* rows;  // [H]
  const TileColumns* tiles;  // [ceil(W / kTilePixels)]
  const Node<T>* lut;
};

template <class T>
LUTFUSE_INLINE Patch<float> grid_patch(const TilePlan<T>& plan, GridPosition row, int k, int cell, int knot) {
  const Job<T>& job = plan.job;
  const int next_row = min(row.cell + 1, job.grid_height - 1), next_cell = min(cell + 1, job.grid_width - 1);
  const auto line = [&](int y) {
    return plan.grid + static_cast<int64_t>(k * job.grid_height + y) * job.grid_width * job.knots;
  };
  const float *here = line(row.cell), *next = line(next_row);
  const int near = cell * job.knots + knot, far = next_cell * job.knots + knot;
  const auto corner = [&](int i) { return lerp(here[i], next[i], row.fraction); };
  Patch<float> patch;
  make_patch(corner(near), corner(near + 1), corner(far), corner(far + 1), kLumaUnit<T>, patch);
  return patch;
}

// `read(k)` returns exposure k's Tile, `patch(k, cell, knot)` the grid_patch of this row. K == 0: any number.
template <int K, class T, class Read, class PatchOf>
LUTFUSE_INLINE Tile<T> fuse_tile(const TilePlan<T>& plan, const TileColumns& positions, Read read,
                                 PatchOf patch) {
  const int exposures = K ? K : plan.job.exposures;
  Sum<float> sums[kTilePixels];
#pragma unroll
  for (int k = 0; k < exposures; ++k) {
    const Tile<T> tile = read(k);
#pragma unroll
    for (int i = 0; i < kTilePixels; ++i) {
      const int red = tile.get(3 * i), green = tile.get(3 * i + 1), blue = tile.get(3 * i + 2);
      int knot;
      float fraction;
      find_luma_knot(red, green, blue, plan.scales.luma, knot, fraction);
      const GridPosition& column = positions.columns[i];
      const float weight = slice(patch(k, column.cell, knot), column.fraction, fraction);
      accumulate(sums[i], weight, to_float(red), to_float(green), to_float(blue));
    }
  }
  Tile<T> result;
#pragma unroll
  for (int i = 0; i < kTilePixels; ++i) {
    Taps<T> taps;
    find_taps(sums[i], plan.scales, taps);
    int rgb[3];
    interpolate(taps, plan.lut, plan.job.lut_size, rgb);
#pragma unroll
    for (int c = 0; c < 3; ++c) result.set(3 * i + c, rgb[c]);
  }
  return result;
}

}  // namespace lutfuse
