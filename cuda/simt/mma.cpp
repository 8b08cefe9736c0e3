#include "cuda/simt/mma.h"

#include <bit>
#include <cstring>

namespace attest::emulator {
namespace {

constexpr unsigned kRows = 16, kColumns = 8, kDepth = 16, kLanes = 32;

using RowOfD = float __attribute__((vector_size(kColumns * sizeof(float))));

// Everything below is inlined into one function per instruction set.
#define ATTEST_INLINE [[gnu::always_inline]] inline

template <MmaType kType>
ATTEST_INLINE float widen(std::uint32_t bits) {
  if constexpr (kType == MmaType::bf16) return std::bit_cast<float>(bits << 16);
  // The exponent of fp16 is 112 smaller; the multiplication also normalizes subnormals. Exact.
  const std::uint32_t magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
  const std::uint32_t scaled =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const bool finite = (bits & 0x7c00) != 0x7c00;
  return std::bit_cast<float>(sign | (finite ? scaled : magnitude | 0x7f800000));
}

/// Writes the pair of elements in a register, the lower half first, `stride` floats apart.
template <MmaType kType>
ATTEST_INLINE void widen_pair(std::uint32_t pair, float* first, unsigned stride) {
  first[0] = widen<kType>(pair & 0xffff);
  first[stride] = widen<kType>(pair >> 16);
}

/// Fragments of PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type": with
/// g = lane / 4 and t = lane % 4,
///   a[r]  rows g + 8 (r % 2),       columns 2 t + 8 (r / 2) and the next
///   b[r]  rows 2 t + 8 r and next,  column g
///   d[r]  row g + 8 (r / 2),        column 2 t + r % 2
template <MmaType kType>
ATTEST_INLINE void multiply_tiles(const MmaOperands* const* lane) {
  float a[kRows][kDepth];
  for (unsigned l = 0; l < kLanes; ++l)
    for (unsigned r = 0; r < 4; ++r)
      widen_pair<kType>(lane[l]->a[r], &a[l / 4 + r % 2 * 8][l % 4 * 2 + r / 2 * 8], 1);

  for (unsigned tile = 0; tile < lane[0]->tiles; ++tile) {
    alignas(RowOfD) float b[kDepth][kColumns], d[kRows][kColumns];
    for (unsigned l = 0; l < kLanes; ++l) {
      const unsigned g = l / 4, t = l % 4;
      for (unsigned r = 0; r < 2; ++r)
        widen_pair<kType>(lane[l]->b[2 * tile + r], &b[2 * t + 8 * r][g], kColumns);
      const float* d_l = lane[l]->d[tile];
      std::memcpy(&d[g][2 * t], d_l, 2 * sizeof(float));
      std::memcpy(&d[g + 8][2 * t], d_l + 2, 2 * sizeof(float));
    }
    RowOfD* b_row = reinterpret_cast<RowOfD*>(b);
    RowOfD* d_row = reinterpret_cast<RowOfD*>(d);
    constexpr unsigned kAtOnce = 8;  // sums in registers
    for (unsigned i = 0; i < kRows; i += kAtOnce) {
      RowOfD sum[kAtOnce];
      for (unsigned n = 0; n < kAtOnce; ++n) sum[n] = d_row[i + n];
      for (unsigned k = 0; k < kDepth; ++k)
        for (unsigned n = 0; n < kAtOnce; ++n) sum[n] += a[i + n][k] * b_row[k];
      for (unsigned n = 0; n < kAtOnce; ++n) d_row[i + n] = sum[n];
    }
    for (unsigned l = 0; l < kLanes; ++l) {
      float* d_l = lane[l]->d[tile];
      std::memcpy(d_l, &d[l / 4][l % 4 * 2], 2 * sizeof(float));
      std::memcpy(d_l + 2, &d[l / 4 + 8][l % 4 * 2], 2 * sizeof(float));
    }
  }
}

using Multiply = void (*)(const MmaOperands* const*);

template <MmaType kType>
void multiply_portable(const MmaOperands* const* lane) {
  multiply_tiles<kType>(lane);
}

#if defined(__x86_64__)
template <MmaType kType>
[[gnu::target("avx2,fma")]] void multiply_avx2(const MmaOperands* const* lane) {
  multiply_tiles<kType>(lane);
}

template <MmaType kType>
[[gnu::target("avx512f,avx512vl,avx512bw,avx512dq,fma")]] void multiply_avx512(
    const MmaOperands* const* lane) {
  multiply_tiles<kType>(lane);
}
#endif

/// The widest form that this machine runs. Fused or not, the bits agree: a product of two bf16 or
/// two fp16 numbers is exact in fp32 unless it leaves the range of fp32.
template <MmaType kType>
Multiply choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return multiply_avx512<kType>;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return multiply_avx2<kType>;
#endif
  return multiply_portable<kType>;
}

}  // namespace

void multiply_warp(MmaType type, const MmaOperands* const* lane) {
  static const Multiply bf16 = choose<MmaType::bf16>(), half = choose<MmaType::half>();
  (type == MmaType::bf16 ? bf16 : half)(lane);
}

}  // namespace attest::emulator
