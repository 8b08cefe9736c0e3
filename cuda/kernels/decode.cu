// Attention of few queries: split-KV flash attention on tensor cores (Flash-Decoding, 2023).
//
//   decode_kernel    grid (tiles of 16 packed rows, splits, B G)     block: 4 warps
//
//              kD                  the split's keys, kBlockK at a time, through two stages
//          +--------+            +-------------+      warp w attends to keys 16 w .. 16 w + 15 of
//   q_s    |   16   |     x      |  0  1  2  3 |      each tile; the four results are merged in
//          +--------+            +-------------+      shared memory (tile/merge.cuh) and kept as
//                                                     part_o, part_m, part_l
//   combine_kernel   one warp a packed row: merges the splits (tile/split_keys.cuh)
//
// A row is one query of one of the R heads that share a key/value head (tile/head_group.cuh), so
// R Sq rows fill the 16 of an mma and each key is read once a group. The loop is tile/key_loop.cuh.
// Shared memory: SharedPlan, 34, 68 or 86 KiB. Math and symbols: reference/gqa.cpp.
// Rounds p to T before p v; everything else, partial results included, is fp32.
// Keys and values of 8 bits become T on their way to shared memory (tile/shared_tile.cuh); their
// scales are part of the factors of scores and of o (HeadGroup).
#include <memory>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/kernels/attention_launch.h"
#include "cuda/kernels/instance.h"
#include "cuda/kernels/split_scratch.h"
#include "cuda/tile/key_loop.cuh"
#include "cuda/tile/merge.cuh"
#include "cuda/tile/split_keys.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kWarpKeys = kBlockK / kWarps;
constexpr Index kMaxRows = 256;  // packed rows; more is work for prefill

template <int kDv>
struct WarpParts {
  float m[kWarps][kWarpRows], l[kWarps][kWarpRows];
  float o[kWarps][kWarpRows][kDv + 8];  // + 8: the rows of one store lie in different banks
};

template <class T, int kD, int kDv>
struct SharedPlan {
  SharedTile<T, kWarpRows, kD> q;
  union {
    KeyStages<T, kD, kDv> stages;
    WarpParts<kDv> parts;  // once every warp is done with the stages
  };
};

template <int kDv>
__device__ inline void store_warp_part(WarpParts<kDv>& parts_s, const RowResult<kDv>& result) {
  const int warp = warp_id();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = fragment_row(half);
#pragma unroll
    for (int j = 0; j < kDv / 8; ++j) {
      float* o_s = &parts_s.o[warp][row][fragment_column(j)];
      o_s[0] = result.o[j][2 * half];
      o_s[1] = result.o[j][2 * half + 1];
    }
    if (lane_id() % 4 == 0) {
      parts_s.m[warp][row] = result.m[half];
      parts_s.l[warp][row] = result.l[half];
    }
  }
}

/// Merges the warps' parts of the rows of this block that exist.
template <int kDv>
__device__ inline void store_split(const SplitParams& p, WarpParts<kDv>& parts_s, int bg, int split,
                                   int first_row, float scale_log2) {
  const AttentionParams& a = p.attention;
  const int rows = min(kWarpRows, a.H / a.G * a.Sq - first_row);
  for (int row = warp_id(); row < rows; row += kWarps) {
    const RowParts parts{&parts_s.m[0][row], &parts_s.l[0][row],    parts_s.o[0][row],
                         kWarpRows,          kWarpRows * (kDv + 8), kWarps,
                         scale_log2};
    const RowTotal total = merge_totals(parts);
    const std::int64_t index = part_index(p, bg, split, first_row + row);
    for (int d = lane_id(); d < a.Dv; d += 32)
      p.part_o[index * a.Dv + d] = merge_column(parts, total.m, d);
    if (lane_id() == 0) {
      p.part_m[index] = total.m;
      p.part_l[index] = total.l;
    }
  }
}

