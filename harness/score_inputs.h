#pragma once

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// Adds what enters the scores beside q and k, where the problem has it:
///
///   alibi_slopes [H] fp32, layout H    2^(-8 (h + 1) / H)  (arXiv:2108.12409, section 3)
///   attn_bias [1|B,1|H,Sq,Sk] dtype, layout BHSK    normal; one of 16 is -inf
///   attn_mask [1|B,1|H,Sq,Sk] bool, layout BHSK     true: masked out. Random ones, whole tiles of
///                                      64 keys, and of one query in 8 all
///   sinks [H] fp32, layout H           normal, twice as wide
///
/// Query 0 always keeps its first key and its last. Columns of attn_bias behind the keys of every
/// batch entry that it holds for are NaN, those of attn_mask false.
void add_score_inputs(const Problem&, TensorSet&);

/// The sinks alone, which layers have too.
Tensor draw_sinks(const Problem&);

}  // namespace attest
