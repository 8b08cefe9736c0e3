// Attention of many queries: flash attention on tensor cores (FlashAttention-2, arXiv:2307.08691).
//
//   grid (tiles of 64 packed rows, B G)       block: 4 warps of 16 rows, all keys they see
//
//              kD                     kBlockK keys stream through two stages
//          +--------+  warp 0       +-------+-------+
//   q_s    |   64   |    ...    x   | st 0  | st 1  |  ->  s_r -> p_r -> o_r [16, kDv] per warp
//          +--------+  warp 3       +-------+-------+
//
// A row is one query of one of the R heads that share a key/value head (tile/head_group.cuh). The
// loop is tile/key_loop.cuh. Tiles of keys that no row sees are skipped, and only those that some
// row sees in part are masked. Shared memory: SharedPlan, 40, 80 or 104 KiB.
// Math and symbols: reference/gqa.cpp. Rounds p to T before p v; everything else is fp32.
// Keys and values of 8 bits become T on their way to shared memory (tile/shared_tile.cuh); their
// scales are part of the factors of scores and of o (HeadGroup).
#include <string>

#include "cuda/kernel.h"
#include "cuda/kernels/attention_launch.h"
#include "cuda/kernels/instance.h"
#include "cuda/tile/key_loop.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps, kBlockRows = kWarpRows * kWarps;

template <class T, int kD, int kDv>
struct SharedPlan {
  SharedTile<T, kBlockRows, kD> q;
  KeyStages<T, kD, kDv> stages;
};

/// o and lse of the lane's two rows. first_row: packed row of the warp's row 0.
template <class T, int kDv>
__device__ inline void store(const HeadGroup<T>& group, int first_row,
                             const RowResult<kDv>& result) {
  const PackedRows<T> rows_g = group.outputs(first_row);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = fragment_row(half);
    if (!rows_g.contains(row)) continue;
    const RowEnd end =
        finish_row(result.m[half], result.l[half], group.sink(first_row + row), group.scale_log2());
    const float factor = end.factor * group.v_scale;
    T* o_g = rows_g.row(row);  // [Dv]
#pragma unroll
    for (int j = 0; j < kDv / 8; ++j)
      if (8 * j < rows_g.width)
        *reinterpret_cast<std::uint32_t*>(o_g + fragment_column(j)) =
            simt::pack<T>(result.o[j][2 * half] * factor, result.o[j][2 * half + 1] * factor);
    if (lane_id() % 4 == 0) *group.lse(first_row + row) = end.lse;
  }
}

template <class T, class Stored, int kD, int kDv>
__global__ void __launch_bounds__(kThreads) prefill_kernel(const AttentionParams p) {
  auto& smem = *simt::dynamic_shared<SharedPlan<T, kD, kDv>>();
  const int bg = blockIdx.y;
  const HeadGroup<T> group{p, bg / p.G, bg % p.G};
  // The last rows see the most keys under a causal mask; the longest blocks start first.
  const int block_row = (gridDim.x - 1 - blockIdx.x) * kBlockRows;
  const int warp_row = warp_id() * kWarpRows;

  copy_tile<kThreads>(smem.q, group.queries(block_row));
  simt::cp_async_commit();
  const RowResult<kDv> result = attend<kBlockK, kThreads, Stored>(
      smem.q, smem.stages, visible_tiles(group, block_row, kBlockRows, kBlockK), group,
      WarpShare::of(group, block_row, warp_row, 0));
  store(group, block_row + warp_row, result);
}

template <class T, class Stored, int kD, int kDv>
void launch(const AttentionParams& p) {
  const int rows = p.H / p.G * p.Sq;
  simt::launch(prefill_kernel<T, Stored, kD, kDv>,
               simt::LaunchShape{.grid = dim3((rows + kBlockRows - 1) / kBlockRows, p.B * p.G),
                                 .block = dim3(kThreads),
                                 .smem_bytes = sizeof(SharedPlan<T, kD, kDv>)},
               p);
}

std::string supports(const Problem& problem) { return check_attention(problem); }

Index splits(const Problem&, Index) { return 1; }

Descriptor descriptor(const Problem& p, Index) {
  const Index tiles = key_tiles(p.visible(longest_entry(p)).end, kBlockK);
  const Index chain_pv = kBlockK / 16 * tiles;  // accumulate(): one mma per 16 keys
  return {
      .u_acc = 0x1p-23,  // mma.sync may truncate
      .depth_qk = kMmaDepth * score_chain(p),
      .chain_qk = score_chain(p),
      .depth_pv = kMmaDepth * chain_pv,
      .chain_pv = chain_pv,
      // softmax_step(): a lane adds 16 of a tile's 64 p, then the tile's sum to l; row_sum(): 2.
      .depth_l = kBlockK / 4 + tiles + 2,
      .u_a = 0x1p-24,
      .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
      .p_type = p.dtype,
      .l_from_rounded_p = false,
      .block_k = kBlockK,
      .splits = 1,
      .o_type = p.dtype};
}

}  // namespace

Launch prefill_launch(const Problem& problem, const RunConfig&, const AttentionParams& params) {
  Launch start;
  with_instance(problem, [&](auto instance) {
    using I = decltype(instance);
    start = [params] { launch<typename I::T, typename I::Stored, I::kD, I::kDv>(params); };
  });
  return start;
}

Kernel prefill() {
  return {.name = "prefill",
          .backend = Backend::ATTEST_BACKEND,
          .supports = supports,
          .splits = splits,
          .run = run_attention<prefill_launch>,
          .descriptor = descriptor,
          .time = time_attention<prefill_launch>};
}

}  // namespace attest::ATTEST_BACKEND
