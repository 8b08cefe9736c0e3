// Multi-latent attention of few queries, absorbed form (DeepSeek-V2, arXiv:2405.04434, sec. 2.1):
// split-KV flash attention on the latent cache.
//
//   mla_decode_kernel    grid (tiles of 16 packed rows, splits, B)     block: 4 warps
//
//              kD              the split's keys, kBlockKeys at a time, through two stages
//        +---+---+---+---+           +---------------+
//   q_s  | 0 | 1 | 2 | 3 |     x     | 0   1   2   3 |  kD    warp w sums the scores of all keys
//        +---+---+---+---+           +---------------+        over quarter w of the columns;
//                                                             partial_s adds them up
//                                    +---------------+
//   p_r  [16, kBlockKeys]      x     | 0   1   2   3 |  kDv   and multiplies the whole p by
//                                    +---------------+        quarter w of the values
//   combine_kernel       merges the splits (tile/split_keys.cuh)
//
// The values of a key are its first Dv columns: a cache row is copied once and used twice. Softmax
// is cheap beside widths of 576 and 512, so that each warp does it for all 16 rows: m, l and p are
// the same in all warps and only scores are exchanged. Packed rows: tile/head_group.cuh, G = 1.
// Shared memory: SharedPlan, 80 or 24 KiB, so that two blocks fit an SM of sm_80 and sm_90.
// Math and symbols: reference/mla.cpp. Rounds p to T before p v; everything else is fp32.
// A cache of 8 bits becomes T on its way to shared memory (tile/shared_tile.cuh); its scale is part
// of the factors of scores and of o (HeadGroup).
#include <memory>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/kernels/attention_launch.h"
#include "cuda/kernels/instance.h"
#include "cuda/kernels/split_scratch.h"
#include "cuda/tile/head_group.cuh"
#include "cuda/tile/mma_tile.cuh"
#include "cuda/tile/score_step.cuh"
#include "cuda/tile/softmax_step.cuh"
#include "cuda/tile/split_keys.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kBlockKeys = 32;
constexpr int kKeyTiles = kBlockKeys / 8;  // of an accumulator of scores
constexpr Index kMaxRows = 1024;           // packed rows; more is cheaper in expanded form

/// Each warp's scores over its columns, kept as its lanes hold them: no bank conflicts.
struct PartialScores {
  struct alignas(16) Fragment {
    float s[4];
  };
  Fragment fragments[kWarps][kKeyTiles][32];
};

template <class T, int kD>
struct SharedPlan {
  union {
    SharedTile<T, kBlockKeys, kD> stages[2];
    SharedTile<T, kWarpRows, kD> q;  // in registers before stage 0 fills
  };
  PartialScores partial;
};

/// Where the split's n-th tile goes; the first must leave q alone.
template <class T, int kD>
__device__ inline SharedTile<T, kBlockKeys, kD>& stage_of(SharedPlan<T, kD>& smem, int n) {
  return smem.stages[(n + 1) % 2];
}

/// Starts the copy of a tile of the cache, as one group of cp.async (done at once where it is kept
/// in 8 bits). Keys from end_key on are zero.
template <class Stored, class T, int kD>
__device__ inline void prefetch(SharedTile<T, kBlockKeys, kD>& stage_s, const HeadGroup<T>& group,
                                int tile, int end_key) {
  copy_tile<kThreads>(stage_s, group.template keys<Stored>(tile * kBlockKeys, end_key));
  simt::cp_async_commit();
}

/// s_r = the sum of all warps' s_r, the same bits in each of them. Everyone must have passed a
/// barrier since the last call.
__device__ inline void sum_over_warps(float (&s_r)[kKeyTiles][4], PartialScores& partial_s) {
  const int lane = lane_id();
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j)
    partial_s.fragments[warp_id()][j][lane] = {{s_r[j][0], s_r[j][1], s_r[j][2], s_r[j][3]}};
  __syncthreads();
