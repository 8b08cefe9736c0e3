#pragma once

// What CUDA threads do in the emulator: the bodies of the primitives in ptx.cuh and simt.cuh, whose
// contracts stand there. All are called on a fiber of the running block.

#include <cstddef>
#include <cstdint>

#include "cuda/simt/place.h"

namespace attest::emulator {

void sync_threads(Place);
void sync_warp(std::uint32_t mask, Place);

enum class ShuffleMode { index, exclusive_or, down };

/// `value` of the lane that `mode` and `operand` name within segments of `width` lanes; the lane's
/// own value where the segment ends before it.
std::uint64_t shuffle(ShuffleMode, std::uint32_t mask, std::uint64_t value, unsigned operand,
                      unsigned width, Place);
std::uint32_t ballot(std::uint32_t mask, bool predicate, Place);

void* dynamic_shared(std::size_t bytes, std::size_t alignment, Place);

void cp_async_16(void* dst_s, const void* src_g, bool in_range, Place);
void cp_async_commit();
void cp_async_wait(unsigned groups_left);

/// r[count][4], row_s[count].
void ldmatrix_x4(unsigned count, std::uint32_t (*r)[4], const void* const* row_s, bool transposed,
                 Place);

enum class MmaType { bf16, half };

/// d[tiles][4] += a b[tiles][2].
void mma(MmaType, unsigned tiles, float (*d)[4], const std::uint32_t (&a)[4],
         const std::uint32_t* b, Place);

}  // namespace attest::emulator
