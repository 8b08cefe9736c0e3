#pragma once

#include "reference/blocks.h"

namespace attest::reference::ATTEST_ISA {

/// What becomes of scaled scores before the softmax, in this order, each step where the task has
/// it:
///
///   s[i,j] = softcap tanh(s[i,j] / softcap)      Gemma 2 (arXiv:2408.00118, section 2)
///   s[i,j] = s[i,j] - slope[h] |n[i] - j|        ALiBi (arXiv:2108.12409); n: position (mask.h)
///   s[i,j] = s[i,j] + attn_bias[b,h,i,j]
///   s[i,j] = -inf                                where query i does not see key j: outside of mask
///                                                and window, or attn_mask[b,h,i,j] is true
///
/// s [count, keys]
void shape_scores(const Task&, const Rows&, MatrixRef s);

/// The last two steps, of which -inf remains: 0 for keys that a row sees, -inf for the others.
void mask_scores(const Task&, const Rows&, MatrixRef s);

}  // namespace attest::reference::ATTEST_ISA
