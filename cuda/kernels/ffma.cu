// Attention of fp32 inputs: flash attention on the fp32 units (FlashAttention-2, arXiv:2307.08691),
// with no tensor core, so that every operation is an IEEE fmaf. Made to be accurate, not fast.
//
//   grid (tiles of 16 packed rows, B G)       block: 4 warps of 4 rows, all keys they see
//
//              D                   kKeys keys at a time
//          +--------+  warp 0       +--------+
//   q_s    |   16   |    ...   x    |   32   | D      lane n has the scores of key n, p goes to p_s
//          +--------+  warp 3       +--------+
//                                   +--------+
//   p_s    [16, 32]            x    |   32   | Dv     lane n has columns n, n + 32, ... of o
//                                   +--------+
//
//   per tile:   1 keys   2 s = q k^T   3 shape   4 softmax   5 values   6 o += p v
//
// Values take the place of their keys in tile_s; of a latent cache they are the first Dv columns of
// the keys, which stay. Packed rows: tile/head_group.cuh. Shared memory: SharedPlan, 14, 38 or 111
// KiB. Math and symbols: reference/gqa.cpp, reference/mla.cpp. Everything is fp32.
#include <algorithm>
#include <string>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/kernels/attention_launch.h"
#include "cuda/tile/head_group.cuh"
#include "cuda/tile/score_step.cuh"
#include "cuda/tile/softmax_step.cuh"
#include "cuda/tile/warp.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kRows = 4, kBlockRows = kRows * kWarps;  // of a warp, of a block
constexpr int kKeys = 32;                              // of a tile, one a lane
constexpr int kChunk = 16;                             // columns that a part of a score sums
constexpr int kMaxWidth = 576;

/// kWidth: capacity for D and Dv.
template <int kWidth>
struct SharedPlan {
  float q[kBlockRows][kWidth];
  float tile[kKeys][kWidth + 1];  // + 1: the keys of one column lie in different banks
  float p[kBlockRows][kKeys];
};

/// What one lane knows of its warp's rows.
template <int kColumns>
struct WarpRows {
  int first_row;  ///< packed row of row 0
  Keys visible[kRows];
  float m[kRows];            ///< running maximum, as in RowResult
  float l[kRows];            ///< sum of p over the lane's keys
  float o[kRows][kColumns];  ///< sum of p v in columns lane, lane + 32, ...; not normalized

  __device__ static WarpRows empty(const HeadGroup<float>& group, int first_row) {
    WarpRows rows;
    rows.first_row = first_row;
#pragma unroll
    for (int n = 0; n < kRows; ++n) {
      rows.visible[n] = group.visible(first_row + n);
      rows.m[n] = -simt::kInfinity;
      rows.l[n] = 0.0f;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) rows.o[n][c] = 0.0f;
    }
    return rows;
  }
};

/// The lane's scores, for score_step.cuh: of one key.
template <int kColumns>
struct LaneScores {
  static constexpr int kRows = attest::ATTEST_BACKEND::kRows;
  float (&s_r)[kRows];
  int key;
  const WarpRows<kColumns>& rows;

  __device__ int packed_row(int n) const { return rows.first_row + n; }
  __device__ Keys visible(int n) const { return rows.visible[n]; }

  template <class Function>
  __device__ void change(int n, const Function& f) const {
    s_r[n] = f(s_r[n], key);
  }
};

/// Copies rows, by all threads, and fills the last chunk of columns that they reach into with
/// zeros. Rows that do not exist are zero and are not read.
template <int kCount, int kStride, class Rows>
__device__ inline void load_rows(float (&rows_s)[kCount][kStride], const Rows& rows_g) {
  const int columns = (rows_g.width + kChunk - 1) / kChunk * kChunk;
  for (int row = warp_id(); row < kCount; row += kWarps) {
    const bool exists = rows_g.contains(row);
    const float* row_g = exists ? rows_g.row(row) : rows_g.base_g;
    for (int column = lane_id(); column < columns; column += 32)
      rows_s[row][column] = exists && column < rows_g.width ? row_g[column] : 0.0f;
  }
}

