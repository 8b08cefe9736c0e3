#pragma once

#include <cstdint>

#include "cases/dtype.h"
#include "cases/layer.h"
#include "cases/rope.h"

namespace attest {

/// Rows of one tensor, `groups` times `heads` for each token. The first `normed` values of a row
/// are normalized, then 2 `pairs` values from first_turned on turn; the others stay. T is bf16 or
/// fp16.
struct TokenRows {
  const void* x;                  ///< [B Sq, .. groups, .. heads, width]  T
  std::int64_t x_token, x_group;  ///< elements of x between tokens, between groups
  void* y;      ///< [B Sq, groups, heads, width], or slots of a cache of such  T; contiguous
  bool cached;  ///< y is a cache, in which a token's row is the one of its position
  int groups, heads, width;  ///< heads = 0: there are no such rows
  Norm norm;
  int normed;
  const void* w;  ///< [normed]  T; null: none
  const void* b;  ///< [normed]  T; null: none
  int first_turned, pairs;
};

/// Token i of batch entry b has position n - Sq + i, where n is lens[b], or Sk.
///
/// A cache is [B, Sk, ..]; with a block_table [pages, page, ..], and position m of batch entry b
/// lies in page block_table[b, m / page], slot m % page.
struct RopeAppendParams {
  TokenRows rows[3];
  const float* cos;  ///< [B Sq, pairs]; null where nothing turns
  const float* sin;  ///< [B Sq, pairs]; null where nothing turns
  RopePairing pairing;
  float eps;
  const int* block_table;  ///< [B, pages_per_row], contiguous; null: not in pages
  int page, pages_per_row;
  const int* lens;  ///< [B], each in [Sq, Sk]; null: every entry has Sk
  int B, Sq, Sk;
};

namespace ATTEST_BACKEND {
/// Starts the kernel.
void launch_rope_append(Dtype, const RopeAppendParams&);
}  // namespace ATTEST_BACKEND

}  // namespace attest
