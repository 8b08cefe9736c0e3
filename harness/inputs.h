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
/// The bits depend on nothing but the problem: not on the machine, not on the number of threads.
/// An element depends on seed, fill and its own indices only, so a smaller problem's tensors are
/// corners of a larger one's and all variants, masks and dtypes share their draws. The exceptions:
/// bigpos, bigneg, ascend, descend, twolevel and needle scale by D to reach their scores; needle
/// aims at keys its row sees; tailhot marks the last keys; denormal scales V to the dtype.
/// Throws attest::Error for a problem that validate() refuses.
TensorSet make_inputs(const Problem&);

/// The names of its tensors.
std::vector<std::string> input_names(const Problem&);

}  // namespace attest
