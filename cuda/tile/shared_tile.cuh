#pragma once

// Tiles in shared memory and how they are filled.

#include <cstdint>

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// [kRows, kWidth] of T. Row r keeps its 16-byte chunk c at place c ^ (r % 8): the eight rows that
/// ldmatrix reads for one 8x8 matrix then lie in different banks.
template <class T, int kRows, int kWidth>
struct alignas(128) SharedTile {
  static_assert(kWidth % 64 == 0, "chunks change places in groups of eight");
  T data[kRows][kWidth];

  __device__ T* chunk(int row, int index) { return &data[row][(index ^ (row % 8)) * 8]; }
};

/// Starts the copy of a chunk, or clears it unless it exists.
template <class T>
__device__ inline void copy_chunk(T* chunk_s, const T* chunk_g, bool exists) {
  simt::cp_async_16(chunk_s, chunk_g, exists);
}

/// The same from 8 numbers of 8 bits, which are numbers of T too. This copy waits for them: it is
/// done once the thread passes a barrier.
template <class T, class Stored>
__device__ inline void copy_chunk(T* chunk_s, const Stored* chunk_g, bool exists) {
  struct alignas(8) Narrow {
    Stored x[8];
  };
  struct alignas(16) Wide {
    std::uint32_t x[4];
  } wide{};
  static_assert(sizeof(Narrow) == 8 && sizeof(T) == 2);
  if (exists) {
    const Narrow narrow = *reinterpret_cast<const Narrow*>(chunk_g);
#pragma unroll
    for (int n = 0; n < 4; ++n)
      wide.x[n] =
          simt::pack<T>(simt::to_float(narrow.x[2 * n]), simt::to_float(narrow.x[2 * n + 1]));
  }
  *reinterpret_cast<Wide*>(chunk_s) = wide;
}

/// Starts the copy of kRows rows by kThreads threads, eight of which share a row, 128 bytes at a
/// time. `rows_g` says where row r of the tile is (row), whether it exists (contains) and how many
/// elements it has (width), in T or in 8 bits. What does not exist is zero in the tile and is not
/// read.
template <int kThreads, class T, int kRows, int kWidth, class Rows>
__device__ inline void copy_tile(SharedTile<T, kRows, kWidth>& tile_s, const Rows& rows_g) {
  constexpr int kStride = kThreads / 8;
  static_assert(kRows % kStride == 0, "every thread copies as many rows");
  const int thread = threadIdx.x;
#pragma unroll
  for (int n = 0; n < kRows / kStride; ++n) {
    const int row = thread / 8 + n * kStride;
    const bool row_exists = rows_g.contains(row);
    const auto* row_g = row_exists ? rows_g.row(row) : rows_g.base_g;
#pragma unroll
    for (int k = 0; k < kWidth / 64; ++k) {
      const int chunk = thread % 8 + 8 * k;
      const bool exists = row_exists && chunk * 8 < rows_g.width;
      copy_chunk(tile_s.chunk(row, chunk), exists ? row_g + chunk * 8 : rows_g.base_g, exists);
    }
  }
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
