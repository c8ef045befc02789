// The AVX-512 intrinsics that fuse_avx512.cpp uses, each as a plain loop over its lanes, after the definitions in
// Intel's manual. Put in front of that file, it makes the path run, and be tested, on machines without AVX-512.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace in_loops {

template <class Lane, int lanes>
struct alignas(64) Register {
  Lane lane[lanes];
};
using Floats = Register<float, 16>;
using Ints = Register<int32_t, 16>;

template <class To, class From>
To as(const From& from) {  // the same 512 bits, seen otherwise
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
template <class To, class Each>
To filled(Each each) {
  To to{};
  for (int i = 0; i < static_cast<int>(sizeof(to.lane) / sizeof(to.lane[0])); ++i) to.lane[i] = each(i);
  return to;
}
using Words = Register<int16_t, 32>;
using Bytes = Register<int8_t, 64>;
template <class Lane, int lanes>
Register<Lane, lanes> loaded(const void* from) {
  return filled<Register<Lane, lanes>>([&](int i) {
    Lane lane;
    std::memcpy(&lane, static_cast<const char*>(from) + i * sizeof(Lane), sizeof lane);
    return lane;
  });
}

inline Floats set1(float a) { return filled<Floats>([&](int) { return a; }); }
inline Floats add(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] + b.lane[i]; }); }
inline Floats sub(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] - b.lane[i]; }); }
inline Floats mul(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] * b.lane[i]; }); }
inline Floats div(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] / b.lane[i]; }); }
inline Floats max(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; }); }
inline Floats min(Floats a, Floats b) { return filled<Floats>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; }); }
inline Floats fmadd(Floats a, Floats b, Floats c) {
  return filled<Floats>([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Floats permutexvar(Ints where, Floats a) { return filled<Floats>([&](int i) { return a.lane[where.lane[i] & 15]; }); }

inline Ints set1(int a) { return filled<Ints>([&](int) { return a; }); }
inline Ints add(Ints a, Ints b) { return filled<Ints>([&](int i) { return a.lane[i] + b.lane[i]; }); }
inline Ints both(Ints a, Ints b) { return filled<Ints>([&](int i) { return a.lane[i] & b.lane[i]; }); }
inline Ints min(Ints a, Ints b) { return filled<Ints>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; }); }
inline Ints left(Ints a, int n) { return filled<Ints>([&](int i) { return static_cast<uint32_t>(a.lane[i]) << n; }); }
inline Ints right(Ints a, int n) { return filled<Ints>([&](int i) { return static_cast<uint32_t>(a.lane[i]) >> n; }); }
inline Ints truncated(Floats a) { return filled<Ints>([&](int i) { return static_cast<int32_t>(a.lane[i]); }); }
inline Floats widened(Ints a) { return filled<Floats>([&](int i) { return static_cast<float>(a.lane[i]); }); }
inline Ints madd16(Ints a, Ints b) {
  const Words x = as<Words>(a), y = as<Words>(b);
  return filled<Ints>([&](int i) { return x.lane[2 * i] * y.lane[2 * i] + x.lane[2 * i + 1] * y.lane[2 * i + 1]; });
}
inline Ints masked(unsigned mask, const void* from) {  // reads no lane that the mask leaves out
  return filled<Ints>([&](int i) {
    int32_t lane = 0;
    if (mask >> i & 1) std::memcpy(&lane, static_cast<const char*>(from) + 4 * i, sizeof lane);
    return lane;
  });
}
inline Ints permutexvar(Ints where, Ints a) { return filled<Ints>([&](int i) { return a.lane[where.lane[i] & 15]; }); }
inline Ints permute2x16(Ints a, Ints where, Ints b) {
  const Words x = as<Words>(a), at = as<Words>(where), y = as<Words>(b);
  return as<Ints>(filled<Words>([&](int i) { return (at.lane[i] & 32 ? y : x).lane[at.lane[i] & 31]; }));
}
inline Ints shuffle8(Ints a, Ints where) {  // within each 128-bit quarter
  const Bytes x = as<Bytes>(a), at = as<Bytes>(where);
  return as<Ints>(filled<Bytes>([&](int i) { return at.lane[i] < 0 ? int8_t{0} : x.lane[i / 16 * 16 + (at.lane[i] & 15)]; }));
}
inline Ints repeated(__m128i quarter) {
  return filled<Ints>([&](int i) {
    int32_t lane;
    std::memcpy(&lane, reinterpret_cast<const char*>(&quarter) + i % 4 * 4, sizeof lane);
    return lane;
  });
}
template <class... Lanes>
Ints listed(Lanes... lanes) {
  return {{lanes...}};
}
inline __m256i half(Ints a, int which) {
  __m256i lanes;
  std::memcpy(&lanes, a.lane + 8 * which, sizeof lanes);
  return lanes;
}
inline Ints widened16(__m256i a) {
  uint16_t words[16];
  std::memcpy(words, &a, sizeof words);
  return filled<Ints>([&](int i) { return static_cast<int32_t>(words[i]); });
}

}  // namespace in_loops

#undef _mm512_setr_epi32  // compilers bring these as macros
#undef _mm512_extracti64x4_epi64
#undef _mm512_slli_epi32
#undef _mm512_srli_epi32
#define __m512 in_loops::Floats
#define __m512i in_loops::Ints
#define _mm512_set1_ps(a) in_loops::set1(static_cast<float>(a))
#define _mm512_add_ps in_loops::add
#define _mm512_sub_ps in_loops::sub
#define _mm512_mul_ps in_loops::mul
#define _mm512_div_ps in_loops::div
#define _mm512_max_ps in_loops::max
#define _mm512_min_ps in_loops::min
#define _mm512_fmadd_ps in_loops::fmadd
#define _mm512_permutexvar_ps in_loops::permutexvar
#define _mm512_loadu_ps(from) in_loops::loaded<float, 16>(from)
#define _mm512_storeu_ps(to, a) std::memcpy(to, (a).lane, 64)
#define _mm512_set1_epi32(a) in_loops::set1(static_cast<int>(a))
#define _mm512_add_epi32 in_loops::add
#define _mm512_and_si512 in_loops::both
#define _mm512_slli_epi32 in_loops::left
#define _mm512_srli_epi32 in_loops::right
#define _mm512_min_epi32 in_loops::min
#define _mm512_madd_epi16 in_loops::madd16
#define _mm512_cvttps_epi32 in_loops::truncated
#define _mm512_cvtepi32_ps in_loops::widened
#define _mm512_storeu_si512(to, a) std::memcpy(to, (a).lane, 64)
#define _mm512_loadu_si512(from) in_loops::loaded<int32_t, 16>(from)
#define _mm512_load_si512 _mm512_loadu_si512
#define _mm512_maskz_loadu_epi32 in_loops::masked
#define _mm512_setr_epi32 in_loops::listed
#define _mm512_permutexvar_epi32 in_loops::permutexvar
#define _mm512_permutex2var_epi16 in_loops::permute2x16
#define _mm512_shuffle_epi8 in_loops::shuffle8
#define _mm512_broadcast_i32x4 in_loops::repeated
#define _mm512_castsi512_si256(a) in_loops::half(a, 0)
#define _mm512_extracti64x4_epi64 in_loops::half
#define _mm512_castps_si512 in_loops::as<in_loops::Ints>
#define _mm512_cvtepu16_epi32 in_loops::widened16
