#pragma once

#include <string>
#include <vector>

#include "cases/problem.h"
#include "cases/truth.h"

namespace attest {

/// What a golden keeps as outputs and conditioning: of a core problem what reference::attend()
/// says, of a layer what reference::layer() says, with its caches whole, as they are after the
/// call: [B,Sk,...] or [pool_pages,page,...] in fp64, the rows of earlier tokens as they were,
/// those of new ones unrounded, NaN (all bits set) where no token lies.
Truth golden_truth(const Problem&, const TensorSet& inputs);

/// The names of its outputs.
std::vector<std::string> golden_output_names(const Problem&);

/// How far another build's computation may lie from a layer's output, an absolute distance: 1e-13
/// of the tensor's largest number for each of about ten steps, and of a score's error, which grows
/// with the largest a_j = scale |q| |k|, as often as the exponential passes it on. Of lse at least
/// that of 1 nat.
double golden_layer_bound(const Truth&, const Tensor& output);

}  // namespace attest
