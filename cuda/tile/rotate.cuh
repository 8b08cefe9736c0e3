#pragma once

// Rotary embedding of a row (RoFormer, arXiv:2104.09864): pair r turns by the angle of its
// position.
//
//   (a, b) -> (a cos - b sin, b cos + a sin)

#include "cases/rope.h"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// Which values of a row form a pair and where they go, counted from the first that turns.
struct PairPlaces {
  int a, b, new_a, new_b;
};

__device__ inline PairPlaces places_of_pair(RopePairing pairing, int pairs, int r) {
  switch (pairing) {
    case RopePairing::half:
      return {r, r + pairs, r, r + pairs};
    case RopePairing::interleaved:
      return {2 * r, 2 * r + 1, 2 * r, 2 * r + 1};
    default:  // deinterleave
      return {2 * r, 2 * r + 1, r, r + pairs};
  }
}

struct Pair {
  float a, b;
};

__device__ inline Pair turn(Pair x, float cos, float sin) {
  return {x.a * cos - x.b * sin, x.b * cos + x.a * sin};
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
