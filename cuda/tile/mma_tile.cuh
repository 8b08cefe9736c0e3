#pragma once

// Matrix products of one warp: 16 rows, mma.sync.m16n8k16, fp32 accumulators.
//
// An accumulator of kTiles column tiles is float c[kTiles][4]; lane n holds of tile j
//   c[j][0], c[j][1]   row n / 4,      columns 8 j + 2 (n % 4), + 1
//   c[j][2], c[j][3]   row n / 4 + 8,  the same columns              (PTX ISA, m16n8k16 fragments)

#include <cstdint>

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "cuda/tile/shared_tile.cuh"
#include "cuda/tile/warp.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarpRows = 16;

/// Row of elements 2 half and 2 half + 1 of an accumulator tile, and column of the first of them.
__device__ inline int fragment_row(int half) { return lane_id() / 4 + 8 * half; }
__device__ inline int fragment_column(int tile) { return 8 * tile + lane_id() % 4 * 2; }

/// q_r = rows first_row .. first_row + 15 of q_s as A operands, 16 columns each, kSteps of them
/// from first_column (a multiple of 16) on.
template <int kSteps, class T, int kRows, int kD>
__device__ inline void load_query(std::uint32_t (&q_r)[kSteps][4], SharedTile<T, kRows, kD>& q_s,
                                  int first_row, int first_column = 0) {
  const int row = first_row + lane_id() % 16, chunk = first_column / 8 + lane_id() / 16;
  const void* row_s[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) row_s[step] = q_s.chunk(row, 2 * step + chunk);
  simt::ldmatrix_x4(q_r, row_s);
}

/// c_r += a w^T for the 8 kTiles rows of w_s that start at first_row, each a column of c, summed
/// over the columns of a_r, which start at first_column of w_s. In order of these columns.
template <int kTiles, int kSteps, class T, int kRows, int kD>
__device__ inline void multiply_rows(float (&c_r)[kTiles][4], const std::uint32_t (&a_r)[kSteps][4],
                                     SharedTile<T, kRows, kD>& w_s, int first_row,
                                     int first_column = 0) {
  static_assert(kTiles % 2 == 0, "one ldmatrix fetches two tiles of rows");
  // Matrices of one ldmatrix: rows 0-7 | 0-7 | 8-15 | 8-15, columns 0-7 | 8-15 | 0-7 | 8-15.
  const int row = first_row + lane_id() / 16 * 8 + lane_id() % 8;
  const int chunk = first_column / 8 + lane_id() / 8 % 2;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    std::uint32_t w_r[kTiles / 2][4];
    const void* row_s[kTiles / 2];
#pragma unroll
    for (int j = 0; j < kTiles / 2; ++j) row_s[j] = w_s.chunk(row + 16 * j, 2 * step + chunk);
    simt::ldmatrix_x4(w_r, row_s);
    simt::mma<kTiles, T>(c_r, a_r[step], w_r[0]);
  }
}

/// c_r += a w for 16 rows of w_s from first_row on and the 8 kTiles columns from first_column (a
/// multiple of 8) on.
template <int kTiles, class T, int kRows, int kD>
__device__ inline void multiply_columns(float (&c_r)[kTiles][4], const std::uint32_t (&a_r)[4],
                                        SharedTile<T, kRows, kD>& w_s, int first_row,
                                        int first_column) {
  static_assert(kTiles % 2 == 0, "one ldmatrix fetches two tiles of columns");
  const int row = first_row + lane_id() % 16, chunk = first_column / 8 + lane_id() / 16;
  std::uint32_t w_r[kTiles / 2][4];
  const void* row_s[kTiles / 2];
#pragma unroll
  for (int j = 0; j < kTiles / 2; ++j) row_s[j] = w_s.chunk(row, 2 * j + chunk);
  simt::ldmatrix_x4_trans(w_r, row_s);
  simt::mma<kTiles, T>(c_r, a_r, w_r[0]);
}

template <int kTiles>
__device__ inline void clear(float (&c_r)[kTiles][4]) {
#pragma unroll
  for (int j = 0; j < kTiles; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) c_r[j][e] = 0.0f;
}

/// s_r = q k^T for the 8 kTiles keys that start at row first_key of k_s, summed over the columns of
/// q_r, which start at first_column of k_s.
template <int kTiles, int kSteps, class T, int kRows, int kD>
__device__ inline void score(float (&s_r)[kTiles][4], const std::uint32_t (&q_r)[kSteps][4],
                             SharedTile<T, kRows, kD>& k_s, int first_key, int first_column = 0) {
  clear(s_r);
  multiply_rows(s_r, q_r, k_s, first_key, first_column);
}

/// o_r += p v for the 8 kTiles keys that start at row first_key of v_s and the 8 kColumnTiles
/// columns that start at first_column (a multiple of 8). Rounds p to T, to nearest even: an
/// accumulator of scores, packed in pairs, is the A operand as it stands.
template <int kTiles, int kColumnTiles, class T, int kRows, int kDv>
__device__ inline void accumulate(float (&o_r)[kColumnTiles][4], const float (&p_r)[kTiles][4],
                                  SharedTile<T, kRows, kDv>& v_s, int first_key,
                                  int first_column = 0) {
#pragma unroll
  for (int step = 0; step < kTiles / 2; ++step) {
    const auto& left = p_r[2 * step];
    const auto& right = p_r[2 * step + 1];
    const std::uint32_t a_r[4] = {simt::pack<T>(left[0], left[1]), simt::pack<T>(left[2], left[3]),
                                  simt::pack<T>(right[0], right[1]),
                                  simt::pack<T>(right[2], right[3])};
    multiply_columns(o_r, a_r, v_s, first_key + 16 * step, first_column);
  }
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