#pragma unroll
  for (int j = 0; j < kKeyTiles; ++j) {
    PartialScores::Fragment sum = partial_s.fragments[0][j][lane];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) {
      const PartialScores::Fragment term = partial_s.fragments[warp][j][lane];
#pragma unroll
      for (int e = 0; e < 4; ++e) sum.s[e] += term.s[e];
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) s_r[j][e] = sum.s[e];
  }
}

/// Attends to the tiles; o is that of the warp's columns. The copies into smem.q are the caller's
/// latest group of cp.async.
template <int kDv, class Stored, class T, int kD>
__device__ inline RowResult<kDv / kWarps> attend(SharedPlan<T, kD>& smem, KeyTiles tiles,
                                                 const HeadGroup<T>& group, int block_row) {
  const int score_column = warp_id() * (kD / kWarps), value_column = warp_id() * (kDv / kWarps);
  const ScoreRows rows = ScoreRows::of(group, block_row);

  if (tiles.first < tiles.end)
    prefetch<Stored>(stage_of(smem, 0), group, tiles.first, tiles.end_key);
  simt::cp_async_wait<0>();
  __syncthreads();
  std::uint32_t q_r[kD / kWarps / 16][4];
  load_query(q_r, smem.q, 0, score_column);

  auto result = RowResult<kDv / kWarps>::empty();
  for (int tile = tiles.first; tile < tiles.end; ++tile) {
    const int n = tile - tiles.first;
    simt::cp_async_wait<0>();  // this thread's part of the tile has landed;
    __syncthreads();           // all parts have; q_s, the other stage, partial_s: used by nobody
    if (tile + 1 < tiles.end)
      prefetch<Stored>(stage_of(smem, n + 1), group, tile + 1, tiles.end_key);

    float s_r[kKeyTiles][4];
    score(s_r, q_r, stage_of(smem, n), 0, score_column);
    sum_over_warps(s_r, smem.partial);
    shape_scores(FragmentScores<kKeyTiles>{s_r, tile * kBlockKeys, rows}, tiles.clear(tile), group);
    softmax_step(s_r, result, group.scale_log2());
    accumulate(result.o, s_r, stage_of(smem, n), 0, value_column);
  }
  sum_rows(result);
  return result;
}

/// Stores the warp's columns of part_o; warp 0 stores part_m and part_l, which all warps know.
template <int kColumns>
__device__ inline void store_part(const SplitParams& p, const RowResult<kColumns>& result, int b,
                                  int split, int block_row) {
  const AttentionParams& a = p.attention;
  const int first_column = warp_id() * kColumns;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = block_row + fragment_row(half);
    if (row >= a.H * a.Sq) continue;
    const std::int64_t index = part_index(p, b, split, row);
    float* o_g = p.part_o + index * a.Dv + first_column;
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
      if (first_column + 8 * j >= a.Dv) continue;
      o_g[fragment_column(j)] = result.o[j][2 * half];
      o_g[fragment_column(j) + 1] = result.o[j][2 * half + 1];
    }
    if (warp_id() == 0 && lane_id() % 4 == 0) {
      p.part_m[index] = result.m[half];
      p.part_l[index] = result.l[half];
    }
  }
}

template <class T, class Stored, int kD, int kDv>
__global__ void __launch_bounds__(kThreads) mla_decode_kernel(const SplitParams p) {
  static_assert(kD % (16 * kWarps) == 0 && kDv % (16 * kWarps) == 0, "a warp has whole mma");
  auto& smem = *simt::dynamic_shared<SharedPlan<T, kD>>();
  const int block_row = blockIdx.x * kWarpRows, split = blockIdx.y, b = blockIdx.z;
  const HeadGroup<T> group{p.attention, b, 0};

  copy_tile<kThreads>(smem.q, group.queries(block_row));
  simt::cp_async_commit();
  const KeyTiles tiles = tiles_of_split(visible_tiles(group, block_row, kWarpRows, kBlockKeys),
                                        kBlockKeys, group.length, split, p.splits);
  store_part(p, attend<kDv, Stored>(smem, tiles, group, block_row), b, split, block_row);
}

