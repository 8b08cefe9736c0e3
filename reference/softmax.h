#pragma once

#include "reference/blocks.h"

namespace attest::reference::ATTEST_ISA {

/// Keeps scores within (-softcap, softcap), as Gemma 2 does (arXiv:2408.00118, section 2):
///
///   s[i,j] = softcap tanh(s[i,j] / softcap)      of all keys, before any mask
///
/// A softcap of 0 leaves them as they are.
void cap(double softcap, MatrixRef s);

/// Softmax of whole rows over the keys that each of them sees.
///
///   m[i]   = max_j s[i,j]
///   l[i]   = sum_j exp(s[i,j] - m[i])
///   p[i,j] = exp(s[i,j] - m[i]) / l[i]      0 for keys that row i does not see
///   lse[i] = m[i] + ln l[i]                 nats
///
/// s [count, keys] -> p [count, keys], lse [count]; m and l stay in `rows`. A row that sees no key
/// has m = -inf, l = 0, p = 0, lse = -inf.
void softmax(const ConstMatrixRef& s, Rows& rows, MatrixRef p, double* lse);

/// p[n] = exp(x[n] - shift) for x - shift <= 0, within 2 ulp, subnormal results included.
void exp_shifted(const double* x, double shift, Index count, double* p);

}  // namespace attest::reference::ATTEST_ISA
