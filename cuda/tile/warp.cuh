#pragma once

// Where a thread stands in its block, and what the 32 lanes of a warp compute together.

#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

__device__ inline int lane_id() { return threadIdx.x % 32; }
__device__ inline int warp_id() { return threadIdx.x / 32; }

/// Sum (maximum) of x over the lanes: the same bits in all of them.
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) x += __shfl_xor_sync(0xffffffffu, x, mask);
  return x;
}
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, mask));
  return x;
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
