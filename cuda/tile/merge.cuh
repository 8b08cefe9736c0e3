#pragma once

// Merging results over disjoint sets of keys (Flash-Decoding; FlashAttention-2, sec. 3.1). With
// m = max_n m_n and w_n = exp2(scale_log2 (m_n - m)):   l = sum_n w_n l_n,   o = sum_n w_n o_n,
// added in the order of n.

#include <cstdint>

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// `count` partial results of one row: part n has m[n * stride], l[n * stride] and the columns
/// o[n * o_stride ...], as in RowResult. A part that saw no key has m = -inf, l = 0, o = 0.
struct RowParts {
  const float* m;
  const float* l;
  const float* o;
  std::int64_t stride, o_stride;
  int count;
  float scale_log2;
};

struct RowTotal {
  float m, l;
};

/// w_n, given the row's maximum m.
__device__ inline float merge_weight(const RowParts& parts, int n, float m) {
  const float m_part = parts.m[n * parts.stride];
  // An empty part weighs nothing; in an empty row both maxima are -inf and their difference is NaN.
  return m_part == -simt::kInfinity ? 0.0f : simt::exp2_approx((m_part - m) * parts.scale_log2);
}

__device__ inline RowTotal merge_totals(const RowParts& parts) {
  RowTotal total{-simt::kInfinity, 0.0f};
  for (int n = 0; n < parts.count; ++n) total.m = fmaxf(total.m, parts.m[n * parts.stride]);
  for (int n = 0; n < parts.count; ++n)
    total.l += merge_weight(parts, n, total.m) * parts.l[n * parts.stride];
  return total;
}

/// Column d of o.
__device__ inline float merge_column(const RowParts& parts, float m, int d) {
  float o = 0.0f;
  for (int n = 0; n < parts.count; ++n)
    o += merge_weight(parts, n, m) * parts.o[n * parts.o_stride + d];
  return o;
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
