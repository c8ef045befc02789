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
inline Ints permute2x16(Ints a, Ints where, Ints b) {
  const Words x = as<Words>(a), at = as<Words>(where), y = as<Words>(b);
  return as<Ints>(filled<Words>([&](int i) { return (at.lane[i] & 32 ? y : x).lane[at.lane[i] & 31]; }));
}

// The same on lanes of 8, 16 or 64 bits.
using Longs = Register<int64_t, 8>;
using Unsigned = Register<uint16_t, 32>;
template <class Lanes, class Each>
Ints each(Ints a, Ints b, Each of) {
  const Lanes x = as<Lanes>(a), y = as<Lanes>(b);
  return as<Ints>(filled<Lanes>([&](int i) { return of(x.lane[i], y.lane[i]); }));
}
inline Ints add16(Ints a, Ints b) { return each<Unsigned>(a, b, [](int x, int y) { return x + y; }); }
inline Ints sub16(Ints a, Ints b) { return each<Unsigned>(a, b, [](int x, int y) { return x - y; }); }
inline Ints low16(Ints a, Ints b) { return each<Unsigned>(a, b, [](uint32_t x, uint32_t y) { return x * y; }); }
inline Ints high16(Ints a, Ints b) { return each<Unsigned>(a, b, [](uint32_t x, uint32_t y) { return x * y >> 16; }); }
inline Ints all16(int a) { return as<Ints>(filled<Words>([&](int) { return static_cast<int16_t>(a); })); }
inline Ints blend64(unsigned mask, Ints a, Ints b) {
  const Longs x = as<Longs>(a), y = as<Longs>(b);
  return as<Ints>(filled<Longs>([&](int i) { return (mask >> i & 1 ? y : x).lane[i]; }));
}
inline Ints dot8(Ints sum, Ints a, Ints b) {  // unsigned with signed bytes
  const auto x = as<Register<uint8_t, 64>>(a);
  const Bytes y = as<Bytes>(b);
  return filled<Ints>([&](int i) {
    int all = sum.lane[i];
    for (int j = 4 * i; j < 4 * i + 4; ++j) all += x.lane[j] * y.lane[j];
    return all;
  });
}

