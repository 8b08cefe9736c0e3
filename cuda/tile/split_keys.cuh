#pragma once

// Split-KV attention (Flash-Decoding, 2023): the tiles of keys are cut into splits, a block attends
// to one of them and keeps its result as part_o, part_m, part_l, and combine_kernel merges those.

#include <cstdint>

#include "cuda/tile/head_group.cuh"
#include "cuda/tile/merge.cuh"
#include "cuda/tile/mma_tile.cuh"
#include "cuda/tile/softmax_step.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

struct SplitParams {
  AttentionParams attention;
  float* part_o;  // [splits, B, G, R Sq, Dv]  not normalized
  float* part_m;  // [splits, B, G, R Sq]      see RowResult
  float* part_l;  // [splits, B, G, R Sq]
  int splits;
};

/// Index of packed row `row` of group bg in the first four axes of part_o, in part_m and in part_l.
__device__ inline std::int64_t part_index(const SplitParams& p, int bg, int split, int row) {
  const AttentionParams& a = p.attention;
  const std::int64_t group = split * std::int64_t{a.B} * a.G + bg;
  return group * (a.H / a.G * a.Sq) + row;
}

/// The visible tiles of block_k keys that belong to a split. All tiles of the batch entry's
/// `length` keys are cut, as evenly as they can be, so that the cut does not depend on the row.
__device__ inline KeyTiles tiles_of_split(KeyTiles visible, int block_k, int length, int split,
                                          int splits) {
  const int tiles = (length + block_k - 1) / block_k;
  visible.first = max(visible.first, tiles * split / splits);
  visible.end = min(visible.end, tiles * (split + 1) / splits);
  return visible;
}

constexpr int kCombineWarps = 4;

/// Merges the splits, one warp a packed row, and writes o and lse. grid (rows of all groups /
/// kCombineWarps)
template <class T>
__global__ void __launch_bounds__(32 * kCombineWarps) combine_kernel(const SplitParams p) {
  const AttentionParams& a = p.attention;
  const int group_rows = a.H / a.G * a.Sq;
  const int n = blockIdx.x * kCombineWarps + warp_id();  // of B G group_rows
  if (n >= a.B * a.G * group_rows) return;
  const int bg = n / group_rows, row = n % group_rows;
  const HeadGroup<T> group{a, bg / a.G, bg % a.G};

  const std::int64_t index = part_index(p, bg, 0, row);
  const std::int64_t stride = part_index(p, bg, 1, row) - index;
  const RowParts parts{p.part_m + index, p.part_l + index, p.part_o + index * a.Dv, stride,
                       stride * a.Dv,    p.splits,         group.scale_log2()};
  const RowTotal total = merge_totals(parts);
  const RowEnd end = finish_row(total.m, total.l, group.sink(row), group.scale_log2());
  const float factor = end.factor * group.v_scale;
  T* o_g = group.outputs(0).row(row);  // [Dv]
  for (int d = lane_id(); d < a.Dv; d += 32)
    o_g[d] = simt::from_float<T>(merge_column(parts, total.m, d) * factor);
  if (lane_id() == 0) *group.lse(row) = end.lse;
}

template <class T>
void launch_combine(const SplitParams& p) {
  const AttentionParams& a = p.attention;
  const int rows = a.B * a.H * a.Sq;
  simt::launch(combine_kernel<T>,
               simt::LaunchShape{.grid = dim3((rows + kCombineWarps - 1) / kCombineWarps),
                                 .block = dim3(32 * kCombineWarps),
                                 .smem_bytes = 0},
               p);
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
