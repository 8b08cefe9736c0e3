#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cases/dtype.h"

/// Runs the primitives of cuda/simt on data of the caller's, one small kernel for each, and returns
/// what the lanes got. The same source is compiled for the emulator and by nvcc for a GPU. All
/// throw what launches throw; Dtype is bf16 or fp16.
namespace attest::ATTEST_BACKEND::primitives {

using Words = std::vector<std::uint32_t>;
using Halves = std::vector<std::uint16_t>;
using Floats = std::vector<float>;

/// r [32 lanes, 4]; rows [32, 8 elements], of which lane l points at rows[row_of_lane[l]].
/// behind_another: as the second of two that are asked for at once.
Words ldmatrix(bool transposed, bool behind_another, const Halves& rows,
               const std::array<std::uint32_t, 32>& row_of_lane);

/// d += a b: a [trials, 32 lanes, 4], b [trials, 32, tiles, 2], d [trials, 32, tiles, 4], in
/// fragments; tiles is 1 or 8. Returns d.
Floats mma(Dtype, int tiles, const Words& a, const Words& b, const Floats& d);

enum class Shuffle { index, exclusive_or, down };

/// What the lanes of the mask get, the others staying out of it and keeping their own value.
/// values [32]; T is std::uint32_t, float or std::uint64_t.
template <class T>
std::vector<T> shuffle(Shuffle, std::uint32_t mask, int operand, int width,
                       const std::vector<T>& values);

/// [32]: what the lanes of the mask get, lane l voting bit l of `predicates`; 0 for the others.
Words ballot(std::uint32_t mask, std::uint32_t predicates);

Floats to_float(Dtype, const Halves&);
Halves from_float(Dtype, const Floats&);
Words pack(Dtype, const Floats& low, const Floats& high);
Floats exp2_approx(const Floats&);

/// What shared memory holds after two groups of copies: [64 vectors, 4 words], the first half after
/// cp_async_wait<1>, the second after cp_async_wait<0>. Copy n is out of range where bit n is not
/// set, and its source is null then. source [64, 4].
Words cp_async(std::uint64_t in_range, const Words& source);

/// [grid's z y x, block's z y x, 12]: threadIdx, blockIdx, blockDim, gridDim of each thread, x y z.
Words indices(const std::array<unsigned, 3>& grid, const std::array<unsigned, 3>& block);

/// Thread t of 256 passes t through shared memory, at the far end of `bytes`, to thread 255 - t.
Words reversed(std::size_t bytes);

}  // namespace attest::ATTEST_BACKEND::primitives
