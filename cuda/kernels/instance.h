#pragma once

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/simt.cuh"

namespace attest::ATTEST_BACKEND {

/// The types of q and o, and of keys and values in memory.
template <class Element, class CacheElement>
struct ElementTypes {
  using T = Element;
  using Stored = CacheElement;
};

/// One compiled form of a kernel template: ElementTypes and widths.
template <class Types, int kScoreWidth, int kValueWidth>
struct Instance {
  using T = typename Types::T;
  using Stored = typename Types::Stored;
  static constexpr int kD = kScoreWidth, kDv = kValueWidth;
};

template <class T, class Action>
void with_cache_type(Dtype cache, Action&& action) {
  if (cache == Dtype::e4m3) return action(ElementTypes<T, simt::e4m3>{});
  if (cache == Dtype::e5m2) return action(ElementTypes<T, simt::e5m2>{});
  action(ElementTypes<T, T>{});
}

/// Calls action(ElementTypes<...>{}) for the types of a problem.
template <class Action>
void with_types(const Problem& p, Action&& action) {
  p.dtype == Dtype::bf16 ? with_cache_type<simt::bf16>(p.cache_dtype(), action)
                         : with_cache_type<simt::half>(p.cache_dtype(), action);
}

template <class Types, class Action>
void with_capacity(Capacity capacity, Action&& action) {
  switch (capacity) {
    case Capacity::d64:
      return action(Instance<Types, 64, 64>{});
    case Capacity::d128:
      return action(Instance<Types, 128, 128>{});
    case Capacity::d192_128:
      return action(Instance<Types, 192, 128>{});
  }
}

/// Calls action(Instance<...>{}) for the instance that runs a problem.
template <class Action>
void with_instance(const Problem& problem, Action&& action) {
  with_types(problem,
             [&](auto types) { with_capacity<decltype(types)>(capacity_of(problem), action); });
}

}  // namespace attest::ATTEST_BACKEND