/// s_r = q k of the warp's rows and the lane's key. Sums kChunk columns, then adds these sums: a
/// term passes through fewer roundings than in a single chain.
template <int kWidth>
__device__ inline void score(float (&s_r)[kRows], const SharedPlan<kWidth>& smem, int D) {
  const float(*q_s)[kWidth] = smem.q + warp_id() * kRows;
  const float* k_s = smem.tile[lane_id()];
#pragma unroll
  for (int n = 0; n < kRows; ++n) s_r[n] = 0.0f;
  for (int first = 0; first < D; first += kChunk) {  // behind D both are 0
    float part_r[kRows] = {};
#pragma unroll
    for (int d = first; d < first + kChunk; ++d)
#pragma unroll
      for (int n = 0; n < kRows; ++n) part_r[n] = fmaf(q_s[n][d], k_s[d], part_r[n]);
#pragma unroll
    for (int n = 0; n < kRows; ++n) s_r[n] += part_r[n];
  }
}

/// Turns scores into p_s, moves m and l to the new maximum, and returns in rescale_r what o is to
/// be multiplied by.
template <int kColumns>
__device__ inline void softmax(float (*p_s)[kKeys], float (&rescale_r)[kRows],
                               const float (&s_r)[kRows], WarpRows<kColumns>& rows,
                               float scale_log2) {
#pragma unroll
  for (int n = 0; n < kRows; ++n) {
    const NextMax next = NextMax::of(rows.m[n], warp_max(s_r[n]), scale_log2);
    const float p = next.p(s_r[n]);
    p_s[n][lane_id()] = p;
    rows.m[n] = next.m;
    rows.l[n] = fmaf(rows.l[n], next.rescale, p);
    rescale_r[n] = next.rescale;
  }
}

/// o = o rescale + p v. Sums the tile first, as score() does.
template <int kWidth, int kColumns>
__device__ inline void accumulate(WarpRows<kColumns>& rows, const float (&rescale_r)[kRows],
                                  const SharedPlan<kWidth>& smem, int Dv) {
  const float(*p_s)[kKeys] = smem.p + warp_id() * kRows;
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    const int column = lane_id() + 32 * c;
    if (column >= Dv) continue;
    float part_r[kRows] = {};
#pragma unroll 2
    for (int key = 0; key < kKeys; ++key)
#pragma unroll
      for (int n = 0; n < kRows; ++n)
        part_r[n] = fmaf(p_s[n][key], smem.tile[key][column], part_r[n]);
#pragma unroll
    for (int n = 0; n < kRows; ++n) rows.o[n][c] = fmaf(rows.o[n][c], rescale_r[n], part_r[n]);
  }
}

