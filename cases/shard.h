#pragma once

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// What rank `rank` of a layer with tp > 1 holds of its inputs, for the problem shard_of() gives
/// (Megatron-LM's column- and row-parallel projections). Bytes are copied, nothing is computed.
///
///   w_qkv b_qkv          rows of the rank's groups; with tp > G of its query heads (and their
///                        gates) in one group, k and v of that group on each of its tp / G ranks
///   w_q w_uq w_ukv sinks rows of its heads
///   w_o                  columns of its heads
///   b_o                  whole on rank 0, zeros elsewhere: the outputs of the ranks add up
///   k_cache v_cache      its groups
///   anything else        whole; the latent cache too
TensorSet shard_inputs(const Problem& layer, Index rank, const TensorSet& inputs);

}  // namespace attest
