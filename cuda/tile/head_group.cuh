#pragma once

// Which rows of the tensors a block works on. The R = H / G query heads that share key/value head g
// are packed into one matrix of R Sq rows, so that a block reads each key once for all of them:
//
//   packed row n  =  query n / R of head g R + n % R          (PackGQA in FlashAttention)

#include <cstdint>

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// Keys first, first + 1, ... before `end` of k or v: those of one batch entry and head.
template <class T>
struct KeyRows {
  const T* base_g;     ///< of key 0; in pages: of slot 0 of page 0
  Strides stride;      ///< b: of batch entries; in pages: of pages
  const int* pages_g;  ///< of keys 0, page, 2 page, ...; null: not in pages
  int page;            ///< keys of a page
  int first, end, width;

  __device__ bool contains(int r) const { return first + r < end; }
  __device__ const T* row(int r) const {
    const int key = first + r;
    if (pages_g == nullptr) return base_g + key * stride.s;
    return base_g + pages_g[key / page] * stride.b + key % page * stride.s;
  }
};

/// Packed rows first, first + 1, ... of a group of q or o. T is const for q.
template <class T>
struct PackedRows {
  T* base_g;  ///< of query 0, head g R
  Strides stride;
  int first, end, width, R;

  __device__ bool contains(int r) const { return first + r < end; }
  __device__ T* row(int r) const {
    const int n = first + r;
    return base_g + n / R * stride.s + n % R * stride.h;
  }
};

/// Keys begin .. end-1.
struct Keys {
  int begin, end;

  __device__ bool contain(int key) const { return key >= begin && key < end; }
};

/// Batch entry b, key/value head g and its R query heads.
template <class T>
struct HeadGroup {
  const AttentionParams& p;
  int b, g;
  float k_scale = p.k_scale == nullptr ? 1.0f : p.k_scale[g];
  float v_scale = p.v_scale == nullptr ? 1.0f : p.v_scale[g];
  int length = p.lens == nullptr ? p.Sk : p.lens[b];  ///< keys of the batch entry

  __device__ int heads() const { return p.H / p.G; }
  __device__ int packed_rows() const { return heads() * p.Sq; }
  __device__ int query(int packed_row) const { return packed_row / heads(); }
  __device__ int head(int packed_row) const { return g * heads() + packed_row % heads(); }

  /// Where the row's query stands among the keys.
  __device__ int position(int packed_row) const {
    return query(packed_row) + (p.bottom_right ? length - p.Sq : 0);
  }

  /// What a row sees before attn_mask takes some of it; nothing, if the row does not exist. Neither
  /// end ever falls with the row.
  __device__ Keys visible(int packed_row) const {
    if (packed_row >= packed_rows()) return {length, length};
    const int place = position(packed_row);
    const int end = max(0, min(length, place + 1 + p.right));
    return {max(0, min(end, place - p.left)), end};
  }

  /// attention_params.h's factors, the first that a score meets times k_scale.
  __device__ float cap_scale() const { return p.cap_scale * k_scale; }
  __device__ float bias_scale() const {
    return p.cap_scale != 0.0f ? p.bias_scale : p.bias_scale * k_scale;
  }
  __device__ float scale_log2() const {
    const bool met = p.cap_scale != 0.0f || p.alibi_slopes != nullptr || p.attn_bias != nullptr;
    return met ? p.scale_log2 : p.scale_log2 * k_scale;
  }

  /// The row's sink, nats; -inf: none.
  __device__ float sink(int packed_row) const {
    return p.sinks == nullptr ? p.sink : p.sinks[head(packed_row)];
  }

  /// The row's rows of attn_bias and attn_mask, which must be there. [Sk]
  __device__ const T* bias(int packed_row) const {
    return static_cast<const T*>(p.attn_bias) + pair_row(p.bias_stride, packed_row);
  }
  __device__ const std::uint8_t* mask(int packed_row) const {
    return p.attn_mask + pair_row(p.mask_stride, packed_row);
  }

  /// Those from `end` on do not exist.
  template <class Stored>
  __device__ KeyRows<Stored> keys(int first, int end) const {
    return cached<Stored>(p.k, p.k_stride, first, end, p.D);
  }
  template <class Stored>
  __device__ KeyRows<Stored> values(int first, int end) const {
    return cached<Stored>(p.v, p.v_stride, first, end, p.Dv);
  }
  __device__ PackedRows<const T> queries(int first) const {
    return {static_cast<const T*>(p.q) + b * p.q_stride.b + g * heads() * p.q_stride.h,
            p.q_stride,
            first,
            packed_rows(),
            p.D,
            heads()};
  }
  __device__ PackedRows<T> outputs(int first) const {
    return {static_cast<T*>(p.o) + b * p.o_stride.b + g * heads() * p.o_stride.h,
            p.o_stride,
            first,
            packed_rows(),
            p.Dv,
            heads()};
  }
  __device__ float* lse(int packed_row) const {  // [B, H, Sq]
    return p.lse + (b * std::int64_t{p.H} + head(packed_row)) * p.Sq + query(packed_row);
  }

 private:
  __device__ std::int64_t pair_row(const PairStrides& stride, int packed_row) const {
    return b * stride.b + head(packed_row) * stride.h + query(packed_row) * std::int64_t{p.Sk};
  }
  template <class Stored>
  __device__ KeyRows<Stored> cached(const void* cache, const Strides& stride, int first, int end,
                                    int width) const {
    const Stored* head_g = static_cast<const Stored*>(cache) + g * stride.h;
    if (p.block_table == nullptr)
      return {head_g + b * stride.b, stride, nullptr, 1, first, end, width};
    const int* pages_g = p.block_table + b * std::int64_t{p.pages_per_row};
    return {head_g, stride, pages_g, p.page, first, end, width};
  }
};

/// Tiles first .. end-1 of equally many keys. Every row of the block sees all keys of tiles
/// clear_begin .. clear_end-1, and no row sees keys from end_key on: nobody reads those, for a NaN
/// among them would outlive p = 0 in p v.
struct KeyTiles {
  int first, clear_begin, clear_end, end, end_key;

  __device__ bool clear(int tile) const { return tile >= clear_begin && tile < clear_end; }
};

/// The tiles of block_k keys that packed rows [first_row, first_row + rows) of a group see.
template <class T>
__device__ inline KeyTiles visible_tiles(const HeadGroup<T>& group, int first_row, int rows,
                                         int block_k) {
  const int last_row = min(first_row + rows, group.packed_rows()) - 1;
  const Keys early = group.visible(first_row), late = group.visible(last_row);
  const auto tiles = [&](int keys) { return (keys + block_k - 1) / block_k; };
  return {early.begin / block_k, tiles(late.begin),
          group.p.attn_mask == nullptr ? early.end / block_k : 0, tiles(late.end), late.end};
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
