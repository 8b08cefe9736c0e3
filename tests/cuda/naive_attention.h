#pragma once

#include "cases/inputs.h"
#include "tests/cuda/kernels_support.h"

// Core attention in double with all that a problem may ask of its scores, an element at a time, for
// problems of fp32. Nothing here shares code with the kernels or reference/.
namespace attest::test {

/// inputs_of(p) of noise whose scores deviate by about 2. Slots and entries of keys that no batch
/// entry has are NaN; pages lie in reverse, and entries of pages without keys lead away.
TensorSet attention_inputs(const Problem&);

/// Outputs of a run, in the order [B,Sq,H,Dv] and [B,H,Sq].
TensorSet run_attention(const Kernel&, const Problem&, const TensorSet& inputs, Schedule = 0);

/// Ways to get attention wrong.
enum class Slip {
  none,
  last_key,          ///< of a row is dropped
  next_key,          ///< masks end one key later
  next_head,         ///< the key/value head behind the right one
  no_sink,           ///< in the denominator
  no_bias,           ///< neither ALiBi's
  no_mask,           ///< attn_mask
  bias_before_cap,   ///< instead of behind it
  rounded_p,         ///< p is stored in bf16
  rough_exponential  ///< of relative error 2^-11
};

Expected naive_attention(const Problem&, const TensorSet& inputs, Slip = Slip::none);

}  // namespace attest::test
