#pragma once

#include "cases/problem.h"

namespace attest::reference {

/// Number of keys that query i of Sq sees of a batch entry's `keys`; they are keys 0 .. n-1. Never
/// falls as i grows.
///
///   none              every key
///   causal            j <= i + keys - Sq  (aligned at the last query and key)
///   causal_top_left   j <= i              (aligned at the first query and key)
Index visible_keys(Mask mask, Index Sq, Index keys, Index i);

}  // namespace attest::reference
