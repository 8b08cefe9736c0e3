#pragma once

// What a kernel file includes: CUDA's words, 16-bit types, and
//
//   simt::dynamic_shared<SharedPlan>()   the block's shared memory as a SharedPlan*; uninitialized
//   simt::launch(kernel, simt::LaunchShape{.grid = .., .block = .., .smem_bytes = ..}, params...)
//
// in namespace attest::ATTEST_BACKEND, which is `emu` or `gpu`: one program may hold both builds.
// Of CUDA's own functions there are, on both sides: __syncthreads, __syncwarp(mask = all), and
// __shfl_sync, __shfl_xor_sync, __shfl_down_sync, __ballot_sync with explicit masks, <cmath>'s
// float functions (fmaxf, exp2f, log2f ...), min and max. ptx.cuh has the rest, one function for
// each instruction. Static __shared__ variables, cooperative groups, <<<>>> and vendor 16-bit types
// do not exist here.

#include "cuda/simt/backend.cuh"
#include "cuda/simt/number.cuh"
