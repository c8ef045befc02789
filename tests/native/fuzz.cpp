// Random and degenerate brackets through every CPU path, under AddressSanitizer and UBSan. All paths must
// return the scalar path's bytes and access nothing outside their buffers. Every buffer ends with its last
// pixel, so an access one byte too far is found.
//
//   fuzz [cases = 150] [seed = 1]     exits 0 where no path differs; sanitizers abort by themselves
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "fuse.h"

using namespace lutfuse;

namespace {

constexpr struct {
  Path path;
  const char* name;
} kPaths[] = {{Path::scalar, "scalar"},
              {Path::tile, "tile"},
              {Path::portable, "portable"},
              {Path::avx2, "avx2"},
              {Path::avx512, "avx512"}};

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int between(int lowest, int highest) {
    return std::uniform_int_distribution<int>(lowest, highest)(engine_);
  }
  bool once_in(int n) { return between(1, n) == 1; }
  float fraction() { return std::uniform_real_distribution<float>(0.f, 1.f)(engine_); }

 private:
  std::mt19937 engine_;
};

float odd_value(Random& random) {
  using limits = std::numeric_limits<float>;
  const float values[] = {limits::quiet_NaN(),
                          limits::infinity(),
                          -limits::infinity(),
                          limits::max(),
                          -limits::max(),
                          limits::denorm_min(),
                          -0.f,
                          -1.f};
  return values[random.between(0, 7)];
}

// A grid or LUT: ordinary values, all zero, sparse ones, or values that no network should give.
std::unique_ptr<float[]> table(size_t count, Random& random) {
  std::unique_ptr<float[]> values(new float[count]);
  const int kind = random.between(0, 9);
  for (size_t i = 0; i < count; ++i) {
    values[i] = kind == 0 ? 0.f : kind == 1 ? static_cast<float>(i % 7 == 0) : random.fraction();
    if (kind == 2 || (kind == 3 && random.once_in(9))) values[i] = odd_value(random);
  }
  return values;
}

template <class T>
std::vector<std::unique_ptr<T[]>> images_of(Job<T>& job, Random& random) {
  std::vector<std::unique_ptr<T[]>> images;
  for (int k = 0; k < job.exposures; ++k) {
    job.image_strides[k] = 3 * job.width + random.between(0, 5);
    const size_t count = (job.height - 1) * job.image_strides[k] + 3 * job.width;
    images.emplace_back(new T[count]);
    for (size_t i = 0; i < count; ++i) {
      const int top = std::numeric_limits<T>::max();
      images[k][i] = static_cast<T>(random.once_in(6) ? top : random.once_in(6) ? 0 : random.between(0, top));
    }
    job.images[k] = images[k].get();
  }
  return images;
}

template <class T>
bool same_bytes_on_every_path(Random& random) {
  Job<T> job{};
  job.exposures = random.between(kExposures.min, kExposures.max);
  job.height = random.between(1, 40);
  job.width = random.once_in(3) ? random.between(100, 700) : random.between(1, 100);
  job.knots = random.between(kKnots.min, kKnots.max);
  job.grid_height = random.between(kCells.min, random.once_in(5) ? kCells.max : 20);
  job.grid_width = random.between(kCells.min, random.once_in(5) ? kCells.max : 20);
  job.lut_size = random.between(kLutSizes.min, random.once_in(40) ? kLutSizes.max : 20);
  const auto images = images_of(job, random);
  const auto grid =
      table(static_cast<size_t>(job.exposures) * job.knots * job.grid_height * job.grid_width, random);
  const auto lut = table(static_cast<size_t>(job.lut_size) * job.lut_size * job.lut_size * 3, random);
  job.grid = grid.get();
  job.lut = lut.get();
  job.out_stride = 3 * job.width + random.between(0, 4);
  const size_t count = (job.height - 1) * job.out_stride + 3 * job.width;
  std::unique_ptr<T[]> expected;
  for (const auto& [path, name] : kPaths) {
    if (!path_available(path)) continue;
    std::unique_ptr<T[]> out(new T[count]);
    std::memset(out.get(), 0x5a, count * sizeof(T));  // padding between rows must keep this
    job.out = out.get();
    fuse_cpu(job, random.between(1, 3), path);
    if (!expected) {
      expected = std::move(out);
    } else if (std::memcmp(expected.get(), out.get(), count * sizeof(T)) != 0) {
      std::printf("%s differs: %zu-bit K=%d H=%d W=%d D=%d Gh=%d Gw=%d N=%d\n", name, 8 * sizeof(T),
                  job.exposures, job.height, job.width, job.knots, job.grid_height, job.grid_width,
                  job.lut_size);
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int cases = argc > 1 ? std::atoi(argv[1]) : 150;
  Random random(argc > 2 ? std::atoi(argv[2]) : 1);
  int different = 0;
  for (int i = 0; i < cases; ++i) {
    different += !same_bytes_on_every_path<uint8_t>(random);
    different += !same_bytes_on_every_path<uint16_t>(random);
  }
  for (const auto& [path, name] : kPaths) {
    std::printf("%s%s", name, path_available(path) ? " " : " (not on this machine) ");
  }
  std::printf("\n%d brackets, %d differences\n", 2 * cases, different);
  return different == 0 ? 0 : 1;
}
