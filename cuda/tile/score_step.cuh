#pragma once

// What becomes of scores q k between the product and the softmax: cap, bias, mask, in this order.
// attention_params.h says in which units.

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "cuda/tile/head_group.cuh"
#include "cuda/tile/mma_tile.cuh"
#include "cuda/tile/softmax_step.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// The lane's two rows of a warp's 16.
struct ScoreRows {
  int packed_row[2];
  Keys visible[2];

  /// first_row: packed row of the warp's row 0.
  template <class T>
  __device__ static ScoreRows of(const HeadGroup<T>& group, int first_row) {
    const int rows[2] = {first_row + fragment_row(0), first_row + fragment_row(1)};
    return {{rows[0], rows[1]}, {group.visible(rows[0]), group.visible(rows[1])}};
  }
};

/// x becomes tanh(cap_scale x): the cap itself is a factor of bias_scale or scale_log2.
template <int kTiles>
__device__ inline void cap_scores(float (&s_r)[kTiles][4], float cap_scale) {
#pragma unroll
  for (int j = 0; j < kTiles; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) s_r[j][e] = tanhf(cap_scale * s_r[j][e]);
}

/// Takes slope times the distance between query and key off (ALiBi, arXiv:2108.12409, section 3).
template <int kTiles, class T>
__device__ inline void add_alibi(float (&s_r)[kTiles][4], int first_key, const ScoreRows& rows,
                                 const HeadGroup<T>& group) {
  const float bias_scale = group.bias_scale();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = rows.packed_row[half], position = group.position(row);
    const float slope_log2 = group.p.alibi_slopes[group.head(row)] * kLog2e;
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        const int distance = abs(position - (first_key + fragment_column(j) + e % 2));
        s_r[j][e] = fmaf(bias_scale, s_r[j][e], -slope_log2 * static_cast<float>(distance));
      }
  }
}

/// Adds the rows' values of attn_bias, of keys that they see.
template <int kTiles, class T>
__device__ inline void add_bias(float (&s_r)[kTiles][4], int first_key, const ScoreRows& rows,
                                const HeadGroup<T>& group) {
  const float bias_scale = group.bias_scale();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const T* bias_g = group.bias(rows.packed_row[half]);
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        const int key = first_key + fragment_column(j) + e % 2;
        const float bias = rows.visible[half].contain(key) ? simt::to_float(bias_g[key]) : 0.0f;
        s_r[j][e] = fmaf(kLog2e, bias, bias_scale * s_r[j][e]);
      }
  }
}

/// Scores of keys that a row does not see become -inf.
template <int kTiles, class T>
__device__ inline void mask_scores(float (&s_r)[kTiles][4], int first_key, const ScoreRows& rows,
                                   const HeadGroup<T>& group) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Keys visible = rows.visible[half];
    const std::uint8_t* mask_g =
        group.p.attn_mask == nullptr ? nullptr : group.mask(rows.packed_row[half]);
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        const int key = first_key + fragment_column(j) + e % 2;
        if (!visible.contain(key) || (mask_g != nullptr && mask_g[key] != 0))
          s_r[j][e] = -simt::kInfinity;
      }
  }
}

/// All of it, for keys first_key, first_key + 1, ...; clear: every row sees each of them.
template <int kTiles, class T>
__device__ inline void shape_scores(float (&s_r)[kTiles][4], int first_key, bool clear,
                                    const ScoreRows& rows, const HeadGroup<T>& group) {
  if (group.p.cap_scale != 0.0f) cap_scores(s_r, group.cap_scale());
  if (group.p.alibi_slopes != nullptr) add_alibi(s_r, first_key, rows, group);
  if (group.p.attn_bias != nullptr) add_bias(s_r, first_key, rows, group);
  if (!clear) mask_scores(s_r, first_key, rows, group);
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
