// Norm, rotation and cache append of new tokens in one pass: q to q_rot, k and v, or the latent of
// MLA and its rotary key, to their rows of the cache.
//
//   grid (rows of all tokens / 4)     block: 4 warps, each one row
//
//   x  +-----------------+-----------+--------+      1 moments of the part that is normed
//      |      normed     |  turned   |        |      2 pairs: norm of both values, rotation, store
//      +-----------------+-----------+--------+      3 the other values: norm or copy, store
//
// The parts may overlap (GQA: both are the head) or not (MLA: L, then Dr). Values are read again in
// steps 2 and 3, from the cache of the SM. Everything is fp32; a value is rounded to T once, when
// it is stored, and a value of neither part is copied.
#include "cuda/kernels/rope_append.h"
#include "cuda/tile/norm.cuh"
#include "cuda/tile/rotate.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4;

__device__ inline int rows_of_token(const TokenRows& rows) { return rows.groups * rows.heads; }

/// Row of a cache, counted in slots, that belongs to a new token.
__device__ inline std::int64_t cache_slot(const RopeAppendParams& p, int token) {
  const int b = token / p.Sq, i = token % p.Sq;
  const int position = (p.lens == nullptr ? p.Sk : p.lens[b]) - p.Sq + i;
  if (p.block_table == nullptr) return std::int64_t{b} * p.Sk + position;
  const int page = p.block_table[std::int64_t{b} * p.pages_per_row + position / p.page];
  return std::int64_t{page} * p.page + position % p.page;
}

/// Row m of a token.
template <class T>
__device__ inline void append_row(const RopeAppendParams& p, const TokenRows& rows, int token,
                                  int m) {
  const std::int64_t slot = rows.cached ? cache_slot(p, token) : token;
  const T* x_g = static_cast<const T*>(rows.x) + token * rows.x_token +
                 m / rows.heads * rows.x_group + m % rows.heads * rows.width;
  T* y_g = static_cast<T*>(rows.y) + (slot * rows_of_token(rows) + m) * rows.width;

  const NormedRow<T> row = normalize(x_g, rows.normed, rows.norm, static_cast<const T*>(rows.w),
                                     static_cast<const T*>(rows.b), p.eps);
  const std::int64_t angles = std::int64_t{token} * rows.pairs;
  for (int r = lane_id(); r < rows.pairs; r += 32) {
    const PairPlaces at = places_of_pair(p.pairing, rows.pairs, r);
    const Pair pair{row.value(rows.first_turned + at.a), row.value(rows.first_turned + at.b)};
    const Pair turned = turn(pair, p.cos[angles + r], p.sin[angles + r]);
    y_g[rows.first_turned + at.new_a] = simt::from_float<T>(turned.a);
    y_g[rows.first_turned + at.new_b] = simt::from_float<T>(turned.b);
  }
  for (int d = lane_id(); d < rows.width; d += 32)
    if (d < rows.first_turned || d >= rows.first_turned + 2 * rows.pairs)
      y_g[d] = simt::from_float<T>(row.value(d));
}

template <class T>
__global__ void __launch_bounds__(32 * kWarps) rope_append_kernel(const RopeAppendParams p) {
  int count = 0;  // rows of a token
#pragma unroll
  for (const TokenRows& rows : p.rows) count += rows_of_token(rows);
  const int n = static_cast<int>(blockIdx.x) * kWarps + warp_id();
  if (n >= p.B * p.Sq * count) return;
  int m = n % count;
#pragma unroll
  for (const TokenRows& rows : p.rows) {
    if (m >= 0 && m < rows_of_token(rows)) append_row<T>(p, rows, n / count, m);
    m -= rows_of_token(rows);
  }
}

template <class T>
void launch(const RopeAppendParams& p) {
  int count = 0;
  for (const TokenRows& rows : p.rows) count += rows.groups * rows.heads;
  simt::launch(rope_append_kernel<T>,
               simt::LaunchShape{.grid = dim3((p.B * p.Sq * count + kWarps - 1) / kWarps),
                                 .block = dim3(32 * kWarps),
                                 .smem_bytes = 0},
               p);
}

}  // namespace

void launch_rope_append(Dtype dtype, const RopeAppendParams& p) {
  dtype == Dtype::bf16 ? launch<simt::bf16>(p) : launch<simt::half>(p);
}

}  // namespace attest::ATTEST_BACKEND
