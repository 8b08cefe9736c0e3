#pragma once

// The 16-bit types of kernels, and the 8-bit ones of caches, which are only read. Both builds give
// the same bits: IEEE 754 round to nearest even, and 0x7fff for every NaN, as PTX's cvt does (PTX
// ISA, "cvt").

#include <cstdint>

#include "cuda/simt/backend.cuh"

#if !defined(__CUDACC__)
#include <bit>
#endif

namespace attest::ATTEST_BACKEND::simt {

struct alignas(2) bf16 {
  std::uint16_t bits;
};
struct alignas(2) half {
  std::uint16_t bits;
};

/// OCP 8-bit floating point: bias 7, no infinity, NaN is S.1111.111; and the upper half of a
/// `half`.
struct e4m3 {
  std::uint8_t bits;
};
struct e5m2 {
  std::uint8_t bits;
};

constexpr float kInfinity = __builtin_huge_valf();

/// Exact.
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) {
#if defined(__CUDACC__)
  return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
#else
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
#endif
}
__device__ __forceinline__ float to_float(half x) {
#if defined(__CUDACC__)
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
  return result;
#else
  const std::uint32_t sign = (x.bits & 0x8000u) << 16, magnitude = (x.bits & 0x7fffu) << 13;
  if ((x.bits & 0x7c00u) == 0x7c00u) return std::bit_cast<float>(sign | magnitude | 0x7f800000u);
  // The exponent's bias is 112 smaller; the multiplication also normalizes subnormals.
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
#endif
}

/// No instruction below sm_89 does it: the bits are those of an fp32 number 2^120 times smaller,
/// and the multiplication also normalizes subnormals.
__device__ __forceinline__ float to_float(e4m3 x) {
  const std::uint32_t magnitude = x.bits & 0x7fu;
  const std::uint32_t moved = (x.bits & 0x80u) << 24 | magnitude << 20;
#if defined(__CUDACC__)
  return magnitude == 0x7fu ? __uint_as_float(0x7fffffffu) : __uint_as_float(moved) * 0x1p120f;
#else
  return std::bit_cast<float>(magnitude == 0x7fu ? 0x7fffffffu : moved) * 0x1p120f;
#endif
}
__device__ __forceinline__ float to_float(e5m2 x) {
  return to_float(half{static_cast<std::uint16_t>(x.bits << 8)});
}

/// Rounds to nearest even; beyond the largest number to infinity, below the smallest through
/// subnormals to a signed zero.
template <class T>
__device__ __forceinline__ T from_float(float x);

template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}

template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
#if defined(__CUDACC__)
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
#else
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}

template <>
__device__ __forceinline__ half from_float<half>(float x) {
#if defined(__CUDACC__)
  half result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
#else
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  std::uint32_t result;
  if (magnitude > 0x7f800000u) return {0x7fff};
  if (magnitude >= 0x477ff000u) {  // 65520: half way between the largest number and the next
    result = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // 2^-14: in 0.5 + x the last place is 2^-24
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    result = std::bit_cast<std::uint32_t>(sum) - 0x3f000000u;
  } else {
    result = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return {static_cast<std::uint16_t>(sign | result)};
#endif
}

}  // namespace attest::ATTEST_BACKEND::simt
