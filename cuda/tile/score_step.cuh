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

/// Scores s_r of these rows, of keys first_key, first_key + 1, ...
///
/// What follows takes this or anything else that has kRows rows, their packed_row(n) and
/// visible(n), and change(n, f), which turns the lane's scores s of row n into f(s, key).
template <int kTiles>
struct FragmentScores {
  static constexpr int kRows = 2;
  float (&s_r)[kTiles][4];
  int first_key;
  const ScoreRows& rows;

  __device__ int packed_row(int n) const { return rows.packed_row[n]; }
  __device__ Keys visible(int n) const { return rows.visible[n]; }

  template <class Function>
  __device__ void change(int n, const Function& f) const {
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 2 * n; e < 2 * n + 2; ++e)
        s_r[j][e] = f(s_r[j][e], first_key + fragment_column(j) + e % 2);
  }
};

/// x becomes tanh(cap_scale x): the cap itself is a factor of bias_scale or scale_log2.
template <class Scores>
__device__ inline void cap_scores(const Scores& scores, float cap_scale) {
#pragma unroll
  for (int n = 0; n < Scores::kRows; ++n)
    scores.change(n, [&](float s, int) { return tanhf(cap_scale * s); });
}

/// Takes slope times the distance between query and key off (ALiBi, arXiv:2108.12409, section 3).
template <class Scores, class T>
__device__ inline void add_alibi(const Scores& scores, const HeadGroup<T>& group) {
  const float bias_scale = group.bias_scale();
#pragma unroll
  for (int n = 0; n < Scores::kRows; ++n) {
    const int row = scores.packed_row(n), position = group.position(row);
    const float slope_log2 = group.p.alibi_slopes[group.head(row)] * kLog2e;
    scores.change(n, [&](float s, int key) {
      return fmaf(bias_scale, s, -slope_log2 * static_cast<float>(abs(position - key)));
    });
  }
}

/// Adds the rows' values of attn_bias, of keys that they see.
template <class Scores, class T>
__device__ inline void add_bias(const Scores& scores, const HeadGroup<T>& group) {
  const float bias_scale = group.bias_scale();
#pragma unroll
  for (int n = 0; n < Scores::kRows; ++n) {
    const T* bias_g = group.bias(scores.packed_row(n));
    scores.change(n, [&](float s, int key) {
      const float bias = scores.visible(n).contain(key) ? simt::to_float(bias_g[key]) : 0.0f;
      return fmaf(kLog2e, bias, bias_scale * s);
    });
  }
}

/// Scores of keys that a row does not see become -inf.
template <class Scores, class T>
__device__ inline void mask_scores(const Scores& scores, const HeadGroup<T>& group) {
#pragma unroll
  for (int n = 0; n < Scores::kRows; ++n) {
    const Keys visible = scores.visible(n);
    const std::uint8_t* mask_g =
        group.p.attn_mask == nullptr ? nullptr : group.mask(scores.packed_row(n));
    scores.change(n, [&](float s, int key) {
      const bool hidden = !visible.contain(key) || (mask_g != nullptr && mask_g[key] != 0);
      return hidden ? -simt::kInfinity : s;
    });
  }
}

/// All of it; clear: every row sees each of the keys.
template <class Scores, class T>
__device__ inline void shape_scores(const Scores& scores, bool clear, const HeadGroup<T>& group) {
  if (group.p.cap_scale != 0.0f) cap_scores(scores, group.cap_scale());
  if (group.p.alibi_slopes != nullptr) add_alibi(scores, group);
  if (group.p.attn_bias != nullptr) add_bias(scores, group);
  if (!clear) mask_scores(scores, group);
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
