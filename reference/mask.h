#pragma once

#include "cases/scores.h"

namespace attest::reference {

/// Where query i of Sq stands among a batch entry's `keys`: keys - Sq + i, so that the last query
/// stands at the last key; under causal_top_left at i, so that the first stands at the first.
Index position(Mask mask, Index Sq, Index keys, Index i);

/// The keys that query i sees. Neither end ever falls as i grows.
///
///   none              every key                   causal, causal_top_left   j <= position
///   window l, r       position - l <= j <= position + r; no bound where -1
KeyRange visible_keys(Mask mask, const Window& window, Index Sq, Index keys, Index i);

}  // namespace attest::reference
