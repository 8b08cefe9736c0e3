#pragma once

#include <string_view>

#include "cases/tensor.h"

namespace attest::reference {

/// A linear projection (a GEMM), or one for each head, in types that are the same in every
/// instruction set.
///
///   y[m,n]         = sum_k x[m,k] w[n,k]     + b[n]
///   magnitude[m,n] = sum_k |x[m,k]| |w[n,k]| + |b[n]|
struct Linear {
  Index rows, N, K;
  const double* x;  // [rows, K], rows x_stride apart
  Index x_stride;
  const TensorView* w;  // [N, K], any strides, any of fp64 fp32 fp16 bf16
  const double* b;      // [N]; null: no bias
  double* y;            // [rows, N], rows y_stride apart
  double* magnitude;    // [rows, N], as y; null: not wanted
  Index y_stride;

  /// Head h has its x, w and y so many elements behind the above; b is that of all heads.
  Index heads = 1, x_head = 0, w_head = 0, y_head = 0;
};

/// Computes y and the magnitude. w is decoded a few rows at a time, so that a matrix never stands
/// in fp64 as a whole. Same bits for any number of threads. Throws attest::Error, which calls the
/// matrix `name`, for an infinity or NaN in w.
void linear(std::string_view name, const Linear&);

}  // namespace attest::reference
