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

/// Rows first, first + 1, ... of a [S, width] slice of k or v: those of one batch entry and head.
template <class T>
struct KeyRows {
  const T* base_g;
  std::int64_t stride;
  int first, end, width;

  __device__ bool contains(int r) const { return first + r < end; }
  __device__ const T* row(int r) const { return base_g + (first + r) * stride; }
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

/// Keys 0 .. n-1 are what query i sees. Never decreases with i.
__device__ inline int visible_keys(const AttentionParams& p, int i) {
  return p.causal ? max(0, min(p.Sk, i + p.diagonal + 1)) : p.Sk;
}

/// Batch entry b, key/value head g and its R query heads.
template <class T>
struct HeadGroup {
  const AttentionParams& p;
  int b, g;

  __device__ int heads() const { return p.H / p.G; }
  __device__ int packed_rows() const { return heads() * p.Sq; }
  __device__ int visible(int packed_row) const { return visible_keys(p, packed_row / heads()); }

  __device__ KeyRows<T> keys(int first) const {
    return {static_cast<const T*>(p.k) + b * p.k_stride.b + g * p.k_stride.h, p.k_stride.s, first,
            p.Sk, p.D};
  }
  __device__ KeyRows<T> values(int first) const {
    return {static_cast<const T*>(p.v) + b * p.v_stride.b + g * p.v_stride.h, p.v_stride.s, first,
            p.Sk, p.Dv};
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
    const std::int64_t h = g * heads() + packed_row % heads();
    return p.lse + (b * std::int64_t{p.H} + h) * p.Sq + packed_row / heads();
  }
};

/// Tiles first .. end-1 of equally many keys. Every row of the block sees all keys of those before
/// `unmasked`.
struct KeyTiles {
  int first, unmasked, end;
};

/// The tiles of block_k keys that packed rows [first_row, first_row + rows) of a group see.
template <class T>
__device__ inline KeyTiles visible_tiles(const HeadGroup<T>& group, int first_row, int rows,
                                         int block_k) {
  const int last_row = min(first_row + rows, group.packed_rows()) - 1;
  return {0, group.visible(first_row) / block_k, (group.visible(last_row) + block_k - 1) / block_k};
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