template <class T, class Stored, int kD, int kDv>
__global__ void __launch_bounds__(kThreads) decode_kernel(const SplitParams p) {
  auto& smem = *simt::dynamic_shared<SharedPlan<T, kD, kDv>>();
  const AttentionParams& a = p.attention;
  const int block_row = blockIdx.x * kWarpRows, split = blockIdx.y, bg = blockIdx.z;
  const HeadGroup<T> group{a, bg / a.G, bg % a.G};

  copy_tile<kThreads>(smem.q, group.queries(block_row));
  simt::cp_async_commit();
  const KeyTiles tiles = tiles_of_split(visible_tiles(group, block_row, kWarpRows, kBlockK),
                                        kBlockK, group.length, split, p.splits);
  const RowResult<kDv> result = attend<kWarpKeys, kThreads, Stored>(
      smem.q, smem.stages, tiles, group, WarpShare::of(group, block_row, 0, warp_id() * kWarpKeys));
  __syncthreads();  // the parts take the place of the stages
  store_warp_part(smem.parts, result);
  __syncthreads();
  store_split(p, smem.parts, bg, split, block_row, group.scale_log2());
}

template <class T, class Stored, int kD, int kDv>
void launch(const SplitParams& p) {
  const AttentionParams& a = p.attention;
  const int rows = a.H / a.G * a.Sq, groups = a.B * a.G;
  const int row_tiles = (rows + kWarpRows - 1) / kWarpRows;
  simt::launch(decode_kernel<T, Stored, kD, kDv>,
               simt::LaunchShape{.grid = dim3(row_tiles, p.splits, groups),
                                 .block = dim3(kThreads),
                                 .smem_bytes = sizeof(SharedPlan<T, kD, kDv>)},
               p);
  launch_combine<T>(p);
}

std::string supports(const Problem& p) {
  if (packed_rows(p) > kMaxRows)
    return concat("H / G * Sq must be at most ", kMaxRows, ", got ", packed_rows(p),
                  "; a longer query belongs to prefill");
  return check_attention(p);
}

Index splits(const Problem& p, Index requested) {
  const Index row_tiles = (packed_rows(p) + kWarpRows - 1) / kWarpRows;
  return choose_splits(p.B * p.G * row_tiles, key_tiles(p.Sk, kBlockK), requested);
}

Descriptor descriptor(const Problem& p, Index splits) {
  const Index tiles = (key_tiles(p.length(longest_entry(p)), kBlockK) + splits - 1) / splits;
  const Index chain_pv = tiles;  // accumulate(): one mma a tile, since a warp has 16 of its keys
  return {.u_acc = 0x1p-23,      // mma.sync may truncate
          .depth_qk = kMmaDepth * score_chain(p),
          .chain_qk = score_chain(p),
          .depth_pv = kMmaDepth * chain_pv,
          .chain_pv = chain_pv,
          // softmax_step(): a lane adds 4 of a warp's 16 p, then the tile's sum to l; row_sum(): 2.
          .depth_l = kWarpKeys / 4 + tiles + 2,
          .u_a = 0x1p-24,
          .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
          .p_type = p.dtype,
          .l_from_rounded_p = false,
          .block_k = kWarpKeys,
          .splits = kWarps * splits,  // store_split() and combine_kernel()
          .o_type = p.dtype};
}

}  // namespace

Launch decode_launch(const Problem& problem, const RunConfig& config,
                     const AttentionParams& attention) {
  const Index parts = splits(problem, config.splits);
  const auto scratch = std::make_shared<const SplitScratch>(problem, parts);
  const SplitParams params = scratch->params(attention, parts);
  Launch start;
  with_instance(problem, [&](auto instance) {
    using I = decltype(instance);
    start = [scratch, params] { launch<typename I::T, typename I::Stored, I::kD, I::kDv>(params); };
  });
  return start;
}

Kernel decode() {
  return {.name = "decode",
          .backend = Backend::ATTEST_BACKEND,
          .supports = supports,
          .splits = splits,
          .run = run_attention<decode_launch>,
          .descriptor = descriptor,
          .time = time_attention<decode_launch>};
}

}  // namespace attest::ATTEST_BACKEND
