// The AVX-512 intrinsics that fuse_avx512.cpp uses, each as a plain loop over its lanes, as Intel's manual
// defines them. Included before that file, it lets machines without AVX-512 run and test the path.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace emulated {

template <class Lane, int lanes>
struct alignas(64) Register {
  Lane lane[lanes];
};
using Floats = Register<float, 16>;
using Ints = Register<int32_t, 16>;

template <class To, class From>
To bit_cast(const From& from) {  // the same 512 bits as another type
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
template <class To, class Lane>
To generate(Lane lane) {
  To to{};
  for (int i = 0; i < static_cast<int>(sizeof(to.lane) / sizeof(to.lane[0])); ++i) to.lane[i] = lane(i);
  return to;
}
using Words = Register<int16_t, 32>;
using Bytes = Register<int8_t, 64>;
template <class Lane, int lanes>
Register<Lane, lanes> load(const void* from) {
  return generate<Register<Lane, lanes>>([&](int i) {
    Lane lane;
    std::memcpy(&lane, static_cast<const char*>(from) + i * sizeof(Lane), sizeof lane);
    return lane;
  });
}

inline Floats set1(float a) {
  return generate<Floats>([&](int) { return a; });
}
inline Floats add(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Floats sub(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Floats mul(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Floats div(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline Floats max(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Floats min(Floats a, Floats b) {
  return generate<Floats>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Floats fmadd(Floats a, Floats b, Floats c) {
  return generate<Floats>([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
inline Floats permutexvar(Ints where, Floats a) {
  return generate<Floats>([&](int i) { return a.lane[where.lane[i] & 15]; });
}

inline Ints set1(int a) {
  return generate<Ints>([&](int) { return a; });
}
inline Ints add(Ints a, Ints b) {
  return generate<Ints>([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Ints bitwise_and(Ints a, Ints b) {
  return generate<Ints>([&](int i) { return a.lane[i] & b.lane[i]; });
}
inline Ints min(Ints a, Ints b) {
  return generate<Ints>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline Ints shift_left(Ints a, int n) {
  return generate<Ints>([&](int i) { return static_cast<uint32_t>(a.lane[i]) << n; });
}
inline Ints shift_right(Ints a, int n) {
  return generate<Ints>([&](int i) { return static_cast<uint32_t>(a.lane[i]) >> n; });
}
inline Ints to_int(Floats a) {
  return generate<Ints>([&](int i) { return static_cast<int32_t>(a.lane[i]); });
}
inline Floats to_float(Ints a) {
  return generate<Floats>([&](int i) { return static_cast<float>(a.lane[i]); });
}
inline Ints madd16(Ints a, Ints b) {
  const Words x = bit_cast<Words>(a), y = bit_cast<Words>(b);
  return generate<Ints>(
      [&](int i) { return x.lane[2 * i] * y.lane[2 * i] + x.lane[2 * i + 1] * y.lane[2 * i + 1]; });
}
inline Ints masked_load(unsigned mask, const void* from) {  // accesses only lanes in the mask
  return generate<Ints>([&](int i) {
    int32_t lane = 0;
    if (mask >> i & 1) std::memcpy(&lane, static_cast<const char*>(from) + 4 * i, sizeof lane);
    return lane;
  });
}
inline Ints permute2x16(Ints a, Ints where, Ints b) {
  const Words x = bit_cast<Words>(a), at = bit_cast<Words>(where), y = bit_cast<Words>(b);
  return bit_cast<Ints>(
      generate<Words>([&](int i) { return (at.lane[i] & 32 ? y : x).lane[at.lane[i] & 31]; }));
}

// The same on lanes of 8, 16 or 64 bits.
using Longs = Register<int64_t, 8>;
using Unsigned = Register<uint16_t, 32>;
template <class Lanes, class Op>
Ints zip(Ints a, Ints b, Op op) {
  const Lanes x = bit_cast<Lanes>(a), y = bit_cast<Lanes>(b);
  return bit_cast<Ints>(generate<Lanes>([&](int i) { return op(x.lane[i], y.lane[i]); }));
}
inline Ints add16(Ints a, Ints b) {
  return zip<Unsigned>(a, b, [](int x, int y) { return x + y; });
}
inline Ints sub16(Ints a, Ints b) {
  return zip<Unsigned>(a, b, [](int x, int y) { return x - y; });
}
inline Ints mul_low16(Ints a, Ints b) {
  return zip<Unsigned>(a, b, [](uint32_t x, uint32_t y) { return x * y; });
}
inline Ints mul_high16(Ints a, Ints b) {
  return zip<Unsigned>(a, b, [](uint32_t x, uint32_t y) { return x * y >> 16; });
}
inline Ints set1_16(int a) {
  return bit_cast<Ints>(generate<Words>([&](int) { return static_cast<int16_t>(a); }));
}
inline Ints blend64(unsigned mask, Ints a, Ints b) {
  const Longs x = bit_cast<Longs>(a), y = bit_cast<Longs>(b);
  return bit_cast<Ints>(generate<Longs>([&](int i) { return (mask >> i & 1 ? y : x).lane[i]; }));
}
inline Ints dot8(Ints sum, Ints a, Ints b) {  // unsigned with signed bytes
  const auto x = bit_cast<Register<uint8_t, 64>>(a);
  const Bytes y = bit_cast<Bytes>(b);
  return generate<Ints>([&](int i) {
    int all = sum.lane[i];
    for (int j = 4 * i; j < 4 * i + 4; ++j) all += x.lane[j] * y.lane[j];
    return all;
  });
}

// Permutations.
template <class Lanes>
Ints permute(Ints where, Ints a) {
  const Lanes x = bit_cast<Lanes>(a), at = bit_cast<Lanes>(where);
  constexpr int last = sizeof(Lanes) / sizeof(at.lane[0]) - 1;
  return bit_cast<Ints>(generate<Lanes>([&](int i) { return x.lane[at.lane[i] & last]; }));
}
inline Ints permute8(Ints where, Ints a) { return permute<Bytes>(where, a); }
inline Ints permute16(Ints where, Ints a) { return permute<Words>(where, a); }
inline Ints masked_permute8(uint64_t mask, Ints where, Ints a) {
  const Bytes all = bit_cast<Bytes>(permute8(where, a));
  return bit_cast<Ints>(generate<Bytes>([&](int i) { return mask >> i & 1 ? all.lane[i] : int8_t{0}; }));
}
inline Ints permute2x64(Ints a, Ints where, Ints b) {
  const Longs x = bit_cast<Longs>(a), at = bit_cast<Longs>(where), y = bit_cast<Longs>(b);
  return bit_cast<Ints>(
      generate<Longs>([&](int i) { return (at.lane[i] & 8 ? y : x).lane[at.lane[i] & 7]; }));
}
inline Ints unpack16(Ints a, Ints b, int from) {  // within each 128-bit block
  const Words x = bit_cast<Words>(a), y = bit_cast<Words>(b);
  return bit_cast<Ints>(
      generate<Words>([&](int i) { return (i % 2 ? y : x).lane[i / 8 * 8 + from + i % 8 / 2]; }));
}
inline Ints unpack_low16(Ints a, Ints b) { return unpack16(a, b, 0); }
inline Ints unpack_high16(Ints a, Ints b) { return unpack16(a, b, 4); }
template <class To, class From>
Ints pack(Ints a, Ints b, int lowest, int highest) {  // within each block, a's lanes and then b's
  const From x = bit_cast<From>(a), y = bit_cast<From>(b);
  constexpr int n = 16 / sizeof(x.lane[0]);
  return bit_cast<Ints>(generate<To>([&](int i) {
    const int value = (i % (2 * n) < n ? x : y).lane[i / (2 * n) * n + i % n];
    return value < lowest ? lowest : value > highest ? highest : value;
  }));
}
inline Ints pack32(Ints a, Ints b) { return pack<Words, Ints>(a, b, -32768, 32767); }
inline Ints pack_unsigned32(Ints a, Ints b) { return pack<Unsigned, Ints>(a, b, 0, 65535); }
inline Ints pack_unsigned16(Ints a, Ints b) { return pack<Register<uint8_t, 64>, Words>(a, b, 0, 255); }
inline Ints shuffle32(Ints a, int where) {
  return generate<Ints>([&](int i) { return a.lane[i / 4 * 4 + (where >> 2 * (i % 4) & 3)]; });
}
inline Ints shuffle_blocks(Ints a, Ints b, int where) {
  return generate<Ints>([&](int i) { return (i < 8 ? a : b).lane[(where >> i / 4 * 2 & 3) * 4 + i % 4]; });
}
inline Floats shuffle_blocks(Floats a, Floats b, int where) {
  return bit_cast<Floats>(shuffle_blocks(bit_cast<Ints>(a), bit_cast<Ints>(b), where));
}
inline Ints set_lower_half(__m256i half) {
  Ints to{};
  std::memcpy(to.lane, &half, sizeof half);
  return to;
}
inline Ints insert_half(Ints a, __m256i half, int which) {
  std::memcpy(a.lane + 8 * which, &half, sizeof half);
  return a;
}
inline __m128i extract_block(Ints a, int which) {
  __m128i lanes;
  std::memcpy(&lanes, a.lane + 4 * which, sizeof lanes);
  return lanes;
}
inline __m256i extract_half(Ints a, int which) {
  __m256i lanes;
  std::memcpy(&lanes, a.lane + 8 * which, sizeof lanes);
  return lanes;
}
inline Ints zero_extend16(__m256i a) {
  uint16_t words[16];
  std::memcpy(words, &a, sizeof words);
  return generate<Ints>([&](int i) { return static_cast<int32_t>(words[i]); });
}

}  // namespace emulated

#undef _mm512_extracti32x4_epi32  // macros in some compilers
#undef _mm512_inserti64x4
#undef _mm512_shuffle_epi32
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_i32x4
#undef _mm512_slli_epi32
#undef _mm512_srli_epi32
#define __m512 emulated::Floats
#define __m512i emulated::Ints
#define _mm512_set1_ps(a) emulated::set1(static_cast<float>(a))
#define _mm512_add_ps emulated::add
#define _mm512_sub_ps emulated::sub
#define _mm512_mul_ps emulated::mul
#define _mm512_div_ps emulated::div
#define _mm512_max_ps emulated::max
#define _mm512_min_ps emulated::min
#define _mm512_fmadd_ps emulated::fmadd
#define _mm512_permutexvar_ps emulated::permutexvar
#define _mm512_loadu_ps(from) emulated::load<float, 16>(from)
#define _mm512_storeu_ps(to, a) std::memcpy(to, (a).lane, 64)
#define _mm512_set1_epi32(a) emulated::set1(static_cast<int>(a))
#define _mm512_add_epi32 emulated::add
#define _mm512_and_si512 emulated::bitwise_and
#define _mm512_slli_epi32 emulated::shift_left
#define _mm512_srli_epi32 emulated::shift_right
#define _mm512_min_epi32 emulated::min
#define _mm512_madd_epi16 emulated::madd16
#define _mm512_cvttps_epi32 emulated::to_int
#define _mm512_cvtepi32_ps emulated::to_float
#define _mm512_storeu_si512(to, a) std::memcpy(to, (a).lane, 64)
#define _mm512_loadu_si512(from) emulated::load<int32_t, 16>(from)
#define _mm512_load_si512 _mm512_loadu_si512
#define _mm512_maskz_loadu_epi32 emulated::masked_load
#define _mm512_add_epi16 emulated::add16
#define _mm512_sub_epi16 emulated::sub16
#define _mm512_mullo_epi16 emulated::mul_low16
#define _mm512_mulhi_epu16 emulated::mul_high16
#define _mm512_set1_epi16(a) emulated::set1_16(a)
#define _mm512_dpbusd_epi32 emulated::dot8
#define _mm512_mask_blend_epi64 emulated::blend64
#define _mm512_permutexvar_epi8 emulated::permute8
#define _mm512_maskz_permutexvar_epi8 emulated::masked_permute8
#define _mm512_permutexvar_epi16 emulated::permute16
#define _mm512_permutex2var_epi16 emulated::permute2x16
#define _mm512_permutex2var_epi64 emulated::permute2x64
#define _mm512_unpacklo_epi16 emulated::unpack_low16
#define _mm512_unpackhi_epi16 emulated::unpack_high16
#define _mm512_packs_epi32 emulated::pack32
#define _mm512_packus_epi32 emulated::pack_unsigned32
#define _mm512_packus_epi16 emulated::pack_unsigned16
#define _mm512_shuffle_epi32 emulated::shuffle32
#define _mm512_shuffle_i32x4 emulated::shuffle_blocks
#define _mm512_shuffle_f32x4 emulated::shuffle_blocks
#define _mm512_castsi256_si512 emulated::set_lower_half
#define _mm512_inserti64x4 emulated::insert_half
#define _mm512_extracti32x4_epi32 emulated::extract_block
#define _mm512_castsi512_si256(a) emulated::extract_half(a, 0)
#define _mm512_castps_si512 emulated::bit_cast<emulated::Ints>
#define _mm512_cvtepu16_epi32 emulated::zero_extend16
#define _mm512_castsi512_ps emulated::bit_cast<emulated::Floats>
