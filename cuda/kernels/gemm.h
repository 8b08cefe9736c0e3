#pragma once

#include <cstdint>

#include "cases/dtype.h"
#include "cuda/kernels/attention_params.h"

namespace attest {

/// How the weights of a GEMM lie: nk, a row for each column of c (what a Linear layer stores), or
/// kn, a row for each term of the sum.
enum class WeightLayout { nk, kn };

/// c[b,m,h,:] = w_h a[b,m,h,:] + bias, by value. T is bf16 or fp16. Sums are fp32, in order of k in
/// one chain of 16-wide MMAs, so that the bits of a row depend on nothing but its own operands; the
/// bias is added in fp32; c is rounded once, to nearest even.
///
/// Rows of all tensors are contiguous, strides, N and K are multiples of 8. Batch entry b has
/// n = lens[b] rows, or M, of its M: others are neither read nor written.
///
/// With a block_table a is [pages, page, heads, K], stride b that of pages: row m of batch entry b
/// lies in page block_table[b, m / page], slot m % page.
struct GemmParams {
  const void* a;     ///< [B, M, heads, K]  T
  const void* w;     ///< [heads, N, K] or [heads, K, N]  T; its stride b is not used
  const void* bias;  ///< [N]  T; null: none
  void* c;           ///< [B, M, heads, N]  T
  Strides a_stride, w_stride, c_stride;
  const int* block_table;  ///< [B, pages_per_row], contiguous; null: a is not in pages
  int page, pages_per_row;
  const int* lens;  ///< [B], each in [0, M]; null: every entry has M rows
  int B, M, heads, N, K;
};

/// Columns of c of one block; there are at most 65535 blocks of columns.
constexpr int kGemmColumns = 128;

namespace ATTEST_BACKEND {
/// Starts the kernel.
void launch_gemm(Dtype, WeightLayout, const GemmParams&);
}  // namespace ATTEST_BACKEND

}  // namespace attest
