#pragma once

#include <cstdint>
#include <string>

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// Elements between neighbours along three axes of a [B, S, heads, width] tensor. The last axis is
/// contiguous; of 16-bit elements every stride is a multiple of 8: each row starts on 16 bytes.
struct Strides {
  std::int64_t b, s, h;
};

/// Elements between neighbours along the first two axes of a [1|B, 1|H, Sq, Sk] tensor; 0 where the
/// extent is 1.
struct PairStrides {
  std::int64_t b, h;
};

/// What every kernel of core attention is given, by value. T is the input type: bf16, fp16 or fp32;
/// the keys and values of a cache of 16 bits may be Stored as e4m3 or e5m2 instead, times a scale
/// for each head.
///
/// A batch entry has n = lens[b] keys, or Sk, of its Sk slots. Query i stands at i, with
/// bottom_right at i + n - Sq, and sees the keys from `left` before that place to `right` behind
/// it, of those that attn_mask leaves.
///
/// With a block_table k is [pages, page, G, D] and v [pages, page, G, Dv], stride b that of pages:
/// key j of batch entry b lies in page block_table[b, j / page], slot j % page.
struct AttentionParams {
  const void* q;                   ///< [B, Sq, H, D]   T
  const void* k;                   ///< [B, Sk, G, D]   Stored
  const void* v;                   ///< [B, Sk, G, Dv]  Stored
  void* o;                         ///< [B, Sq, H, Dv]  T
  float* lse;                      ///< [B, H, Sq], contiguous, nats
  const float *k_scale, *v_scale;  ///< [G]; null: 1
  Strides q_stride, k_stride, v_stride, o_stride;
  const int* block_table;  ///< [B, pages_per_row], contiguous; null: k and v are not in pages
  int page, pages_per_row;
  const int* lens;  ///< [B], each in [0, Sk]; null: every entry has Sk keys
  int B, Sq, Sk, H, G, D, Dv;
  int left, right;  ///< kUnbounded: as far as there are keys
  bool bottom_right;

  /// What becomes of x = q k, in this order: where cap_scale is not 0, tanh(cap_scale x); where
  /// there is a bias, bias_scale x + log2(e) bias; softmax in base 2 of scale_log2 x. All are
  /// positive. The first that is used is also multiplied by k_scale[g] (HeadGroup).
  float cap_scale, bias_scale, scale_log2;
  const float* alibi_slopes;      ///< [H]  null: no ALiBi
  const void* attn_bias;          ///< [1|B, 1|H, Sq, Sk]  T; null: none
  const std::uint8_t* attn_mask;  ///< [1|B, 1|H, Sq, Sk]  0: seen; null: none
  const float* sinks;             ///< [H]  nats; null: all are `sink`
  float sink;                     ///< -inf: there is none
  PairStrides bias_stride, mask_stride;
};

constexpr int kUnbounded = 1 << 30;

constexpr int kBlockK = 64;  ///< keys of one tile of prefill and decode

/// Widths (D, Dv) that kernels are compiled for; narrower heads run zero-padded in one of them.
enum class Capacity { d64, d128, d192_128 };

/// The narrowest capacity that holds both D and Dv of a problem that check_attention() accepts.
Capacity capacity_of(const Problem&);

/// Width D of a capacity.
int score_width(Capacity);

/// Roundings that one term can pass through in an mma of 16 products and the accumulator, whose
/// order the PTX ISA leaves open.
constexpr Index kMmaDepth = 17;

/// Products of 16 columns that make a score: mma_tile.cuh, score().
Index score_chain(const Problem&);

/// Empty, or why no kernel of core attention with tiles of these widths runs the problem, such as
/// "D must be at most 192, got D=256".
std::string check_core(const Problem&, Index max_D, Index max_Dv);

/// The same for kernels of 16-bit elements, whose rows are whole chunks of 16 bytes.
std::string check_rows(const Problem&, Index max_D, Index max_Dv);

/// The same for the kernels that are given k and v and have a Capacity.
std::string check_attention(const Problem&);

/// What multiplies q k^T: the problem's scale or, where it has none, 1 / sqrt(D). MLA scales by the
/// width of a head before absorption, and by the share of YaRN's temperature that its rotary part
/// does not carry, in either form:
///     (1 + 0.1 mscale_all_dim ln(factor))^2 / sqrt(Dn + Dr)     (DeepSeek-V2; YaRN: factor > 1)
double softmax_scale(const Problem&);

/// Names of the inputs that hold the keys and, null where they are a part of them, the values.
struct CacheNames {
  const char *k, *v;
};
CacheNames cache_names(const Problem&);

/// Shapes, mask, scale and the strides of contiguous tensors of Sk slots; the pointers are null.
AttentionParams contiguous_params(const Problem&);

/// Throws attest::Error for a seqlens_k that holds other lengths than the problem, and for a
/// block_table that leads the keys that queries see outside the cache of `pages` pages.
void check_tables(const Problem&, const TensorSet& inputs, Index pages);

/// The same with the strides of the caches in inputs, which are as Kernel::run() takes them. Throws
/// attest::Error for a cache of other extents, and what check_tables() throws.
AttentionParams attention_params(const Problem&, const TensorSet& inputs);

/// The batch entry with the most keys.
Index longest_entry(const Problem&);

/// Tiles of block_k keys that hold the first `keys` keys.
Index key_tiles(Index keys, Index block_k);

/// Rows of a group: the queries of all heads that share a key/value head (tile/head_group.cuh).
Index packed_rows(const Problem&);

/// Parts that a split-KV kernel cuts `tiles` tiles of keys into, given the blocks that it launches
/// for each part; `requested` ones, but at most 256, unless that is 0. Independent of the machine,
/// so that results are too.
Index choose_splits(Index blocks, Index tiles, Index requested);

}  // namespace attest
