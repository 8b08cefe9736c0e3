#include "reference/mask.h"

#include <algorithm>

namespace attest::reference {

Index position(Mask mask, Index Sq, Index keys, Index i) {
  return mask == Mask::causal_top_left ? i : keys - Sq + i;
}

KeyRange visible_keys(Mask mask, const Window& window, Index Sq, Index keys, Index i) {
  const Index n = position(mask, Sq, keys, i);
  const bool causal = mask != Mask::none;
  Index first = 0, last = keys - 1;
  if (causal) last = std::min(last, n);
  if (window.right >= 0) last = std::min(last, n + window.right);
  if (window.left >= 0) first = std::max(first, n - window.left);
  if (first > last) first = last + 1;  // none, at a place that does not fall either
  const Index end = std::max<Index>(last + 1, 0);
  return {std::clamp<Index>(first, 0, end), end};
}

}  // namespace attest::reference
