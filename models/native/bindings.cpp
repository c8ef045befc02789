// The only file that knows Python. models/fusion.py is the only caller and words the errors for people; the
// check here keeps a wrong call from reaching memory.
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

bool within(size_t value, size_t lowest, size_t highest) { return lowest <= value && value <= highest; }

// Rows any stride apart, pixels next to each other. The stride of an axis of one element means nothing.
template <class Array>
bool packed_pixels(const Array& image) {
  return image.stride(2) == 1 && (image.shape(1) == 1 || image.stride(1) == 3);
}

template <class T, class Device>
Job<T> job_of(const Images<T, Device>& images, const Table<Device>& grid, const Table<Device>& lut, const Out<T, Device>& out) {
  bool good = within(images.size(), 1, kMaxExposures) && grid.shape(0) == images.size() && within(grid.shape(1), 2, 16) &&
              within(grid.shape(2), 1, 64) && within(grid.shape(3), 1, 64) && within(lut.shape(0), 2, 129) &&
              lut.shape(1) == lut.shape(0) && lut.shape(2) == lut.shape(0) && lut.shape(3) == 3 &&
              within(out.shape(0), 1, 1 << 24) && within(out.shape(1), 1, 1 << 24) && packed_pixels(out);
  Job<T> job{};
  for (size_t k = 0; good && k < images.size(); ++k) {
    good = images[k].shape(0) == out.shape(0) && images[k].shape(1) == out.shape(1) && packed_pixels(images[k]);
    job.images[k] = images[k].data();
    job.image_strides[k] = images[k].stride(0);
  }
  if (!good) throw nb::value_error("shapes or strides that models.fusion.fuse would have refused");
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

Path path_named(const std::string& name) {
  for (const auto& [known, path] : kPaths) {
    if (name == known && path_available(path)) return path;
  }
  throw nb::value_error("a path that this machine does not have");
}

void raise_on(const char* message) {
  if (message) throw std::runtime_error(message);
}

template <class T>
void define_for(nb::module_& m) {
  using Cpu = nb::device::cpu;
  using Cuda = nb::device::cuda;
  m.def(
      "fuse_cpu",
      [](const Images<T, Cpu>& images, const Table<Cpu>& grid, const Table<Cpu>& lut, const Out<T, Cpu>& out, int threads,
         const std::string& path) {
        const Job<T> job = job_of<T, Cpu>(images, grid, lut, out);
        const Path chosen = path_named(path);
        const nb::gil_scoped_release released;
        fuse_cpu(job, threads, chosen);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(), "threads"_a, "path"_a);
  m.def(
      "fuse_cuda_from_host",
      [](const Images<T, Cpu>& images, const Table<Cpu>& grid, const Table<Cpu>& lut, const Out<T, Cpu>& out, int device) {
        const Job<T> job = job_of<T, Cpu>(images, grid, lut, out);
        const char* message;
        {
          const nb::gil_scoped_release released;
          message = fuse_cuda_from_host(job, device);
        }
        raise_on(message);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(), "device"_a);
  m.def(
      "cuda_scratch_bytes",
      [](const Images<T, Cuda>& images, const Table<Cuda>& grid, const Table<Cuda>& lut, const Out<T, Cuda>& out) {
        return cuda_scratch_bytes(job_of<T, Cuda>(images, grid, lut, out));
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert());
  m.def(
      "fuse_cuda",
      [](const Images<T, Cuda>& images, const Table<Cuda>& grid, const Table<Cuda>& lut, const Out<T, Cuda>& out,
         const nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, Cuda>& scratch, uintptr_t stream) {
        const Job<T> job = job_of<T, Cuda>(images, grid, lut, out);
        if (scratch.size() < cuda_scratch_bytes(job)) throw nb::value_error("less scratch than cuda_scratch_bytes asks for");
        const char* message;
        {
          const nb::gil_scoped_release released;
          message = fuse_cuda(job, scratch.data(), out.device_id(), reinterpret_cast<void*>(stream));
        }
        raise_on(message);
      },
      "images"_a.noconvert(), "grid"_a.noconvert(), "lut"_a.noconvert(), "out"_a.noconvert(), "scratch"_a.noconvert(),
      "stream"_a);
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
}
