// The only file that knows Python. models/fusion/kernel.py is the only caller and explains errors to users;
// the check here keeps a wrong call from reaching memory.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fuse.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lutfuse {
namespace {

template <class T, class Device>
using Images = std::vector<nb::ndarray<const T, nb::shape<-1, -1, 3>, Device>>;
template <class T, class Device>
using Out = nb::ndarray<T, nb::shape<-1, -1, 3>, Device>;
template <class Device>
using Table = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, Device>;

constexpr std::pair<const char*, Path> kPaths[] = {{"scalar", Path::scalar},
                                                   {"tile", Path::tile},
                                                   {"portable", Path::portable},
                                                   {"avx2", Path::avx2},
                                                   {"avx512", Path::avx512}};

constexpr std::pair<const char*, Limits> kLimits[] = {{"exposures", kExposures},
                                                      {"knots", kKnots},
                                                      {"cells", kCells},
                                                      {"lut_sizes", kLutSizes},
                                                      {"sides", kSides}};

bool in_range(size_t value, Limits limits) {
  return static_cast<size_t>(limits.min) <= value && value <= static_cast<size_t>(limits.max);
}

// Any row stride, pixels packed. The stride of an axis of one element means nothing.
template <class Array>
bool has_packed_pixels(const Array& image) {
  return image.stride(2) == 1 && (image.shape(1) == 1 || image.stride(1) == 3);
}

template <class T, class Device>
Job<T> make_job(const Images<T, Device>& images, const Table<Device>& grid, const Table<Device>& lut,
                const Out<T, Device>& out) {
  bool valid = in_range(images.size(), kExposures) && grid.shape(0) == images.size() &&
               in_range(grid.shape(1), kKnots) && in_range(grid.shape(2), kCells) &&
               in_range(grid.shape(3), kCells) && in_range(lut.shape(0), kLutSizes) &&
               lut.shape(1) == lut.shape(0) && lut.shape(2) == lut.shape(0) && lut.shape(3) == 3 &&
               in_range(out.shape(0), kSides) && in_range(out.shape(1), kSides) && has_packed_pixels(out);
  Job<T> job{};
  for (size_t k = 0; valid && k < images.size(); ++k) {
    valid = images[k].shape(0) == out.shape(0) && images[k].shape(1) == out.shape(1) &&
            has_packed_pixels(images[k]);
    job.images[k] = images[k].data();
    job.image_strides[k] = images[k].stride(0);
  }
  if (!valid) throw nb::value_error("shapes or strides that models.fusion.kernel.fuse would have refused");
  job.exposures = static_cast<int>(images.size());
  job.height = static_cast<int>(out.shape(0));
  job.width = static_cast<int>(out.shape(1));
  job.out = out.data();
  job.out_stride = out.stride(0);
  job.grid = grid.data();
  job.knots = static_cast<int>(grid.shape(1));
  job.grid_height = static_cast<int>(grid.shape(2));
  job.grid_width = static_cast<int>(grid.shape(3));
  job.lut = lut.data();
  job.lut_size = static_cast<int>(lut.shape(0));
  return job;
}

Path find_path(const std::string& name) {
  for (const auto& [known, path] : kPaths) {
    if (name == known && path_available(path)) return path;
  }
  throw nb::value_error("a path that this machine does not have");
}

void throw_on_error(const char* message) {
  if (message) throw std::runtime_error(message);
}

template <class T>
void define_for(nb::module_& m) {
  using Cpu = nb::device::cpu;
  using Cuda = nb::device::cuda;
  m.def(
      "fuse_cpu",
      [](const Images<T, Cpu>& images, const Table<Cpu>& grid, const Table<Cpu>& lut, const Out<T, Cpu>& out,
         int threads, const std::string& path) {
        const Job<T> job = make_job<T, Cpu>(images, grid, lut, out);
        const Path chosen = find_path(path);
        if (threads < 1) throw nb::value_error("threads below 1");
        const nb::gil_scoped_release released;
        fuse_cpu(job, threads, chosen);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(), "threads"_a,
      "path"_a);
  m.def(
      "fuse_cuda_from_host",
      [](const Images<T, Cpu>& images, const Table<Cpu>& grid, const Table<Cpu>& lut, const Out<T, Cpu>& out,
         int device) {
        const Job<T> job = make_job<T, Cpu>(images, grid, lut, out);
        const char* message;
        {
          const nb::gil_scoped_release released;
          message = fuse_cuda_from_host(job, device);
        }
        throw_on_error(message);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(), "device"_a);
  m.def(
      "cuda_scratch_bytes",
      [](const Images<T, Cuda>& images, const Table<Cuda>& grid, const Table<Cuda>& lut,
         const Out<T, Cuda>& out) { return cuda_scratch_bytes(make_job<T, Cuda>(images, grid, lut, out)); },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert());
  m.def(
      "fuse_cuda",
      [](const Images<T, Cuda>& images, const Table<Cuda>& grid, const Table<Cuda>& lut,
         const Out<T, Cuda>& out, const nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, Cuda>& scratch,
         uintptr_t stream) {
        const Job<T> job = make_job<T, Cuda>(images, grid, lut, out);
        if (scratch.size() < cuda_scratch_bytes(job)) {
          throw nb::value_error("less scratch than cuda_scratch_bytes asks for");
        }
        const char* message;
        {
          const nb::gil_scoped_release released;
          message = fuse_cuda(job, scratch.data(), out.device_id(), reinterpret_cast<void*>(stream));
        }
        throw_on_error(message);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(),
      "scratch"_a.noconvert(), "stream"_a);
}

}  // namespace
}  // namespace lutfuse

NB_MODULE(_native, m) {
  using namespace lutfuse;
  define_for<uint8_t>(m);
  define_for<uint16_t>(m);
  m.def("cuda_device_count", &cuda_device_count);
  m.def("paths", [] {
    std::vector<std::string> names;
    for (const auto& [name, path] : kPaths) {
      if (path_available(path)) names.emplace_back(name);
    }
    return names;  // slowest first
  });
#if defined(LUTFUSE_HAS_CUDA)
  m.attr("has_cuda") = true;
#else
  m.attr("has_cuda") = false;
#endif
  nb::dict limits;
  for (const auto& [name, range] : kLimits) limits[name] = nb::make_tuple(range.min, range.max);
  m.attr("limits") = limits;
}