/// o and lse of the warp's rows that exist.
template <int kColumns>
__device__ inline void store(const HeadGroup<float>& group, const WarpRows<kColumns>& rows) {
  const PackedRows<float> rows_g = group.outputs(rows.first_row);
#pragma unroll
  for (int n = 0; n < kRows; ++n) {
    if (!rows_g.contains(n)) continue;
    const int row = rows.first_row + n;
    const RowEnd end =
        finish_row(rows.m[n], warp_sum(rows.l[n]), group.sink(row), group.scale_log2());
    float* o_g = rows_g.row(n);  // [Dv]
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      if (lane_id() + 32 * c < rows_g.width) o_g[lane_id() + 32 * c] = rows.o[n][c] * end.factor;
    if (lane_id() == 0) *group.lse(row) = end.lse;
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads, 1) ffma_kernel(const AttentionParams p) {
  constexpr int kColumns = kWidth / 32;
  auto& smem = *simt::dynamic_shared<SharedPlan<kWidth>>();
  const int bg = blockIdx.y;
  const HeadGroup<float> group{p, bg / p.G, bg % p.G};
  // The last rows see the most keys under a causal mask; the longest blocks start first.
  const int block_row = (gridDim.x - 1 - blockIdx.x) * kBlockRows;
  const int warp_row = warp_id() * kRows;
  const bool has_rows = block_row + warp_row < group.packed_rows();  // one answer a warp

  load_rows(smem.q, group.queries(block_row));
  auto rows = WarpRows<kColumns>::empty(group, block_row + warp_row);
  const KeyTiles tiles = visible_tiles(group, block_row, kBlockRows, kKeys);
  for (int tile = tiles.first; tile < tiles.end; ++tile) {
    const int first_key = tile * kKeys;
    __syncthreads();  // nobody reads the values of the tile before any more
    load_rows(smem.tile, group.keys<float>(first_key, tiles.end_key));
    __syncthreads();
    float rescale_r[kRows];
    if (has_rows) {
      float s_r[kRows];
      score(s_r, smem, p.D);
      shape_scores(LaneScores<kColumns>{s_r, first_key + lane_id(), rows}, tiles.clear(tile),
                   group);
      softmax(smem.p + warp_row, rescale_r, s_r, rows, group.scale_log2());
    }
    __syncthreads();  // nobody reads the keys any more, and p is there
    if (p.v != nullptr) {
      load_rows(smem.tile, group.values<float>(first_key, tiles.end_key));
      __syncthreads();
    }
    if (has_rows) accumulate(rows, rescale_r, smem, p.Dv);
  }
  if (has_rows) store(group, rows);
}

template <int kWidth>
void launch(const AttentionParams& p) {
  const int rows = p.H / p.G * p.Sq;
  simt::launch(ffma_kernel<kWidth>,
               simt::LaunchShape{.grid = dim3((rows + kBlockRows - 1) / kBlockRows, p.B * p.G),
                                 .block = dim3(kThreads),
                                 .smem_bytes = sizeof(SharedPlan<kWidth>)},
               p);
}

std::string supports(const Problem& p) {
  if (p.dtype != Dtype::fp32) return concat("dtype must be fp32, got ", name(p.dtype));
  return check_core(p, kMaxWidth, kMaxWidth);
}

Index splits(const Problem&, Index) { return 1; }

Descriptor descriptor(const Problem& p, Index) {
  const Index chunks = key_tiles(p.D, kChunk);
  const Index tiles = key_tiles(p.visible(longest_entry(p)).end, kKeys);
  return {.u_acc = 0x1p-24,             // fmaf rounds once, to nearest
          .depth_qk = kChunk + chunks,  // score(): of the chunk, then of the sum of chunks
          .chain_qk = 1 + chunks,
          .depth_pv = kKeys + tiles,  // accumulate(): of the tile, then of the sum of tiles
          .chain_pv = kKeys / 16 + tiles,
          .depth_l = tiles + 5,  // softmax(): a lane adds one p a tile; warp_sum(): 5
          .u_a = 0x1p-24,
          .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
          .p_type = Dtype::fp32,
          .l_from_rounded_p = false,
          .block_k = kKeys,
          .splits = 1,
          .o_type = Dtype::fp32};
}

}  // namespace

Launch ffma_launch(const Problem& problem, const RunConfig&, const AttentionParams& params) {
  const Index width = std::max(problem.D, problem.Dv);
  const auto run = width <= 64 ? launch<64> : width <= 192 ? launch<192> : launch<kMaxWidth>;
  return [run, params] { run(params); };
}

Kernel ffma() {
  return {.name = "ffma",
          .backend = Backend::ATTEST_BACKEND,
          .supports = supports,
          .splits = splits,
          .run = run_attention<ffma_launch>,
          .descriptor = descriptor,
          .time = time_attention<ffma_launch>};
}

}  // namespace attest::ATTEST_BACKEND
