#pragma once

#include <string>
#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// Draws the inputs of a problem with its fill (harness/fills.h) and its seed:
///
///   q [B,Sq,H,D]  k [B,Sk,G,D]  v [B,Sk,G,Dv], layout BSHD, of problem.dtype, rounded to nearest.
///
/// In absorbed MLA q and latent_cache [B,Sk,D], layout BSC, which has the draws of k.
///
/// With pages (page > 0) the rows of k and v lie in k_cache [pool_pages,page,G,D] and v_cache
/// [..,Dv], layout PSHD (those of the latent in latent_cache [pool_pages,page,D], PSC): key j of
/// batch entry b in page block_table[b, j / page], slot j % page; block_table [B,table_width]
/// int32. The seed shuffles the pages of all batch entries and the spare ones.
///
/// With lens there is seqlens_k [B] int32, layout B, too. Slots from length(b) on and pages that no
/// key lies in hold NaN (all bits set); entries of block_table for pages without keys, 2^31 - 1.
///
/// With kv, k and v (the caches) are of that type: the fill's values divided by k_scale [G] and
/// v_scale [G] (cache_scales.h), then rounded.
///
/// What enters the scores beside q and k: score_inputs.h.
///
/// The bits depend on nothing but the problem: not on the machine, not on the number of threads.
/// An element depends on seed, fill and its own indices only, so a smaller problem's tensors are
/// corners of a larger one's and all variants, masks and dtypes share their draws. The exceptions:
/// bigpos, bigneg, ascend, descend, twolevel and needle scale by D to reach their scores; needle
/// aims at keys its row sees; tailhot marks the last keys; denormal scales V to the type of V;
/// with kv, all follow their head's largest.
/// What enters a layer is drawn by make_layer_inputs() (layer_inputs.h).
/// Throws attest::Error for a problem that validate() refuses.
TensorSet make_inputs(const Problem&);

/// Moves caches [B,Sk,...] (every tensor but q) to their pages where there are any, or all tensors
/// to the problem's layout, and adds block_table and seqlens_k where the problem has them.
TensorSet place(const Problem&, const TensorSet& dense);

/// The names of its tensors.
std::vector<std::string> input_names(const Problem&);

}  // namespace attest
