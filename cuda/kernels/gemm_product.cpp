#include "cuda/kernels/gemm_product.h"

#include "cases/error.h"

namespace attest {

GemmParams product_params(const Tensor& a, const Tensor& w, const Tensor& c) {
  const Dtype dtype = a.dtype();
  ATTEST_CHECK(
      (dtype == Dtype::bf16 || dtype == Dtype::fp16) && w.dtype() == dtype && c.dtype() == dtype,
      "gemm: a, w and c must all be bf16 or all fp16, got ", name(dtype), ' ', name(w.dtype()), ' ',
      name(c.dtype()));
  ATTEST_CHECK(a.shape().size() == 2 && w.shape().size() == 2,
               "gemm: a and w must be matrices, got ", a.shape().size(), " and ", w.shape().size(),
               " axes");
  const Index M = a.shape()[0], K = a.shape()[1], N = w.shape()[0];
  ATTEST_CHECK(w.shape()[1] == K && c.shape() == std::vector<Index>({M, N}),
               "gemm: w must be [N,K] and c [M,N], got M=", M, " K=", K, " N=", N, ", ",
               w.shape()[1], " columns of w and ", c.size(), " elements of c");
  GemmParams p{};
  p.a_stride = {0, K, 0};
  p.w_stride = {0, K, 0};
  p.c_stride = {0, N, 0};
  p.B = p.heads = 1;
  p.M = static_cast<int>(M);
  p.N = static_cast<int>(N);
  p.K = static_cast<int>(K);
  return p;
}

}  // namespace attest
