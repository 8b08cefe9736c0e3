#pragma once

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// Draws what enters a layer (cases/stages.h: layer_weights, layer_caches), of problem.dtype, each
/// tensor from the stream of its name (harness/philox.h), z and u as in harness/fills.cpp:
///
///   x [B,Sq,E]        the fill, as it makes rows of k
///   matrices [N,K]    z / 2^r, where 2^r is the power of two next to sqrt(K): outputs of unit
///   variance w_*_norm          1 + z/8; z/8 for norm=rms_zero_centered b_*_norm, b_*     z/8, z/4
///   caches            z in the rows of earlier tokens; NaN (all bits set) behind them
///
/// Element [n,k] of a matrix is draw (b 0, s n, h 0, d k), [n] of a vector (0, 0, 0, n); rows of x
/// and of a cache are draws (b, position, h, d), wherever pages put them. Pages and lengths:
/// inputs.h. Throws attest::Error for a problem that validate() refuses or of another level.
TensorSet make_layer_inputs(const Problem&);

/// The outputs of a layer before it runs: NaN, but the caches are those of the inputs.
TensorSet empty_layer_outputs(const Problem&, const TensorSet& inputs);

}  // namespace attest
