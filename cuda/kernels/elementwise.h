#pragma once

#include <cstdint>

#include "cases/dtype.h"
#include "cuda/kernels/attention_params.h"

namespace attest {

/// y[b,s,h,:] = x[b,s,h,:], bit by bit, of elements of 16 bits. Rows are contiguous, strides and
/// width are multiples of 8. Batch entry b has lens[b] rows s, or S: others are neither read nor
/// written. With a block_table x is [pages, page, heads, width], as in GemmParams.
struct CopyParams {
  const void* x;               ///< [B, S, heads, width]
  void* y;                     ///< [B, S, heads, width]
  Strides x_stride, y_stride;  ///< x_stride.h = 0: one row for all heads
  const int* block_table;      ///< [B, pages_per_row], contiguous; null: x is not in pages
  int page, pages_per_row;
  const int* lens;  ///< [B], each in [0, S]; null: every entry has S rows
  int B, S, heads, width;
};

/// y = o sigmoid(gate). T is bf16 or fp16.
struct GateParams {
  const void* o;                        ///< [tokens, groups, heads, width]  T, contiguous
  const void* gate;                     ///< [tokens, .. groups, heads, width]  T
  void* y;                              ///< as o
  std::int64_t gate_token, gate_group;  ///< elements of gate between tokens, between groups
  int tokens, groups, heads, width;
};

namespace ATTEST_BACKEND {
/// Start a kernel.
void launch_copy(const CopyParams&);
void launch_gate(Dtype, const GateParams&);
}  // namespace ATTEST_BACKEND

}  // namespace attest
