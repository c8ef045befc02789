// Stands in for fuse_cuda.cu in a build without CUDA.
#include "fuse.h"

namespace lutfuse {
namespace {
constexpr const char* kNoCuda = "this build of lutfuse has no CUDA";
}

int cuda_device_count() { return 0; }

template <class T>
size_t cuda_scratch_bytes(const Job<T>& /*job*/) {
  return 0;
}
template size_t cuda_scratch_bytes(const Job<uint8_t>&);
template size_t cuda_scratch_bytes(const Job<uint16_t>&);

template <class T>
const char* fuse_cuda(const Job<T>& /*job*/, void* /*scratch*/, int /*device*/, void* /*stream*/) {
  return kNoCuda;
}
template const char* fuse_cuda(const Job<uint8_t>&, void*, int, void*);
template const char* fuse_cuda(const Job<uint16_t>&, void*, int, void*);

template <class T>
const char* fuse_cuda_from_host(const Job<T>& /*job*/, int /*device*/) {
  return kNoCuda;
}
template const char* fuse_cuda_from_host(const Job<uint8_t>&, int);
template const char* fuse_cuda_from_host(const Job<uint16_t>&, int);

}  // namespace lutfuse