// Moving lanes about.
template <class Lanes>
Ints permuted(Ints where, Ints a) {
  const Lanes x = as<Lanes>(a), at = as<Lanes>(where);
  constexpr int last = sizeof(Lanes) / sizeof(at.lane[0]) - 1;
  return as<Ints>(filled<Lanes>([&](int i) { return x.lane[at.lane[i] & last]; }));
}
inline Ints permuted8(Ints where, Ints a) { return permuted<Bytes>(where, a); }
inline Ints permuted16(Ints where, Ints a) { return permuted<Words>(where, a); }
inline Ints masked_permuted8(uint64_t mask, Ints where, Ints a) {
  const Bytes all = as<Bytes>(permuted8(where, a));
  return as<Ints>(filled<Bytes>([&](int i) { return mask >> i & 1 ? all.lane[i] : int8_t{0}; }));
}
inline Ints permute2x64(Ints a, Ints where, Ints b) {
  const Longs x = as<Longs>(a), at = as<Longs>(where), y = as<Longs>(b);
  return as<Ints>(filled<Longs>([&](int i) { return (at.lane[i] & 8 ? y : x).lane[at.lane[i] & 7]; }));
}
inline Ints unpacked16(Ints a, Ints b, int from) {  // within each 128-bit quarter
  const Words x = as<Words>(a), y = as<Words>(b);
  return as<Ints>(filled<Words>([&](int i) { return (i % 2 ? y : x).lane[i / 8 * 8 + from + i % 8 / 2]; }));
}
inline Ints unpacked_low16(Ints a, Ints b) { return unpacked16(a, b, 0); }
inline Ints unpacked_high16(Ints a, Ints b) { return unpacked16(a, b, 4); }
template <class To, class From>
Ints packed(Ints a, Ints b, int lowest, int highest) {  // within each quarter, a's lanes and then b's
  const From x = as<From>(a), y = as<From>(b);
  constexpr int n = 16 / sizeof(x.lane[0]);
  return as<Ints>(filled<To>([&](int i) {
    const int value = (i % (2 * n) < n ? x : y).lane[i / (2 * n) * n + i % n];
    return value < lowest ? lowest : value > highest ? highest : value;
  }));
}
inline Ints packed32(Ints a, Ints b) { return packed<Words, Ints>(a, b, -32768, 32767); }
inline Ints packed_unsigned32(Ints a, Ints b) { return packed<Unsigned, Ints>(a, b, 0, 65535); }
inline Ints packed_unsigned16(Ints a, Ints b) { return packed<Register<uint8_t, 64>, Words>(a, b, 0, 255); }
inline Ints shuffled32(Ints a, int where) {
  return filled<Ints>([&](int i) { return a.lane[i / 4 * 4 + (where >> 2 * (i % 4) & 3)]; });
}
inline Ints shuffled_quarters(Ints a, Ints b, int where) {
  return filled<Ints>([&](int i) { return (i < 8 ? a : b).lane[(where >> i / 4 * 2 & 3) * 4 + i % 4]; });
}
inline Floats shuffled_quarters(Floats a, Floats b, int where) {
  return as<Floats>(shuffled_quarters(as<Ints>(a), as<Ints>(b), where));
}
inline Ints lower_half(__m256i half) {
  Ints to{};
  std::memcpy(to.lane, &half, sizeof half);
  return to;
}
inline Ints inserted(Ints a, __m256i half, int which) {
  std::memcpy(a.lane + 8 * which, &half, sizeof half);
  return a;
}
inline __m128i quarter(Ints a, int which) {
  __m128i lanes;
  std::memcpy(&lanes, a.lane + 4 * which, sizeof lanes);
  return lanes;
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

#undef _mm512_extracti32x4_epi32  // compilers bring these as macros
#undef _mm512_inserti64x4
#undef _mm512_shuffle_epi32
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_i32x4
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
#define _mm512_add_epi16 in_loops::add16
#define _mm512_sub_epi16 in_loops::sub16
#define _mm512_mullo_epi16 in_loops::low16
#define _mm512_mulhi_epu16 in_loops::high16
#define _mm512_set1_epi16(a) in_loops::all16(a)
#define _mm512_dpbusd_epi32 in_loops::dot8
#define _mm512_mask_blend_epi64 in_loops::blend64
#define _mm512_permutexvar_epi8 in_loops::permuted8
#define _mm512_maskz_permutexvar_epi8 in_loops::masked_permuted8
#define _mm512_permutexvar_epi16 in_loops::permuted16
#define _mm512_permutex2var_epi16 in_loops::permute2x16
#define _mm512_permutex2var_epi64 in_loops::permute2x64
#define _mm512_unpacklo_epi16 in_loops::unpacked_low16
#define _mm512_unpackhi_epi16 in_loops::unpacked_high16
#define _mm512_packs_epi32 in_loops::packed32
#define _mm512_packus_epi32 in_loops::packed_unsigned32
#define _mm512_packus_epi16 in_loops::packed_unsigned16
#define _mm512_shuffle_epi32 in_loops::shuffled32
#define _mm512_shuffle_i32x4 in_loops::shuffled_quarters
#define _mm512_shuffle_f32x4 in_loops::shuffled_quarters
#define _mm512_castsi256_si512 in_loops::lower_half
#define _mm512_inserti64x4 in_loops::inserted
#define _mm512_extracti32x4_epi32 in_loops::quarter
#define _mm512_castsi512_si256(a) in_loops::half(a, 0)
#define _mm512_castps_si512 in_loops::as<in_loops::Ints>
#define _mm512_cvtepu16_epi32 in_loops::widened16
#define _mm512_castsi512_ps in_loops::as<in_loops::Floats>
