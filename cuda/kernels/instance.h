#pragma once

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {

/// One compiled form of a kernel template: element type and widths.
template <class Element, int kScoreWidth, int kValueWidth>
struct Instance {
  using T = Element;
  static constexpr int kD = kScoreWidth, kDv = kValueWidth;
};

template <class T, class Action>
void with_capacity(Capacity capacity, Action&& action) {
  switch (capacity) {
    case Capacity::d64:
      return action(Instance<T, 64, 64>{});
    case Capacity::d128:
      return action(Instance<T, 128, 128>{});
    case Capacity::d192_128:
      return action(Instance<T, 192, 128>{});
  }
}

/// Calls action(Instance<...>{}) for the instance that runs a problem.
template <class Action>
void with_instance(const Problem& problem, Action&& action) {
  const Capacity capacity = capacity_of(problem);
  problem.dtype == Dtype::bf16 ? with_capacity<simt::bf16>(capacity, action)
                               : with_capacity<simt::half>(capacity, action);
}

}  // namespace attest::ATTEST_BACKEND
