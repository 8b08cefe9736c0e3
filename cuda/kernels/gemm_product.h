#pragma once

#include "cases/tensor.h"
#include "cuda/kernels/gemm.h"

namespace attest {

/// c = a w^T of single matrices: a [M,K], w [N,K], c [M,N], all bf16 or all fp16. Pointers are left
/// out. Throws attest::Error for tensors of other dtypes or extents.
GemmParams product_params(const Tensor& a, const Tensor& w, const Tensor& c);

}  // namespace attest
