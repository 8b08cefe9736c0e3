#pragma once

// The online softmax of one warp's 16 rows (Milakov and Gimelshein 2018, arXiv:1805.02867,
// algorithm 3; FlashAttention-2, arXiv:2307.08691, algorithm 1), in base 2.

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "cuda/tile/mma_tile.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr float kLn2 = 0.693147180559945309f, kLog2e = 1.44269504088896341f;

/// What one lane knows of its two rows, fragment_row(0) and fragment_row(1), and of its columns.
template <int kDv>
struct RowResult {
  float o[kDv / 8][4];  ///< sum of p v, not normalized
  float m[2];           ///< running maximum of q k, capped where it is; -inf: no key seen
  float l[2];           ///< sum of p over this lane's columns; over the row after sum_rows()

  __device__ static RowResult empty() {
    RowResult result;
#pragma unroll
    for (int j = 0; j < kDv / 8; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) result.o[j][e] = 0.0f;
    for (int half = 0; half < 2; ++half) {
      result.m[half] = -simt::kInfinity;
      result.l[half] = 0.0f;
    }
    return result;
  }
};

/// Maximum (sum) of x over the four lanes that share a row.
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/// A row's next maximum m. Subtracting it first costs one operation more than fma(scale_log2, q k,
/// -scale_log2 m), but gives the maximum p = 1 exactly, however large it is.
struct NextMax {
  float m, base, scale_log2;
  float rescale;  ///< factor of what was summed relative to the maximum before

  __device__ static NextMax of(float m_before, float highest, float scale_log2) {
    const float m = fmaxf(m_before, highest);
    // A row that has seen no key yet keeps m = -inf; -inf - -inf would make its p NaN, not 0.
    const float base = m == -simt::kInfinity ? 0.0f : m;
    return {m, base, scale_log2, simt::exp2_approx((m_before - base) * scale_log2)};
  }
  /// exp2(scale_log2 (s - m))
  __device__ float p(float s) const { return simt::exp2_approx((s - base) * scale_log2); }
};

/// Turns scores q k into p = exp2(scale_log2 (q k - m)) and moves the result to the new maximum m.
template <int kTiles, int kDv>
__device__ inline void softmax_step(float (&s_r)[kTiles][4], RowResult<kDv>& result,
                                    float scale_log2) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float highest = -simt::kInfinity;
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
      highest = fmaxf(highest, fmaxf(s_r[j][2 * half], s_r[j][2 * half + 1]));
    const NextMax next = NextMax::of(result.m[half], row_max(highest), scale_log2);

    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        s_r[j][e] = next.p(s_r[j][e]);
        sum += s_r[j][e];
      }
    result.m[half] = next.m;
    result.l[half] = result.l[half] * next.rescale + sum;
#pragma unroll
    for (int j = 0; j < kDv / 8; ++j) {
      result.o[j][2 * half] *= next.rescale;
      result.o[j][2 * half + 1] *= next.rescale;
    }
  }
}

/// Sums l over the lanes of each row.
template <int kDv>
__device__ inline void sum_rows(RowResult<kDv>& result) {
  for (int half = 0; half < 2; ++half) result.l[half] = row_sum(result.l[half]);
}

/// What o is multiplied by at the end, and the natural logarithm of the row's sum of exponentials.
struct RowEnd {
  float factor, lse;
};

/// Ends a row with the sum l over its keys, relative to m, by adding its sink (nats; -inf: none). A
/// row that has neither key nor sink gets o = 0, lse = -inf. NaN stays NaN.
__device__ inline RowEnd finish_row(float m, float l, float sink, float scale_log2) {
  const float m_log2 = m * scale_log2, sink_log2 = sink * kLog2e;
  const float top = fmaxf(m_log2, sink_log2);
  if (l == 0.0f && top == -simt::kInfinity) return {0.0f, -simt::kInfinity};
  const float weight = simt::exp2_approx(m_log2 - top);  // 1 where the sink is not the top
  const float sum = l * weight + simt::exp2_approx(sink_log2 - top);
  return {weight / sum, (top + log2f(sum)) * kLn2};
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
