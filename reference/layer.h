#pragma once

#include "cases/stages.h"
#include "cases/truth.h"

// The fp64 truth of level=layer (cases/stages.h). `inputs` holds x, the weights, the caches before
// the call and, with pages, block_table; lengths come from the problem. Tensors may be of any
// floating-point type, whatever the problem says.
namespace attest::reference {

/// What one stage leaves, in fp64, computed from what the stages before it stored in `left`.
///
/// outputs: named and shaped like the stage's outputs, but caches have only the new rows, [B,Sq,..]
/// in the order of the tokens, wherever they lie. Rows of kv, k and v from length(b) on are 0.
///
/// conditioning: of the attention stage that of attend(); of the others a tensor of the same name
/// and shape for each output, with the magnitude that rounding errors are relative to:
///
///   projections   sum |x| |w| + |b|
///   norms         |y|; rms_zero_centered: |x r| (1 + |w|); layer: r |w| (|x| + mean |x|) + |b|
///   rotation      |m_a cos| + |m_b sin|, m the magnitude of what turns: that of its norm, or |x|
///   gate          |y| (1 + |gate|), for an error of the exponent grows with it
///   copies        0: what is neither normed nor turned, v, k, the values of kv; exact
///
/// Reads nothing beyond length(b). Has the same bits for any number of threads. Throws
/// attest::Error for a tensor that is missing, does not fit the problem, or holds an infinity or
/// NaN where it is read.
Truth layer_stage(const Problem&, const Stage&, const TensorSet& inputs, const TensorSet& left);

/// The whole layer, nothing rounded on the way.
///
/// outputs: y, q_rot, o (in absorbed form u too), lse and the new rows of the caches as above.
/// conditioning: that of attend(), in absorbed form of u.
Truth layer(const Problem&, const TensorSet& inputs);

}  // namespace attest::reference