Index row_tiles(const Problem& p) { return (packed_rows(p) + kWarpRows - 1) / kWarpRows; }

template <class I>
void launch(Index tiles, const SplitParams& p) {
  simt::launch(
      mla_decode_kernel<typename I::T, typename I::Stored, I::kD, I::kDv>,
      simt::LaunchShape{.grid = dim3(static_cast<unsigned>(tiles), p.splits, p.attention.B),
                        .block = dim3(kThreads),
                        .smem_bytes = sizeof(SharedPlan<typename I::T, I::kD>)},
      p);
  launch_combine<typename I::T>(p);
}

/// True where the narrow of the two instances holds the problem.
bool narrow(const Problem& p) { return p.D <= 128 && p.Dv <= 64; }

/// Calls action(Instance<...>{}) for the instance that runs a problem.
template <class Action>
void with_latent_instance(const Problem& p, const Action& action) {
  with_types(p, [&](auto types) {
    if (narrow(p)) return action(Instance<decltype(types), 128, 64>{});
    action(Instance<decltype(types), 576, 512>{});
  });
}

std::string supports(const Problem& p) {
  if (p.form != Form::absorbed) return "form must be absorbed, got expanded";
  if (packed_rows(p) > kMaxRows)
    return concat("H * Sq must be at most ", kMaxRows, ", got ", packed_rows(p),
                  "; a longer query belongs to the expanded form");
  return check_rows(p, 576, 512);
}

Index splits(const Problem& p, Index requested) {
  return choose_splits(p.B * row_tiles(p), key_tiles(p.Sk, kBlockKeys), requested);
}

Descriptor descriptor(const Problem& p, Index splits) {
  const Index tiles = (key_tiles(p.length(longest_entry(p)), kBlockKeys) + splits - 1) / splits;
  const Index mma_qk = (narrow(p) ? 128 : 576) / kWarps / 16;  // score(): one per 16 columns
  const Index sums = kWarps - 1;                               // sum_over_warps()
  const Index chain_pv = kBlockKeys / 16 * tiles;              // accumulate(): one mma per 16 keys
  return {.u_acc = 0x1p-23,                                    // mma.sync may truncate
          .depth_qk = kMmaDepth * mma_qk + sums,
          .chain_qk = mma_qk + sums,
          .depth_pv = kMmaDepth * chain_pv,
          .chain_pv = chain_pv,
          // softmax_step(): a lane adds 8 of a tile's 32 p, then the tile's sum to l; row_sum(): 2.
          .depth_l = kBlockKeys / 4 + tiles + 2,
          .u_a = 0x1p-24,
          .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
          .p_type = p.dtype,
          .l_from_rounded_p = false,
          .block_k = kBlockKeys,
          .splits = splits,
          .o_type = p.dtype};
}

}  // namespace

Launch mla_decode_launch(const Problem& problem, const RunConfig& config,
                         const AttentionParams& attention) {
  const Index parts = splits(problem, config.splits);
  const auto scratch = std::make_shared<const SplitScratch>(problem, parts);
  const SplitParams params = scratch->params(attention, parts);
  Launch start;
  with_latent_instance(problem, [&](auto instance) {
    using I = decltype(instance);
    start = [scratch, params, tiles = row_tiles(problem)] { launch<I>(tiles, params); };
  });
  return start;
}

Kernel mla_decode() {
  return {.name = "mla_decode",
          .backend = Backend::ATTEST_BACKEND,
          .supports = supports,
          .splits = splits,
          .run = run_attention<mla_decode_launch>,
          .descriptor = descriptor,
          .time = time_attention<mla_decode_launch>};
}

}  // namespace attest::ATTEST_BACKEND
