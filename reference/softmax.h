#pragma once

#include "reference/blocks.h"

namespace attest::reference::ATTEST_ISA {

/// Softmax of whole rows, and of the sink beside the keys where there is one: a score in the
/// denominator without a value (arXiv:2309.17453, section 3.2; -inf: no sink).
///
///   m[i]   = max(max_j s[i,j], sink)
///   l[i]   = sum_j exp(s[i,j] - m[i]) + exp(sink - m[i])
///   p[i,j] = exp(s[i,j] - m[i]) / l[i]      0 for keys that row i does not see: their s is -inf
///   lse[i] = m[i] + ln l[i]                 nats
///
/// s [count, keys] -> p [count, keys], lse [count]; m and l stay in `rows`, where the sink is. A
/// row that sees no key has p = 0 and, without a sink, m = lse = -inf, l = 0.
void softmax(const ConstMatrixRef& s, Rows& rows, MatrixRef p, double* lse);

/// p[n] = exp(x[n] - shift) for x - shift <= 0, within 2 ulp, subnormal results included;
/// 0 for x = -inf.
void exp_shifted(const double* x, double shift, Index count, double* p);

}  // namespace attest::reference::ATTEST_ISA
