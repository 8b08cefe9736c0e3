#pragma once

// The loop over keys of prefill and decode:
//
//            first      clear_begin       clear_end      end
//   keys      | tile |    | tile | tile |    | tile |      a tile: kBlockK keys and their values
//               \______/
//               two stages in shared memory: while one is used, cp.async fills the other
//
//   per tile:   1 wait   2 start the next   3 s = q k^T   4 shape   5 softmax   6 o += p v

#include "cuda/tile/head_group.cuh"
#include "cuda/tile/mma_tile.cuh"
#include "cuda/tile/score_step.cuh"
#include "cuda/tile/softmax_step.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// Double-buffered key and value tiles.
template <class T, int kD, int kDv>
struct KeyStages {
  SharedTile<T, kBlockK, kD> k[2];
  SharedTile<T, kBlockK, kDv> v[2];
};

/// Starts the copies of one tile, as one group of cp.async but where 8-bit keys and values are
/// converted on the way. Keys from end_key on are zero.
template <int kThreads, class Stored, class T, int kD, int kDv>
__device__ inline void prefetch(KeyStages<T, kD, kDv>& stages_s, int tile, int end_key,
                                const HeadGroup<T>& group) {
  copy_tile<kThreads>(stages_s.k[tile % 2], group.template keys<Stored>(tile * kBlockK, end_key));
  copy_tile<kThreads>(stages_s.v[tile % 2], group.template values<Stored>(tile * kBlockK, end_key));
  simt::cp_async_commit();
}

/// What one warp computes of the block: 16 rows of q_s against kKeys keys of each tile.
struct WarpShare {
  int first_row;   ///< in q_s
  int first_key;   ///< in each tile
  ScoreRows rows;  ///< of the lane

  /// q_s row 0 is packed row `block_row`.
  template <class T>
  __device__ static WarpShare of(const HeadGroup<T>& group, int block_row, int first_row,
                                 int first_key) {
    return {first_row, first_key, ScoreRows::of(group, block_row + first_row)};
  }
};

/// Attends to the tiles. The copies into q_s are the caller's latest group of cp.async. On return
/// nothing is in flight, but other warps may still read the stages.
template <int kKeys, int kThreads, class Stored, class T, int kRows, int kD, int kDv>
__device__ inline RowResult<kDv> attend(SharedTile<T, kRows, kD>& q_s,
                                        KeyStages<T, kD, kDv>& stages_s, KeyTiles tiles,
                                        const HeadGroup<T>& group, const WarpShare& share) {
  if (tiles.first < tiles.end)
    prefetch<kThreads, Stored>(stages_s, tiles.first, tiles.end_key, group);
  simt::cp_async_wait<0>();
  __syncthreads();
  std::uint32_t q_r[kD / 16][4];
  load_query(q_r, q_s, share.first_row);

  RowResult<kDv> result = RowResult<kDv>::empty();
  for (int tile = tiles.first; tile < tiles.end; ++tile) {
    simt::cp_async_wait<0>();  // this thread's part of the tile has landed;
    __syncthreads();           // all parts have, and no warp uses the other stage any more
    if (tile + 1 < tiles.end) prefetch<kThreads, Stored>(stages_s, tile + 1, tiles.end_key, group);

    float s_r[kKeys / 8][4];
    score(s_r, q_r, stages_s.k[tile % 2], share.first_key);
    shape_scores(FragmentScores<kKeys / 8>{s_r, tile * kBlockK + share.first_key, share.rows},
                 tiles.clear(tile), group);
    softmax_step(s_r, result, group.scale_log2());
    accumulate(result.o, s_r, stages_s.v[tile % 2], share.first_key);
  }
  sum_rows(result);
  return result;
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
