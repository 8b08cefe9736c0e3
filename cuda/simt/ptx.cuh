#pragma once

// One function for each PTX instruction: its contract once, then its two bodies. Contracts are
// those of the PTX ISA, section named; the emulator is as strict as they allow.
//
// _s: address in shared memory; _g: in global memory. `place` serves reports of the emulator.

#include <cmath>
#include <cstdint>

#include "cuda/simt/number.cuh"
#include "cuda/simt/place.h"

namespace attest::ATTEST_BACKEND::simt {

#if defined(__CUDACC__)
__device__ __forceinline__ std::uint32_t shared_address(const void* p_s) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p_s));
}
#endif

/// Starts a copy of 16 bytes, global to shared, both addresses multiples of 16; unless in_range,
/// writes 16 zero bytes and does not read src_g. The thread may read the bytes after the
/// cp_async_wait that covers the copy's group, other threads after a barrier behind that. Nobody
/// may touch the destination in between, and no thread may exit. PTX ISA, "cp.async" (.cg: cached
/// in L2 only), sm_80.
__device__ __forceinline__ void cp_async_16(void* dst_s, const void* src_g, bool in_range,
                                            [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst_s)),
               "l"(src_g), "r"(in_range ? 16 : 0)
               : "memory");
#else
  emulator::cp_async_16(dst_s, src_g, in_range, place);
#endif
}

/// Makes a group of the thread's copies since its last commit; the group may be empty.
/// PTX ISA, "cp.async.commit_group".
__device__ __forceinline__ void cp_async_commit() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulator::cp_async_commit();
#endif
}

/// Waits until at most the thread's kGroupsLeft latest groups are in flight. Copies that were not
/// committed are not waited for. PTX ISA, "cp.async.wait_group".
template <int kGroupsLeft>
__device__ __forceinline__ void cp_async_wait() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
#else
  emulator::cp_async_wait(kGroupsLeft);
#endif
}

/// Loads four 8x8 matrices of 16-bit elements, by all lanes of a warp. Lane l points row_s at row
/// l % 8 of matrix l / 8: 16 bytes, on a multiple of 16. r[m] of lane l holds, of matrix m, row
/// l / 4, columns 2 (l % 4) and the next, the first in the lower half.
/// PTX ISA, "ldmatrix" (.m8n8.x4.shared.b16), sm_75.
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row_s,
                                            [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row_s))
               : "memory");
#else
  emulator::ldmatrix_x4(1, &r, &row_s, false, place);
#endif
}

/// The same of the transposed matrices: r[m] holds rows 2 (l % 4) and the next of column l / 4.
/// PTX ISA, "ldmatrix" (.trans).
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row_s,
                                                  [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row_s))
               : "memory");
#else
  emulator::ldmatrix_x4(1, &r, &row_s, true, place);
#endif
}

/// kCount of them, r[n] by row_s[n], one after another; the emulator's lanes meet once for all.
template <int kCount>
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (*r)[4],
                                            const void* const (&row_s)[kCount],
                                            [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
#pragma unroll
  for (int n = 0; n < kCount; ++n) ldmatrix_x4(r[n], row_s[n]);
#else
  emulator::ldmatrix_x4(kCount, r, row_s, false, place);
#endif
}

template <int kCount>
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (*r)[4],
                                                  const void* const (&row_s)[kCount],
                                                  [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
#pragma unroll
  for (int n = 0; n < kCount; ++n) ldmatrix_x4_trans(r[n], row_s[n]);
#else
  emulator::ldmatrix_x4(kCount, r, row_s, true, place);
#endif
}

template <class T>
struct MmaInstruction;

template <>
struct MmaInstruction<bf16> {
#if defined(__CUDACC__)
  __device__ __forceinline__ static void run(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  static constexpr auto kType = emulator::MmaType::bf16;
#endif
};

template <>
struct MmaInstruction<half> {
#if defined(__CUDACC__)
  __device__ __forceinline__ static void run(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  static constexpr auto kType = emulator::MmaType::half;
#endif
};

/// d[n] += a b[n] for kTiles column tiles n, by all lanes of a warp: a [16, 16] of T, each b [16,
/// 8] of T and d [16, 8] in fp32. With g = lane / 4, t = lane % 4, a register's lower half first:
///   a[r]     row g + 8 (r % 2),          columns 2 t + 8 (r / 2) and the next
///   b[n, r]  rows 2 t + 8 r and next,    column g          (b holds 2 kTiles registers)
///   d[n][r]  row g + 8 (r / 2),          column 2 t + r % 2
/// The emulator adds products one by one, k ascending, rounding to nearest even; hardware adds in
/// groups of its own and may truncate. Results agree within a tolerance, not in bits.
/// PTX ISA, "mma" and "Matrix Fragments for mma.m16n8k16 with floating point type", sm_80.
template <int kTiles, class T>
__device__ __forceinline__ void mma(float (*d)[4], const std::uint32_t (&a)[4],
                                    const std::uint32_t* b,
                                    [[maybe_unused]] Place place = Place::current()) {
#if defined(__CUDACC__)
#pragma unroll
  for (int n = 0; n < kTiles; ++n) MmaInstruction<T>::run(d[n], a, b + 2 * n);
#else
  emulator::mma(MmaInstruction<T>::kType, kTiles, d, a, b, place);
#endif
}

/// Two numbers rounded to T as from_float does, `low` in the lower half.
/// PTX ISA, "cvt" (cvt.rn.bf16x2.f32, cvt.rn.f16x2.f32), sm_80.
template <class T>
__device__ __forceinline__ std::uint32_t pack(float low, float high);

template <>
__device__ __forceinline__ std::uint32_t pack<bf16>(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return from_float<bf16>(low).bits | std::uint32_t{from_float<bf16>(high).bits} << 16;
#endif
}

template <>
__device__ __forceinline__ std::uint32_t pack<half>(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return from_float<half>(low).bits | std::uint32_t{from_float<half>(high).bits} << 16;
#endif
}

/// 2^x with a relative error below 2^-22; results below 2^-126 become 0, 2^-inf = 0.
/// PTX ISA, "ex2" (ex2.approx.ftz.f32). The emulator's result is within an ulp.
__device__ __forceinline__ float exp2_approx(float x) {
#if defined(__CUDACC__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  const float result = exp2f(x);
  return result < 0x1p-126f ? 0.0f : result;
#endif
}

}  // namespace attest::ATTEST_BACKEND::simt
